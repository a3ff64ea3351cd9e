"""The system calls that Python 3.11 lacks: namespaces, mounts, host name, a fork into a PID namespace."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from netproxy.core.errors import KernelError

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

_SYS_MOUNT_SETATTR = 442
"""The same on every processor, as all that are newer than 424."""
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "loongarch64": 41, "ppc64le": 203, "armv7l": 218}
_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "armv7l": 311}
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "armv7l": 120}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise KernelError(f"{what}: {os.strerror(code)}", request=what) from OSError(code, os.strerror(code))


def _number(numbers: Mapping[str, int]) -> int:
    """The number of a system call on this processor. Raises KernelError."""
    found = numbers.get(platform.machine())
    if found is None:
        raise KernelError(f"this system call's number on {platform.machine()} is not known here")
    return found


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


def pivot_root(new: str, old: str) -> None:
    """Make the mount NEW the root of this process's mounts, and leave the one before at OLD. Raises KernelError."""
    _check(_libc.syscall(_number(_SYS_PIVOT_ROOT), new.encode(), old.encode()), f"pivot_root {new} {old}")


def mount_setattr(target: str, flags: int, attributes: bytes) -> None:
    """mount_setattr(2) of a path; ATTRIBUTES is its struct mount_attr. Raises KernelError."""
    result = _libc.syscall(_SYS_MOUNT_SETATTR, -100, target.encode(), flags, attributes, len(attributes))
    _check(result, f"mount_setattr {target}")


def sethostname(name: str) -> None:
    """Name the calling thread's UTS namespace. Raises KernelError."""
    text = name.encode()
    _check(_libc.sethostname(text, len(text)), f"sethostname {name}")


def set_process_name(name: str) -> None:
    """What `ps -o comm` shows, at most 15 characters."""
    _libc.prctl(15, name.encode()[:15], 0, 0, 0)


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument. Raises KernelError."""
    _check(_libc.prctl(option, *(ctypes.c_ulong(word) for word in (value, 0, 0, 0))), f"prctl({option}, {value})")


def capset(header: bytes, words: ctypes.Array[ctypes.c_char]) -> None:
    """capset(2). Raises KernelError."""
    _check(_libc.capset(header, words), "capset")


def capget(header: bytes, words: ctypes.Array[ctypes.c_char]) -> None:
    """capget(2). Raises KernelError."""
    _check(_libc.capget(header, words), "capget")


def join_new_keyring() -> None:
    """Have a session keyring of one's own, with no keys; where there are none, that is so already."""
    _libc.syscall(_SYS_KEYCTL.get(platform.machine(), -1), 1, None)


@functools.cache
def own_words() -> tuple[int, int, int]:
    """Where the kernel shows this process's command line, where its environment begins behind it, and where that ends.

    Copies of this process have them at the same places, and one in another PID namespace cannot ask: ask once before.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    first, last, environment, end = (int(field) for field in fields[45:49])
    return (first, environment, end) if first and last <= environment else (0, 0, 0)


def set_command_line(words: Sequence[str], environment: Sequence[str]) -> None:
    """What `ps` shows for this process, and `/proc/PID/environ`, as far as there is room. Nothing of what was there stays.

    The process's own environment must have been copied from there before, as `os.environ.clear()` and `update` do.
    """
    first, middle, end = own_words()
    for begin, limit, texts in ((first, middle, words), (middle, end, environment)):
        room = limit - begin
        text = b"\0".join(os.fsencode(each) for each in texts)[: max(0, room - 1)]
        ctypes.memmove(begin, text.ljust(room, b"\0"), room)


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
    number = _number(_SYS_CLONE)
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
