"""What the API server does to an object of a kind before it checks it: beside defaults, which the writer owns.

Source: kubernetes pkg/registry/*/*/strategy.go (PrepareForCreate, PrepareForUpdate), pkg/api/persistentvolumeclaim/util.go,
plugin/pkg/admission/{nodetaint,storage/storageobjectinuseprotection} (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netproxy.objects.meta import Object, metadata, spec

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
"""The taint of a Node until a controller has seen it."""


def prepared(new: Object, old: Object | None) -> Object:
    """The object as it is checked and stored."""
    if new.get("kind") == "Lease":
        return _lease(new, old)
    if new.get("kind") == "PersistentVolumeClaim" and not any(spec(old or {}).get(field) for field in _BEGINNINGS):
        new = _without_nonsense(new)
    finalizer = _PROTECTED.get(str(new.get("kind"))) if old is None else None
    if finalizer and finalizer not in (metadata(new).get("finalizers") or ()):
        meta = {**metadata(new), "finalizers": [*(metadata(new).get("finalizers") or ()), finalizer]}
        new = {**new, "metadata": meta}
    prepare = _PREPARE.get(str(new.get("kind")))
    return prepare(new) if prepare else new


def _account(new: Object) -> Object:
    """Its Secrets are names."""
    if not new.get("secrets"):
        return new
    named = [{"name": item["name"]} if item.get("name") else {} for item in new["secrets"]]
    return {**new, "secrets": named}


def _slice(new: Object) -> Object:
    """Topology has fields of its own."""
    new = _emptied(new, "endpoints", "ports")
    if not any("deprecatedTopology" in item for item in new.get("endpoints") or ()):
        return new
    kept = [{k: v for k, v in item.items() if k != "deprecatedTopology"} for item in new["endpoints"]]
    return {**new, "endpoints": kept}


def _role(new: Object) -> Object:
    return _emptied(new, "rules")


def _emptied(new: Object, *fields: str) -> Object:
    """An empty list is stored as none."""
    empty = [field for field in fields if new.get(field) == []]
    return {**new, **dict.fromkeys(empty)} if empty else new


def _limits(new: Object) -> Object:
    """No limits are none."""
    return {**new, "spec": {**spec(new), "limits": None}} if spec(new).get("limits") == [] else new


def _lease(new: Object, old: Object | None) -> Object:
    """Nobody coordinates leaders."""
    unused = [field for field in ("strategy", "preferredHolder") if spec(old or {}).get(field) is None]
    if not any(field in spec(new) for field in unused):
        return new
    return {**new, "spec": {field: value for field, value in spec(new).items() if field not in unused}}


_BEGINNINGS = ("dataSource", "dataSourceRef")


def _without_nonsense(new: Object) -> Object:
    """A claim begins with another claim or a snapshot, of its namespace; all else has a field of its own."""
    claim = spec(new)
    if (claim.get("dataSourceRef") or {}).get("namespace"):  # CrossNamespaceVolumeDataSource is off
        claim = {field: value for field, value in claim.items() if field != "dataSourceRef"}
        new = {**new, "spec": claim}
    source = claim.get("dataSource")
    kind = ((source or {}).get("apiGroup") or "", (source or {}).get("kind"))
    if source is None or claim.get("dataSourceRef") is not None or kind in _SOURCES:
        return new
    return {**new, "spec": {field: value for field, value in claim.items() if field != "dataSource"}}


_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def _claim(new: Object) -> Object:
    """What it begins with is said in both fields that can say it."""
    claim: dict[str, Any] = dict(spec(new))
    source, reference = claim.get("dataSource"), claim.get("dataSourceRef")
    if source is not None and reference is None:
        claim["dataSourceRef"] = source
    elif reference is not None and source is None:
        claim["dataSource"] = reference
    return {**new, "spec": claim}


_PROTECTED = {
    "PersistentVolume": "kubernetes.io/pv-protection",
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
}
"""What holds a new object as long as it is used."""

_PREPARE: dict[str, Callable[[Object], Object]] = {
    "ClusterRole": _role,
    "EndpointSlice": _slice,
    "LimitRange": _limits,
    "PersistentVolumeClaim": _claim,
    "Role": _role,
    "ServiceAccount": _account,
}
