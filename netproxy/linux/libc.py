"""The system calls that Python 3.11 lacks: namespaces, mounts, host name, a fork into a PID namespace."""

from __future__ import annotations

import ctypes
import os
import platform
import signal

from netproxy.core.errors import KernelError

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "armv7l": 120}

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


def die_with_parent() -> None:
    """From now on this process is killed when its parent ends, also after exec of an ordinary program."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def outlive_parent() -> None:
    """Undo `die_with_parent`."""
    _libc.prctl(1, 0, 0, 0, 0)


def fork_into_pid_namespace() -> int:
    """Fork; the child (which gets 0) is the first process of a new PID namespace: when it ends, all others there do.

    Only in a process without threads; the child shall only fork and wait. Raises KernelError.
    """
    number = _SYS_CLONE.get(platform.machine())
    if number is None:
        raise KernelError(f"no PID namespaces by clone on {platform.machine()}")
    python = ctypes.PyDLL(None, use_errno=True)  # unlike CDLL it keeps the interpreter's lock: the child needs it
    python.PyOS_BeforeFork()
    pid = int(python.syscall(number, ctypes.c_ulong(CLONE_NEWPID | signal.SIGCHLD), 0, 0, 0, 0))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    code = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise KernelError(f"clone: {os.strerror(code)}", request="clone(CLONE_NEWPID)") from OSError(
            code, os.strerror(code)
        )
    return pid
