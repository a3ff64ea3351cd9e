"""The store's backing: one SQLite file in WAL mode. One row an object; a write is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import orjson

from netproxy.core.names import NamespacedName
from netproxy.objects.meta import Object


class SqliteBacking:
    """Rows (kind, namespace, name) → version, JSON. Survives `kill -9` of the process."""

    def __init__(self, file: str) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects (kind TEXT, namespace TEXT, name TEXT, version INTEGER, json BLOB,"
            " PRIMARY KEY (kind, namespace, name)) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS latest (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER)")

    def load(self) -> Iterator[tuple[int, Object]]:
        """All rows; the highest version that was ever given comes with the last one."""
        for version, text in self._db.execute("SELECT version, json FROM objects ORDER BY version"):
            yield version, orjson.loads(text)

    def latest(self) -> int:
        """The highest version ever committed, deletions counted."""
        row = self._db.execute("SELECT version FROM latest").fetchone()
        return int(row[0]) if row else 0

    def commit(self, version: int, kind: str, name: NamespacedName, obj: Object | None) -> None:
        """Write or remove one object."""
        with self._transaction():
            if obj is None:
                self._db.execute("DELETE FROM objects WHERE kind=? AND namespace=? AND name=?", (kind, *name))
            else:
                row = (kind, *name, version, orjson.dumps(obj))
                self._db.execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?)", row)
            self._db.execute("INSERT OR REPLACE INTO latest VALUES (1, ?)", (version,))

    def bulk(self) -> _Transaction:
        """Group many commits into one transaction: `with backing.bulk(): ...`."""
        return _Transaction(self._db)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class _Transaction:
    """BEGIN … COMMIT; inside another one it does nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._outer = False

    def __enter__(self) -> None:
        self._outer = not self._db.in_transaction
        if self._outer:
            self._db.execute("BEGIN")

    def __exit__(self, kind: object, *_: object) -> None:
        if self._outer:
            self._db.execute("ROLLBACK" if kind else "COMMIT")
