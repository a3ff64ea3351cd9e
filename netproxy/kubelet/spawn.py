"""How a copy of the shim becomes a container: its Pod's namespaces and files, its log, its environment, its program."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import socket
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from netproxy.core.errors import KernelError
from netproxy.core.programs import MARK
from netproxy.kubelet import confine, netexec, stdio
from netproxy.kubelet.cells import wait_for_child
from netproxy.linux import libc, mounts, netns, privileges

Message = dict[str, Any]
_NAMESPACES = {
    "mnt": libc.CLONE_NEWNS, "uts": libc.CLONE_NEWUTS, "ipc": libc.CLONE_NEWIPC, "net": libc.CLONE_NEWNET, "pid": libc.CLONE_NEWPID,
}  # fmt: skip
_OUTSIDE, _STATE = 3, 4
"""Descriptors of a built-in server: the network that the shim is in, and the cluster's folder."""


@dataclass(frozen=True, slots=True)
class Company:
    """Who else there is, by process number; 0 is nobody."""

    inside: int = 0
    """The container that a command is run in."""
    beside: int = 0
    """Another container of the Pod."""
    first: bool = False
    """Whether this process is the first one of a PID namespace."""
    mortal: bool = False
    """Whether it ends with the shim."""


def become(message: Message, ends: tuple[int, int], why: int, files: tuple[int, int], company: Company) -> NoReturn:
    """Turn this process, a fresh copy of the shim in its cell, into the container.

    ENDS are what it reads (-1 is nothing) and writes, WHY the pipe that stays open when it fails, FILES the limits of open files that the
    shim was started with. Raises OSError, KernelError.
    """
    privileges.be_unreadable()
    os.setsid()
    for restored in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(restored, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    terminal = _standard_files(message, ends)
    kept = _kept(message)
    user, mark = message["user"], os.environ.get(MARK)
    if company.inside:
        join(company.inside)
    else:
        enter_new(message, company)
    os.environ.clear()
    os.environ.update({**message["env"], **({MARK: mark} if mark else {})})
    os.chdir(message["cwd"] if os.path.isdir(message["cwd"]) else "/")
    if terminal:
        stdio.open_terminal(terminal)
    if user["uid"]:
        os.fchown(1, user["uid"], -1)  # so that it can open /dev/stdout
    if message.get("builtin"):
        _serve(message, kept, company)
    privileges.become_user(user)
    os.set_inheritable(why, False)
    if company.mortal:
        libc.die_with_parent()  # another user's process had forgotten it
    if company.first or company.inside:
        _stay_behind(mark or "")
    if terminal or message.get("tty"):
        stdio.control_terminal()
    if company.inside:
        libc.die_with_parent()
    start_program(message["argv"])


def _standard_files(message: Message, ends: tuple[int, int]) -> socket.socket | None:
    """Have input, output and errors be what they are to be; the line to whoever is to be given a terminal's other end."""
    given, output = ends
    read = given if given >= 0 else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for target, source in ((0, read), (1, output), (2, output)):
        os.dup2(source, target)
    talk = message.get("stdio")
    if not talk:
        return None
    line = stdio.call(talk)
    if talk["tty"]:
        return line
    stdio.take_pipes(line)
    return None


def _stay_behind(mark: str) -> None:
    """Go on as a child, which leads a session; this process waits for it."""
    libc.set_process_name("netproxy-init")
    libc.set_command_line(["netproxy-init"], [f"{MARK}={mark}"])
    wait_for_child()
    os.setsid()


def _kept(message: Message) -> list[int]:
    """What the name server, one of ours, must reach from inside: the network outside, the cluster's folder."""
    if message.get("builtin") != "dns":
        return []
    return [os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC),
            os.open(os.path.dirname(message["dns"]["socket"]), os.O_PATH | os.O_CLOEXEC)]  # fmt: skip


def _serve(message: Message, kept: list[int], company: Company) -> NoReturn:
    """Be one of the servers that netproxy brings."""
    if company.first:  # nobody else reaps here, and the first process hears only the signals that it asks for
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for heard in (signal.SIGTERM, signal.SIGINT):
            signal.signal(heard, _end)
    libc.set_process_name(message["builtin"])
    libc.set_command_line([message["builtin"], *message["argv"]], [f"{k}={v}" for k, v in os.environ.items()])
    if kept:
        copies = [os.dup(fd) for fd in kept]
        for number, fd in zip((_OUTSIDE, _STATE), copies, strict=True):
            os.dup2(fd, number)
    else:
        privileges.become_user(message["user"])
    os.closerange(_OUTSIDE + len(kept), 1 << 16)
    run_builtin(message)
    os._exit(0)


