"""Objects by resource and key. Memory is the truth for reads; a write is durable before anybody hears of it.

A write is a Transaction: it is committed, then logged, then told, in order of versions, by one dispatcher. All of it
happens in one thread.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

from netproxy.core.clock import Clock
from netproxy.core.errors import ExpiredError
from netproxy.core.names import NamespacedName
from netproxy.objects.custom.definition import group_kind, places
from netproxy.objects.kinds import CUSTOM_RESOURCE_DEFINITIONS, RESOURCES, Resource, resource_of, stored_resource
from netproxy.objects.meta import Object, key
from netproxy.store.order import Placed, place, span
from netproxy.store.shared import Shared
from netproxy.store.transaction import Index, Transaction, Write, missing

log = logging.getLogger(__name__)

HISTORY = 4_096
"""Events that a watch may go back; an older version gets 410 Expired."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change: TYPE is ADDED, MODIFIED or DELETED; OBJ is the state after it (before it, when deleted)."""

    type: str
    obj: Object
    version: int
    resource: Resource
    """In whose group and version the object is kept."""
    old: Object | None = None


class Backing(Protocol):
    """Where objects outlive the process."""

    def load(self) -> Iterable[Object]:
        """All objects."""
        ...

    def latest(self) -> int:
        """The highest version ever committed, deletions counted."""
        ...

    def commit(self, writes: Sequence[Write]) -> None:
        """Make all writes durable, or none. Raises StorageError."""
        ...


Listener = Callable[[Event], None]


