"""How many copies of something are wanted, and are there, as an object of its own: `scale`.

Source: kubernetes 1.36 pkg/registry/apps/*/storage/storage.go and core/replicationcontroller/storage (ScaleREST),
pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.meta import Object, metadata, spec, status

_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object) -> Object:
    """The scale of an object.

    >>> web = {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}}
    >>> scale_of(web)["spec"], scale_of(web)["status"]
    ({'replicas': 2}, {'replicas': 0, 'selector': 'app=web'})
    """
    meta = {field: metadata(obj)[field] for field in _META if field in metadata(obj)}
    wanted, there = spec(obj).get("replicas"), status(obj).get("replicas") or 0
    selector = selector_text(spec(obj).get("selector") or {})
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": {"replicas": wanted} if wanted else {},
        "status": {"replicas": there, **({"selector": selector} if selector else {})},
    }  # fmt: skip


def scaled(obj: Object, scale: Object) -> Object:
    """The object with the copies that its scale wants, made from the state that it names. Raises ManifestError."""
    replicas = spec(scale).get("replicas") or 0
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
