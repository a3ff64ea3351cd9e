"""`python -m netproxy.agent.main`: the agent's process, from its first system call to its last.

Its standard input is a socket to whoever started it (`agent.process`): orders come there, and reports go back, one JSON
object a line, the last one `{"ready": true}` or `{"error": …, "problems": […]}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netproxy.agent import userns
from netproxy.agent.lock import ClusterLock
from netproxy.agent.marks import Process, read_process, write_process
from netproxy.agent.paths import Paths, Scope
from netproxy.core import programs
from netproxy.core.errors import KernelError, ManifestError, NetproxyError

if TYPE_CHECKING:
    from netproxy.agent.agent import Agent
    from netproxy.agent.alone import Alone
    from netproxy.agent.doors import Doors

TIDY_AFTER_S = 2.0
"""The garbage collector rests until Pods and rules of the start are made."""


def main() -> None:
    """Run the agent until it is told to end."""
    gc.disable()  # what is made while it starts stays
    line = socket.socket(fileno=os.dup(0))
    orders, lock_fd, sock = _orders(line)
    paths = Paths(orders["cluster"], Path(orders["state"]))
    report = _Reporter(line)
    lock: ClusterLock | None = None
    try:
        lock = ClusterLock.inherited(lock_fd, paths, "agent")
        write_process(paths.pid_file, Process.of(os.getpid()))
        if orders["joins"]:
            userns.join(orders["joins"])
        elif orders["rootless"]:
            userns.enter_new(paths.state.parent)
        scope = Scope(orders["scope"])
        if scope is Scope.CLUSTER:
            start_shim(paths)
        status = asyncio.run(_run(paths, report, scope, sock))
    except NetproxyError as error:
        report.failed(error)
        status = 2 if isinstance(error, ManifestError) else 1
    except Exception as error:  # a fault of ours: the log goes with the state folder, so it is told here, too
        traceback.print_exc()
        report.tell(
            error="the agent failed while it started:\n" + "".join(traceback.format_exception(error)[-4:]).rstrip()
        )
        status = 1
    if lock and not paths.state.exists():
        lock.remove()
    sys.exit(status)


def _orders(line: socket.socket) -> tuple[dict[str, Any], int, socket.socket]:
    """Wait for the orders; they, the lock's descriptor, and the API's socket. From then on what is printed is the log's."""
    data, fds, _, _ = socket.recv_fds(line, 1 << 16, 3)
    if not data:
        sys.exit(0)  # nobody needs an agent
    lock, log, listening = fds
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
    return json.loads(data), lock, socket.socket(fileno=listening)


class _Reporter:
    """Tells whoever started the agent how far it is."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def tell(self, **message: Any) -> None:
        with contextlib.suppress(OSError):
            self._line.sendall(json.dumps(message).encode() + b"\n")

    def failed(self, error: NetproxyError) -> None:
        problems = [str(problem) for problem in error.problems] if isinstance(error, ManifestError) else []
        self.tell(error=str(error), problems=problems)

    def done(self) -> None:
        self.tell(ready=True)
        self._line.close()


def start_shim(paths: Paths) -> None:
    """Start the shim, unless the one of an earlier agent still lives."""
    if read_process(paths.shim_pid_file):
        return
    listening = _listening(paths.shim_socket)
    if listening:
        write_process(paths.shim_pid_file, listening)
        return
    with contextlib.suppress(FileNotFoundError):
        paths.shim_socket.unlink()
    log = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    process = subprocess.Popen(
        [sys.executable, "-m", programs.SHIM, str(paths.shim_socket), programs.NAME_SERVER.partition(":")[0]],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    os.close(log)
    process.returncode = 0  # it outlives this process: nobody waits for it
    write_process(paths.shim_pid_file, Process.of(process.pid))


def _listening(path: Path) -> Process | None:
    """Who listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return None
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return Process.of(struct.unpack("3i", credentials)[0])


async def _run(paths: Paths, report: _Reporter, scope: Scope, sock: socket.socket) -> int:
    with _no_certificates():
        from netproxy.agent.doors import answered
        from netproxy.agent.plane import write_state
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    agent, doors = await (_whole(paths, sock) if scope is Scope.CLUSTER else _alone(paths, scope, sock))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.remove_cluster)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go, the cluster stays
    try:
        await agent.start(functools.partial(answered, agent, doors))
    except BaseException:
        await agent.end(take_down=not agent.restored)
        raise
    write_state(paths)
    paths.incoming.unlink(missing_ok=True)
    report.done()
    loop.call_later(TIDY_AFTER_S, _tidy)
    await agent.over.wait()
    await agent.end(take_down=True)
    return 0


async def _whole(paths: Paths, sock: socket.socket) -> tuple[Agent, Doors]:
    """A cluster with machines, whose shim listens."""
    from netproxy.agent.agent import Agent
    from netproxy.agent.handlers import DOORS

    async def new_shim() -> None:
        with contextlib.suppress(OSError, ValueError):  # the one that has gone was our child, or an earlier agent's
            os.waitpid(int(paths.shim_pid_file.read_text().split()[0]), os.WNOHANG)
        start_shim(paths)
        await _shim_listens(paths)

    agent = Agent(paths, _incoming(paths), new_shim, sock=sock)
    await _shim_listens(paths)
    return agent, DOORS


async def _alone(paths: Paths, scope: Scope, sock: socket.socket) -> tuple[Alone, Doors]:
    """A control plane without machines."""
    from netproxy.agent.alone import DOORS, Alone

    return Alone(paths, _incoming(paths), scope, sock=sock), DOORS


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    """Keep aiohttp from reading all certificates of this host when it is imported: that is for its client, and takes 50 ms."""
    nothing = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    before = {name: os.environ.get(name) for name in nothing}
    os.environ.update(nothing)
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def _tidy() -> None:
    """What was made at the start stays: later collections need not look at it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _incoming(paths: Paths) -> Any:
    import orjson

    from netproxy.objects.manifest import Loaded

    file = paths.incoming
    if not file.exists():
        return []
    return [Loaded(item["obj"], item["source"]) for item in orjson.loads(file.read_bytes())]


async def _shim_listens(paths: Paths) -> None:
    """Wait until the shim accepts. Raises KernelError when it does not within ten seconds."""
    for _ in range(5000):
        try:
            _, writer = await asyncio.open_unix_connection(str(paths.shim_socket))
        except OSError:
            await asyncio.sleep(0.002)
            continue
        writer.close()
        return
    raise KernelError(f"the shim does not answer; see {paths.log}")


if __name__ == "__main__":
    main()
