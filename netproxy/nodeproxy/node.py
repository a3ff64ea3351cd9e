"""One node's service proxy: follows the objects on the event loop, and has a worker for each address family."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from netproxy.core.clock import Clock
from netproxy.core.errors import ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.linux.ports import Host
from netproxy.nodeproxy.choice import Choice, choice_of
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.messages import (
    Batch,
    Checked,
    Configured,
    Ended,
    Fault,
    Heard,
    Message,
    Observed,
    Report,
    periods,
)
from netproxy.nodeproxy.worker import Worker
from netproxy.objects.kinds import ENDPOINT_SLICES, NODES, SERVICE_CIDRS, SERVICES, Resource
from netproxy.objects.meta import Object

log = logging.getLogger(__name__)

PROXIED = (SERVICE_CIDRS, SERVICES, ENDPOINT_SLICES)
CLOSING_S = 3.5
"""A worker that is in the middle of a pass gets this long to end it."""

T = TypeVar("T")


class Change(Protocol):
    """One change of an object, as a cache tells it."""

    @property
    def type(self) -> str: ...
    @property
    def obj(self) -> Object: ...
    @property
    def old(self) -> Object | None: ...
    @property
    def resource(self) -> Resource: ...


class Objects(Protocol):
    """What the proxy sees of an API: a cache that is kept true."""

    def find(self, resource: Resource, at: NamespacedName) -> Object | None:
        """One object; None when there is none."""
        ...

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource."""
        ...

    def subscribe(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        """Have each Change told from now on; the result ends it."""
        ...


class NodeProxy:
    """Lives on one event loop's thread. `start`, then it keeps the node's rules right until `close`."""

    def __init__(
        self, name: str, objects: Objects, hosts: Iterable[Host], config: Mapping[str, Any], clock: Clock, *,
        addresses: tuple[str, ...] | None = (), resources: tuple[Resource, ...] = PROXIED,
        choose: Callable[[Object, Mapping[str, Any]], Choice] = choice_of,
    ) -> None:  # fmt: skip
        """ADDRESSES are those of the node's interfaces: none are the Node's own, None follows the kernel's.

        RESOURCES are followed, CHOOSE says which mode a Node with a configuration is in.
        """
        self.name = name
        self.reports: dict[Family, Report] = {}
        self._objects = objects
        self._resources = resources
        self._choose = choose
        self._config = config
        self._clock = clock
        self._choice_fault: Fault | None = None
        self._workers: dict[Family, Worker] = {}
        self._sent = 0
        self._collected: list[Observed] = []
        self._listeners: list[Callable[[Report], None]] = []
        self.told = Heard()
        """How many changes so far, those among them that the kernel does not follow yet."""
        self.waiting_since: dict[Family, float] = {}
        """Since when something waits for a pass, where something does."""
        self.queued_at: dict[Family, float] = {}
        """When something last began to wait for a pass; seconds since the epoch."""
        self._moved = asyncio.Event()
        self._end: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        node, choice = self._node(), self._choice(Choice())
        for host in hosts:
            proxy = FamilyProxy(node, config, host, choice=choice, addresses=addresses)
            worker = Worker(proxy, lambda p: periods(p.config, p.choice.mode), clock, self._publish)
            self._workers[host.family] = worker
            self.reports[host.family] = worker.report

    # --- life

    def start(self) -> None:
        """Take everything that is there, then follow it."""
        self._end = self._objects.subscribe(self._heard)
        for resource in self._resources:
            self._collected += [Observed(resource.kind, obj) for obj in self._objects.all(resource)]
        self._flush(even_nothing=True)
        for worker in self._workers.values():
            worker.start()

    async def close(self) -> bool:
        """End the workers; the rules stay. False when one was in the middle of a pass and did not end in time."""
        if self._end is None:
            return True
        self._end()
        for worker in self._workers.values():
            worker.tell(Ended())
        joining = [asyncio.to_thread(worker.join, CLOSING_S) for worker in self._workers.values()]
        have_ended = all(await asyncio.gather(*joining))
        if not have_ended:
            log.warning("%s: a pass was still under way at the end", self.name)
        return have_ended

    # --- what it is told

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take another configuration."""
        self._config = config
        self._configure()

    def check(self) -> None:
        """Look at the kernel now."""
        self._send(Checked)

    def listen(self, listener: Callable[[Report], None]) -> None:
        """Have each new report told, on the event loop."""
        self._listeners.append(listener)

    def _heard(self, change: Change) -> None:
        resource = change.resource
        if resource in self._resources:
            if not self._collected:
                self._loop.call_soon(self._flush)
            self._collected.append(Observed(resource.kind, change.obj, change.old, change.type == "DELETED"))
        elif resource == NODES and change.obj["metadata"]["name"] == self.name:
            self._configure()

    def _flush(self, *, even_nothing: bool = False) -> None:
        """What came in one turn of the event loop goes into one pass."""
        changes, self._collected = tuple(self._collected), []
        if changes or even_nothing:
            self._send(lambda number: Batch(number, changes))

    def _configure(self) -> None:
        self._flush()
        node = self._node()
        choice = self._choice(next(iter(self.reports.values())).choice)
        self._send(lambda number: Configured(number, node, self._config, choice))

    def _send(self, make: Callable[[int], Message]) -> None:
        self._sent += 1
        message = make(self._sent)
        if isinstance(message, Batch):
            kinds = [change.kind for change in message.changes]
            self.told = Heard(
                self.told.services + kinds.count(SERVICES.kind), self.told.slices + kinds.count(ENDPOINT_SLICES.kind)
            )
        for family, worker in self._workers.items():
            self.queued_at[family] = self._clock.now()
            self.waiting_since.setdefault(family, self.queued_at[family])
            worker.tell(message)

    def _node(self) -> Object:
        found = self._objects.find(NODES, NamespacedName("", self.name))
        return found or {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}}

    def _choice(self, now: Choice) -> Choice:
        """What the Node and the configuration ask for; an unknown mode changes nothing."""
        try:
            choice = self._choose(self._node(), self._config)
        except ManifestError as error:
            log.error("%s stays in %s mode: %s", self.name, now.mode, error)
            self._choice_fault = Fault("mode", str(error), self._clock.now())
            return now
        self._choice_fault = None
        return choice

    # --- what it tells

    def find(self, resource: Resource, at: NamespacedName) -> Object | None:
        """One of the objects that it follows."""
        return self._objects.find(resource, at)

    def _publish(self, report: Report) -> None:
        with suppress(RuntimeError):  # the loop has ended before the worker
            self._loop.call_soon_threadsafe(self._published, report)

    def _published(self, report: Report) -> None:
        self.reports[report.family] = report
        if report.error:
            self.waiting_since.setdefault(report.family, self._clock.now())
        elif report.seen < self._sent:
            self.waiting_since[report.family] = self._clock.now()
        else:
            self.waiting_since.pop(report.family, None)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        for listener in self._listeners:
            listener(report)

    @property
    def faults(self) -> list[tuple[Family | None, Fault]]:
        """Everything that does not work now."""
        found: list[tuple[Family | None, Fault]] = [
            (report.family, fault) for report in self.reports.values() for fault in report.faults
        ]
        return found if self._choice_fault is None else [(None, self._choice_fault), *found]

    async def settled(self) -> None:
        """Wait until the kernel follows everything that was heard so far."""
        self._flush()
        wanted = self._sent
        while any(report.seen < wanted or report.error for report in self.reports.values()):
            await self._moved.wait()

    async def ask(self, family: Family, question: Callable[[FamilyProxy], T]) -> T:
        """Have a question asked where the state is. Raises NotFoundError for a family without a proxy, and what it raises."""
        worker = self._workers.get(family)
        if worker is None:
            raise NotFoundError(f"{self.name} has no proxy for {family}")
        self._flush()
        return await asyncio.wrap_future(worker.ask(question))
