"""The system calls that Python 3.11 lacks: namespaces, mounts, host name."""

from __future__ import annotations

import ctypes
import os

from netproxy.core.errors import KernelError

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise KernelError(f"{what}: {os.strerror(code)}", request=what) from OSError(code, os.strerror(code))


def setns(fd: int, kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into the namespace behind FD. Raises KernelError."""
    _check(_libc.setns(fd, kind), f"setns({fd}, {kind:#x})")


def unshare(flags: int) -> None:
    """Give the calling thread (the process, for a user namespace) new namespaces. Raises KernelError."""
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises KernelError."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount {source} on {target}")


def umount(target: str) -> None:
    """Detach a mount. Raises KernelError."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def sethostname(name: str) -> None:
    """Name the calling thread's UTS namespace. Raises KernelError."""
    text = name.encode()
    _check(_libc.sethostname(text, len(text)), f"sethostname {name}")


def set_process_name(name: str) -> None:
    """What `ps -o comm` shows, at most 15 characters."""
    _libc.prctl(15, name.encode()[:15], 0, 0, 0)


def become_subreaper() -> None:
    """Orphans of this process's children become its own children, so that it can reap them."""
    _libc.prctl(36, 1, 0, 0, 0)
