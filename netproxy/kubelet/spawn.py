"""How a copy of the shim becomes a container: its Pod's namespaces and files, its log, its environment, its program."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
from pathlib import Path
from typing import Any, NoReturn

from netproxy.core.errors import KernelError
from netproxy.core.programs import MARK
from netproxy.kubelet import netexec
from netproxy.linux import libc, mounts, netns

Message = dict[str, Any]


def become(message: Message, output: int, why: int, files: tuple[int, int], *, own_proc: bool) -> NoReturn:
    """Turn this process, a fresh copy of the shim in its cell, into the container.

    OUTPUT is where it writes, WHY the pipe that stays open when it fails, FILES the limits of open files that the
    shim was started with. Raises OSError, KernelError.
    """
    os.setsid()
    for restored in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(restored, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for target, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, target)
    outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    enter(message["namespace"], message["hostname"], message.get("etc"))
    if own_proc:
        with contextlib.suppress(KernelError):  # where parts of /proc are hidden, a new one is refused
            libc.mount("proc", "/proc", "proc")
    mark = {MARK: os.environ[MARK]} if MARK in os.environ else {}
    os.environ.clear()
    os.environ.update({**message["env"], **mark})
    if message.get("cwd"):
        os.chdir(message["cwd"])
    if message.get("builtin"):
        os.dup2(outside, 3)
        libc.set_process_name(message["builtin"])
        os.closerange(4, 1 << 16)
        run_builtin(message, "/proc/self/fd/3")
        os._exit(0)
    os.set_inheritable(why, False)
    try:
        os.execvpe(message["argv"][0], message["argv"], os.environ)
    except FileNotFoundError:
        raise KernelError("executable file not found") from None


def reason(failure: BaseException) -> str:
    """Why a container did not start, without Python's decoration."""
    if isinstance(failure, OSError) and failure.strerror:
        return f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror
    return str(failure) or type(failure).__name__


def enter(namespace: str, hostname: str, etc: str | None) -> None:
    """Move this process into a Pod: its network, its host name, its own files in /etc (from the folder ETC)."""
    fd = netns.open_namespace(namespace)
    libc.setns(fd)
    os.close(fd)
    libc.unshare(libc.CLONE_NEWNS | libc.CLONE_NEWUTS)
    libc.sethostname(hostname[:63])
    mounts.set_apart(libc.MS_SLAVE)
    if etc:
        for file in os.listdir(etc):
            target = os.path.realpath(f"/etc/{file}")
            if not os.path.exists(target):
                with contextlib.suppress(OSError):
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    Path(target).touch()
            if os.path.exists(target):
                libc.mount(f"{etc}/{file}", target, "none", libc.MS_BIND)


def run_builtin(message: Message, outside: str) -> None:
    """Run one of the servers that netproxy brings; OUTSIDE is the network that the shim is in."""
    kind = message["builtin"]
    flags = netexec.parse_flags(message["argv"], dict(message["flags"]))
    if kind == "pause":
        netexec.pause()
    if kind == "dns":  # the agent names the entry: this room does not know the servers of other rooms
        module, _, function = message["entry"].partition(":")
        getattr(importlib.import_module(module), function)(
            {**message["dns"], "upstream_namespace": outside, "log": "--log" in message["argv"]}
        )
    port = flags.get("listen", "").rpartition(":")[2] or flags.get("http-port") or flags.get("port") or "0"
    netexec.serve(kind, netexec.Ports(int(port), int(flags.get("udp-port") or 0), int(flags.get("tcp-port") or 0)),
                  flags.get("text", ""))  # fmt: skip
