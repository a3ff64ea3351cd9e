"""What the API server adds to an object that somebody writes, and does not let in, as the objects around it say.

Classes, labels, sizes; amounts. Source: kubernetes 1.36 plugin/pkg/admission/{limitranger,priority,podtopologylabels,
network/defaultingressclass,storage/storageclass/setdefault}, resourcequota (plugins that are on by default).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import (
    INGRESS_CLASSES,
    INGRESSES,
    LIMIT_RANGES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_QUOTAS,
    STORAGE_CLASSES,
    Resource,
)
from netproxy.objects.meta import Object, annotations_of, is_deleting, labels, metadata, name, namespace, spec
from netproxy.registry.limits import LIMITED, check_sizes, with_sizes
from netproxy.registry.podadmission import check_overhead
from netproxy.registry.quota import charged, is_counted
from netproxy.registry.refusal import forbidden
from netproxy.registry.resizing import check_resize
from netproxy.store.transaction import Transaction

TOPOLOGY = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
"""Labels of a node that its Pods have, too."""
_INGRESS_CLASS = "kubernetes.io/ingress.class"
_DEFAULT_INGRESS = "ingressclass.kubernetes.io/is-default-class"
_STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_STORAGE = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")

Admit = Callable[[Transaction, Object, Object | None], Object]


def admitted(change: Transaction, obj: Object, old: Object | None, resource: Resource) -> Object:
    """The object (a new state of OLD, if there was one) with what is added to it. Raises ApiError (403) when it must not be."""
    admit = _BY_RESOURCE.get(resource)
    return admit(change, obj, old) if admit else obj


def admitted_part(change: Transaction, obj: Object, old: Object, part: str) -> Object:
    """What was sent of a part of OLD, with what is added to it."""
    if part == "resize" and not is_deleting(old):
        return with_sizes(obj, change.list(LIMIT_RANGES, namespace(old)))
    return obj


def permitted(
    change: Transaction, new: Object, old: Object | None, resource: Resource, now: float, part: str = ""
) -> list[Object]:  # fmt: skip
    """The quotas of which a write, which is right in itself, uses more, as they are then.

    It is that of a new object, of a new state of OLD, or of a part of it. Raises ApiError (403) when it must not be.
    """
    if not resource.namespaced:
        return []
    is_new_pod = old is None or resource is not PODS or part == "resize"
    if resource in LIMITED and is_new_pod and part in ("", "resize") and not (old and is_deleting(old)):
        check_sizes(resource, new, change.list(LIMIT_RANGES, namespace(new)))
    if resource is PODS and old is None:
        check_overhead(new)
    elif part == "resize" and old is not None:
        check_resize(change, new, old)
    quotas = change.list(RESOURCE_QUOTAS, namespace(new))
    if not quotas or not is_counted(resource, new, old, part):
        return []
    return list(charged(resource, new, old, quotas, now, part))


def topology_labels(change: Transaction, node: str) -> dict[str, str]:
    """The labels that a Pod on a node gets from it."""
    found = change.find(NODES, NamespacedName("", node)) if node else None
    return {key: labels(found)[key] for key in TOPOLOGY if key in labels(found)} if found else {}


def _pod(change: Transaction, pod: Object, old: Object | None) -> Object:
    if old is None:
        pod = with_sizes(pod, change.list(LIMIT_RANGES, namespace(pod)))
    where = topology_labels(change, spec(pod).get("nodeName") or "")
    return {**pod, "metadata": {**metadata(pod), "labels": {**labels(pod), **where}}} if where else pod


# --- classes


def _priority_class(change: Transaction, obj: Object, old: Object | None) -> Object:
    """Only one is for all Pods that name none."""
    if obj.get("globalDefault"):
        for other in change.all(PRIORITY_CLASSES):
            if other.get("globalDefault") and (old is None or name(other) != name(obj)):
                why = f"PriorityClass {name(other)} is already marked as default. Only one default can exist"
                raise forbidden(PRIORITY_CLASSES, name(obj), why)
    return obj


def _ingress(change: Transaction, obj: Object, old: Object | None) -> Object:
    if old is not None or spec(obj).get("ingressClassName") is not None or _INGRESS_CLASS in annotations_of(obj):
        return obj
    classes = [item for item in change.all(INGRESS_CLASSES) if annotations_of(item).get(_DEFAULT_INGRESS) == "true"]
    return _with_class(obj, "ingressClassName", classes)


def _claim(change: Transaction, obj: Object, old: Object | None) -> Object:
    if old is not None or spec(obj).get("storageClassName") is not None or _STORAGE_CLASS in annotations_of(obj):
        return obj
    classes = [
        item for item in change.all(STORAGE_CLASSES) if any(annotations_of(item).get(key) == "true" for key in _DEFAULT_STORAGE)
    ]  # fmt: skip
    return _with_class(obj, "storageClassName", classes)


def _with_class(obj: Object, field: str, classes: Iterable[Object]) -> Object:
    """With the newest of the default classes; of two of one age, the first by name."""
    found = sorted(classes, key=name)
    newest = max(found, key=lambda item: str(metadata(item).get("creationTimestamp")), default=None)
    return obj if newest is None else {**obj, "spec": {**spec(obj), field: name(newest)}}


_BY_RESOURCE: dict[Resource, Admit] = {
    PODS: _pod, PRIORITY_CLASSES: _priority_class, INGRESSES: _ingress, PERSISTENT_VOLUME_CLAIMS: _claim,
}  # fmt: skip
