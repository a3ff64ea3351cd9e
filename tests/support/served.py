"""An API server alone, in this process: `with served() as socket: …` or, to be asked by hand, `python -m support.served SOCKET`."""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netproxy.agent.boot import put_first
from netproxy.agent.plane import FIRST_VERSION
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.apiserver.status import status
from netproxy.linux.clock import SystemClock
from netproxy.objects.cluster import ClusterSpec, cluster_spec
from netproxy.registry.registry import Registry
from netproxy.serve import http
from netproxy.serve.jwt import KeySigner
from netproxy.store.store import Store

DUAL_STACK = {
    "apiVersion": "netproxy.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "alone"},
    "spec": {"serviceCIDRs": ["10.96.0.0/16", "fd00:10:96::/112"]},
}  # fmt: skip


def alone() -> ClusterSpec:
    """A cluster in which nothing happens by itself."""
    return cluster_spec([DUAL_STACK], cluster_name="alone")


async def serve(socket: Path, ready: threading.Event) -> None:
    """Serve an empty cluster until cancelled."""
    clock, numbers = SystemClock(), itertools.count(1)
    store = Store(clock, lambda: f"00000000-0000-4000-8000-{next(numbers):012x}", begins=FIRST_VERSION)
    registry = Registry(store, alone())
    put_first(registry, [], restored=False, runs_pods=False)

    async def extra(_: Request) -> Response:
        return status(404, "NotFound", "nothing is here", {})

    signer = KeySigner(socket.with_name("service-accounts.key"), clock.now)
    runner = await http.serve(socket, Api(registry, clock, signer), store, clock, extra)
    ready.set()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


@contextmanager
def served() -> Iterator[Path]:
    """The Unix socket of an API server that ends with the body."""
    with tempfile.TemporaryDirectory(prefix="npt-api-") as folder:
        socket, ready = Path(folder) / "api.sock", threading.Event()
        loop = asyncio.new_event_loop()
        task = loop.create_task(serve(socket, ready))

        def run() -> None:
            asyncio.set_event_loop(loop)
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                pass
            finally:
                loop.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert ready.wait(20)
        try:
            yield socket
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join(10)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), threading.Event()))
