"""Objects by kind and key. Memory is the truth for reads; every write is durable before anybody hears of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from netproxy.core.clock import Clock, timestamp
from netproxy.core.errors import AlreadyExistsError, ConflictError, ExpiredError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import BY_KIND, KINDS, Kind
from netproxy.objects.meta import Object, key, metadata

HISTORY = 10_000
"""Events that a watch may go back; an older version gets 410 Expired."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change: TYPE is ADDED, MODIFIED or DELETED; OBJ is the state after it (before it, when deleted)."""

    type: str
    obj: Object
    version: int
    old: Object | None = None


class Backing(Protocol):
    """Where objects outlive the process."""

    def load(self) -> Iterable[tuple[int, Object]]:
        """All rows: (resource version, object)."""
        ...

    def latest(self) -> int:
        """The highest version ever committed, deletions counted."""
        ...

    def commit(self, version: int, kind: str, name: NamespacedName, obj: Object | None) -> None:
        """Write one object (None removes it) under this version."""
        ...


Listener = Callable[[Event], None]


class Store:
    """One cluster's objects; speaks Kubernetes: resourceVersion, uid, generation, list and watch."""

    def __init__(self, clock: Clock, new_uid: Callable[[], str], backing: Backing | None = None) -> None:
        self._clock = clock
        self._new_uid = new_uid
        self._backing = backing
        self._objects: dict[str, dict[NamespacedName, Object]] = {kind.kind: {} for kind in KINDS}
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._listeners: list[Listener] = []
        self.version = 0
        self._first = 0
        if backing:
            for _, obj in backing.load():
                self._objects[obj["kind"]][key(obj)] = obj
            self.version = backing.latest()
        self._first = self.version

    # --- reading

    def get(self, kind: str, name: NamespacedName) -> Object:
        """One object. Raises NotFoundError, in the API server's words."""
        try:
            return self._objects[kind][name]
        except KeyError:
            entry = BY_KIND[kind]
            resource = f"{entry.plural}.{entry.group}" if entry.group else entry.plural
            raise NotFoundError(f'{resource} "{name.name}" not found') from None

    def find(self, kind: str, name: NamespacedName) -> Object | None:
        """One object or None."""
        return self._objects[kind].get(name)

    def list(self, kind: str, in_namespace: str = "") -> Iterator[Object]:
        """All objects of a kind, sorted by namespace and name; of one namespace when it is given."""
        objects = self._objects[kind]
        for name in sorted(objects):
            if not in_namespace or name.namespace == in_namespace:
                yield objects[name]

    def all(self, kind: str) -> Iterable[Object]:
        """All objects of a kind in no order; cheap."""
        return self._objects[kind].values()

    def count(self, kind: str) -> int:
        """How many objects of a kind there are."""
        return len(self._objects[kind])

    # --- writing

    def create(self, obj: Object) -> Object:
        """Store a new object. Raises ConflictError when the name is taken."""
        kind = BY_KIND[obj["kind"]]
        meta = dict(metadata(obj))
        if not meta.get("name"):
            meta["name"] = f"{meta.get('generateName', '')}{self._new_uid()[-5:]}"
        if kind.namespaced:
            meta.setdefault("namespace", "default")
        name = NamespacedName(meta.get("namespace", "") if kind.namespaced else "", meta["name"])
        if name in self._objects[kind.kind]:
            raise AlreadyExistsError(
                f'{kind.plural}{"." + kind.group if kind.group else ""} "{name.name}" already exists'
            )
        meta["uid"] = self._new_uid()
        meta["creationTimestamp"] = timestamp(self._clock.now())
        meta["generation"] = 1
        return self._write("ADDED", kind, name, {**obj, "metadata": meta}, None)

    def replace(self, obj: Object) -> Object:
        """Store a new state. A resourceVersion in it must be the current one, else ConflictError; none means whichever."""
        kind, name = BY_KIND[obj["kind"]], key(obj)
        old = self.get(kind.kind, name)
        meta, before = dict(metadata(obj)), metadata(old)
        given = meta.get("resourceVersion")
        if given and given != before["resourceVersion"]:
            raise ConflictError(
                f'Operation cannot be fulfilled on {kind.plural} "{name.name}": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
        for fixed in ("uid", "creationTimestamp", "generation", "deletionTimestamp"):
            if fixed in before:
                meta[fixed] = before[fixed]
        meta["resourceVersion"] = before["resourceVersion"]
        new = {**obj, "metadata": meta}
        if new == old:
            return old
        if _desired(new) != _desired(old):
            meta["generation"] = before.get("generation", 0) + 1
        return self._write("MODIFIED", kind, name, new, old)

    def mark_deleted(self, kind: str, name: NamespacedName, *, grace_s: int) -> Object:
        """Set the deletion timestamp: the object's owner will finish the deletion."""
        old = self.get(kind, name)
        if metadata(old).get("deletionTimestamp"):
            return old
        now = timestamp(self._clock.now())
        meta = {**metadata(old), "deletionTimestamp": now, "deletionGracePeriodSeconds": grace_s}
        return self._write("MODIFIED", BY_KIND[kind], name, {**old, "metadata": meta}, old)

    def delete(self, kind: str, name: NamespacedName) -> Object:
        """Take an object out; its last state is returned. Raises NotFoundError."""
        old = self.get(kind, name)
        return self._write("DELETED", BY_KIND[kind], name, old, old)

    def _write(self, change: str, kind: Kind, name: NamespacedName, obj: Object, old: Object | None) -> Object:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        if self._backing:
            self._backing.commit(self.version, kind.kind, name, None if change == "DELETED" else obj)
        if change == "DELETED":
            del self._objects[kind.kind][name]
        else:
            self._objects[kind.kind][name] = obj
        event = Event(change, obj, self.version, old)
        self._history.append(event)
        for listener in tuple(self._listeners):
            listener(event)
        return obj

    # --- watching

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call LISTENER after every write; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def since(self, version: int) -> Sequence[Event]:
        """All events after VERSION. Raises ExpiredError when they are no longer known."""
        oldest = self._history[0].version - 1 if self._history else self.version
        if version < max(oldest, self._first):
            raise ExpiredError(f"too old resource version: {version} ({self.version})")
        return [event for event in self._history if event.version > version]


def _desired(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}
