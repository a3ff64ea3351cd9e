"""Whatever a container forked ends with it: by its cgroup, or by its PID namespace where there are no cgroups."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.cluster import Cluster, wait_until

from netproxy.kubelet.cells import cluster_group

FORKS = 200
HIDING = """
import os, signal
for _ in range({forks}):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve("/bin/sleep", ["sleep", "{mark}"], {{}})
        os._exit(0)
    os.wait()
print("all forked", flush=True)
signal.pause()
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: hiding}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: c, image: busybox, command: [python3, -c, {script}]}}]
"""


def pod(mark: str) -> str:
    """A Pod whose container double-forks, each of them a session of its own without an environment."""
    return POD.format(script=json.dumps(HIDING.format(forks=FORKS, mark=mark)))


def command_lines() -> dict[int, bytes]:
    """Of all processes."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found[int(entry.name)] = (entry / "cmdline").read_bytes()
    return found


def forked(mark: str) -> set[int]:
    """The sleeps that carry this test's number."""
    return {pid for pid, line in command_lines().items() if line == f"sleep\0{mark}\0".encode()}


def main_process(mark: str) -> int:
    """The container's own process: its script holds the number too."""
    start = b"python3\0-c\0\n"
    return next(pid for pid, line in command_lines().items() if line.startswith(start) and mark.encode() in line)


def zombies_of(parent: int) -> list[str]:
    """Children that ended and were not reaped."""
    states = [stat.read_text().rpartition(")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat")]
    return [fields[0] for fields in states if fields[0] == "Z" and int(fields[1]) == parent]


@pytest.fixture(params=["root, cgroups", "root, PID namespaces", "no root, cgroups", "no root, PID namespaces"])
def kind_of_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made = Cluster(rootless=request.param.startswith("no root"))
    if request.param.endswith("PID namespaces"):
        made.env["NETPROXY_CGROUP"] = "off"
    try:
        yield made
    finally:
        made.close()


def test_a_container_takes_everything_that_it_forked_with_it(kind_of_cluster: Cluster):
    cluster = kind_of_cluster
    mark = str(900_000_000 + os.getpid())
    cluster("up", "-f", "-", stdin=pod(mark))
    state = cluster.state / "s" / cluster.name
    shim = int((state / "shim.pid").read_text().split()[0])
    note = state / "cgroup"
    assert note.exists() is (cluster.env.get("NETPROXY_CGROUP") != "off")
    first = wait_until(lambda: len(seen := forked(mark)) == FORKS and seen)

    os.kill(main_process(mark), signal.SIGKILL)
    wait_until(lambda: cluster.get("pods", "hiding")["status"]["containerStatuses"][0]["restartCount"] == 1)
    second = wait_until(lambda: len(seen := forked(mark)) == FORKS and seen)
    assert not first & second, "what the first run forked has ended before the second began"

    cluster("delete", "pod", "hiding")
    wait_until(lambda: not cluster.run("get", "pods", "hiding", check=False).stdout)
    assert forked(mark) == set()
    wait_until(lambda: not zombies_of(shim), 5)
    groups = Path(note.read_text().strip()) if note.exists() else None
    if groups:
        assert str(groups).endswith(cluster_group(str(state)))
        assert not list(groups.glob("*hiding*"))
    cluster("down")
    cluster.assert_nothing_is_left()
    assert groups is None or not groups.exists()


def test_a_deleted_pod_takes_along_what_an_exec_has_left_in_it(kind_of_cluster: Cluster):
    cluster = kind_of_cluster
    mark = str(700_000_000 + os.getpid())
    cluster("up", "-f", "-", stdin=POD.format(script=json.dumps("import signal; signal.pause()")))
    left = f'import os\nif os.fork() == 0: os.setsid(); os.closerange(0, 9); os.execve("/bin/sleep", ["sleep", "{mark}"], {{}})'
    cluster.exec("hiding", "python3", "-c", left)
    assert wait_until(lambda: len(forked(mark)) == 1)
    cluster("delete", "pod", "hiding")
    wait_until(lambda: not cluster.run("get", "pods", "hiding", check=False).stdout)
    assert forked(mark) == set()


def test_down_ends_what_hides(kind_of_cluster: Cluster):
    cluster = kind_of_cluster
    mark = str(800_000_000 + os.getpid())
    cluster("up", "-f", "-", stdin=pod(mark))
    wait_until(lambda: len(forked(mark)) == FORKS)
    cluster("down")
    assert forked(mark) == set()
    cluster.assert_nothing_is_left()
