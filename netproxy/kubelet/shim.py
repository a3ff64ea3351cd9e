"""The parent of all containers of one cluster: a small process that starts them by fork and outlives the agent.

The agent may be killed; containers run on, and their exit statuses wait here until an agent asks. It speaks one JSON
object a line over a Unix socket. It imports little (and, after it listens, the name server's modules, so that that one
starts at once), because every container starts as a copy of it. Nothing that it is
told, and nothing that this machine refuses, ends its loop.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from netproxy.core.errors import KernelError
from netproxy.core.programs import MARK
from netproxy.kubelet import spawn
from netproxy.kubelet.cells import Cells, cells_of
from netproxy.kubelet.relay import Feeding, Relay
from netproxy.linux import libc

Message = dict[str, Any]

LINE_BYTES = 16 << 20
"""A longer message is none of ours."""
LOOK_AGAIN_S = 0.01
"""How soon to look again for processes that were killed and have not gone yet."""
GIVE_UP_S = 5.0
"""After this time a container counts as ended although a process of it cannot be killed."""
AFTER_FAILURE_S = 0.02
"""A pause, so that what fails again and again does not take the whole processor."""


class Peer:
    """The connected agent: lines in, lines out, never waited for."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._input = b""
        self._output = b""

    def lines(self) -> list[bytes] | None:
        """What has arrived; None when the other end is gone or sends nonsense."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            return None
        *lines, self._input = (self._input + data).split(b"\n")
        return None if not data or len(self._input) > LINE_BYTES else lines

    def send(self, data: bytes) -> bool:
        """Send what can be sent now and keep the rest; False when the other end is gone."""
        self._output += data
        try:
            self._output = self._output[self.socket.send(self._output) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    @property
    def waits(self) -> bool:
        """Whether there is something left to be sent."""
        return bool(self._output)


@dataclass(slots=True, eq=False)
class Process:
    """A container, or a command inside of one."""

    name: str
    pid: int
    inside: str
    why: int
    """The pipe that is closed when its program has begun; -1 when that was told."""
    relay: Relay | None
    """None for a command, whose output nobody reads, and when the container has closed its own."""
    note: Any = None
    """What the agent wants to be told again about this run."""
    error: bytes = b""
    code: int = 0
    ended_at: float = 0.0
    """When it was reaped, on the clock that never goes back; 0 while it runs."""


@dataclass(slots=True)
class Shim:
    """Starts, signals and reaps; tells the connected agent what happened."""

    cells: Cells
    listener: socket.socket
    files: tuple[int, int]
    """The limits of open files for containers; its own are higher."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _running: dict[str, Process] = field(default_factory=dict)
    _feeding: Feeding = field(init=False)
    _agent: Peer | None = None
    _ended: dict[str, Message] = field(default_factory=dict)
    """How containers ended, until they run again or are to be forgotten."""
    _quit_at: float = 0.0

    def __post_init__(self) -> None:
        self._feeding = Feeding(self._selector, self._tell)

    def run(self) -> None:
        """Serve until told to quit, and until everything has ended then."""
        self._watch_signals()
        self._selector.register(self.listener, selectors.EVENT_READ, self._accept)
        while not (self._quit_at and (not self._running or time.monotonic() > self._quit_at)):
            ending = any(process.ended_at for process in self._running.values())
            for ready, _ in self._selector.select(LOOK_AGAIN_S if ending or self._quit_at else None):
                self._safely(ready.data)
            self._safely(self._reap)
        self.cells.close()

    def _safely(self, work: Callable[[], None]) -> None:
        """Whatever fails is written down, and the loop goes on."""
        try:
            work()
        except Exception:
            with contextlib.suppress(OSError):
                traceback.print_exc()
            select.select([], [], [], AFTER_FAILURE_S)

    def _watch_signals(self) -> None:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        self._selector.register(read, selectors.EVENT_READ, lambda: os.read(read, 4096))

    # --- the agent

    def _accept(self) -> None:
        sock, _ = self.listener.accept()
        self._part()  # the old agent is gone or about to be: the newest one counts
        self._agent = Peer(sock)
        self._selector.register(sock, selectors.EVENT_READ, self._receive)
        running = {p.name: {"pid": p.pid, "note": p.note} for p in self._running.values() if not p.ended_at}
        self._tell({"event": "running", "containers": running, "ended": self._ended})

    def _part(self) -> None:
        if self._agent:
            self._selector.unregister(self._agent.socket)
            self._agent.socket.close()
            self._agent = None

    def _receive(self) -> None:
        if self._agent is None:
            return
        lines = self._agent.lines()
        if self._agent.waits and not self._agent.send(b""):
            lines = None
        if lines is None:
            self._part()
            return
        self._watch_agent()
        for line in lines:
            self._safely(lambda line=line: self._obey(json.loads(line)))  # type: ignore[misc]  # its default is bytes

    def _watch_agent(self) -> None:
        """Hear when the agent takes more, while something waits for it."""
        if self._agent:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._agent.waits else 0)
            self._selector.modify(self._agent.socket, wanted, self._receive)

    def _tell(self, message: Message) -> None:
        if self._agent and self._agent.send(json.dumps(message).encode() + b"\n"):
            self._watch_agent()
        else:
            self._part()  # the next agent is told with the greeting

    def _obey(self, message: Message) -> None:
        match message["op"]:
            case "start":
                try:
                    self._start(message)
                except Exception as failure:  # the agent waits for an answer
                    self._tell({"event": "failed", "id": message["id"], "error": spawn.reason(failure)})
            case "signal":
                process = self._running.get(message["id"])
                if process and not process.ended_at:
                    self.cells.signal(process.name, process.pid, message["signal"])
            case "input" | "close-input" | "resize":
                process = self._running.get(message["id"])
                self._feeding.obey(message, process.relay if process else None)
            case "forget":
                for name in [name for name in self._ended if name.startswith(message["prefix"])]:
                    del self._ended[name]
            case "quit":
                self._quit_at = time.monotonic() + GIVE_UP_S
                for process in self._running.values():
                    self.cells.end(process.inside or process.name)

    # --- containers

    def _start(self, message: Message) -> None:
        name, inside = message["id"], message.get("inside") or ""
        if name in self._running or self._quit_at:
            raise KernelError(f"{name} runs already" if name in self._running else "the cluster is being taken down")
        relay = self._relay(message)
        try:
            company = self._company(message, inside)
            pid, why = self._fork(message, relay, company)
        except BaseException:
            if relay:
                relay.close()
            if not inside:
                self.cells.removed(name)
            raise
        finally:
            if relay:
                relay.close_theirs()
        process = Process(name, pid, inside, why, relay, message.get("note"))
        self._ended.pop(name, None)
        self._running[name] = process
        self._selector.register(why, selectors.EVENT_READ, lambda: self._begun(process))
        if relay:
            self._selector.register(relay.pipe, selectors.EVENT_READ, lambda: self._carry(process))

    def _relay(self, message: Message) -> Relay | None:
        """None for a command: nobody reads what it writes, or who talks to it does."""
        log = message.get("log")
        return Relay(log, stdin=bool(message.get("stdin")), tty=bool(message.get("tty"))) if log else None

    def _company(self, message: Message, inside: str) -> spawn.Company:
        """Who else there is of the Pod. Raises KernelError for a command in a container that does not run."""
        if inside:
            there = self._running.get(inside)
            if there is None or there.ended_at:
                raise KernelError(f"container {inside} does not run")
            return spawn.Company(inside=there.pid, mortal=self.cells.always_own_pids)
        pod = message["id"].partition("/")[0] + "/"
        others = (p for p in self._running.values() if p.name.startswith(pod) and not p.inside and not p.ended_at)
        beside = next((p.pid for p in others if p.why < 0), 0)  # its program has begun: it is in its namespaces
        always = self.cells.always_own_pids
        return spawn.Company(beside=beside, first=message["ownPids"] or always, mortal=always)

    def _fork(self, message: Message, relay: Relay | None, company: spawn.Company) -> tuple[int, int]:
        """The child's process number, and the pipe on which it says why it fails. The child never returns."""
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read, False)
        try:
            pid = self.cells.fork(message["id"], message.get("inside") or "", own_pids=company.first)
            if pid == 0:
                self._child(message, relay.theirs if relay else (-1, os.open(os.devnull, os.O_WRONLY)), write, company)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        return pid, read

    def _child(self, message: Message, ends: tuple[int, int], why: int, company: spawn.Company) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            self.cells.enter(message["id"], message.get("inside") or "")
            spawn.become(message, ends, why, self.files, company)
        except BaseException as failure:
            with contextlib.suppress(OSError):
                os.write(why, spawn.reason(failure).encode()[:4000])
        finally:
            os._exit(127)

    def _carry(self, process: Process) -> None:
        if process.relay and not process.relay.carry():
            self._unwatch(process)

    def _unwatch(self, process: Process) -> None:
        if process.relay:
            self._selector.unregister(process.relay.pipe)
            self._feeding.stop(process.relay)
            process.relay.finish()
            process.relay = None

    def _begun(self, process: Process) -> None:
        """Its program has begun, or it has said why not; then it is about to end."""
        data = b"more"
        with contextlib.suppress(BlockingIOError):
            while process.why >= 0 and data:
                data = os.read(process.why, 4096)
                process.error += data
        if process.why >= 0 and (not data or process.ended_at):
            self._selector.unregister(process.why)
            os.close(process.why)
            process.why = -1
            if not process.error:
                self._tell({"event": "started", "id": process.name, "pid": process.pid})

    def _reap(self) -> None:
        by_pid = {process.pid: process for process in self._running.values() if not process.ended_at}
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process = by_pid.get(ended[0])
                if process:
                    process.code, process.ended_at = os.waitstatus_to_exitcode(ended[1]), time.monotonic()
                    if not process.inside:
                        self.cells.end(process.name)
        for process in [process for process in self._running.values() if process.ended_at]:
            self._settle(process)

    def _settle(self, process: Process) -> None:
        """Tell that it ended, as soon as nothing of it holds a port."""
        late = time.monotonic() > process.ended_at + GIVE_UP_S
        if not process.inside and not self.cells.removed(process.name) and not late:
            return
        self._begun(process)
        self._unwatch(process)
        del self._running[process.name]
        if not process.inside:
            code = 127 if process.error else process.code
            self._ended[process.name] = {"code": code, "at": time.time(), "note": process.note}
        if process.error:
            self._tell({"event": "failed", "id": process.name, "error": process.error.decode(errors="replace")})
        else:
            self._tell({"event": "exited", "id": process.name, "code": process.code})


def main() -> None:
    """`python -m netproxy.kubelet.shim SOCKET [MODULE]…`: with modules that a container of its own is going to need."""
    libc.set_process_name("netproxy-shim")
    libc.become_subreaper()
    path = Path(sys.argv[1])
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(4)  # an agent may connect already; it is greeted when what was left behind has ended
    for module in sys.argv[2:]:
        importlib.import_module(module)
    libc.own_words()  # what copies cannot ask
    gc.freeze()  # copies share what nobody writes to
    cells = cells_of(os.environ.get(MARK) or str(path.parent), path.parent / "cgroup")
    Shim(cells, listener, files).run()


if __name__ == "__main__":
    main()
