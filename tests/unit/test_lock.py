"""One lock for a cluster: who has it, who waits, and what becomes of its file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netproxy.agent.lock import ClusterLock, holder
from netproxy.agent.marks import Process, kill_all, read_process, write_process
from netproxy.agent.paths import Paths
from netproxy.core.errors import KernelError


@pytest.fixture
def where(tmp_path: Path) -> Paths:
    return Paths("c", tmp_path / "clusters" / "c")


def test_one_has_it_and_says_who_it_is(where: Paths):
    lock = ClusterLock.take(where, "netproxy up")
    assert ClusterLock.take(where, "netproxy down") is None
    assert str(holder(where)) == f"process {os.getpid()} (`netproxy up`)"
    lock.release()
    again = ClusterLock.take(where, "agent")
    assert holder(where).role == "agent"
    again.remove()


def test_the_last_of_it_takes_the_folder_along_unless_others_are_there(where: Paths):
    ClusterLock.take(where, "one").remove()
    assert not where.state.parent.exists()
    lock = ClusterLock.take(where, "one")
    other = ClusterLock.take(Paths("d", where.state.parent / "d"), "two")
    lock.remove()
    assert [file.name for file in where.state.parent.iterdir()] == [".d.lock"]
    other.remove()


def test_it_stays_held_by_whom_it_was_handed_to(where: Paths):
    lock = ClusterLock.take(where, "netproxy up")
    agent = ClusterLock.inherited(os.dup(lock.fd), where, "agent")
    lock.release()
    lock.release()
    assert ClusterLock.take(where, "netproxy down") is None
    assert holder(where).role == "agent"
    agent.release()
    assert ClusterLock.take(where, "netproxy down").is_current


def test_a_lock_whose_file_was_removed_keeps_nobody_out_and_removes_nothing(where: Paths):
    first = ClusterLock.take(where, "one")
    where.cluster_lock.unlink()
    second = ClusterLock.take(where, "two")
    assert second.is_current
    assert not first.is_current
    first.remove()
    assert where.cluster_lock.exists()
    assert not first.is_current
    second.remove()


@pytest.mark.parametrize("text", ["", "nonsense", "1", "x y z", "1 1 somebody long ago"])
def test_who_has_signed_must_live(where: Paths, text: str):
    where.cluster_lock.parent.mkdir()
    where.cluster_lock.write_text(text)
    assert holder(where) is None


def test_a_process_is_its_number_and_its_start(tmp_path: Path):
    me = Process.of(os.getpid())
    other = Process(me.pid, me.started + 1)
    assert me.is_running
    assert not other.is_running
    assert other.open() is None
    write_process(tmp_path / "pid", me)
    assert read_process(tmp_path / "pid") == me
    write_process(tmp_path / "pid", other)
    assert read_process(tmp_path / "pid") is None
    write_process(tmp_path / "pid", None)
    assert read_process(tmp_path / "pid") is None


def test_only_the_process_that_is_meant_is_killed():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        there = Process.of(process.pid)
        kill_all([Process(there.pid, there.started - 1)])
        assert process.poll() is None
        kill_all([there])
        assert process.wait(5) != 0
    assert Process.of(there.pid) is None
    kill_all([there])


def test_where_no_lock_can_be_the_reason_is_said(where: Paths):
    where.state.parent.parent.mkdir(parents=True, exist_ok=True)
    where.state.parent.write_text("a file, not a folder")
    with pytest.raises(KernelError, match=f"{where.state.parent}.*(exists|Not a directory)"):
        ClusterLock.take(where, "netproxy up")


@pytest.mark.parametrize("folder", ["/proc/netproxy", "/proc/self/netproxy", "/sys/netproxy"])
def test_a_folder_that_cannot_be_made_is_said(folder: str):
    with pytest.raises(KernelError, match=rf"{folder} cannot be made: .*; use another folder \(NETPROXY_STATE\)"):
        ClusterLock.take(Paths("c", Path(folder) / "c"), "netproxy up")
