"""Views of this machine's files: what is bound where, read-only or not, and how such a view becomes the root.

Everything here happens in a mount namespace of the calling process's own.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.linux import libc

_AT_RECURSIVE = 0x8000
_HELD = {"ro": libc.MS_RDONLY, "nosuid": libc.MS_NOSUID, "nodev": libc.MS_NODEV, "noexec": libc.MS_NOEXEC}
"""Flags of a mount that a change of others must repeat. They are those of mount_setattr, too."""
OLD = "/.old"
"""Where the root of before is until `forget_old`."""


def set_apart(kind: int = libc.MS_PRIVATE) -> None:
    """Let no mount that this process makes be seen outside; with MS_SLAVE those made outside are still seen here.

    Works where `/` is no mount point, as in a chroot. Raises KernelError.
    """
    try:
        libc.mount("", "/", "none", kind | libc.MS_REC)
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _leave_chroot()
        libc.mount("", "/", "none", kind | libc.MS_REC)
        os.fchdir(root)
        os.chroot(".")
        os.close(root)


def _leave_chroot() -> None:
    """Be at the root of the mount namespace: whoever enters one is."""
    fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    libc.setns(fd, libc.CLONE_NEWNS)
    os.close(fd)


def new_root(folder: str, options: str) -> str:
    """Make an empty file system of its own at FOLDER the root; the path at which what was the root is seen now.

    Only after `set_apart`. Raises KernelError.
    """
    libc.mount("tmpfs", folder, "tmpfs", libc.MS_NODEV | libc.MS_NOSUID, options)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    new = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _leave_chroot()
    inside = os.readlink(f"self/fd/{root}", dir_fd=proc).rstrip("/")  # of a chroot; else nothing
    os.fchdir(new)
    os.mkdir("." + OLD)
    try:
        libc.pivot_root(".", "." + OLD)
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        _move_over(inside)
        inside = ""
    os.chdir("/")
    for fd in (root, new, proc):
        os.close(fd)
    return OLD + inside


def _move_over(inside: str) -> None:
    """Where the root cannot be exchanged, as that of the first files in memory: put the new one over it."""
    libc.mount(inside or "/", "." + OLD, "none", libc.MS_BIND | libc.MS_REC)
    libc.mount(os.getcwd(), "/", "none", libc.MS_MOVE)
    os.chroot(".")


def forget_old() -> None:
    """Let the root of before go. Raises KernelError."""
    libc.umount(OLD)
    os.rmdir(OLD)


def bind(source: str, target: str, flags: int = 0) -> None:
    """Show SOURCE, with all that is mounted in it, at TARGET: with FLAGS (read-only, …) for all of it. Raises KernelError."""
    libc.mount(source, target, "none", libc.MS_BIND | libc.MS_REC)
    if flags:
        restrict(target, flags)


def restrict(target: str, flags: int, *, recursive: bool = True) -> None:
    """Add flags to the mount at TARGET, and to all that are in it. Raises KernelError."""
    try:
        libc.mount_setattr(target, _AT_RECURSIVE if recursive else 0, struct.pack("=QQQQ", flags, 0, 0, 0))
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        for point, held in _mounts_in(target) if recursive else [*_mounts_in(target)][:1]:
            libc.mount("", point, "none", libc.MS_BIND | libc.MS_REMOUNT | held | flags)


def _mounts_in(target: str) -> list[tuple[str, int]]:
    """The mount at a path and those in it, with the flags that each has."""
    path, found = os.path.realpath(target), []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = fields[4].encode().decode("unicode_escape")
        if point == path or point.startswith(path.rstrip("/") + "/"):
            found.append((point, sum(_HELD.get(word, 0) for word in fields[5].split(","))))
    return found


def open_inside(base: str, path: str) -> int:
    """A descriptor of what is at PATH inside of BASE, a folder when there was nothing. No symbolic link is followed from BASE on.

    Raises OSError, KernelError.
    """
    at = os.open(base, os.O_PATH | os.O_CLOEXEC)
    for name in [word for word in path.split("/") if word not in ("", ".")]:
        if name == "..":
            raise KernelError(f"{path} leads out of {base}")
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=at)
        inner = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        os.close(at)
        at = inner
        if stat.S_ISLNK(os.fstat(at).st_mode):
            raise KernelError(f"{path} leads through a symbolic link")
    return at


def place(target: str, *, folder: bool, aside: bool = False) -> None:
    """Let there be something at TARGET to mount on, whatever is read-only above it. Raises OSError, KernelError.

    ASIDE: make nothing in what is above it, put a copy over that first.
    """
    if os.path.exists(target):
        return
    above = os.path.dirname(target.rstrip("/")) or "/"
    if not os.path.isdir(above):
        place(above, folder=True, aside=aside)
    if aside or not make(target, folder=folder):
        if above == "/":
            raise KernelError(f"there is no {target} on this machine to mount on")
        _mirror(above)
        if not make(target, folder=folder):
            raise KernelError(f"{target}: there is no place for a mount")


def make(target: str, *, folder: bool) -> bool:
    """Make an empty folder or file; whether that went."""
    with suppress(OSError):
        if folder:
            os.mkdir(target)
        else:
            Path(target).touch()
        return True
    return False


def _mirror(folder: str) -> None:
    """Put over a folder one of its own in which everything of it is seen, so that more can be put into it."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    under = f"/proc/self/fd/{fd}"
    mode = os.stat(under).st_mode & 0o7777
    libc.mount("tmpfs", folder, "tmpfs", libc.MS_NODEV | libc.MS_NOSUID, f"mode={mode:o}")
    for entry in os.scandir(under):
        target = f"{folder}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif make(target, folder=entry.is_dir()):
            bind(entry.path, target)
    os.close(fd)
