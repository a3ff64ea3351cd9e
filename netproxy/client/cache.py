"""What an API has, kept true by list and watch; with indexes, and news for who listens.

All of it lives in one thread: the event loop's. Objects are shared with whoever gave them; nobody mutates them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from netproxy.client.follow import Follower, Kept, State, whole
from netproxy.client.port import Api, Selector
from netproxy.client.shelf import namespace_of, node_of, owners_of, service_of
from netproxy.client.supervise import Pause
from netproxy.core.clock import Clock
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Event, Values
from netproxy.objects.kinds import PODS, Resource, resource_of
from netproxy.objects.meta import Object, metadata

log = logging.getLogger(__name__)

__all__ = ["Cache", "Event", "Listener", "State"]

Listener = Callable[[Event], None]


@dataclass(slots=True, eq=False)
class _Ear:
    """Somebody who listens; `hears` until they end it."""

    listener: Listener
    hears: bool = True


class Cache:
    """The objects of some resources of an API. `run` keeps it true; it is a View, too.

    A listener hears every change once, in the order in which the cache took it; after a loss of the connection, exactly
    what is different. One that raises is logged and harms nobody.
    """

    def __init__(
        self, api: Api, wanted: Mapping[Resource, Selector], *, clock: Clock, random: Random, pause: Pause = asyncio.sleep,
        most_s: float = 30.0, kept: Kept = whole,
    ) -> None:  # fmt: skip
        """KEPT makes of each object what is kept of it: who needs little of many saves memory."""
        self._followed = {
            resource: Follower(
                api,
                resource,
                selector,
                tell=self._tell,
                clock=clock,
                random=random,
                pause=pause,
                most_s=most_s,
                kept=kept,
            )
            for resource, selector in wanted.items()
        }
        self._ears: tuple[_Ear, ...] = ()
        self._untold: deque[tuple[Event, tuple[_Ear, ...]]] = deque()
        self._is_telling = False

    # --- reading

    def find(self, resource: Resource, name: NamespacedName) -> Object | None:
        """One object or None."""
        return self._followed[resource].shelf.objects.get(name)

    def get(self, resource: Resource, name: NamespacedName) -> Object:
        """One object. Raises NotFoundError, in the API server's words."""
        return self._followed[resource].shelf.get(name)

    def list(self, resource: Resource, in_namespace: str = "") -> Iterator[Object]:
        """All objects of a resource, sorted by namespace and name; of one namespace when it is given."""
        return self._followed[resource].shelf.in_order(in_namespace)

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource in no order; cheap, and good until the next `await`."""
        return self._followed[resource].shelf.objects.values()

    def count(self, resource: Resource) -> int:
        """How many objects of a resource are known."""
        return len(self._followed[resource].shelf.objects)

    def by_owner(self, uid: str, resource: Resource | None = None) -> tuple[Object, ...]:
        """What the object with this uid owns: of one resource, or of all that are cached."""
        asked = self._followed if resource is None else (resource,)
        return tuple(obj for each in asked for obj in self.having(each, owners_of, uid))

    def by_node(self, node: str, resource: Resource = PODS) -> tuple[Object, ...]:
        """The Pods of a node, in no order."""
        return self.having(resource, node_of, node)

    def by_namespace(self, resource: Resource, namespace: str) -> tuple[Object, ...]:
        """The objects of a namespace, in no order."""
        return self.having(resource, namespace_of, namespace)

    def by_service(self, resource: Resource, service: NamespacedName) -> tuple[Object, ...]:
        """The objects (EndpointSlices) that belong to a Service, in no order."""
        return self.having(resource, service_of, str(service))

    def having(self, resource: Resource, values: Values, value: str) -> tuple[Object, ...]:
        """The objects that VALUES puts under VALUE; the first question makes the index, all later ones are look-ups."""
        return self._followed[resource].shelf.having(values, value)

    # --- how it is

    def state(self, resource: Resource) -> State:
        """How well this resource is known."""
        return self._followed[resource].state()

    @property
    def is_stale(self) -> bool:
        """Whether any of it may be old."""
        return any(each.is_stale for each in self._followed.values())

    async def synced(self) -> None:
        """Wait until everything has been seen once, and the listeners have been told."""
        for each in self._followed.values():
            await each.synced.wait()

    async def reached(self, resource: Resource, version: int) -> None:
        """Wait until the API has told everything of a resource up to VERSION, and the listeners have been told."""
        await self._followed[resource].reached(version)

    # --- news

    def subscribe(self, listener: Listener, *, replay: bool = False) -> Callable[[], None]:
        """Call LISTENER with every change from now on; with REPLAY first with all that is known, as ADDED.

        The result ends it.
        """
        ear = _Ear(listener)
        if replay:
            known = [
                Event("ADDED", obj, None, r)
                for r, each in self._followed.items()
                for obj in each.shelf.objects.values()
            ]
            self._untold.extend((event, (ear,)) for event in known)
        self._ears = (*self._ears, ear)
        self._tell(())

        def end() -> None:
            ear.hears = False
            self._ears = tuple(other for other in self._ears if other is not ear)

        return end

    def learn(self, obj: Object) -> None:
        """Take over what an own write was answered with, before the watch tells it. A newer state wins, so does a deletion."""
        resource = resource_of(obj)
        if resource in self._followed:
            self._tell(self._followed[resource].shelf.learnt(obj))

    def _tell(self, events: Iterable[Event]) -> None:
        """Tell in order. What a listener causes is told afterwards, by the loop that runs."""
        self._untold.extend((event, self._ears) for event in events)
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._untold:
                event, ears = self._untold.popleft()
                for ear in ears:
                    if ear.hears:
                        _hear(ear.listener, event)
        finally:
            self._is_telling = False

    # --- keeping it true

    async def run(self) -> None:
        """Follow the API until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._followed.values():
                group.create_task(each.run())


def _hear(listener: Listener, event: Event) -> None:
    try:
        listener(event)
    except Exception:  # whoever listens badly harms nobody else
        log.exception(
            "a listener failed at %s %s/%s", event.type, event.resource.plural, metadata(event.obj).get("name")
        )
