"""The store's backing: one SQLite file in WAL mode. One row an object; a store's transaction is one of the database's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import orjson

from netproxy.core.errors import StorageError
from netproxy.objects.kinds import resource_of
from netproxy.objects.meta import Object, key
from netproxy.store.transaction import Write

LAYOUT = 2
"""Of the tables; 1 had kinds where 2 has resources."""

WAL_BYTES = 4 << 20
"""What is kept of the log of writes once they are in the database."""

_WAYS_OUT = {
    "SQLITE_FULL": "free some space on its file system and try again",
    "SQLITE_IOERR": "its file system fails (see `dmesg`), or a limit on file sizes is reached; try again when it works",
    "SQLITE_BUSY": "another process uses it: end that one first",
    "SQLITE_READONLY": "make it writable, and its folder and file system",
    "SQLITE_CANTOPEN": "its folder must be there and writable",
    "SQLITE_NOTADB": "it is no database of netproxy's: `netproxy down` removes it",
    "SQLITE_CORRUPT": "it is damaged: `netproxy down` removes it",
}
"""The errors that a user can do something about, by the beginning of their name."""


class SqliteBacking:
    """Rows (resource, namespace, name) → version, JSON. Survives `kill -9` of the process; one process has it at a time."""

    def __init__(self, file: str, *, wait_s: float = 5.0) -> None:
        self._file = file
        self._wait_s = wait_s
        self._db: sqlite3.Connection | None = None
        self._here: tuple[int | None, int | None] = (None, None)
        """Which files are ours: the database and its log."""
        with _said(file, "opening"):
            self._open()

    def load(self) -> list[Object]:
        """All objects, oldest version first. Raises StorageError."""
        with _said(self._file, "reading"):
            rows = self._open().execute("SELECT json FROM objects ORDER BY version").fetchall()
        try:
            return [orjson.loads(text) for (text,) in rows]
        except orjson.JSONDecodeError as error:
            raise StorageError(f"reading {self._file}: {error}: {_WAYS_OUT['SQLITE_CORRUPT']}") from error

    def latest(self) -> int:
        """The highest version ever committed, deletions counted."""
        with _said(self._file, "reading"):
            row = self._open().execute("SELECT version FROM latest").fetchone()
        return int(row[0]) if row else 0

    def commit(self, writes: Sequence[Write]) -> None:
        """Write or remove all objects, or none. Raises StorageError."""
        with _said(self._file, "writing"):
            db = self._still_there(self._open())
            try:
                self._write(db, writes)
            except BaseException:
                self._roll_back(db)
                if not self._has(writes[-1].version):  # an error may come after all is done
                    raise

    @staticmethod
    def _write(db: sqlite3.Connection, writes: Sequence[Write]) -> None:
        last = {(write.resource.stored, write.name): write for write in writes}
        db.execute("BEGIN IMMEDIATE")
        for (resource, name), write in last.items():
            if write.type == "DELETED":
                db.execute("DELETE FROM objects WHERE resource=? AND namespace=? AND name=?", (resource, *name))
            else:
                row = (resource, *name, write.version, orjson.dumps(write.obj))
                db.execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?)", row)
        db.execute("INSERT OR REPLACE INTO latest VALUES (1, ?)", (writes[-1].version,))
        db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    # --- the connection

    def _open(self) -> sqlite3.Connection:
        """The connection; a new one when the last could not go on."""
        if self._db is None:
            db = sqlite3.connect(self._file, timeout=self._wait_s, isolation_level=None, check_same_thread=False)
            try:
                db.execute("PRAGMA locking_mode=EXCLUSIVE")
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                db.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
                _make_tables(db)
            except BaseException:
                db.close()
                raise
            self._db, self._here = db, self._on_disk()
        return self._db

    def _roll_back(self, db: sqlite3.Connection) -> None:
        """Leave no transaction behind; a connection that cannot even do that is given up."""
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error:
            db.close()
            self._db = None

    def _has(self, version: int) -> bool:
        try:
            return self.latest() == version
        except StorageError:
            return False

    # --- the files

    def _on_disk(self) -> tuple[int | None, int | None]:
        return _inode(self._file), _inode(f"{self._file}-wal")

    def _still_there(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """The connection, after a look whether what it writes to can still be found by its name.

        A file that was deleted under us is written down again: we still have it open. Raises StorageError when another one
        is in its place.
        """
        now = self._on_disk()
        if now == self._here:
            return db
        if now[0] not in (None, self._here[0]):
            raise StorageError(
                f"writing {self._file}: another file was put in its place: nothing was changed; `netproxy down`, then `up`"
            )
        draft = f"{self._file}.new"
        with suppress(FileNotFoundError):
            os.unlink(draft)
        copy = sqlite3.connect(draft)
        try:
            db.backup(copy)
        finally:
            copy.close()
        self.close()
        with suppress(FileNotFoundError):
            os.unlink(f"{self._file}-wal")
        os.replace(draft, self._file)
        return self._open()


def _make_tables(db: sqlite3.Connection) -> None:
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    if layout == LAYOUT:
        return  # a full disk can still be read
    db.execute("BEGIN IMMEDIATE")
    old = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'objects'").fetchone()
    rows = db.execute("SELECT version, json FROM objects").fetchall() if old else ()
    if old:
        db.execute("DROP TABLE objects")
    db.execute(
        "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, version INTEGER, json BLOB,"
        " PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE IF NOT EXISTS latest (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER)")
    for version, text in rows:
        obj = orjson.loads(text)
        resource = resource_of(obj)
        if resource:
            db.execute("INSERT INTO objects VALUES (?,?,?,?,?)", (resource.stored, *key(obj), version, text))
    db.execute(f"PRAGMA user_version = {LAYOUT}")
    db.execute("COMMIT")


def _inode(file: str) -> int | None:
    try:
        return os.stat(file).st_ino
    except FileNotFoundError:
        return None


@contextmanager
def _said(file: str, what: str) -> Iterator[None]:
    """The database's errors in our words, with the way out."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code, folder = getattr(error, "sqlite_errorname", ""), os.path.dirname(file) or "."
        if os.path.isdir(folder) and not os.access(folder, os.W_OK):
            code = "SQLITE_READONLY"
        way_out = next((text for begins, text in _WAYS_OUT.items() if code.startswith(begins)), "")
        said = f"{what} {file}: {error}: nothing was changed"
        raise StorageError(f"{said}; {way_out}" if way_out else said) from error
