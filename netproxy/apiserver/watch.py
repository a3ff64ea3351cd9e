"""A watch as frames: what is there at first, what happens, where it has come to. Pure: a stream only carries them.

Source: kubernetes apiserver pkg/storage/cacher (selector transitions, bookmarks, initial events).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from netproxy.apiserver.request import Watch
from netproxy.apiserver.status import status_of
from netproxy.apiserver.tables import table
from netproxy.core.clock import Clock
from netproxy.core.errors import ExpiredError
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import INITIAL_EVENTS_END, Object, labels, namespace
from netproxy.objects.selector import field_filter, matches, parse_selector
from netproxy.registry.convert import in_version
from netproxy.store.store import Event, Store

Frame = bytes
"""One line of the answer: {"type": …, "object": …}."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Says what a watch is told."""

    watch: Watch
    picks: Callable[[Object], bool]
    """Whether the selectors pick an object (in the version of the watch)."""
    clock: Clock

    def first(self, store: Store) -> Iterator[Frame]:
        """What comes before anything happens: what is there, or what the watch has missed since its version.

        The objects are taken now, the frames are made one by one. Raises ExpiredError for a version that is too old.
        """
        watch, version = self.watch, store.version
        if watch.initial:
            there = [obj for obj in store.list(watch.resource, watch.namespace) if self.picks(self._shown(obj))]
            return self._initial(there, version)
        if not watch.version:
            return iter(())
        return filter(None, map(self.told, store.since(watch.version)))

    def _initial(self, there: list[Object], version: int) -> Iterator[Frame]:
        for obj in there:
            yield self._frame("ADDED", self._shown(obj))
        if self.watch.marks_initial:
            yield self.bookmark(version, {INITIAL_EVENTS_END: "true"})

    def told(self, event: Event) -> Frame | None:
        """What an event is for this watch; None when it is nothing to it.

        An object that a change brings into the selection is added to it; one that leaves it is deleted from it.
        """
        if event.resource.stored != self.watch.resource.stored or not self._is_here(event.obj):
            return None
        seen = transition(event, self.watch.resource, self.picks)
        return self._frame(*seen) if seen else None

    def bookmark(self, version: int, annotations: Mapping[str, str] | None = None) -> Frame:
        """Where the watch has come to, though nothing happened."""
        meta: dict[str, Any] = {
            "resourceVersion": str(version),
            **({"annotations": annotations} if annotations else {}),
        }
        resource = self.watch.resource
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _is_here(self, obj: Object) -> bool:
        return not self.watch.namespace or namespace(obj) == self.watch.namespace

    def _shown(self, obj: Object) -> Object:
        return in_version(obj, self.watch.resource)

    def _frame(self, kind: str, obj: Object) -> Frame:
        version = int(obj["metadata"]["resourceVersion"])
        resource = self.watch.resource
        shown = table(resource.kind, [obj], self.clock.now(), version) if self.watch.table else obj
        return orjson.dumps({"type": kind, "object": shown}) + b"\n"


def transition(event: Event, resource: Resource, picks: Callable[[Object], bool]) -> tuple[str, Object] | None:
    """What an event is to who watches what PICKS picks: its type and object; None when it is nothing to them.

    An object that a change brings into the selection is ADDED; one that leaves it is DELETED, in its last state there.
    """
    now = in_version(event.obj, resource)
    before = in_version(event.old, resource) if event.old is not None else None
    is_in = event.type != "DELETED" and picks(now)
    was_in = before is not None and picks(before)
    if is_in:
        return ("MODIFIED" if was_in else "ADDED"), now
    if before is None or not was_in:
        return None
    return "DELETED", {**before, "metadata": {**before["metadata"], "resourceVersion": str(event.version)}}


def teller(watch: Watch, clock: Clock) -> Teller:
    """Raises ManifestError when a selector cannot be read."""
    terms, by_field = parse_selector(watch.label_selector), field_filter(watch.field_selector)
    return Teller(watch, lambda obj: matches(terms, labels(obj)) and by_field(obj), clock)


def failed(error: Exception) -> Frame:
    """The last frame of a watch that cannot go on."""
    return orjson.dumps({"type": "ERROR", "object": orjson.loads(status_of(error).body)}) + b"\n"


def fell_behind(version: int) -> ExpiredError:
    """Why a watcher that does not read is told no more."""
    return ExpiredError(f"too old resource version: the watch did not keep up and was ended at {version}")
