"""Namespaces that are to go: first everything in them, then they themselves; nothing lives on in one that is gone.

Source: kubernetes pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.controllers.ownership import owner_references
from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Delete, Event, Finalize, Identity, IndexedView
from netproxy.objects.kinds import NAMESPACES, RESOURCES, stored_resource
from netproxy.objects.meta import Object, is_deleting, key, namespace, spec, uid

FINALIZER = "kubernetes"
IMMORTAL = frozenset(("default", "kube-public", "kube-system"))
"""Namespaces that every cluster has; what is in them may be there before they are."""
CONTENT = tuple(r for r in RESOURCES if r.namespaced and stored_resource(r) is r)


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Delete what is in a Namespace that is deleted; when nothing is left, take our finalizer off it."""
    space = view.find(NAMESPACES, at)
    if not _is_leaving(space, at):
        return NOTHING
    content = [(resource, obj) for resource in CONTENT for obj in view.by_namespace(resource, at.name)]
    first_owners = sorted(content, key=lambda item: (len(owner_references(item[1])), item[0].plural, key(item[1])))
    changes = tuple(
        Delete(resource, key(obj), uid(obj), {"propagationPolicy": "Background"})
        for resource, obj in first_owners
        if not is_deleting(obj)
    )
    if space is None:
        return Outcome(changes, absent=(Identity(NAMESPACES, at),))
    finalizers = spec(space).get("finalizers") or []
    if content or FINALIZER not in finalizers:
        return Outcome(changes)
    kept = [item for item in finalizers if item != FINALIZER]
    return Outcome((Finalize({**space, "spec": {**spec(space), "finalizers": kept}}),))


def _is_leaving(space: Object | None, at: NamespacedName) -> bool:
    return at.name not in IMMORTAL if space is None else is_deleting(space)


def _of_namespace(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    return (key(event.obj),) if event.type == "DELETED" or is_deleting(event.obj) else ()


def _of_content(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The object's Namespace, when that is to go or gone."""
    at = NamespacedName("", namespace(event.obj))
    return (at,) if _is_leaving(view.find(NAMESPACES, at), at) else ()


NAMESPACE_CONTROLLER = Controller(
    "namespace", {NAMESPACES: _of_namespace, **dict.fromkeys(CONTENT, _of_content)}, reconcile
)
