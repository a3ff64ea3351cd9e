"""What the API server does to an object of a kind before it checks it: beside defaults, which the writer owns.

Source: kubernetes pkg/registry/*/*/strategy.go (PrepareForCreate, PrepareForUpdate), pkg/api/persistentvolumeclaim/util.go,
plugin/pkg/admission/nodetaint (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netproxy.objects.meta import Object, spec

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
"""The taint of a Node until a controller has seen it."""


def prepared(new: Object, old: Object | None) -> Object:
    """The object as it is checked and stored."""
    if new.get("kind") == "Lease":
        return _lease(new, old)
    prepare = _PREPARE.get(str(new.get("kind")))
    return prepare(new) if prepare else new


def _account(new: Object) -> Object:
    """Its Secrets are names."""
    if not new.get("secrets"):
        return new
    named = [{"name": item["name"]} if item.get("name") else {} for item in new["secrets"]]
    return {**new, "secrets": named}


def _slice(new: Object) -> Object:
    """Topology has fields of its own; an empty list is none."""
    empty = [field for field in ("endpoints", "ports") if new.get(field) == []]
    if empty:
        new = {**new, **dict.fromkeys(empty)}
    if not any("deprecatedTopology" in item for item in new.get("endpoints") or ()):
        return new
    kept = [{k: v for k, v in item.items() if k != "deprecatedTopology"} for item in new["endpoints"]]
    return {**new, "endpoints": kept}


def _lease(new: Object, old: Object | None) -> Object:
    """Nobody coordinates leaders."""
    unused = [field for field in ("strategy", "preferredHolder") if spec(old or {}).get(field) is None]
    if not any(field in spec(new) for field in unused):
        return new
    return {**new, "spec": {field: value for field, value in spec(new).items() if field not in unused}}


def _claim(new: Object) -> Object:
    """What it begins with is said in both fields that can say it."""
    claim: dict[str, Any] = dict(spec(new))
    source, reference = claim.get("dataSource"), claim.get("dataSourceRef")
    if source is not None and reference is None:
        kind = (source.get("apiGroup") or "", source.get("kind"))
        if kind in (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")):
            claim["dataSourceRef"] = source
        else:
            del claim["dataSource"]
    elif reference is not None and source is None and not reference.get("namespace"):
        claim["dataSource"] = reference
    return {**new, "spec": claim}


_PREPARE: dict[str, Callable[[Object], Object]] = {
    "EndpointSlice": _slice,
    "PersistentVolumeClaim": _claim,
    "ServiceAccount": _account,
}
