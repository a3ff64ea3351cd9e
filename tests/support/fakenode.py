"""A node's proxy with its real workers, over a kernel in memory, fed by a world of objects."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from netproxy.core.net import Family
from netproxy.linux.clock import SystemClock
from netproxy.linux.fake import FakeHost, FakeKernel
from netproxy.nodeproxy.messages import Report
from netproxy.nodeproxy.node import NodeProxy
from netproxy.objects.kinds import EVENTS
from support.build import service_object, slice_object
from support.world import World

LIMIT_S = 20


def a_node(**more: Any) -> dict[str, Any]:
    status = {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", **more}, "status": status}


def a_service(name: str, vip: str, **more: Any) -> dict[str, Any]:
    return service_object(name, clusterIP=vip, clusterIPs=[vip], **more)


def a_slice(service: str, address: str) -> dict[str, Any]:
    return slice_object(service, (address,))


def in_a_loop(test):
    """Run an async test."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


class FakeNode:
    """One IPv4 proxy of `node1`."""

    def __init__(self, *objects: dict[str, Any], config: dict[str, Any] | None = None, host: Any = None) -> None:
        self.world = World(a_node(), *objects)
        self.kernel = FakeKernel() if host is None else host.kernel
        self.host = host or FakeHost(self.kernel, Family.IPV4, is_new=True)
        self.proxy = NodeProxy("node1", self.world, [self.host], config or {}, SystemClock())

    @property
    def report(self) -> Report:
        return self.proxy.reports[Family.IPV4]

    def rules(self) -> str:
        """Everything that the kernel has, as one text."""
        return f"{self.kernel.rules} {self.kernel.tables} {self.kernel.servers}"

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something to become true, which it can only with a report."""
        again = asyncio.Event()
        self.proxy.listen(lambda _: again.set())
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                await again.wait()
                again.clear()

    async def settled(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            await self.proxy.settled()


def said(node: FakeNode) -> list[tuple[str, str]]:
    """Who is told about, and the reason, of all Events."""
    return sorted((event["involvedObject"]["name"], event["reason"]) for event in node.world.all(EVENTS))


@asynccontextmanager
async def running(*objects: dict[str, Any], **more: Any) -> AsyncIterator[FakeNode]:
    """A node whose rules follow OBJECTS; ended afterwards."""
    node = FakeNode(*objects, **more)
    node.proxy.start()
    try:
        yield node
    finally:
        await node.proxy.close()
