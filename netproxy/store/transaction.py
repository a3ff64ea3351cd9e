"""Writes that belong together: collected here, read back through here, committed by the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from netproxy.core.clock import Clock, timestamp
from netproxy.core.errors import AlreadyExistsError, ConflictError, NotFoundError
from netproxy.core.names import NamespacedName, quoted
from netproxy.objects.kinds import Resource, resource_of
from netproxy.objects.meta import Object, key, metadata
from netproxy.store.order import place
from netproxy.store.shared import Shared

FIXED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
"""Metadata that is the store's: what a writer says about it does not count."""


class Committed(Protocol):
    """What a transaction reads beneath its own writes."""

    version: int

    def find(self, resource: Resource, name: NamespacedName) -> Object | None: ...
    def list(self, resource: Resource, in_namespace: str = "") -> Sequence[Object]: ...
    def all(self, resource: Resource) -> Iterable[Object]: ...


class Index(Protocol):
    """Something that is worked out from the objects of one resource and follows every write, those taken back too."""

    def changed(self, before: Object | None, after: Object | None) -> None:
        """An object is now AFTER; it was BEFORE. None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a transaction: TYPE is ADDED, MODIFIED or DELETED; OBJ is the state after it (before, when deleted)."""

    type: str
    resource: Resource
    name: NamespacedName
    obj: Object
    version: int
    old: Object | None

    @property
    def after(self) -> Object | None:
        """The object that is there from now on, if any."""
        return None if self.type == "DELETED" else self.obj