class Store:
    """One cluster's objects; speaks Kubernetes: resourceVersion, uid, generation, list and watch."""

    def __init__(
        self, clock: Clock, new_uid: Callable[[], str], backing: Backing | None = None, *, begins: int = 0
    ) -> None:  # fmt: skip
        """BEGINS is the version of an empty store; what is below it is too old for every watch."""
        self.clock = clock
        self.new_uid = new_uid
        self._backing = backing
        self._objects: defaultdict[str, dict[NamespacedName, Object]] = defaultdict(dict)
        self._objects.update({resource.stored: {} for resource in RESOURCES})
        self._sorted: dict[str, list[Placed]] = {}
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._indexes: dict[str, list[Index]] = {}
        self._listeners: list[Listener] = []
        self._untold: deque[Event] = deque()
        self._latest: dict[str, int] = {}
        self._is_telling = False
        self._open: Transaction | None = None
        self._shared = Shared()
        self.version = begins
        if backing:
            self._take(list(backing.load()))
            self.version = backing.latest() or begins
        self._first = self.version

    def _take(self, loaded: Sequence[Object]) -> None:
        """Begin with objects that were kept, custom ones, too."""
        customs = places(obj for obj in loaded if resource_of(obj) is CUSTOM_RESOURCE_DEFINITIONS)
        for obj in loaded:
            resource = resource_of(obj)
            stored = resource.stored if resource is not None else customs.get(group_kind(obj))
            if stored is None:
                log.warning("a stored object of kind %s, %s is not served: left out", obj["apiVersion"], obj["kind"])
                continue
            if obj["metadata"].get("managedFields"):
                obj["metadata"]["managedFields"] = self._shared.entries(obj["metadata"]["managedFields"])
            self._objects[stored][key(obj)] = obj

    # --- reading

    def get(self, resource: Resource, name: NamespacedName) -> Object:
        """One object. Raises NotFoundError, in the API server's words."""
        found = self.find(resource, name)
        if found is None:
            raise missing(resource, name.name)
        return found

    def find(self, resource: Resource, name: NamespacedName) -> Object | None:
        """One object or None."""
        return self._objects[resource.stored].get(name)

    def list(self, resource: Resource, in_namespace: str = "", *, start: str = "") -> Sequence[Object]:
        """All objects of a resource, in the order of lists (`order.place`); of one namespace when it is given.

        START is the first place that may be in it; inside a namespace, the first name.
        """
        objects, placed = self._objects[resource.stored], self._order(resource)
        first, last = span(placed, in_namespace, start)
        return [objects[name] for _, name in placed[first:last]]

    def list_at(
        self, resource: Resource, version: int, in_namespace: str = "", *, start: str = ""
    ) -> Sequence[Object]:  # fmt: skip
        """What `list` gave at an earlier version. Raises ExpiredError when that is no longer known."""
        self._check_known(version)
        before: dict[NamespacedName, Object | None] = {}
        for event in takewhile(lambda event: event.version > version, reversed(self._history)):
            if event.resource.stored == resource.stored:
                before[key(event.obj)] = event.old
        now = self.list(resource, in_namespace, start=start)
        if not before:
            return now
        there = {key(obj): obj for obj in now if key(obj) not in before}
        there |= {name: obj for name, obj in before.items() if obj is not None}
        placed = sorted((place(name), name) for name in there)
        first, last = span(placed, in_namespace, start)
        return [there[name] for _, name in placed[first:last]]

    def _order(self, resource: Resource) -> Sequence[Placed]:
        placed = self._sorted.get(resource.stored)
        if placed is None:
            placed = self._sorted[resource.stored] = sorted((place(n), n) for n in self._objects[resource.stored])
        return placed

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource in no order; cheap."""
        return self._objects[resource.stored].values()

    def latest(self, resource: Resource) -> int:
        """The version of the last write of this resource in this process; 0 when there was none."""
        return self._latest.get(resource.stored, 0)

    def count(self, resource: Resource) -> int:
        """How many objects of a resource there are."""
        return len(self._objects[resource.stored])

    def counts(self) -> Mapping[str, int]:
        """How many objects of every resource there are, by the key under which it is kept."""
        return {stored: len(objects) for stored, objects in self._objects.items()}

    # --- writing

    @contextmanager
    def transaction(self, *, dry_run: bool = False) -> Iterator[Transaction]:
        """Collect writes; they are committed together when the body ends, and none of them when it raises.

        Inside another transaction it is a part of that one: when its body raises, its own writes are taken back. A dry run
        is never committed. Raises StorageError when the writes cannot be made durable: then nothing has changed.
        """
        if self._open is not None:
            with self._open.part(dry_run=dry_run):
                yield self._open
            return
        self._open = change = Transaction(self, self.clock, self.new_uid, self._indexes, self._shared)
        kept = False
        try:
            try:
                yield change
            finally:
                self._open = None
            if not dry_run:
                self._make_durable(change.writes)
                kept = True
        finally:
            if not kept:
                change.take_back()
        self._publish(change.writes)

    def index(self, resource: Resource, index: Index) -> None:
        """Keep INDEX true: it is told of every object that is there, and then of every write of the open transaction."""
        for obj in self.all(resource):
            index.changed(None, obj)
        self._indexes.setdefault(resource.stored, []).append(index)

    def _make_durable(self, writes: Sequence[Write]) -> None:
        if writes and self._backing:
            self._backing.commit(writes)

    def _publish(self, writes: Sequence[Write]) -> None:
        """What is durable is served from now on, and told."""
        if not writes:
            return
        for write in writes:
            objects = self._objects[write.resource.stored]
            if write.type == "DELETED":
                del objects[write.name]
            else:
                objects[write.name] = write.obj
            self._place(write)
            event = Event(write.type, write.obj, write.version, stored_resource(write.resource), write.old)
            self._history.append(event)
            self._latest[write.resource.stored] = write.version
            self._untold.append(event)
        self.version = writes[-1].version
        self._tell()

    def _place(self, write: Write) -> None:
        """Keep the order true, once somebody has asked for it."""
        placed = self._sorted.get(write.resource.stored)
        if placed is None or write.type == "MODIFIED":
            return
        entry = (place(write.name), write.name)
        if write.type == "ADDED":
            insort(placed, entry)
        else:
            del placed[bisect_left(placed, entry)]

    def _tell(self) -> None:
        """Tell every listener of every event, in order. A listener that writes is heard later, by the loop that runs."""
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._untold:
                event = self._untold.popleft()
                for listener in tuple(self._listeners):
                    try:
                        listener(event)
                    except Exception:  # whoever listens badly harms nobody else
                        log.exception("a listener failed at version %d (%s)", event.version, event.resource.plural)
        finally:
            self._is_telling = False

    # --- watching

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call LISTENER after every write that is committed from now on; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def since(self, version: int) -> Sequence[Event]:
        """All events after VERSION. Raises ExpiredError when they are no longer known, or VERSION is not of this store."""
        if version > self.version:
            raise ExpiredError(f"too large resource version: {version}, current: {self.version}")
        self._check_known(version)
        newer = list(takewhile(lambda event: event.version > version, reversed(self._history)))
        return newer[::-1]

    def _check_known(self, version: int) -> None:
        oldest = max(self._history[0].version - 1 if self._history else self.version, self._first)
        if version < oldest:
            raise ExpiredError(f"too old resource version: {version} ({oldest})")
