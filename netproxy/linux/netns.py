"""Network namespaces with names, where `ip netns` finds them, and how a thread visits one."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.linux import libc

RUN_NETNS = Path("/run/netns")
_OWN = "/proc/thread-self/ns/net"


def path_of(name: str) -> Path:
    """The file that stands for the namespace; a path stands for itself."""
    return RUN_NETNS / name


def exists(name: str) -> bool:
    """Whether a namespace of this name is there and alive."""
    try:
        return path_of(name).stat().st_dev != RUN_NETNS.stat().st_dev
    except OSError:
        return False


def prepare() -> None:
    """Make /run/netns as `ip netns add` makes it: a shared mount, so that every process sees the names."""
    RUN_NETNS.mkdir(parents=True, exist_ok=True)
    try:
        libc.mount("", str(RUN_NETNS), "none", libc.MS_SHARED | libc.MS_REC)
    except KernelError:
        libc.mount(str(RUN_NETNS), str(RUN_NETNS), "none", libc.MS_BIND | libc.MS_REC)
        libc.mount("", str(RUN_NETNS), "none", libc.MS_SHARED | libc.MS_REC)


def create(name: str) -> None:
    """Make a namespace of this name; the calling thread is in it afterwards (go back with `visiting`).

    Raises KernelError; one that is there already is an error.
    """
    path = path_of(name)
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
    except OSError as error:
        raise KernelError(f"namespace {name}: {error.strerror}", request=str(path)) from error
    try:
        libc.unshare(libc.CLONE_NEWNET)
        libc.mount(_OWN, str(path), "none", libc.MS_BIND)
    except KernelError:
        path.unlink()
        raise


def open_unnamed() -> int:
    """A descriptor of a new namespace without a name: it ends with its last user. Raises KernelError."""
    with visiting():
        libc.unshare(libc.CLONE_NEWNET)
        return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def delete(name: str) -> None:
    """Remove a name; the namespace goes with its last process. Missing is fine."""
    path = path_of(name)
    with suppress(KernelError):
        libc.umount(str(path))
    with suppress(FileNotFoundError):
        path.unlink()


def end_processes(name: str) -> None:
    """Kill whatever is in the namespace of this name, and wait (a second at most for each) until it is gone. Missing is fine."""
    if not exists(name):
        return
    with ExitStack() as watched:
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            with suppress(OSError):  # it has just ended
                fd = os.pidfd_open(pid)
                watched.callback(os.close, fd)
                if pid != os.getpid() and path_of(name).samefile(f"/proc/{pid}/ns/net"):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    ended = select.poll()
                    ended.register(fd, select.POLLIN)
                    ended.poll(1000)


@contextmanager
def visiting(name: str | None = None) -> Iterator[None]:
    """Be in namespace NAME (or wherever the body goes, when None), and come back."""
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if name is not None:
            fd = open_namespace(name)
            try:
                libc.setns(fd)
            finally:
                os.close(fd)
        yield
    finally:
        libc.setns(home)
        os.close(home)


def inside(name: str | None) -> AbstractContextManager[None]:
    """Be in namespace NAME and come back; without one, stay where we are, which needs no privilege."""
    return nullcontext() if name is None else visiting(name)


def open_namespace(name: str) -> int:
    """A file descriptor of the namespace. Raises KernelError when there is none."""
    try:
        return os.open(path_of(name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(f"namespace {name}: {error.strerror}", request=str(path_of(name))) from error


def write_sysctls(settings: Iterable[tuple[str, str]]) -> None:
    """Write kernel settings (path below /proc/sys, value) in the calling thread's namespace.

    Raises KernelError naming the one that was refused.
    """
    for path, value in settings:
        try:
            fd = os.open(f"/proc/sys/{path}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno == errno.ENOENT and path.startswith("net/ipv6/"):
                continue  # a kernel without IPv6
            raise KernelError(f"sysctl {path}={value}: {error.strerror}", request=path) from error


def read_sysctl(path: str) -> str:
    """One kernel setting of the calling thread's namespace; empty when there is none."""
    try:
        return Path(f"/proc/sys/{path}").read_text().strip()
    except OSError:
        return ""


def socket_files() -> list[str]:
    """The files by which sockets are reached, those of this network and of that of this machine's first process, sorted."""
    found: set[str] = set()
    for process in ("self", "1"):
        with suppress(OSError):
            for line in Path(f"/proc/{process}/net/unix").read_text(errors="surrogateescape").splitlines()[1:]:
                fields = line.split(None, 7)
                if fields[7:] and fields[7].startswith("/"):
                    found.add(fields[7])
    return sorted(found)
