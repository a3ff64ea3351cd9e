"""What holds all processes of one container together, so that all of them end with it, whatever they forked.

A cgroup for each container where this machine has cgroup v2 and lets us write to it; elsewhere a PID namespace for
each, whose first process is a copy of the shim that waits for the container and takes everything with it.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NoReturn, Protocol

from netproxy.linux import libc

SWITCH = "NETPROXY_CGROUP"
"""`off` in the environment of the shim: PID namespaces, whatever this machine has."""
LEFTOVERS_S = 5.0
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Cells(Protocol):
    """Containers by name; a command may be run inside of one that is there."""

    always_own_pids: bool
    """Whether every container has a PID namespace of its own, also one that asks for this machine's."""

    def fork(self, name: str, inside: str, *, own_pids: bool) -> int:
        """Fork for the cell NAME, or for a command INSIDE of another: 0 in the child. Raises OSError, KernelError.

        OWN_PIDS: the child is the first process of a PID namespace.
        """
        ...

    def enter(self, name: str, inside: str) -> None:
        """In the child: be in the cell. Raises OSError, KernelError."""
        ...

    def signal(self, name: str, pid: int, number: int) -> None:
        """Send a signal to the process that `fork` returned, and to the processes of its group."""
        ...

    def end(self, name: str) -> None:
        """Kill everything in the cell."""
        ...

    def removed(self, name: str) -> bool:
        """Take the cell away; False while something in it still lives."""
        ...

    def close(self) -> None:
        """Take away what is left of all cells."""
        ...


def cluster_group(mark: str) -> str:
    """The folder of a cluster's cgroups, below the root of cgroup v2 (or below a cgroup that is ours).

    >>> cluster_group("/run/netproxy/default")
    'netproxy/05da078692d0'
    """
    return f"netproxy/{sha256(mark.encode()).hexdigest()[:12]}"


