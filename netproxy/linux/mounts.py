"""What a process sees mounted, in a mount namespace of its own."""

from __future__ import annotations

import errno
import os

from netproxy.core.errors import KernelError
from netproxy.linux import libc


def set_apart(kind: int = libc.MS_PRIVATE) -> None:
    """Let no mount that this process makes be seen outside; with MS_SLAVE those made outside are still seen here.

    Works where `/` is no mount point, as in a plain chroot. Raises KernelError.
    """
    try:
        libc.mount("", "/", "none", kind | libc.MS_REC)
    except KernelError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EINVAL:
            raise
        _set_apart_from_chroot(kind)


def _set_apart_from_chroot(kind: int) -> None:
    """The same from the root of the mount namespace, where whoever enters one is; then back."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    here = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    libc.setns(here, libc.CLONE_NEWNS)
    libc.mount("", "/", "none", kind | libc.MS_REC)
    os.fchdir(root)
    os.chroot(".")
    os.close(here)
    os.close(root)
