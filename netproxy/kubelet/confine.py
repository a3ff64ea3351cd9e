"""What a container sees of this machine's files: nearly all of it, to be read only, and a little that is its own.

The root is a file system of its own in memory, and so are /tmp, /run, /home and /root in it, which begin empty; everything else
of the machine is bound into it, read-only and without devices. /proc and /sys are of the container's own namespaces, with
the parts masked that runtimes mask. /dev has the few harmless devices.

Source: containerd pkg/oci/spec.go (masked and read-only paths), runc libcontainer/specconv (devices).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from netproxy.core.errors import KernelError
from netproxy.linux import libc, mounts

STAGE = "/.volumes"
"""Where the volumes wait until nothing leads out of the new root any more: only then is anything looked for in them."""
OWN = {"tmp": 0o1777, "run": 0o755, "root": 0o700, "home": 0o755}
"""Folders that are the container's own and begin empty."""
Volume = tuple[Mapping[str, Any], str]
"""A volume, and where it is found."""
_OPTIONS = "mode=0755,size=1g"
_NO_PROGRAMS = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC
_TO_READ = libc.MS_RDONLY | libc.MS_NODEV
_SECRETS = (
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssl/private",
    "/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key", "/etc/krb5.keytab",
    "/etc/kubernetes", "/etc/rancher", "/var/lib/kubelet", "/var/lib/kube-proxy", "/var/lib/rancher", "/var/lib/docker",
    "/var/lib/containerd", "/var/lib/private", "/var/lib/sudo", "/var/spool", "/var/backups",
)  # fmt: skip
"""What nobody needs to run a program: it is there, and empty."""
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx", "core": "/proc/kcore",
}  # fmt: skip


def build(view: Mapping[str, Any], sockets: Iterable[str] = ()) -> None:
    """Make the calling process's mount namespace, which is its own, what a container sees.

    VIEW: `root` an empty folder to build on, `etc` the folder of files for /etc, `shm` the one for /dev/shm, `keep` paths
    that are nevertheless to be seen, `hidden` those that never are, `mounts` the volumes (`source`, `within` it, `target`, `readOnly`),
    `cwd`, `readOnly` whether the root is read-only. SOCKETS of this machine are hidden, too. Raises OSError, KernelError.
    """
    mounts.set_apart()
    os.umask(0)
    real = {path: os.path.realpath(path) for path in (view["etc"], view["shm"], *view["keep"])}
    volumes = opened(view["mounts"])
    old = mounts.new_root(view["root"], _OPTIONS)
    _show_machine(old)
    _make_kernel_views(old)
    _make_devices(old, old + real[view["shm"]])
    for path in (*_MASKED, *_SECRETS):
        _mask(path)
    for path in _READ_ONLY:
        if os.path.exists(path):
            mounts.bind(path, path, libc.MS_RDONLY)
    put_files(old + real[view["etc"]])
    for path in view["keep"]:
        put(old + real[path], path, _TO_READ)
    for path in (*view["hidden"], *sockets):
        _mask(path)
    staged = _staged(volumes) if volumes else []
    mounts.forget_old()
    if staged:
        put_volumes(staged)
        libc.umount(STAGE)
        os.rmdir(STAGE)
    if not os.path.exists(view["cwd"]):
        mounts.place(view["cwd"], folder=True)
    mounts.restrict("/dev", libc.MS_RDONLY, recursive=False)
    if view["readOnly"]:
        mounts.restrict("/", libc.MS_RDONLY, recursive=False)
    os.umask(0o022)


def _show_machine(old: str) -> None:
    for name, mode in (*OWN.items(), ("proc", 0o555), ("sys", 0o555), ("dev", 0o755)):
        os.mkdir(f"/{name}", mode)
    for entry in os.scandir(old):
        target = f"/{entry.name}"
        if entry.name == "lost+found" or os.path.lexists(target):
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            mounts.bind(entry.path, target, _TO_READ)
    os.mkdir("/run/lock", 0o1777)
    for path, own in (("/var/tmp", "/tmp"), ("/var/run", "/run"), ("/var/lock", "/run/lock")):
        if os.path.isdir(path) and not os.path.islink(path):
            libc.mount(own, path, "none", libc.MS_BIND)