def _spelled(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", name)


def container_group(note: Path, name: str) -> str:
    """The folder of a container's cgroup; empty where there are none. NOTE is that of `cells_of`."""
    with suppress(OSError):
        return str(Path(note.read_text().strip()) / _spelled(name))
    return ""


def cells_of(mark: str, note: Path) -> Cells:
    """The best cells that this machine has; what an earlier shim left in its own is ended first.

    NOTE is a file that remembers where the cgroups are.
    """
    _end_leftovers(note)
    for folder in _candidates(mark) if os.environ.get(SWITCH) != "off" else ():
        if _works(folder):
            note.write_text(f"{folder}\n")
            return Cgroups(folder)
    return PidNamespaces()


def _candidates(mark: str) -> list[Path]:
    """At the root of cgroup v2, or below our own cgroup: a service manager may have given us that one."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    roots = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    below = [root / own.strip("/") for root in roots if own.strip("/") and ".." not in own]
    return [folder / cluster_group(mark) for folder in (*roots, *below)]


def _works(folder: Path) -> bool:
    """Whether a process of ours can be moved to a cgroup there, and killed by it."""
    probe = folder / f"probe-{os.getpid()}"
    works = False
    with suppress(OSError):
        probe.mkdir(parents=True)
        if (probe / "cgroup.kill").exists():
            pid = os.fork()
            if pid == 0:
                _move_and_exit(probe)
            works = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for made in (probe, *(() if works else (folder, folder.parent))):
        with suppress(OSError):
            made.rmdir()
    return works


def _move_and_exit(probe: Path) -> NoReturn:
    code = 1
    try:
        (probe / "cgroup.procs").write_text("0")
        code = 0
    finally:
        os._exit(code)


def _end_leftovers(note: Path) -> None:
    """End what the containers of an earlier shim left, and wait for it: they hold ports."""
    try:
        folder = Path(note.read_text().strip())
    except OSError:
        return
    if folder.parent.name != "netproxy":
        return
    cells = Cgroups(folder)
    names = cells.names()
    for name in names:
        cells.end(name)
    deadline = time.monotonic() + LEFTOVERS_S
    while names and time.monotonic() < deadline:
        names = [name for name in names if not cells.removed(name)]
        if names:
            select.select([], [], [], 0.005)
    for name in names:
        print(f"netproxy-shim: {folder / name} still has processes", file=sys.stderr)


class Cgroups:
    """Each container in a cgroup (v2) of its own below FOLDER."""

    always_own_pids = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """The cgroup of a container."""
        return self._folder / _spelled(name)

    def names(self) -> list[str]:
        """The cgroups that are there."""
        with suppress(OSError):
            return [path.name for path in self._folder.iterdir() if path.is_dir()]
        return []

    def fork(self, name: str, inside: str, *, own_pids: bool) -> int:
        """Make the cgroup, and fork."""
        if not inside:
            self.path(name).mkdir(parents=True, exist_ok=True)
        return libc.fork_into_pid_namespace() if own_pids and not inside else os.fork()

    def enter(self, name: str, inside: str) -> None:
        """Move before anything else is done; should the shim end meanwhile, this process ends with it."""
        libc.die_with_parent()
        (self.path(inside or name) / "cgroup.procs").write_text("0")
        libc.outlive_parent()

    def signal(self, name: str, pid: int, number: int) -> None:
        """To the process group; SIGKILL to a container as a whole."""
        with suppress(ProcessLookupError):
            os.killpg(pid, number)
        if number == signal.SIGKILL:
            self.end(name)

    def end(self, name: str) -> None:
        """Kill by `cgroup.kill`."""
        with suppress(OSError):
            (self.path(name) / "cgroup.kill").write_text("1")

    def removed(self, name: str) -> bool:
        """A cgroup goes when no process is left in it, zombies aside; those that its processes made go first."""
        path = self.path(name)
        with suppress(OSError):
            path.rmdir()
            return True
        for folder, _, _ in os.walk(path, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        return not path.exists()

    def close(self) -> None:
        """Remove the cluster's own folder, and netproxy's with the last cluster."""
        for name in self.names():
            self.removed(name)
        for folder in (self._folder, self._folder.parent):
            with suppress(OSError):
                folder.rmdir()


class PidNamespaces:
    """Each container in a PID namespace of its own; it also ends with the shim, whatever ends that."""

    always_own_pids = True

    def __init__(self) -> None:
        self._first: dict[str, int] = {}

    def fork(self, name: str, inside: str, *, own_pids: bool) -> int:
        """What the parent sees is the first process of the namespace, or the one that watches a command."""
        del own_pids
        if inside:
            if inside not in self._first:
                raise ProcessLookupError(f"container {inside} does not run")
            return os.fork()
        pid = libc.fork_into_pid_namespace()
        self._first[name] = pid
        return pid

    def enter(self, name: str, inside: str) -> None:
        """It ends with the shim."""
        del name, inside
        libc.die_with_parent()

    def signal(self, name: str, pid: int, number: int) -> None:
        """It hands signals on; killed, it takes all with it."""
        del name
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def end(self, name: str) -> None:
        """Kill the first process."""
        if name in self._first:
            with suppress(ProcessLookupError):
                os.kill(self._first[name], signal.SIGKILL)

    def removed(self, name: str) -> bool:
        """The first process can be waited for only after all others have gone, and it was waited for."""
        self._first.pop(name, None)
        return True

    def close(self) -> None:
        """Nothing is left."""


def wait_for_child() -> None:
    """Fork: the child returns; this process waits for it, hands signals on, and ends as it does."""
    signal.set_wakeup_fd(-1)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return

    def hand_on(number: int, _: object) -> None:
        for send in (os.killpg, os.kill):  # it may have no group of its own yet
            with suppress(OSError):
                send(child, number)
                return

    for number in FORWARDED:
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    os.closerange(0, 1 << 16)
    os._exit(_status_of(child))


def _status_of(child: int) -> int:
    """Reap everything until this child has ended; its exit status as a shell tells it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
