"""Garbage: what its owners left behind is deleted; an owner that waits for its dependents is let go when they are done.

It looks at one object at a time and at what it and its owners are now; nobody has to have seen an owner's end.
Source: kubernetes pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem, classifyReferences,
processDeletingDependentsItem, orphanDependents).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from netproxy.controllers.ownership import owner_references, with_owners
from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Change, Delete, Event, Identity, IndexedView, Update
from netproxy.objects.kinds import EVENTS, RESOURCES, resource_of, stored_resource
from netproxy.objects.meta import FOREGROUND, ORPHAN, Object, is_deleting, key, metadata, namespace, uid

COLLECTED = tuple(r for r in RESOURCES if stored_resource(r) is r and r is not EVENTS)
"""Events are many, own nothing and are nobody's."""


def reconcile(view: IndexedView, what: Identity, now: float) -> Outcome:
    """Decide about one object: as an owner that is to go, or as a dependent whose owners may have gone."""
    obj = view.find(what.resource, what.name)
    if obj is None:
        return NOTHING
    if is_deleting(obj) and _holds(obj, ORPHAN):
        return Outcome((*(_disowned(dep, obj) for dep in _dependents(view, obj)), _without(obj, ORPHAN)))
    if is_deleting(obj) and _holds(obj, FOREGROUND):
        is_blocked = any(_blocks(dep, obj) for dep in _dependents(view, obj))
        return NOTHING if is_blocked else Outcome((_without(obj, FOREGROUND),))
    return NOTHING if is_deleting(obj) else _as_dependent(view, obj)


# --- as an owner


def _holds(obj: Object, finalizer: str) -> bool:
    return finalizer in (metadata(obj).get("finalizers") or ())


def _dependents(view: IndexedView, owner: Object) -> list[Object]:
    """What refers to OWNER; an object of a namespace owns nothing in another one."""
    at = namespace(owner)
    return sorted((dep for dep in view.by_owner(uid(owner)) if not at or namespace(dep) == at), key=_order)


def _order(obj: Object) -> tuple[str, NamespacedName]:
    return obj["kind"], key(obj)


def _blocks(dependent: Object, owner: Object) -> bool:
    """Whether OWNER, deleted in the foreground, has to wait for this dependent."""
    return any(ref.get("uid") == uid(owner) and ref.get("blockOwnerDeletion") for ref in owner_references(dependent))


def _disowned(dependent: Object, owner: Object) -> Update:
    return Update(with_owners(dependent, (ref for ref in owner_references(dependent) if ref.get("uid") != uid(owner))))


def _without(obj: Object, finalizer: str) -> Update:
    kept = [item for item in metadata(obj)["finalizers"] if item != finalizer]
    return Update({**obj, "metadata": {**metadata(obj), "finalizers": kept}})


# --- as a dependent


def _as_dependent(view: IndexedView, obj: Object) -> Outcome:
    references = owner_references(obj)
    owners = [(ref, _identity(ref, obj)) for ref in references]
    if not references or any(owner is None for _, owner in owners):
        return NOTHING  # whether an owner of an unknown kind is there cannot be told
    solid: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    dangling: list[Identity] = []
    for ref, owner in owners:
        assert owner is not None
        found = view.find(owner.resource, owner.name)
        if found is None or uid(found) != owner.uid:
            dangling.append(owner)
        elif is_deleting(found) and _holds(found, FOREGROUND):
            waiting.append(ref)
        else:
            solid.append(ref)
    if len(solid) == len(references):
        return NOTHING
    changes = (Update(with_owners(obj, solid)),) if solid else _end(view, obj, waits=bool(waiting))
    return Outcome(changes, absent=tuple(dangling))


def _identity(reference: dict[str, Any], dependent: Object) -> Identity | None:
    """The owner that is meant: of the dependent's own namespace, or of none. None when that cannot be."""
    resource = resource_of(reference)
    if resource is None or (resource.namespaced and not namespace(dependent)):
        return None
    at = NamespacedName(namespace(dependent) if resource.namespaced else "", str(reference.get("name")))
    return Identity(stored_resource(resource), at, str(reference.get("uid")))


def _end(view: IndexedView, obj: Object, *, waits: bool) -> tuple[Change, ...]:
    """Delete an object that nobody keeps; its own dependents go first where an owner waits for the end of them all."""
    dependents = _dependents(view, obj)
    if not (waits and dependents):
        policy = "Orphan" if _holds(obj, ORPHAN) else "Foreground" if _holds(obj, FOREGROUND) else "Background"
        return (_delete(obj, policy),)
    is_circle = any(is_deleting(dep) and _holds(dep, FOREGROUND) for dep in dependents)
    freed = with_owners(obj, ({**ref, "blockOwnerDeletion": False} for ref in owner_references(obj)))
    return (*((Update(freed),) if is_circle and freed != obj else ()), _delete(obj, "Foreground"))


def _delete(obj: Object, policy: str) -> Delete:
    what = _named(obj)
    return Delete(what.resource, what.name, uid(obj), {"propagationPolicy": policy})


# --- who has to look


def _named(obj: Object) -> Identity:
    resource = resource_of(obj)
    assert resource is not None
    return Identity(stored_resource(resource), key(obj))


def _concerned(view: IndexedView, event: Event) -> Iterator[Identity]:
    """The object; what depends on it, when it goes; its owners that wait for it."""
    if event.type != "DELETED":
        yield Identity(event.resource, key(event.obj))
    if event.type == "DELETED" or is_deleting(event.obj):
        yield from map(_named, _dependents(view, event.obj))
    for obj in event.states:
        yield from _waiting_owners(view, obj)


def _waiting_owners(view: IndexedView, obj: Object) -> Iterable[Identity]:
    owners = [_identity(ref, obj) for ref in owner_references(obj)]
    found = [(owner, view.find(owner.resource, owner.name)) for owner in owners if owner is not None]
    return [Identity(owner.resource, owner.name) for owner, there in found if there is not None and is_deleting(there)]


GARBAGE_COLLECTOR = Controller("garbage-collector", dict.fromkeys(COLLECTED, _concerned), reconcile)
