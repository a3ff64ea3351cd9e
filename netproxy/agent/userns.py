"""Without root: one user namespace that the agent owns, with mounts and a network of its own, and how others join it."""

from __future__ import annotations

import os
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.linux import libc

_RUN = Path("/run")


def enter_new(keep: Path | None = None) -> None:
    """Become root of a new user namespace with its own mounts, network and /run. Call it before any thread starts.

    A folder to KEEP, where the state of clusters is, is there as before, below /run, too.

    Raises KernelError when this host forbids unprivileged user namespaces.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS | libc.CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except (KernelError, OSError) as error:
        raise KernelError(f"this host does not let ordinary users make namespaces ({error}); `netproxy doctor` tells how "
                          "to allow it, or use sudo") from error  # fmt: skip
    libc.mount("", "/", "none", libc.MS_PRIVATE | libc.MS_REC)
    fd = os.open(keep, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if keep and keep.is_relative_to(_RUN) else None
    libc.mount("tmpfs", str(_RUN), "tmpfs", 0, "mode=0755")
    if fd is not None:
        assert keep
        keep.mkdir(parents=True)
        libc.mount(f"/proc/self/fd/{fd}", str(keep), "", libc.MS_BIND | libc.MS_REC)
        os.close(fd)


def join(pid: int) -> None:
    """Enter the namespaces of the agent (or shim) with this process number: user, mounts, network.

    Raises KernelError.
    """
    fds = []
    try:
        for kind in ("user", "mnt", "net"):
            fds.append((os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), kind))
        here = os.getcwd()
        flags = {"user": libc.CLONE_NEWUSER, "mnt": libc.CLONE_NEWNS, "net": libc.CLONE_NEWNET}
        for fd, kind in fds:
            libc.setns(fd, flags[kind])
        os.chdir(here if os.path.isdir(here) else "/")
    except OSError as error:
        raise KernelError(f"cannot join the cluster's namespaces (process {pid}): {error.strerror}") from error
    finally:
        for fd, _ in fds:
            os.close(fd)