class Transaction:
    """Writes so far, and the objects as they are with them."""

    def __init__(
        self, committed: Committed, clock: Clock, new_uid: Callable[[], str], indexes: Mapping[str, Iterable[Index]],
        shared: Shared,
    ) -> None:  # fmt: skip
        self._committed = committed
        self._clock = clock
        self._new_uid = new_uid
        self._indexes = indexes
        self._shared = shared
        self._now: dict[str, dict[NamespacedName, Object | None]] = {}
        self.writes: list[Write] = []

    # --- reading, own writes included

    def find(self, resource: Resource, name: NamespacedName) -> Object | None:
        """One object or None."""
        own = self._now.get(resource.stored)
        if own is not None and name in own:
            return own[name]
        return self._committed.find(resource, name)

    def get(self, resource: Resource, name: NamespacedName) -> Object:
        """One object. Raises NotFoundError."""
        found = self.find(resource, name)
        if found is None:
            raise missing(resource, name.name)
        return found

    def list(self, resource: Resource, in_namespace: str = "") -> Sequence[Object]:
        """All objects of a resource, in the order of lists; of one namespace when it is given."""
        if not self._now.get(resource.stored):
            return self._committed.list(resource, in_namespace)
        found = [obj for obj in self.all(resource) if not in_namespace or key(obj).namespace == in_namespace]
        return sorted(found, key=lambda obj: place(key(obj)))

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource in no order."""
        own = self._now.get(resource.stored)
        if not own:
            return self._committed.all(resource)
        kept = [obj for obj in self._committed.all(resource) if key(obj) not in own]
        return [*kept, *(obj for obj in own.values() if obj is not None)]

    # --- writing

    def create(self, obj: Object, resource: Resource | None = None) -> Object:
        """Add an object; the result has a uid (that which it brings, if any), times and version.

        RESOURCE is what it is of, if that is not always there. Raises AlreadyExistsError when the name is taken.
        """
        resource = resource or _resource(obj)
        meta = dict(metadata(obj))
        for fixed in ("deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"):
            meta.pop(fixed, None)
        if not meta.get("name"):
            meta["name"] = f"{meta.get('generateName', '')}{self._new_uid()[-5:]}"
        if resource.namespaced:
            meta.setdefault("namespace", "default")
        name = NamespacedName(meta.get("namespace", "") if resource.namespaced else "", meta["name"])
        if self.find(resource, name) is not None:
            raise AlreadyExistsError(f'{resource.group_resource} "{name.name}" already exists')
        meta["uid"] = meta.get("uid") or self._new_uid()
        meta["creationTimestamp"] = timestamp(self._clock.now())
        return self._write("ADDED", resource, name, {**obj, "metadata": meta}, None)

    def replace(self, obj: Object, resource: Resource | None = None) -> Object:
        """Put a new state in an object's place. RESOURCE is what it is of, if that is not always there.

        A resourceVersion in it must be the current one, else ConflictError; none means whichever. A uid, too. Raises
        NotFoundError.
        """
        resource, name = resource or _resource(obj), key(obj)
        old = self.get(resource, name)
        self.check(obj, old, resource)
        meta, before = dict(metadata(obj)), metadata(old)
        for fixed in FIXED:
            meta.pop(fixed, None)
            if fixed in before:
                meta[fixed] = before[fixed]
        meta["resourceVersion"] = before["resourceVersion"]
        new = {**obj, "metadata": meta}
        if new == old:
            return old
        return self._write("MODIFIED", resource, name, new, old)

    def check(self, obj: Object, old: Object, resource: Resource) -> None:
        """Raise ConflictError when OBJ was made from another state than OLD, or from another object of its name."""
        version, uid = metadata(obj).get("resourceVersion"), metadata(obj).get("uid")
        before = metadata(old)
        what = f'Operation cannot be fulfilled on {resource.group_resource} "{before["name"]}"'
        if uid and uid != before.get("uid"):
            raise ConflictError(
                f"{what}: Precondition failed: UID in precondition: {uid}, UID in object meta: {before.get('uid')}"
            )
        if version and version not in ("0", before["resourceVersion"]):
            raise ConflictError(
                f"{what}: the object has been modified; please apply your changes to the latest version and try again"
            )

    def mark_deleted(
        self, resource: Resource, name: NamespacedName, *, at: str, grace_s: int | None, changes: Mapping[str, Any],
        counts: bool = True,
    ) -> Object:  # fmt: skip
        """Set or move the deletion timestamp: from then on, whoever has to finish the deletion does.

        CHANGES are made to the object with it (its finalizers, its phase); its generation, if it has one, grows at the first
        time when it COUNTS.
        """
        old = self.get(resource, name)
        new = {**old, **changes}
        meta = {**metadata(new), "deletionTimestamp": at}
        if grace_s is not None:
            meta["deletionGracePeriodSeconds"] = grace_s
        if counts and metadata(old).get("generation") and not metadata(old).get("deletionTimestamp"):
            meta["generation"] = metadata(old)["generation"] + 1
        new = {**new, "metadata": meta}
        return old if new == old else self._write("MODIFIED", resource, name, new, old)

    def remove(self, resource: Resource, name: NamespacedName) -> Object:
        """Take an object out; its last state is returned, with the version of its end. Raises NotFoundError."""
        old = self.get(resource, name)
        return self._write("DELETED", resource, name, old, old)

    def _write(self, change: str, resource: Resource, name: NamespacedName, obj: Object, old: Object | None) -> Object:
        version = self._committed.version + len(self.writes) + 1
        meta = {**obj["metadata"], "resourceVersion": str(version)}
        entries = meta.get("managedFields")
        if entries and not (old is not None and entries is old["metadata"].get("managedFields")):
            meta["managedFields"] = self._shared.entries(entries)
        obj = {**obj, "metadata": meta}
        self._note(Write(change, resource, name, obj, version, old))
        return obj

    def _note(self, write: Write) -> None:
        self.writes.append(write)
        self._now.setdefault(write.resource.stored, {})[write.name] = write.after
        for index in self._indexes.get(write.resource.stored, ()):
            index.changed(write.old, write.after)

    @contextmanager
    def part(self, *, dry_run: bool = False) -> Iterator[None]:
        """Writes from here on are taken back when the body raises, or when it was a dry run."""
        begun = len(self.writes)
        kept = False
        try:
            yield
            kept = not dry_run
        finally:
            if not kept:
                self.take_back(begun)

    def take_back(self, begun: int = 0) -> None:
        """Undo the writes from the one with the number BEGUN on, the latest first."""
        for write in reversed(self.writes[begun:]):
            self._now[write.resource.stored][write.name] = write.old
            for index in self._indexes.get(write.resource.stored, ()):
                index.changed(write.after, write.old)
        del self.writes[begun:]


def missing(resource: Resource, called: str) -> NotFoundError:
    """There is no such object, in the API server's words."""
    return NotFoundError(f"{resource.group_resource} {quoted(called)} not found").with_details(
        **resource.details(called)
    )


def _resource(obj: Object) -> Resource:
    resource = resource_of(obj)
    if resource is None:
        raise NotFoundError(f"no resource of kind {obj.get('apiVersion')}, {obj.get('kind')} is served")
    return resource
