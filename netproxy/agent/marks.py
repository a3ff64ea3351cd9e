"""Which processes are a cluster's, whatever became of its files.

A number is used again, so a process is its number and the time of its start, and it is signalled through a descriptor
that stands for it alone. A process is the cluster's when it has the cluster's mark in its environment, when it is in the
cluster's control group, in one of its network namespaces or, without root, in its user namespace.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from netproxy.agent.journal import journalled
from netproxy.agent.paths import Paths
from netproxy.core.programs import MARK
from netproxy.linux import netns


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its number, and when it started (clock ticks since the machine did)."""

    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now."""
        fields = _stat(pid)
        return cls(pid, int(fields[19])) if fields else None

    @property
    def is_running(self) -> bool:
        """Whether it is there and not only waits to be reaped."""
        fields = _stat(self.pid)
        return bool(fields) and int(fields[19]) == self.started and fields[0] not in "ZX"

    def open(self) -> int | None:
        """A descriptor that stands for this very process; None when it is gone."""
        with suppress(OSError):
            fd = os.pidfd_open(self.pid)
            if self.is_running:
                return fd
            os.close(fd)
        return None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: the first is the state (field 3 of proc(5)); none when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def read_process(file: Path) -> Process | None:
    """The living process that a file names (`pid starttime`)."""
    try:
        pid, started = file.read_text().split()[:2]
        process = Process(int(pid), int(started))
    except (OSError, ValueError):
        return None
    return process if process.is_running else None


def write_process(file: Path, process: Process | None) -> None:
    """Put a process down for `read_process`."""
    file.write_text(f"{process}\n" if process else "")


def processes_of(paths: Paths, *, spared: Iterable[int] = ()) -> list[Process]:
    """Every living process of the cluster, its agent first; this one and those with a number in SPARED are left out."""
    known = [read_process(paths.pid_file), read_process(paths.shim_pid_file)]
    found = [process for process in known if process]
    found += filter(None, map(Process.of, _found(paths)))
    left_out = {os.getpid(), *spared}
    return list(dict.fromkeys(process for process in found if process.pid not in left_out and process.is_running))


def _found(paths: Paths) -> list[int]:
    numbers = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    marked = [pid for pid in numbers if _is_marked(pid, paths.state)]
    grouped = [pid for group in control_groups(paths.state) for pid in _members(group)]
    if paths.is_rootless:
        inside = _among(numbers, "user", _user_namespaces(paths.state, marked))
    else:
        inside = _among(numbers, "net", _network_namespaces(paths))
    return [*marked, *grouped, *inside]


def _is_marked(pid: int, state: Path) -> bool:
    with suppress(OSError):
        return f"{MARK}={state}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and _shares(
            pid, state
        )
    return False


def _shares(pid: int, state: Path) -> bool:
    """Whether a process means the same folder by this name as we do: another container may have one of that name, too."""
    ours, theirs = _identity(str(state)), _identity(f"/proc/{pid}/root{state}")
    if theirs:
        return ours == theirs
    return _identity(f"/proc/{pid}/ns/pid") == _identity("/proc/self/ns/pid")


def _identity(path: str) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None


def _user_namespaces(state: Path, marked: list[int]) -> set[tuple[int, int]]:
    """Those of the marked processes: not ours, unless we are the cluster's agent ourselves."""
    found = {_identity(f"/proc/{pid}/ns/user") for pid in marked if pid != os.getpid()}
    own = _identity("/proc/self/ns/user")
    if os.environ.get(MARK) != str(state):
        found.discard(own)
    return {one for one in found if one}


def _network_namespaces(paths: Paths) -> set[tuple[int, int]]:
    found = {_identity(str(netns.path_of(name))) for name in journalled(paths) if netns.exists(name)}
    return {one for one in found if one}


def _among(numbers: list[int], kind: str, namespaces: set[tuple[int, int]]) -> Iterator[int]:
    for pid in numbers if namespaces else ():
        if _identity(f"/proc/{pid}/ns/{kind}") in namespaces:
            yield pid


def control_groups(state: Path) -> list[Path]:
    """The control groups (version 2) of the cluster in this folder, inner ones first."""
    name = f"netproxy/{sha256(str(state).encode()).hexdigest()[:12]}"
    found: list[Path] = []
    for top in dict.fromkeys([*(mount / name for mount in _cgroup2_mounts()), *_noted(state, name)]):
        if top.is_dir():
            found += [*sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True), top]
    return found


def _noted(state: Path, name: str) -> list[Path]:
    """Where the shim says that it has put them: not at a mount's top, when a service manager gave it a place."""
    with suppress(OSError):
        noted = (state / "cgroup").read_text().strip()
        if noted.endswith(f"/{name}"):
            return [Path(noted)]
    return []


def _cgroup2_mounts() -> list[Path]:
    with suppress(OSError):
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return list(dict.fromkeys(Path(line.split()[4]) for line in lines if " - cgroup2 " in line))
    return []


def _members(group: Path) -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split() if pid != "0"]
    return []


def remove_control_groups(state: Path) -> None:
    """Remove the cluster's empty groups, and the one that holds all clusters' when it is empty, too."""
    groups = control_groups(state)
    for group in [*groups, *{group.parent for group in groups[-1:]}]:
        with suppress(OSError):
            group.rmdir()


def kill_all(processes: Iterable[Process], *, limit_s: float = 5.0) -> None:
    """SIGKILL, and wait until they are gone."""
    watched = []
    for process in processes:
        fd = process.open()
        if fd is not None:
            with suppress(OSError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            watched.append(fd)
    for fd in watched:
        wait_for(fd, limit_s)
        os.close(fd)


def wait_for(fd: int | None, limit_s: float) -> bool:
    """Wait until the process behind a descriptor has ended, at most LIMIT_S; whether it has. Without one, wait."""
    poller = select.poll()
    if fd is not None:
        poller.register(fd, select.POLLIN)
    return bool(poller.poll(max(0.0, limit_s) * 1000))
