"""Volumes and claims that are to go: they stay as long as somebody uses them.

Source: kubernetes pkg/controller/volume/{pvcprotection,pvprotection} (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Event, IndexedView, Update
from netproxy.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, Resource
from netproxy.objects.meta import Object, is_deleting, key, metadata, namespace, spec, status

FINALIZERS = {
    PERSISTENT_VOLUMES: "kubernetes.io/pv-protection", PERSISTENT_VOLUME_CLAIMS: "kubernetes.io/pvc-protection",
}  # fmt: skip

Key = tuple[Resource, NamespacedName]


def reconcile(view: IndexedView, at: Key, now: float) -> Outcome:
    """Let a claim go that no Pod uses, and a volume that no claim has."""
    resource, where = at
    obj, finalizer = view.find(resource, where), FINALIZERS[resource]
    if obj is None or not is_deleting(obj) or finalizer not in (metadata(obj).get("finalizers") or ()):
        return NOTHING
    if resource is PERSISTENT_VOLUMES:
        used = status(obj).get("phase") == "Bound"
    else:
        used = any(where.name in _claims(pod) for pod in view.by_namespace(PODS, where.namespace))
    if used:
        return NOTHING
    kept = [item for item in metadata(obj)["finalizers"] if item != finalizer]
    return Outcome((Update({**obj, "metadata": {**metadata(obj), "finalizers": kept}}),))


def _claims(pod: Object) -> list[str]:
    """The claims that a Pod uses while it lives."""
    if status(pod).get("phase") in ("Succeeded", "Failed"):
        return []
    return [
        str((volume.get("persistentVolumeClaim") or {}).get("claimName")) for volume in spec(pod).get("volumes") or ()
    ]


def _itself(view: IndexedView, event: Event) -> Iterable[Key]:
    resource = PERSISTENT_VOLUMES if event.obj.get("kind") == "PersistentVolume" else PERSISTENT_VOLUME_CLAIMS
    return () if event.type == "DELETED" else ((resource, key(event.obj)),)


def _used(view: IndexedView, event: Event) -> Iterable[Key]:
    return [
        (PERSISTENT_VOLUME_CLAIMS, NamespacedName(namespace(event.obj), str(claim["claimName"])))
        for volume in spec(event.obj).get("volumes") or ()
        if (claim := volume.get("persistentVolumeClaim"))
    ]


PROTECTION_CONTROLLER = Controller(
    "volume-protection", {PERSISTENT_VOLUME_CLAIMS: _itself, PERSISTENT_VOLUMES: _itself, PODS: _used}, reconcile
)
