"""How many copies of something are wanted, and are there, as an object of its own: `scale`.

Source: kubernetes 1.36 pkg/registry/apps/*/storage/storage.go and core/replicationcontroller/storage (ScaleREST),
pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, metadata, spec, status
from netproxy.registry.customscale import counts, with_copies

_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object, resource: Resource | None = None, *, is_new: bool = False) -> Object:
    """The scale of an object, of a RESOURCE that may be a custom one. IS_NEW: a custom object may not say yet what it wants.

    >>> web = {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}}
    >>> scale_of(web)["spec"], scale_of(web)["status"]
    ({'replicas': 2}, {'replicas': 0, 'selector': 'app=web'})
    """
    meta = {field: metadata(obj)[field] for field in _META if field in metadata(obj)}
    scale = resource.custom.scale if resource is not None and resource.custom is not None else None
    wanted, there, selector = counts(obj, scale, is_new=is_new) if scale is not None else _counts(obj)
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": {"replicas": wanted} if wanted else {},
        "status": {"replicas": there, **({"selector": selector} if selector else {})},
    }  # fmt: skip


def _counts(obj: Object) -> tuple[int | None, int, str]:
    selector = selector_text(spec(obj).get("selector") or {})
    return spec(obj).get("replicas"), status(obj).get("replicas") or 0, selector


def scaled(obj: Object, scale: Object, resource: Resource | None = None) -> Object:
    """The object with the copies that its scale wants, made from the state that it names. Raises ManifestError."""
    replicas = spec(scale).get("replicas") or 0
    custom = resource.custom.scale if resource is not None and resource.custom is not None else None
    if custom is not None:
        return with_copies(obj, custom, replicas)
    if replicas < 0:
        why = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise ManifestError([Problem("spec.replicas", why)]).with_details(group="autoscaling", kind="Scale")
    return {**obj, "spec": {**spec(obj), "replicas": replicas}}


def selector_text(selector: Mapping[str, Any]) -> str:
    """A selector as the query takes it; of a ReplicationController it is a map of labels.

    >>> selector_text({"matchLabels": {"b": "1", "a": "2"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]})
    'a=2,b=1,c'
    """
    if not ({"matchLabels", "matchExpressions"} & set(selector)):
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    parts += [(item["key"], _expression(item)) for item in selector.get("matchExpressions") or ()]
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def _expression(item: Mapping[str, Any]) -> str:
    key, values = item["key"], ",".join(sorted(item.get("values") or ()))
    match item.get("operator"):
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "DoesNotExist":
            return f"!{key}"
        case _:
            return str(key)
