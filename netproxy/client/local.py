"""An API in this process: the registry's objects, without HTTP and without copies of them.

It lives in the thread of its store, which is the event loop's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from netproxy.apiserver.watch import transition_in
from netproxy.client.port import EVERYTHING, INITIAL, Listing, Selector, WatchEvent
from netproxy.client.shelf import picks
from netproxy.core.errors import ManifestError, Problem
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource, stored_resource
from netproxy.objects.meta import INITIAL_EVENTS_END, Object
from netproxy.registry.convert import in_version
from netproxy.registry.deletion import Options
from netproxy.registry.options import WriteOptions
from netproxy.registry.registry import Registry
from netproxy.store.store import Event


class LocalApi:
    """The `Api` of a registry."""

    def __init__(self, registry: Registry, manager: str = "netproxy") -> None:
        """MANAGER is who manages the fields that are written by this client."""
        self._registry = registry
        self._options = WriteOptions(manager=manager, field_validation="Ignore")
        self._store = registry.store

    # --- reading

    async def get(self, resource: Resource, at: NamespacedName) -> Object:
        """One object. Raises NotFoundError."""
        return in_version(self._store.get(resource, at), resource)

    async def list(self, resource: Resource, selector: Selector = EVERYTHING) -> Listing:
        """Everything that the selector picks."""
        picked, found = picks(selector), self._store.list(resource, selector.namespace)
        return Listing(tuple(in_version(obj, resource) for obj in found if picked(obj)), str(self._store.version))

    async def watch(
        self, resource: Resource, version: str, selector: Selector = EVERYTHING
    ) -> AsyncIterator[WatchEvent]:
        """What happens after VERSION, until it is closed. Raises ExpiredError, ManifestError."""
        shown = _shown(resource, selector)
        waiting: deque[Event] = deque()
        woken = asyncio.Event()

        def hear(event: Event) -> None:
            if event.resource.stored == resource.stored:
                waiting.append(event)
                woken.set()

        begun = self._store.version
        past = () if version == INITIAL else self._store.since(_number(version))
        initial = (await self.list(resource, selector)).items if version == INITIAL else ()
        end = self._store.subscribe(hear)
        try:
            for obj in initial:
                yield WatchEvent("ADDED", obj)
            yield WatchEvent("BOOKMARK", _bookmark(resource, version or str(begun), end=version == INITIAL))
            for event in past:
                if event.resource.stored == resource.stored and (told := shown(event)):
                    yield told
            while True:
                while waiting:
                    event = waiting.popleft()
                    if event.version > begun and (told := shown(event)):
                        yield told
                woken.clear()
                await woken.wait()
        finally:
            end()

    # --- writing

    async def create(self, obj: Object) -> Object:
        """Store a new object. Raises AlreadyExistsError, ManifestError."""
        return self._registry.create(obj, self._options)

    async def replace(self, obj: Object) -> Object:
        """Put OBJ in the place of the stored one; its status stays. Raises ConflictError, NotFoundError, ManifestError."""
        return self._registry.replace(obj, self._options)

    async def replace_status(self, obj: Object) -> Object:
        """Put OBJ's status in the place of the stored one."""
        return self._registry.replace_status(obj, self._options)

    async def bind(self, pod: NamespacedName, node: str) -> None:
        """Let a Pod run on a node. Raises ConflictError."""
        self._registry.bind(pod, node, self._options)

    async def finalize(self, obj: Object) -> Object:
        """Put a Namespace's finalizers in the place of the stored ones."""
        return self._registry.finalize(obj, self._options)

    async def patch(
        self, resource: Resource, at: NamespacedName, body: Any, content_type: str, subresource: str = ""
    ) -> Object:
        """Change one object by a patch."""
        return self._registry.patch(resource, at, body, content_type, self._options, subresource=subresource)

    async def delete(
        self, resource: Resource, at: NamespacedName, *, grace_s: int | None = None, propagation: str | None = None,
        uid: str | None = None,
    ) -> None:  # fmt: skip
        """Ask for the object's end."""
        self._registry.delete(resource, at, Options(grace_s, propagation, uid), self._options)


def _shown(resource: Resource, selector: Selector) -> Callable[[Event], WatchEvent | None]:
    """What a watcher hears of an event."""
    picked = picks(selector)

    def shown(event: Event) -> WatchEvent | None:
        seen = transition_in(event, resource, picked)
        return WatchEvent(*seen) if seen else None

    return shown


def _number(version: str) -> int:
    if not (version.isascii() and version.isdigit()):
        raise ManifestError([Problem("resourceVersion", f'Invalid value: "{version}": must be a number')])
    return int(version)


def _bookmark(resource: Resource, version: str, *, end: bool) -> Object:
    """How far the watch is; END: all that was there first has been told."""
    kept = stored_resource(resource)
    marks = {"annotations": {INITIAL_EVENTS_END: "true"}} if end else {}
    return {"apiVersion": kept.api_version, "kind": kept.kind, "metadata": {"resourceVersion": version, **marks}}
