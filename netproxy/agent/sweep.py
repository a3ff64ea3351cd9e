"""Everything that a cluster left on this machine, taken away: processes, namespaces, files. Twice is fine."""

from __future__ import annotations

import os
import select
import shutil
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from netproxy.agent.machines import journalled
from netproxy.agent.paths import Paths
from netproxy.linux import netns


def sweep(paths: Paths) -> None:
    """End every process in the cluster's namespaces and its shim, remove the namespaces and the state folder."""
    names = journalled(paths)
    kill_all([*processes_in(names), *_shim(paths)])
    for name in names:
        netns.delete(name)
    shutil.rmtree(paths.state, ignore_errors=True)
    with suppress(OSError):
        paths.state.parent.rmdir()


def processes_in(namespaces: Iterable[str]) -> list[int]:
    """Processes whose network is one of these namespaces; this one is never among them."""
    inodes = set()
    for name in namespaces:
        if netns.exists(name):
            inodes.add(netns.path_of(name).stat().st_ino)
    found = []
    for entry in os.listdir("/proc") if inodes else ():
        if entry.isdigit() and int(entry) != os.getpid():
            with suppress(OSError):
                if os.stat(f"/proc/{entry}/ns/net").st_ino in inodes:
                    found.append(int(entry))
    return found


def alive(pid: int, mark: str) -> bool:
    """Whether this process runs and has MARK in its command line (numbers are used again)."""
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def read_pid(file: Path) -> int:
    """The process number in a file; 0 when there is none."""
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _shim(paths: Paths) -> list[int]:
    pid = read_pid(paths.shim_pid_file)
    return [pid] if pid and alive(pid, str(paths.shim_socket)) else []


def kill_all(pids: Iterable[int], *, limit_s: float = 5.0) -> None:
    """SIGKILL, and wait until they are gone."""
    watched = []
    for pid in pids:
        with suppress(OSError):
            fd = os.pidfd_open(pid)
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            watched.append(fd)
    for fd in watched:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.poll(limit_s * 1000)
        os.close(fd)
