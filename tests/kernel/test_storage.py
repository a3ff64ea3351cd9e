"""A file system that is full, or read-only: nothing of what could not be written is served; afterwards all goes on."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster import REPO, Cluster, wait_until

FULL = "free some space on its file system and try again"


class SmallDisk:
    """A tiny file system over a folder, in a mount namespace of its own."""

    def __init__(self, folder: Path, size: str) -> None:
        mount = f"mount --make-rprivate / && mount -t tmpfs -o mode=777,size={size} tmpfs {folder} && echo ready && exec sleep 600"
        self._holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self.enter = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt"]
        self.folder = Path(f"/proc/{self._holder.pid}/root{folder}")
        self._real = folder

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.folder / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def empty(self) -> None:
        (self.folder / "ballast").unlink()

    def remount(self, how: str) -> None:
        subprocess.run([*self.enter, "mount", "-o", f"remount,{how}", str(self._real)], check=True)

    def python(self, text: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program there."""
        env = {**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'tests'}", "FOLDER": str(self._real), **more}
        command = [*self.enter, sys.executable, "-c", textwrap.dedent(SETUP) + textwrap.dedent(text)]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, cwd=REPO)

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()


SETUP = """
import os, signal
from support.api import Client, a_registry, a_store
from support.build import service_object
from netproxy.core.errors import StorageError
from netproxy.objects.kinds import SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.store.sqlite import SqliteBacking

folder = os.environ["FOLDER"]
def fill():
    with open(folder + "/ballast", "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size): pass
            except OSError: pass
many = [Loaded(service_object(f"s{n}"), "x") for n in range(50)]
def world():
    return a_registry(a_store(SqliteBacking(folder + "/state.db")))
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    made = SmallDisk(tmp_path, "400k")
    try:
        yield made
    finally:
        made.close()


def test_what_a_full_disk_refuses_is_nowhere_and_comes_for_good_later(disk: SmallDisk):
    done = disk.python("""
        registry = world()
        registry.create(service_object("before"))
        heard = []
        registry.store.subscribe(heard.append)
        fill()
        for _ in range(3):
            try:
                registry.apply(many)
            except StorageError as error:
                print(error)
            assert registry.store.count(SERVICES) == 1 and not heard
        ask = Client(registry)
        print(*ask("POST", "/api/v1/namespaces/default/services", {**service_object("big"), "spec": {
            "ports": [{"port": 80}], "externalName": "x" * 100_000}}))
        os.unlink(folder + "/ballast")
        assert len(registry.apply(many)) == 50
        registry.create(service_object("after"))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [FULL in line for line in done.stdout.splitlines()] == [True] * 4
    assert "500 {'kind': 'Status'" in done.stdout
    later = disk.python("print(world().store.count(SERVICES))")
    assert later.stdout == "52\n", later.stderr


def test_a_log_of_writes_that_cannot_go_into_the_database_loses_nothing(disk: SmallDisk):
    """One object is written again and again beside a full disk, until not even the log of writes can grow."""
    done = disk.python("""
        registry = world()
        obj = registry.create(service_object("one"))
        fill()
        os.truncate(folder + "/ballast", os.path.getsize(folder + "/ballast") - 60_000)
        written = 0
        for n in range(3000):
            try:
                obj = registry.replace({**obj, "metadata": {**obj["metadata"], "labels": {"n": str(n)}}})
                written = n
            except StorageError:
                fill()
        print(written, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert done.returncode == -signal.SIGKILL, done.stderr
    later = disk.python("print(*[obj['metadata']['labels']['n'] for obj in world().store.all(SERVICES)])")
    assert later.stdout == done.stdout, later.stderr


def test_a_read_only_file_system_is_said(disk: SmallDisk):
    assert disk.python("world().create(service_object('before'))").returncode == 0
    disk.remount("ro")
    done = disk.python("world()")
    assert "StorageError: opening" in done.stderr
    assert "make it writable, and its folder and file system" in done.stderr
    disk.remount("rw")
    assert disk.python("print(world().store.count(SERVICES))").stdout == "1\n"


def _services(count: int) -> str:
    return "".join(
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n"
        for n in range(count)
    )


def test_a_cluster_on_a_full_disk_says_so_and_goes_on(cluster: Cluster):
    disk = SmallDisk(cluster.state, "16m")
    cluster.prefix = disk.enter
    try:
        cluster("up")
        before = len(cluster.get("services", "-A")["items"])
        disk.fill()
        refused = cluster.run("up", "-f", "-", stdin=_services(50), check=False)
        assert refused.returncode != 0
        assert FULL in refused.stderr
        assert len(cluster.get("services", "-A")["items"]) == before
        disk.empty()
        cluster("up", "-f", "-", stdin=_services(50))
        os.kill(cluster.pid, signal.SIGKILL)
        wait_until(lambda: cluster.run("status", check=False).returncode != 0)
        cluster("up")
        assert len(cluster.get("services", "-A")["items"]) == before + 50
    finally:
        cluster.run("down", check=False)
        disk.close()
