"""What a process may do: user, groups and capabilities, given up for good. Standard system calls, and only downwards."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from netproxy.linux import libc

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
    "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
"""Each at its number.

Source: linux include/uapi/linux/capability.h.
"""
_VERSION_3 = 0x20080522


def become(uid: int, gid: int, groups: Collection[int], capabilities: Collection[str], *, gain_nothing: bool) -> None:
    """Be this user with no more than these capabilities, for ever and in every program started from here.

    With GAIN_NOTHING no program (setuid, file capabilities) gives more. Raises OSError, KernelError.
    """
    kept = {CAPABILITIES.index(name) for name in capabilities}
    for number in range(last_capability() + 1):
        if number not in kept:
            libc.prctl(libc.PR_CAPBSET_DROP, number)
    libc.prctl(libc.PR_CAP_AMBIENT, libc.PR_CAP_AMBIENT_CLEAR_ALL)
    with suppress(PermissionError):  # a user namespace of an ordinary user has no groups to choose from
        os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _set_capabilities(kept if uid == 0 else set())
    if gain_nothing:
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def become_user(user: Mapping[str, Any]) -> None:
    """The same of a message: `uid`, `gid`, `groups`, `capabilities`, `gainNothing`. The keys of others stay behind, too."""
    libc.join_new_keyring()
    become(user["uid"], user["gid"], user["groups"], user["capabilities"], gain_nothing=user["gainNothing"])


def last_capability() -> int:
    """The number of the last capability that this kernel knows."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    return len(CAPABILITIES) - 1


def _set_capabilities(kept: Collection[int]) -> None:
    """Permitted and effective, of those that this process has; nothing is inheritable."""
    bits = sum(1 << number for number in kept) & _permitted()
    words = [part for shift in (0, 32) for part in (bits >> shift & 0xFFFFFFFF, bits >> shift & 0xFFFFFFFF, 0)]
    libc.capset(struct.pack("=Ii", _VERSION_3, 0), ctypes.create_string_buffer(struct.pack("=6I", *words)))


def _permitted() -> int:
    """The capabilities that this process may use, a bit each: a container of others has not all."""
    words = ctypes.create_string_buffer(24)
    libc.capget(struct.pack("=Ii", _VERSION_3, 0), words)
    _, low, _, _, high, _ = struct.unpack("=6I", words.raw)
    return int(low | high << 32)


def be_unreadable() -> None:
    """Let no process of another set of capabilities look into this one, until it becomes another program."""
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
