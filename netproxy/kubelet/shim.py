"""The parent of all containers of one cluster: a small process that starts them by fork and outlives the agent.

The agent may be killed; containers run on, and their exit statuses wait here until an agent asks. It speaks one JSON
object a line over a Unix socket. It imports little, because every container starts as a copy of it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from netproxy.kubelet import netexec
from netproxy.linux import libc, netns

Message = dict[str, Any]


class Shim:
    """Starts, signals and reaps; tells the connected agent what happened."""

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(4)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pids: dict[int, str] = {}
        self._agent: socket.socket | None = None
        self._input = b""
        self._unsent: list[Message] = []
        read, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._signals = read
        self._selector.register(read, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        self._ending = False

    def run(self) -> None:
        """Serve until told to quit."""
        libc.become_subreaper()
        while not self._ending:
            for ready, _ in self._selector.select():
                if ready.fileobj is self._listener:
                    self._accept()
                elif ready.fileobj == self._signals:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._signals, 4096)
                else:
                    self._receive()
            self._reap()

    def _accept(self) -> None:
        agent, _ = self._listener.accept()
        if self._agent:  # the old agent is gone or about to be: the newest one counts
            self._selector.unregister(self._agent)
            self._agent.close()
        self._agent, self._input = agent, b""
        self._selector.register(agent, selectors.EVENT_READ)
        self._tell({"event": "running", "containers": {name: pid for pid, name in self._pids.items()}})
        waiting, self._unsent = self._unsent, []
        for message in waiting:
            self._tell(message)

    def _receive(self) -> None:
        assert self._agent
        try:
            data = self._agent.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(self._agent)
            self._agent.close()
            self._agent = None
            return
        self._input += data
        *lines, self._input = self._input.split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, message: Message) -> None:
        match message["op"]:
            case "start":
                self._start(message)
            case "signal":
                for pid, name in self._pids.items():
                    if name == message["id"]:
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(pid, message["signal"])
            case "quit":
                self._ending = True

    def _tell(self, message: Message) -> None:
        if self._agent is None:
            self._unsent.append(message)
            return
        try:
            self._agent.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._unsent.append(message)

    def _start(self, message: Message) -> None:
        read, write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read)
                self._become(message, write)
            except BaseException as failure:
                with contextlib.suppress(OSError):
                    os.write(write, _reason(failure).encode()[:4000])
            finally:
                os._exit(127)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            error = pipe.read().decode(errors="replace")
        if error:
            os.waitpid(pid, 0)
            self._tell({"event": "failed", "id": message["id"], "error": error})
            return
        self._pids[pid] = message["id"]
        self._tell({"event": "started", "id": message["id"], "pid": pid})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._pids.pop(pid, None)
            if name:
                self._tell({"event": "exited", "id": name, "code": os.waitstatus_to_exitcode(status)})

    def _become(self, message: Message, pipe: int) -> None:
        """In the child: become the container."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        for restored in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(restored, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        enter(message["namespace"], message["hostname"], message.get("etc"))
        os.environ.clear()
        os.environ.update(message["env"])
        if message.get("cwd"):
            os.chdir(message["cwd"])
        if message.get("builtin"):
            self._close_everything()
            libc.set_process_name(message["builtin"])
            os.close(pipe)
            run_builtin(message)
            os._exit(0)
        os.execvpe(message["argv"][0], message["argv"], os.environ)

    def _close_everything(self) -> None:
        self._selector.close()
        self._listener.close()
        if self._agent:
            self._agent.close()
        os.close(self._wake)
        os.close(self._signals)


def _reason(failure: BaseException) -> str:
    """Why a container did not start, without Python's decoration."""
    if isinstance(failure, FileNotFoundError):
        return "executable file not found"
    return (failure.strerror or str(failure)) if isinstance(failure, OSError) else str(failure)


def enter(namespace: str, hostname: str, etc: str | None) -> None:
    """Move this process into a Pod: its network, its host name, its own files in /etc (from the folder ETC)."""
    fd = netns.open_namespace(namespace)
    libc.setns(fd)
    os.close(fd)
    libc.unshare(libc.CLONE_NEWNS | libc.CLONE_NEWUTS)
    libc.sethostname(hostname[:63])
    libc.mount("", "/", "none", libc.MS_SLAVE | libc.MS_REC)
    if etc:
        for file in os.listdir(etc):
            target = os.path.realpath(f"/etc/{file}")
            if not os.path.exists(target):
                with contextlib.suppress(OSError):
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    Path(target).touch()
            if os.path.exists(target):
                libc.mount(f"{etc}/{file}", target, "none", libc.MS_BIND)


def run_builtin(message: Message) -> None:
    """Run one of the servers that netproxy brings."""
    kind = message["builtin"]
    flags = netexec.parse_flags(message["argv"], dict(message["flags"]))
    if kind == "pause":
        netexec.pause()
    if kind == "dns":  # the agent names the entry: this room does not know the servers of other rooms
        module, _, function = message["entry"].partition(":")
        outside = f"/proc/{os.getppid()}/ns/net"
        getattr(importlib.import_module(module), function)(
            {**message["dns"], "upstream_namespace": outside, "log": "--log" in message["argv"]}
        )
    port = flags.get("listen", "").rpartition(":")[2] or flags.get("http-port") or flags.get("port") or "0"
    netexec.serve(kind, netexec.Ports(int(port), int(flags.get("udp-port") or 0), int(flags.get("tcp-port") or 0)),
                  flags.get("text", ""))  # fmt: skip


def main() -> None:
    """`python -m netproxy.kubelet.shim SOCKET`."""
    libc.set_process_name("netproxy-shim")
    Shim(sys.argv[1]).run()


if __name__ == "__main__":
    main()
