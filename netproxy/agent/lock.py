"""One lock for a cluster, from its first file to its last.

It lies beside the state folder, which may be deleted under it. `up` takes it before it makes anything and hands it to
the agent, who keeps it as long as it lives; `down` takes it before it removes anything. It goes with its holder,
however that ends; whoever removed the last of the cluster removes its file.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netproxy.agent.marks import Process, wait_for
from netproxy.agent.paths import Paths, is_root
from netproxy.core.errors import KernelError, NotFoundError

TICK_S = 0.02
"""Between two looks at a lock that somebody holds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock: a process, and what it is (`agent`, `netproxy up`, …)."""

    process: Process
    role: str

    def __str__(self) -> str:
        return f"process {self.process.pid} (`{self.role}`)"


class ClusterLock:
    """The lock, held by this process."""

    def __init__(self, fd: int, paths: Paths) -> None:
        self._fd: int | None = fd
        self._paths = paths

    @classmethod
    def take(cls, paths: Paths, role: str) -> ClusterLock | None:
        """Take it; None when somebody else holds it.

        Raises NotFoundError when the files are another user's, KernelError when there can be none.
        """
        while True:
            fd = _opened(paths)
            if fd is None:
                continue
            lock = cls(fd, paths)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.release()
                return None
            if lock.is_current:
                lock.sign(role)
                return lock
            lock.release()  # its last holder has removed the file

    @classmethod
    def inherited(cls, fd: int, paths: Paths, role: str) -> ClusterLock:
        """The one that whoever started this process has handed over."""
        os.set_inheritable(fd, False)
        lock = cls(fd, paths)
        lock.sign(role)
        return lock

    @property
    def fd(self) -> int:
        """Its descriptor, to be handed over."""
        assert self._fd is not None
        return self._fd

    @property
    def is_current(self) -> bool:
        """Whether it still keeps others out: it is held, and nobody has removed its file."""
        if self._fd is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._paths.cluster_lock))
        except FileNotFoundError:
            return False

    def sign(self, role: str) -> None:
        """Say who holds it, for those who wait."""
        text = f"{Process.of(os.getpid())} {role}\n".encode()
        os.pwrite(self.fd, text, 0)
        os.ftruncate(self.fd, len(text))

    def release(self) -> None:
        """Let go; whoever it was handed to still has it. Twice is fine."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def remove(self) -> None:
        """Remove its file, and the folder of all clusters when this was the last; let go."""
        if self.is_current:
            self._paths.cluster_lock.unlink()
        self.release()
        with suppress(OSError):
            self._paths.state.parent.rmdir()


def _opened(paths: Paths) -> int | None:
    """The lock's file; None when somebody has just removed the folder. Raises as `take` does."""
    file = paths.cluster_lock
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if is_root() else 0o700)
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError as error:
        if not file.parent.exists() and file.parent.parent.exists():
            raise _no_folder(file.parent, error) from error
    except FileExistsError as error:
        if file.parent.exists():
            raise KernelError(f"{file.parent}: {error.strerror}", request=str(file)) from error
    except PermissionError as error:
        if not file.parent.exists():
            raise _no_folder(file.parent, error) from error
        raise NotFoundError(f"cluster {paths.cluster} belongs to another user; use sudo") from None
    except OSError as error:  # a file system that takes no files, or something else of this name
        raise KernelError(f"{file}: {error.strerror}", request=str(file)) from error
    return None


def _no_folder(folder: Path, error: OSError) -> KernelError:
    why = f"{folder} cannot be made: {error.strerror}; use another folder (NETPROXY_STATE)"
    return KernelError(why, request=str(folder))


def holder(paths: Paths) -> Holder | None:
    """Who has signed the lock and still lives."""
    try:
        pid, started, role = Path(paths.cluster_lock).read_text().strip().split(" ", 2)
        process = Process(int(pid), int(started))
    except (OSError, ValueError):
        return None
    return Holder(process, role) if process.is_running else None


def wait_a_tick(paths: Paths) -> None:
    """Wait until the holder ends, or a moment."""
    found = holder(paths)
    fd = found.process.open() if found else None
    wait_for(fd, TICK_S)
    if fd is not None:
        os.close(fd)
