"""Writes that belong together: collected here, read back through here, committed by the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from netproxy.core.clock import Clock, timestamp
from netproxy.core.errors import AlreadyExistsError, ConflictError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource, resource_of
from netproxy.objects.meta import Object, key, metadata

FIXED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
"""Metadata that is the store's: what a writer says about it does not count."""


class Committed(Protocol):
    """What a transaction reads beneath its own writes."""

    version: int

    def find(self, resource: Resource, name: NamespacedName) -> Object | None: ...
    def list(self, resource: Resource, in_namespace: str = "") -> Iterator[Object]: ...
    def all(self, resource: Resource) -> Iterable[Object]: ...


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a transaction: TYPE is ADDED, MODIFIED or DELETED; OBJ is the state after it (before, when deleted)."""

    type: str
    resource: Resource
    name: NamespacedName
    obj: Object
    version: int
    old: Object | None


class Transaction:
    """Writes so far, and the objects as they are with them."""

    def __init__(self, committed: Committed, clock: Clock, new_uid: Callable[[], str]) -> None:
        self._committed = committed
        self._clock = clock
        self._new_uid = new_uid
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
            raise NotFoundError(f'{resource.group_resource} "{name.name}" not found')
        return found

    def list(self, resource: Resource, in_namespace: str = "") -> Iterator[Object]:
        """All objects of a resource, sorted by namespace and name; of one namespace when it is given."""
        if not self._now.get(resource.stored):
            return self._committed.list(resource, in_namespace)
        found = [obj for obj in self.all(resource) if not in_namespace or key(obj).namespace == in_namespace]
        return iter(sorted(found, key=key))

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource in no order."""
        own = self._now.get(resource.stored)
        if not own:
            return self._committed.all(resource)
        kept = [obj for obj in self._committed.all(resource) if key(obj) not in own]
        return [*kept, *(obj for obj in own.values() if obj is not None)]

    # --- writing

    def create(self, obj: Object) -> Object:
        """Add an object; the result has uid, times and version. Raises AlreadyExistsError when the name is taken."""
        resource = _resource(obj)
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
        meta["uid"] = self._new_uid()
        meta["creationTimestamp"] = timestamp(self._clock.now())
        meta["generation"] = 1
        return self._write("ADDED", resource, name, {**obj, "metadata": meta}, None)

    def replace(self, obj: Object) -> Object:
        """Put a new state in an object's place.

        A resourceVersion in it must be the current one, else ConflictError; none means whichever. A uid, too. Raises
        NotFoundError.
        """
        resource, name = _resource(obj), key(obj)
        old = self.get(resource, name)
        meta, before = dict(metadata(obj)), metadata(old)
        _check_precondition(resource, name, meta, before)
        for fixed in FIXED:
            meta.pop(fixed, None)
            if fixed in before:
                meta[fixed] = before[fixed]
        meta["resourceVersion"] = before["resourceVersion"]
        new = {**obj, "metadata": meta}
        if new == old:
            return old
        if _desired(new) != _desired(old):
            meta["generation"] = before.get("generation", 0) + 1
        return self._write("MODIFIED", resource, name, new, old)

    def mark_deleted(
        self, resource: Resource, name: NamespacedName, *, grace_s: int, finalizers: Iterable[str] = ()
    ) -> Object:
        """Set the deletion timestamp, GRACE_S ahead: whoever has to finish the deletion will. A shorter grace counts later.

        FINALIZERS are added to those that the object has.
        """
        old = self.get(resource, name)
        before = metadata(old)
        given = before.get("deletionGracePeriodSeconds")
        added = [f for f in finalizers if f not in (before.get("finalizers") or ())]
        if before.get("deletionTimestamp") and not added and given is not None and given <= grace_s:
            return old
        meta = dict(before)
        if added:
            meta["finalizers"] = [*(before.get("finalizers") or ()), *added]
        if not before.get("deletionTimestamp") or given is None or grace_s < given:
            meta["deletionTimestamp"] = timestamp(self._clock.now() + grace_s)
            meta["deletionGracePeriodSeconds"] = grace_s
        if not before.get("deletionTimestamp"):
            meta["generation"] = before.get("generation", 0) + 1
        return self._write("MODIFIED", resource, name, {**old, "metadata": meta}, old)

    def remove(self, resource: Resource, name: NamespacedName) -> Object:
        """Take an object out; its last state is returned. Raises NotFoundError."""
        old = self.get(resource, name)
        return self._write("DELETED", resource, name, old, old)

    def _write(self, change: str, resource: Resource, name: NamespacedName, obj: Object, old: Object | None) -> Object:
        version = self._committed.version + len(self.writes) + 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
        self._note(Write(change, resource, name, obj, version, old))
        return obj

    def _note(self, write: Write) -> None:
        self.writes.append(write)
        self._now.setdefault(write.resource.stored, {})[write.name] = None if write.type == "DELETED" else write.obj

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
                before, self.writes, self._now = self.writes[:begun], [], {}
                for write in before:
                    self._note(write)


def _resource(obj: Object) -> Resource:
    resource = resource_of(obj)
    if resource is None:
        raise NotFoundError(f"no resource of kind {obj.get('apiVersion')}, {obj.get('kind')} is served")
    return resource


def _check_precondition(resource: Resource, name: NamespacedName, given: Object, before: Mapping[str, Any]) -> None:
    version, uid = given.get("resourceVersion"), given.get("uid")
    what = f'Operation cannot be fulfilled on {resource.group_resource} "{name.name}"'
    if uid and uid != before.get("uid"):
        raise ConflictError(
            f"{what}: Precondition failed: UID in precondition: {uid}, UID in object meta: {before.get('uid')}"
        )
    if version and version != before["resourceVersion"]:
        raise ConflictError(
            f"{what}: the object has been modified; please apply your changes to the latest version and try again"
        )


def _desired(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}
