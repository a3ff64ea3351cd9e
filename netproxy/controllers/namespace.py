"""Namespaces that are to go: first everything in them, then they themselves; nothing lives on in one that is gone.

Source: kubernetes pkg/controller/namespace/deletion/{namespaced_resources_deleter,status_condition_utils}.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from netproxy.controllers.ownership import owner_references
from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.clock import timestamp
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Delete, Event, Finalize, Identity, IndexedView, UpdateStatus
from netproxy.objects.kinds import NAMESPACES, PODS, RESOURCES, Resource, stored_resource
from netproxy.objects.meta import Object, is_deleting, key, metadata, namespace, spec, status, uid

FINALIZER = "kubernetes"
IMMORTAL = frozenset(("default", "kube-public", "kube-system"))
"""Namespaces that every cluster has; what is in them may be there before they are."""
_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted", "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}  # fmt: skip
"""The conditions of a Namespace that is deleted, and what they say when nothing is in its way."""
CONTENT = tuple(r for r in RESOURCES if r.namespaced and stored_resource(r) is r)


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Delete what is in a Namespace that is deleted, Pods first; when nothing is left, take our finalizer off it."""
    space = view.find(NAMESPACES, at)
    if not _is_leaving(space, at):
        return NOTHING
    content = [(resource, obj) for resource in CONTENT for obj in view.by_namespace(resource, at.name)]
    pods = [item for item in content if item[0] is PODS]
    first_owners = sorted(
        pods or content, key=lambda item: (len(owner_references(item[1])), item[0].plural, key(item[1]))
    )
    changes = tuple(
        Delete(resource, key(obj), uid(obj), {"propagationPolicy": "Background"})
        for resource, obj in first_owners
        if not is_deleting(obj)
    )
    if space is None:
        return Outcome(changes, absent=(Identity(NAMESPACES, at),))
    told = {**status(space), "conditions": _conditions(space, [] if pods else content, now)}
    if told != status(space):
        return Outcome((*changes, UpdateStatus({**space, "status": told})))
    finalizers = spec(space).get("finalizers") or []
    if content or FINALIZER not in finalizers:
        return Outcome(changes)
    kept = [item for item in finalizers if item != FINALIZER]
    return Outcome((Finalize({**space, "spec": {**spec(space), "finalizers": kept}}),))


def _conditions(space: Object, content: Iterable[tuple[Resource, Object]], now: float) -> list[Object]:
    """How far the deletion has come. Of what is deleted now that stays which has finalizers."""
    held = [(resource, obj) for resource, obj in content if metadata(obj).get("finalizers")]
    remaining = Counter(f"{resource.plural}.{resource.group}" for resource, _ in held)
    holders = Counter(finalizer for _, obj in held for finalizer in metadata(obj)["finalizers"])
    failing = {
        "NamespaceContentRemaining": ("SomeResourcesRemain", "Some resources are remaining: ", "has", remaining),
        "NamespaceFinalizersRemaining": (
            "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: ", "in", holders,
        ),
    }  # fmt: skip
    result = {condition["type"]: condition for condition in status(space).get("conditions") or ()}
    for kind, (reason, message) in _FINE.items():
        new = {"status": "False", "reason": reason, "message": message}
        if kind in failing and held:
            reason, message, word, counted = failing[kind]
            listed = ", ".join(sorted(f"{what} {word} {number} resource instances" for what, number in counted.items()))
            new = {"status": "True", "reason": reason, "message": f"{message}{listed}"}
        old = result.get(kind) or {"type": kind}
        since = old["lastTransitionTime"] if old.get("status") == new["status"] else timestamp(now)
        result[kind] = {**old, **new, "lastTransitionTime": since}
    return list(result.values())


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