def _end(number: int, _: FrameType | None) -> NoReturn:
    os._exit(128 + number)


def start_program(argv: list[str]) -> NoReturn:
    """Become a program, found as a shell finds it. Raises KernelError, OSError."""
    try:
        os.execvpe(argv[0], argv, os.environ)
    except FileNotFoundError:
        raise KernelError("executable file not found") from None


def reason(failure: BaseException) -> str:
    """Why a container did not start, without Python's decoration."""
    if isinstance(failure, OSError) and failure.strerror:
        return f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror
    return str(failure) or type(failure).__name__


def enter_new(message: Message, company: Company) -> None:
    """Move this process into its Pod's network and into namespaces of its own. Raises OSError, KernelError."""
    sockets = netns.socket_files()
    _enter_network(message["namespace"])
    own_ipc = message["ownIpc"] and not company.beside
    libc.unshare(libc.CLONE_NEWNS | libc.CLONE_NEWUTS | (libc.CLONE_NEWIPC if own_ipc else 0))
    if message["ownIpc"] and company.beside:
        fd = os.open(f"/proc/{company.beside}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
        libc.setns(fd, libc.CLONE_NEWIPC)
        os.close(fd)
    libc.sethostname(message["hostname"][:63])
    netns.write_sysctls(message["sysctls"])
    if message.get("view"):
        confine.build(message["view"], sockets)
        return
    mounts.set_apart(libc.MS_SLAVE)
    confine.put_files(message["etc"])
    confine.put_volumes(confine.opened(message["mounts"]), aside=True)
    if company.first:
        with contextlib.suppress(KernelError):  # where parts of /proc are hidden, a new one is refused
            libc.mount("proc", "/proc", "proc")


def enter(namespace: str, hostname: str, etc: str | None) -> None:
    """Move this process to a node, or to the client: its network, its host name, its own files in /etc (from the folder ETC)."""
    _enter_network(namespace)
    libc.unshare(libc.CLONE_NEWNS | libc.CLONE_NEWUTS)
    libc.sethostname(hostname[:63])
    mounts.set_apart(libc.MS_SLAVE)
    if etc:
        confine.put_files(etc)


def _enter_network(namespace: str) -> None:
    fd = netns.open_namespace(namespace)
    libc.setns(fd)
    os.close(fd)


def join(pid: int, namespace: str = "") -> None:
    """Be where a container is, whose first process this is: all namespaces and its root; its process numbers for children.

    With NAMESPACE, only if it is in that network. Raises KernelError.
    """
    try:
        process = os.pidfd_open(pid)
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if namespace and not netns.path_of(namespace).samefile(f"/proc/{pid}/ns/net"):
            raise ProcessLookupError
        kinds = [
            kind for kind in _NAMESPACES if not os.path.samefile(f"/proc/{pid}/ns/{kind}", f"/proc/self/ns/{kind}")
        ]
    except OSError as error:
        raise KernelError(
            f"the container does not run any more ({error.strerror or 'another process has its number'})"
        ) from error
    if kinds:  # those of this machine are not ours to enter, without root
        libc.setns(process, sum(_NAMESPACES[kind] for kind in kinds))
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    os.close(process)


def run_builtin(message: Message) -> None:
    """Run one of the servers that netproxy brings."""
    kind = message["builtin"]
    flags = netexec.parse_flags(message["argv"], dict(message["flags"]))
    if kind == "pause":
        netexec.pause()
    if kind == "dns":  # the agent names the entry: this room does not know the servers of other rooms
        module, _, function = message["entry"].partition(":")
        settings = {**message["dns"], "socket": f"/proc/self/fd/{_STATE}/{os.path.basename(message['dns']['socket'])}"}
        getattr(importlib.import_module(module), function)(
            {**settings, "upstream_namespace": f"/proc/self/fd/{_OUTSIDE}", "log": "--log" in message["argv"]}
        )
    port = flags.get("listen", "").rpartition(":")[2] or flags.get("http-port") or flags.get("port") or "0"
    netexec.serve(kind, netexec.Ports(int(port), int(flags.get("udp-port") or 0), int(flags.get("tcp-port") or 0)),
                  flags.get("text", ""))  # fmt: skip
