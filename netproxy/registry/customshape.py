"""How the parts of a custom object are owned, by the schema of its version.

Source: k8s.io/kube-openapi pkg/schemaconv (openapi.go, smd.go); kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver
pkg/controller/openapi/builder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.objects.custom.definition import Version
from netproxy.registry.shape import FOUND, WHOLE, Owned, Shape, as_whole, scalar, shape_of

Schema = Mapping[str, Any]


def custom_shape(version: Version) -> Shape:
    """How an object of a version is owned."""
    return version.made("shape", lambda of: _root(of.schema))


def _root(schema: Schema) -> Shape:
    return _shape({**schema, "type": "object", "x-kubernetes-embedded-resource": True})


def _shape(schema: Schema) -> Shape:
    match schema.get("type"):
        case "object":
            return _object(schema)
        case "array":
            return _list(schema)
        case "string" | "integer" | "number" | "boolean" as kind:
            return scalar(kind)
        case _:
            return FOUND


def _object(schema: Schema) -> Shape:
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    others = schema.get("additionalProperties")
    items = _shape(others) if isinstance(others, dict) else FOUND if others or keeps else None
    properties = schema.get("properties")
    has_meta = schema.get("x-kubernetes-embedded-resource")
    if not properties and not has_meta and items is None:
        return FOUND

    def fields() -> Mapping[str, Shape]:
        made = {field: _shape(of) for field, of in (properties or {}).items()}
        return {**made, **_meta_fields()} if has_meta else made

    shape = Shape(Owned.FIELDS, fields=fields, items=items, is_closed=items is None)
    return as_whole(shape) if schema.get("x-kubernetes-map-type") == "atomic" else shape


def _meta_fields() -> Mapping[str, Shape]:
    pod = shape_of({"apiVersion": "v1", "kind": "Pod"})
    return {field: pod.within(field) for field in ("apiVersion", "kind", "metadata")}


def _list(schema: Schema) -> Shape:
    given = schema.get("items")
    items = _shape(given) if isinstance(given, dict) else FOUND
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return Shape(Owned.VALUES, items=items)
        case "map":
            keys = tuple(sorted(schema.get("x-kubernetes-list-map-keys") or ()))
            properties = given.get("properties") or {} if isinstance(given, dict) else {}
            defaults = {key: properties[key]["default"] for key in keys if "default" in properties.get(key, {})}
            return Shape(Owned.ITEMS, items=items, keys=keys, defaults=defaults)
        case _:
            return as_whole(Shape(Owned.PLACES, items=items)) if given else WHOLE
