"""`python -m netproxy.agent.main`: the agent's process, from its first system call to its last.

It reads its orders from the environment's NETPROXY_ORDERS (JSON) and reports on the descriptor that they name: one
JSON object a line, the last one `{"ready": true}` or `{"error": …, "problems": […]}`.
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
from pathlib import Path
from typing import Any

from netproxy.agent import userns
from netproxy.agent.lock import ClusterLock, holder
from netproxy.agent.marks import MARK, Process, read_process, write_process
from netproxy.agent.paths import Paths
from netproxy.core import programs
from netproxy.core.errors import KernelError, ManifestError, NetproxyError
from netproxy.core.net import split_host_port


def main() -> None:
    """Run the agent until it is told to end."""
    orders: dict[str, Any] = json.loads(os.environ.pop("NETPROXY_ORDERS"))
    paths = Paths(orders["cluster"], Path(orders["state"]))
    report = _Reporter(orders.get("report"))
    os.environ[MARK] = str(paths.state)
    lock: ClusterLock | None = None
    try:
        lock = _lock(paths, orders.get("lock"))
        write_process(paths.pid_file, Process.of(os.getpid()))
        if orders.get("rootless"):
            userns.enter_new()
        start_shim(paths)
        status = asyncio.run(_run(paths, report, orders.get("api") or ""))
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


class _Reporter:
    """Tells whoever started the agent how far it is."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def tell(self, **message: Any) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.write(self._fd, json.dumps(message).encode() + b"\n")

    def failed(self, error: NetproxyError) -> None:
        problems = [str(problem) for problem in error.problems] if isinstance(error, ManifestError) else []
        self.tell(error=str(error), problems=problems)

    def done(self) -> None:
        self.tell(ready=True)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _lock(paths: Paths, fd: int | None) -> ClusterLock:
    """The cluster's lock, handed over by who started this process, or taken. Raises KernelError when it is held."""
    if fd is not None:
        return ClusterLock.inherited(fd, paths, "agent")
    lock = ClusterLock.take(paths, "agent")
    if lock is None:
        raise KernelError(f"cluster {paths.cluster} is held by {holder(paths) or 'another process'}")
    return lock


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
        [sys.executable, "-m", programs.SHIM, str(paths.shim_socket)],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        env={**os.environ, MARK: str(paths.state)},
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


async def _run(paths: Paths, report: _Reporter, api: str) -> int:
    from netproxy.agent.agent import Agent, write_state
    from netproxy.agent.handlers import answer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    incoming = _incoming(paths)

    async def new_shim() -> None:
        with contextlib.suppress(OSError, ValueError):  # the one that has gone was our child, or an earlier agent's
            os.waitpid(int(paths.shim_pid_file.read_text().split()[0]), os.WNOHANG)
        start_shim(paths)
        await _shim_listens(paths)

    agent = Agent(paths, incoming, new_shim, api_address=_api_address(paths, api))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.remove_cluster)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go, the cluster stays
    await _shim_listens(paths)
    try:
        await agent.start(functools.partial(answer, agent))
    except BaseException:
        await agent.close(take_down=not agent.restored)
        raise
    write_state(paths)
    paths.incoming.unlink(missing_ok=True)
    gc.collect()
    gc.freeze()
    report.done()
    await agent.over.wait()
    await agent.close(take_down=True)
    return 0


def _api_address(paths: Paths, given: str) -> tuple[str, int] | None:
    """Where the API listens over HTTPS: where it is told to now, or was told to once."""
    kept = paths.state / "api-address"
    if given:
        kept.write_text(given + "\n")
    text = given or (kept.read_text().strip() if kept.exists() else "")
    return split_host_port(text)


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