def _make_kernel_views(old: str) -> None:
    """/proc and /sys of the namespaces that this process is in; this machine's own where new ones are refused."""
    for kind, flags in (("proc", _NO_PROGRAMS), ("sysfs", _NO_PROGRAMS | libc.MS_RDONLY)):
        target = "/" + kind.removesuffix("fs")
        try:
            libc.mount(kind, target, kind, flags)
        except KernelError:
            mounts.bind(old + target, target, flags | libc.MS_RDONLY)


def _make_devices(old: str, shm: str) -> None:
    libc.mount("tmpfs", "/dev", "tmpfs", libc.MS_NOSUID | libc.MS_NOEXEC, "mode=0755,size=64k")
    for name, number in _DEVICES.items():
        path = f"/dev/{name}"
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*number))
        except PermissionError:  # in a user namespace
            if mounts.make(path, folder=False):
                libc.mount(f"{old}/dev/{name}", path, "none", libc.MS_BIND)
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"/dev/{name}")
    mounts.bind(shm, "/dev/shm", _NO_PROGRAMS)
    with suppress(KernelError):
        options = "newinstance,ptmxmode=0666,mode=0620"
        libc.mount("devpts", "/dev/pts", "devpts", libc.MS_NOSUID | libc.MS_NOEXEC, options)
    with suppress(KernelError):
        libc.mount("mqueue", "/dev/mqueue", "mqueue", _NO_PROGRAMS)


def _mask(path: str) -> None:
    if os.path.isdir(path):
        libc.mount("tmpfs", path, "tmpfs", _NO_PROGRAMS | libc.MS_RDONLY, "size=4k,mode=0755")
    elif os.path.exists(path):
        libc.mount("/dev/null", path, "none", libc.MS_BIND)


def put(source: str, target: str, flags: int, *, aside: bool = False) -> None:
    """Show a file or folder at TARGET, which is made when it is missing; ASIDE: but not in this machine's own files."""
    mounts.place(target, folder=os.path.isdir(source), aside=aside)
    mounts.bind(source, target, flags)


def put_files(folder: str) -> None:
    """Show the files of a folder in /etc."""
    for file in os.listdir(folder):
        target = os.path.realpath(f"/etc/{file}")
        with suppress(OSError):
            os.makedirs(os.path.dirname(target), exist_ok=True)
        put(f"{folder}/{file}", target, libc.MS_NODEV)


def opened(volumes: Iterable[Mapping[str, Any]]) -> list[Volume]:
    """The volumes, outer ones first, each with a path that leads to it whatever becomes of the names on the way.

    Raises OSError, KernelError.
    """
    return [
        (volume, f"/proc/self/fd/{mounts.open_inside(volume['source'], volume['within'])}")
        for volume in sorted(volumes, key=lambda volume: str(volume["target"]))
    ]


def _staged(volumes: Iterable[Volume]) -> list[Volume]:
    os.mkdir(STAGE)
    libc.mount("tmpfs", STAGE, "tmpfs", libc.MS_NODEV | libc.MS_NOSUID, "mode=0700,size=1m")
    staged = []
    for number, (volume, source) in enumerate(volumes):
        at = f"{STAGE}/{number}"
        mounts.make(at, folder=os.path.isdir(source))
        mounts.bind(source, at, libc.MS_NODEV | (libc.MS_RDONLY if volume["readOnly"] else 0))
        staged.append((volume, at))
    return staged


def put_volumes(volumes: Iterable[Volume], *, aside: bool = False) -> None:
    """Show the volumes at their targets."""
    for volume, source in volumes:
        put(source, volume["target"], libc.MS_RDONLY if aside and volume["readOnly"] else 0, aside=aside)
