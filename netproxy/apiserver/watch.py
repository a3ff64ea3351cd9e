"""A watch as frames: what is there at first, what happens, where it has come to. Pure: a stream only carries them.

Source: kubernetes apiserver pkg/storage/cacher (selector transitions, bookmarks, initial events),
pkg/endpoints/handlers/watch.go, response.go (tables).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import orjson

from netproxy.apiserver.answer import shaped
from netproxy.apiserver.negotiate import PLAIN, Form
from netproxy.apiserver.page import check_there
from netproxy.apiserver.status import status_of
from netproxy.core.clock import Clock
from netproxy.core.errors import ExpiredError
from netproxy.objects.canonical import canonical
from netproxy.objects.kinds import DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, Resource, stored_resource
from netproxy.objects.meta import INITIAL_EVENTS_END, Object, namespace
from netproxy.registry.convert import in_version
from netproxy.store.store import Event, Store

Frame = bytes
"""One line of the answer: {"type": …, "object": …}."""

_SCALED = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
"""Resources whose bookmarks say that no replicas are wanted of nothing, which no object leaves out."""

Picks = Callable[[Object], bool]


@dataclass(frozen=True, slots=True)
class Watch:
    """An answer that goes on: events of RESOURCE after VERSION that fit, as a stream of frames."""

    resource: Resource
    version: int = 0
    namespace: str = ""
    picks: Picks | None = None
    """Whether the selectors pick an object, as it is kept; None when they pick all."""
    form: Form = PLAIN
    initial: bool = False
    """Begin with what is there, not with what happened since VERSION."""
    bookmarks: bool = False
    marks_initial: bool = False
    """A bookmark tells the end of what was there."""
    timeout_s: float | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Told:
    """Frames that have been made, for all who are told the same."""

    def __init__(self, most_bytes: int = 8 << 20) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._frames: dict[tuple[object, ...], Frame] = {}
        self._kinds: dict[tuple[Resource, Form], int] = {}

    def kind(self, resource: Resource, form: Form) -> int:
        """A number for what is shown in one way."""
        return self._kinds.setdefault((resource, form), len(self._kinds))

    def frame(self, key: tuple[object, ...]) -> Frame | None:
        """The frame of this key; None when it is not known (any more)."""
        return self._frames.get(key)

    def keep(self, key: tuple[object, ...], frame: Frame) -> Frame:
        """Know a frame for a while."""
        self._frames[key] = frame
        self._bytes += len(frame)
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._frames.pop(next(iter(self._frames))))
        return frame


class Teller:
    """Says what a watch is told."""

    def __init__(self, watch: Watch, clock: Clock, told: Told) -> None:
        self._watch = watch
        self._clock = clock
        self._told = told
        self._form = watch.form
        """A table's columns are told once."""
        self._is_mute = watch.form.shape == "PartialObjectMetadataList"
        """No event has this form: the real server has nothing to tell, either."""
        self._has_columns = watch.form.is_table
        self._kind = told.kind(watch.resource, watch.form)

    @property
    def watch(self) -> Watch:
        """Whose it is."""
        return self._watch

    def first(self, store: Store) -> Iterator[Frame]:
        """What comes before anything happens: what is there, or what the watch has missed since its version.

        The objects are taken now, the frames are made one by one. Raises ExpiredError for a version that is too old,
        ApiError (504) for what is there at one that is still to come.
        """
        watch, version = self._watch, store.version
        if watch.initial:
            check_there(watch.version, store)
            there = [
                obj for obj in store.list(watch.resource, watch.namespace) if watch.picks is None or watch.picks(obj)
            ]
            return self._initial(there, version)
        if not 0 < watch.version < version:
            return iter(())
        return filter(None, map(self.told, store.since(watch.version)))

    def _initial(self, there: list[Object], version: int) -> Iterator[Frame]:
        for obj in () if self._is_mute else there:
            yield self._frame("ADDED", obj, int(obj["metadata"]["resourceVersion"]))
        if self._watch.marks_initial:
            yield self.bookmark(version, ends_initial=True)

    def told(self, event: Event) -> Frame | None:
        """What an event is for this watch; None when it is nothing to it.

        An object that a change brings into the selection is added to it; one that leaves it is deleted from it.
        """
        watch = self._watch
        if self._is_mute or event.version <= watch.version or event.resource.stored != watch.resource.stored:
            return None
        if watch.namespace and namespace(event.obj) != watch.namespace:
            return None
        seen = transition(event, watch.picks)
        return self._frame(*seen, event.version) if seen else None

    def bookmark(self, version: int, *, ends_initial: bool = False) -> Frame:
        """Where the watch has come to, though nothing happened."""
        if self._is_mute:
            return b""
        resource = self._watch.resource
        meta: Object = {"resourceVersion": str(version)}
        if ends_initial:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        made_as = stored_resource(resource) if self._form.is_table else resource
        nothing = canonical({"kind": resource.kind, "apiVersion": made_as.api_version, "metadata": meta})
        if resource in _SCALED:
            nothing = {**nothing, "spec": {**nothing["spec"], "replicas": 0, "selector": None}}
        form = replace(self._form, include="Metadata") if self._form.include == "None" else self._form
        self._leave_columns()
        return _line("BOOKMARK", shaped(form, resource, nothing, self._clock.now()))

    def _frame(self, kind: str, obj: Object, version: int) -> Frame:
        key = (version, kind, self._kind)
        found = self._told.frame(key)
        if found is None:
            shown = shaped(self._form, self._watch.resource, obj, self._clock.now())
            found = self._told.keep(key, _line(kind, shown))
        if self._has_columns:
            self._leave_columns()
        return found

    def _leave_columns(self) -> None:
        """From now on, a table has none."""
        if self._has_columns:
            self._has_columns = False
            self._form = replace(self._form, headers=False)
            self._kind = self._told.kind(self._watch.resource, self._form)


def _line(kind: str, obj: Object) -> Frame:
    return orjson.dumps({"type": kind, "object": obj}, option=orjson.OPT_APPEND_NEWLINE)


def transition(event: Event, picks: Picks | None) -> tuple[str, Object] | None:
    """What an event is to who watches what PICKS picks: its type and object as it is kept; None when it is nothing to them.

    An object that a change brings into the selection is ADDED; one that leaves it is DELETED, in its last state there.
    """
    if picks is None:
        return event.type, event.obj
    is_in = event.type != "DELETED" and picks(event.obj)
    was_in = event.old is not None and picks(event.old)
    if is_in:
        return ("MODIFIED" if was_in else "ADDED"), event.obj
    if event.old is None or not was_in:
        return None
    return "DELETED", {**event.old, "metadata": {**event.old["metadata"], "resourceVersion": str(event.version)}}


def transition_in(event: Event, resource: Resource, picks: Picks) -> tuple[str, Object] | None:
    """`transition` for who sees objects in another version, and picks them in that."""
    seen = transition(event, lambda obj: picks(in_version(obj, resource)))
    return (seen[0], in_version(seen[1], resource)) if seen else None


def failed(error: Exception) -> Frame:
    """The last frame of a watch that cannot go on."""
    return _line("ERROR", orjson.loads(status_of(error).body))


def fell_behind(version: int) -> ExpiredError:
    """Why a watcher that does not read is told no more."""
    return ExpiredError(f"too old resource version: the watch did not keep up and was ended at {version}")
