"""The file behind the store: what cannot be written is nowhere, and nothing that was written is lost."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager

import orjson
import pytest
from support.api import a_registry, a_store
from support.build import service_object as usual_service

from netproxy.core.errors import StorageError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import name
from netproxy.registry.registry import Registry
from netproxy.store.sqlite import SqliteBacking


def service_object(name="web", namespace="default"):
    """One that has no address, so that nothing else is written with it."""
    return usual_service(name, namespace, clusterIP="None")


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "state.db")


def names_in(file, tmp_path):
    """What another process would find after a `kill -9`: the files as they are."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for part in ("", "-wal"):
        shutil.copy(f"{file}{part}", folder / f"state.db{part}")
    backing = SqliteBacking(str(folder / "state.db"))
    try:
        return sorted(name(obj) for obj in backing.load())
    finally:
        backing.close()


def world(file):
    backing = SqliteBacking(file)
    registry = a_registry(a_store(backing))
    registry.create(service_object("a"))
    return backing, registry


def test_a_file_that_is_too_large_is_refused_and_everything_goes_on_afterwards(file, tmp_path):
    backing, registry = world(file)
    before, (soft, hard) = list(registry.store.all(SERVICES)), resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = []
    registry.store.subscribe(heard.append)
    many = [Loaded(service_object(f"s{n}"), "x") for n in range(300)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(StorageError, match=r"writing .*: nothing was changed; .*try again"):
            registry.apply(many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (list(registry.store.all(SERVICES)), heard) == (before, [])
    assert len(registry.apply(many)) == 300
    assert len(names_in(file, tmp_path)) == 301
    backing.close()


def test_one_process_has_it_at_a_time(file):
    backing, _ = world(file)
    with pytest.raises(StorageError, match="another process uses it"):
        SqliteBacking(file, wait_s=0)
    program = "import sys; from netproxy.store.sqlite import SqliteBacking; SqliteBacking(sys.argv[1], wait_s=0)"
    done = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True)
    assert "database is locked" in done.stderr
    backing.close()
    SqliteBacking(file, wait_s=0).close()


@pytest.mark.parametrize("gone", [["", "-wal"], [""], ["-wal"]], ids=["both", "the database", "its log"])
def test_a_file_that_is_deleted_under_us_is_written_down_again(file, tmp_path, gone):
    backing, registry = world(file)
    for part in gone:
        (tmp_path / f"state.db{part}").unlink()
    registry.create(service_object("b"))
    registry.create(service_object("c"))
    assert names_in(file, tmp_path) == ["a", "b", "c"]
    backing.close()


def test_another_file_in_its_place_is_left_alone(file, tmp_path):
    backing, registry = world(file)
    (tmp_path / "other").write_text("mine")
    (tmp_path / "other").rename(file)
    with pytest.raises(StorageError, match="another file was put in its place"):
        registry.create(service_object("b"))
    assert registry.store.count(SERVICES) == 1
    assert (tmp_path / "state.db").read_text() == "mine"
    backing.close()


def test_a_folder_that_is_gone_is_said(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    backing, registry = world(str(folder / "state.db"))
    shutil.rmtree(folder)
    with pytest.raises(StorageError, match="its folder must be there and writable"):
        registry.create(service_object("b"))
    assert registry.store.count(SERVICES) == 1
    folder.mkdir()
    registry.create(service_object("b"))
    assert names_in(str(folder / "state.db"), tmp_path) == ["a", "b"]
    backing.close()


def test_what_is_no_database_is_refused(file, tmp_path):
    (tmp_path / "state.db").write_text("this is no database, and it is long enough to be told from one" * 20)
    with pytest.raises(StorageError, match="no database of netproxy's"):
        SqliteBacking(file)


def test_a_damaged_row_is_said(file):
    backing, _ = world(file)
    backing.close()
    with sqlite3.connect(file) as db:
        db.execute("UPDATE objects SET json = '{'")
    db.close()
    damaged = SqliteBacking(file)
    with pytest.raises(StorageError, match="it is damaged"):
        damaged.load()
    damaged.close()


def test_a_database_of_the_first_layout_is_taken_over(file):
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE objects (kind TEXT, namespace TEXT, name TEXT, version INTEGER, json BLOB)")
        db.execute("CREATE TABLE latest (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER)")
        db.execute("INSERT INTO latest VALUES (1, 9)")
        for obj in (service_object("a"), {"apiVersion": "x/v1", "kind": "Old", "metadata": {"name": "o"}}):
            db.execute("INSERT INTO objects VALUES (?, 'default', 'a', 7, ?)", (obj["kind"], orjson.dumps(obj)))
    db.close()
    backing = SqliteBacking(file)
    store = a_store(backing)
    assert [name(obj) for obj in store.all(SERVICES)] == ["a"]
    assert store.version == 9
    backing.close()
    backing.close()


def test_an_error_after_all_is_written_is_no_error(file):
    class Late(SqliteBacking):
        def _write(self, db, writes):
            super()._write(db, writes)
            raise sqlite3.OperationalError("after the end")

    backing = Late(file)
    store = a_store(backing)
    registry = Registry(store, a_registry().cluster)
    registry.create(service_object("a"))
    assert store.find(SERVICES, NamespacedName("default", "a"))
    assert [name(obj) for obj in backing.load()] == ["a"]
    backing.close()


def test_a_connection_that_cannot_even_undo_is_replaced(file, tmp_path):
    class Broken(SqliteBacking):
        broken = False

        def _write(self, db, writes):
            if self.broken:
                db.execute("BEGIN IMMEDIATE")
                db.close()  # nothing more can be done with it, not even ROLLBACK
            super()._write(db, writes)

    backing = Broken(file)
    registry = a_registry(a_store(backing))
    registry.create(service_object("a"))
    backing.broken = True
    with pytest.raises(StorageError):
        registry.create(service_object("b"))
    backing.broken = False
    registry.create(service_object("c"))
    assert names_in(file, tmp_path) == ["a", "c"]
    backing.close()


def test_half_a_transaction_is_undone(file, tmp_path):
    class Failing(SqliteBacking):
        fails = False

        def _write(self, db, writes):
            if self.fails:
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM objects")
                raise sqlite3.OperationalError("in the middle")
            super()._write(db, writes)

    backing = Failing(file)
    registry = a_registry(a_store(backing))
    registry.create(service_object("a"))
    backing.fails = True
    with pytest.raises(StorageError, match="in the middle: nothing was changed"):
        registry.create(service_object("b"))
    assert names_in(file, tmp_path) == ["a"]
    backing.fails = False
    registry.create(service_object("c"))
    assert [name(obj) for obj in backing.load()] == ["a", "c"]
    backing.close()


def test_a_write_whose_end_nobody_can_find_out_has_failed(tmp_path):
    class Lost(SqliteBacking):
        def _write(self, db, writes):
            super()._write(db, writes)
            db.close()
            shutil.rmtree(tmp_path / "f")
            raise sqlite3.OperationalError("the file system is gone")

    (tmp_path / "f").mkdir()
    registry = a_registry(a_store(Lost(str(tmp_path / "f" / "state.db"))))
    with pytest.raises(StorageError, match="the file system is gone"):
        registry.create(service_object("a"))
    assert registry.store.count(SERVICES) == 0


def test_a_folder_that_may_not_be_written_to_is_said():
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which others may not enter
        os.chmod(folder, 0o555)
        with an_ordinary_user(), pytest.raises(StorageError, match="make it writable, and its folder"):
            SqliteBacking(f"{folder}/state.db")


@contextmanager
def an_ordinary_user():
    """Root may write everywhere."""
    is_root = os.geteuid() == 0
    if is_root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
