"""The store's backing: one SQLite file in WAL mode. One row an object; a store's transaction is one of the database's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import orjson

from netproxy.core.errors import StorageError
from netproxy.objects.kinds import resource_of
from netproxy.objects.meta import Object, key
from netproxy.store.transaction import Write

LAYOUT = 2
"""Of the tables; 1 had kinds where 2 has resources."""


class SqliteBacking:
    """Rows (resource, namespace, name) → version, JSON. Survives `kill -9` of the process."""

    def __init__(self, file: str) -> None:
        self._file = file
        with _said(file, "opening"):
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._make()

    def _make(self) -> None:
        (layout,) = self._db.execute("PRAGMA user_version").fetchone()
        self._db.execute("BEGIN IMMEDIATE")
        old = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'objects'").fetchone() and layout < LAYOUT
        rows = self._db.execute("SELECT version, json FROM objects").fetchall() if old else ()
        if old:
            self._db.execute("DROP TABLE objects")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, version INTEGER, json BLOB,"
            " PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS latest (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER)")
        for version, text in rows:
            obj = orjson.loads(text)
            resource = resource_of(obj)
            if resource:
                self._db.execute("INSERT INTO objects VALUES (?,?,?,?,?)", (resource.stored, *key(obj), version, text))
        self._db.execute(f"PRAGMA user_version = {LAYOUT}")
        self._db.execute("COMMIT")

    def load(self) -> Iterator[Object]:
        """All objects, oldest version first."""
        for (text,) in self._db.execute("SELECT json FROM objects ORDER BY version"):
            yield orjson.loads(text)

    def latest(self) -> int:
        """The highest version ever committed, deletions counted."""
        row = self._db.execute("SELECT version FROM latest").fetchone()
        return int(row[0]) if row else 0

    def commit(self, writes: Sequence[Write]) -> None:
        """Write or remove all objects, or none. Raises StorageError."""
        last = {(write.resource.stored, write.name): write for write in writes}
        with _said(self._file, "writing"):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for (resource, name), write in last.items():
                    if write.type == "DELETED":
                        self._db.execute(
                            "DELETE FROM objects WHERE resource=? AND namespace=? AND name=?", (resource, *name)
                        )
                    else:
                        row = (resource, *name, write.version, orjson.dumps(write.obj))
                        self._db.execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?)", row)
                self._db.execute("INSERT OR REPLACE INTO latest VALUES (1, ?)", (writes[-1].version,))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@contextmanager
def _said(file: str, what: str) -> Iterator[None]:
    """The database's errors in our words."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{what} {file}: {error}: nothing was changed") from error
