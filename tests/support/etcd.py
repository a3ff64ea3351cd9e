"""A cluster's objects as etcd has them, and an Api on them in process that misbehaves on command."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from netproxy.client.port import EVERYTHING, INITIAL, Listing, Selector, WatchEvent
from netproxy.client.shelf import picks
from netproxy.core.errors import (
    ExpiredError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource, resource_of
from netproxy.objects.meta import INITIAL_EVENTS_END

Object = dict[str, Any]


@dataclass(frozen=True)
class Change:
    version: int
    type: str
    obj: Object
    old: Object | None
    resource: Resource


class Etcd:
    """Objects with versions, as etcd has them: one counter, a history that can be compacted."""

    def __init__(self) -> None:
        self.version = 0
        self.objects: dict[tuple[Resource, NamespacedName], Object] = {}
        self.history: list[Change] = []
        self.oldest = 0
        self.uids = 0
        self.watchers: set[asyncio.Queue] = set()

    def put(self, obj: Object) -> Object:
        resource = resource_of(obj)
        at = NamespacedName(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        old = self.objects.get((resource, at))
        if old is None:
            self.uids += 1
        uid = old["metadata"]["uid"] if old else f"uid-{self.uids}"
        return self._write(
            "MODIFIED" if old else "ADDED", resource, at, {**obj, "metadata": {**obj["metadata"], "uid": uid}}, old
        )

    def remove(self, resource: Resource, at: NamespacedName) -> Object | None:
        old = self.objects.get((resource, at))
        return self._write("DELETED", resource, at, old, old) if old else None

    def _write(self, what: str, resource: Resource, at: NamespacedName, obj: Object, old: Object | None) -> Object:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        if what == "DELETED":
            del self.objects[resource, at]
        else:
            self.objects[resource, at] = obj
        change = Change(self.version, what, obj, old, resource)
        self.history.append(change)
        for queue in self.watchers:
            queue.put_nowait(change)
        return obj

    def bookmark(self) -> None:
        """Every watch tells how far it is."""
        for queue in self.watchers:
            queue.put_nowait(None)

    def compact(self) -> None:
        """Forget how it came to this."""
        self.oldest, self.history = self.version, []

    def lose_its_past(self, *, keep: int = 0) -> None:
        """Go back to an empty cluster, as after a restored backup: versions begin again."""
        self.version, self.objects, self.history, self.oldest = keep, {}, [], keep
        self.cut()

    def cut(self) -> None:
        """End every watch."""
        for queue in self.watchers:
            queue.put_nowait("end")

    def listed(self, resource: Resource, selector: Selector = EVERYTHING) -> list[Object]:
        """A fresh list, in order."""
        has = picks(selector)
        return [
            obj for (r, _), obj in sorted(self.objects.items(), key=lambda kv: kv[0][1]) if r == resource and has(obj)
        ]

    def since(self, version: int) -> list[Change]:
        if version < self.oldest:
            raise ExpiredError(f"too old resource version: {version} ({self.oldest})")
        return [change for change in self.history if change.version > version]


def seen(change: Change, resource: Resource, selector: Selector) -> WatchEvent | None:
    """What a watch with this selector tells of a change: who comes into the selection is ADDED, who leaves is DELETED."""
    if change.resource != resource:
        return None
    has = picks(selector)
    now = change.type != "DELETED" and has(change.obj)
    before = change.old is not None and has(change.old)
    if not now and not before:
        return None
    if now:
        return WatchEvent("MODIFIED" if before else "ADDED", change.obj)
    meta = {**change.old["metadata"], "resourceVersion": str(change.version)}
    return WatchEvent("DELETED", {**change.old, "metadata": meta})


def bookmark(resource: Resource, version: int, *, end: bool = False) -> WatchEvent:
    marks = {"annotations": {INITIAL_EVENTS_END: "true"}} if end else {}
    return WatchEvent("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version,
                                   "metadata": {"resourceVersion": str(version), **marks}})  # fmt: skip


async def watched(
    world: Etcd, resource: Resource, version: str, selector: Selector, *, opening: bool = True
) -> AsyncIterator[WatchEvent]:
    """What a watch tells, until it is cut. Raises ExpiredError."""
    queue: asyncio.Queue = asyncio.Queue()
    if version == INITIAL:
        after = world.version
        first = [WatchEvent("ADDED", obj) for obj in world.listed(resource, selector)]
        first.append(bookmark(resource, after, end=True))
    else:
        after = int(version)
        told = [seen(change, resource, selector) for change in world.since(after)]
        first = [event for event in told if event]
    world.watchers.add(queue)
    try:
        if opening and version != INITIAL:
            yield bookmark(resource, after)
        for event in first:
            yield event
        while (change := await queue.get()) != "end":
            if change is None:
                yield bookmark(resource, world.version)
            elif change.version > after and (event := seen(change, resource, selector)) is not None:
                yield event
    finally:
        world.watchers.discard(queue)


class EtcdApi:
    """An Api on a Etcd, in process. `faults` are what the next requests meet, one each; "" is none."""

    def __init__(self, world: Etcd) -> None:
        self.world = world
        self.faults: deque[str] = deque()
        self.asked: list[tuple[str, Resource, str]] = []

    def _meet(self, verb: str, resource: Resource, version: str = "") -> str:
        self.asked.append((verb, resource, version))
        fault = self.faults.popleft() if self.faults else ""
        if fault == "unavailable":
            raise UnavailableError(503, "", "somebody cut the cable")
        if fault == "busy":
            raise UnavailableError(429, "TooManyRequests", "too busy", retry_after_s=7.0)
        if fault == "expired":
            raise ExpiredError("too old resource version")
        if fault == "bug":
            raise KeyError("layout")
        return fault

    async def get(self, resource: Resource, at: NamespacedName) -> Object:
        self._meet("get", resource)
        try:
            return self.world.objects[resource, at]
        except KeyError:
            raise NotFoundError(f'{resource.group_resource} "{at.name}" not found') from None

    async def list(self, resource: Resource, selector: Selector = EVERYTHING) -> Listing:
        self._meet("list", resource)
        answer = Listing(tuple(self.world.listed(resource, selector)), str(self.world.version))
        await asyncio.sleep(0)  # the answer is on its way: what happens now is not in it
        return answer

    async def watch(
        self, resource: Resource, version: str, selector: Selector = EVERYTHING
    ) -> AsyncIterator[WatchEvent]:
        fault = self._meet("watch", resource, version)
        if version == INITIAL and fault == "no initial events":
            raise UnsupportedError("initial events")
        left = {"cut at once": 0, "cut after one": 1, "cut after three": 3}.get(fault, 1 << 30)
        if not left:
            return
        async for event in watched(self.world, resource, version, selector):
            left -= 1
            yield event
            if not left:
                return
            if fault == "twice":
                yield event
            if fault == "error event" and not left % 2:
                raise UnavailableError(500, "InternalError", "etcd has no leader")

    async def create(self, obj: Object) -> Object:
        return self.world.put(obj)
