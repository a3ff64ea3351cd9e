"""OpenAPI definitions of custom kinds: their schemas, with what every object has.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder/builder.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.objects.custom.definition import Version
from netproxy.objects.kinds import Resource

Definition = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_API_VERSION = {
    "description": "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized"
    " schemas to the latest internal value, and may reject unrecognized values. More info: " + _CONVENTIONS + "#resources",
    "type": "string",
}  # fmt: skip
_KIND = {
    "description": "Kind is a string value representing the REST resource this object represents. Servers may infer this from the"
    " endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: " + _CONVENTIONS + "#types-kinds",
    "type": "string",
}  # fmt: skip


def definition_name(resource: Resource, kind: str = "") -> str:
    """The name of the definition of a custom kind.

    >>> definition_name(Resource("shop.example.com", "v1", "carts", "Cart"))
    'com.example.shop.v1.Cart'
    """
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{kind or resource.kind}"


def custom_definitions(served: Iterable[Resource]) -> dict[str, Definition]:
    """The definitions of all custom kinds and of their lists, with references by name."""
    return {
        name: made for r in served if r.custom is not None for name, made in r.custom.made("openapi", _both).items()
    }


def _both(version: Version) -> dict[str, Definition]:
    resource = version.resource
    return {definition_name(resource): _one(version), definition_name(resource, resource.list_kind): _list(version)}


def _one(version: Version) -> Definition:
    made = _with_meta({**version.schema, "type": "object"}, is_root=True)
    return {**made, "x-kubernetes-group-version-kind": [_named(version, version.kind)]}


def _named(version: Version, kind: str) -> Definition:
    return {"group": version.definition.group, "kind": kind, "version": version.name}


def _with_meta(schema: Mapping[str, Any], *, is_root: bool = False) -> Definition:
    """A schema as it is published; what objects have without being asked is in it."""
    made = dict(schema)
    fields = {name: _with_meta(each) for name, each in (schema.get("properties") or {}).items()}
    if is_root or schema.get("x-kubernetes-embedded-resource"):
        text = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
        meta = {"$ref": _META + "ObjectMeta", "description": text}
        fields = {**fields, "apiVersion": _API_VERSION, "kind": _KIND, "metadata": meta}
    if fields:
        made["properties"] = fields
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name), dict):
            made[name] = _with_meta(schema[name])
    for name in ("allOf", "anyOf", "oneOf"):
        if schema.get(name):
            made[name] = [_with_meta(each) for each in schema[name]]
    return made


def _list(version: Version) -> Definition:
    resource = version.resource
    items = {
        "description": f"List of {resource.plural}. More info: {_CONVENTIONS}", "type": "array",
        "items": {"$ref": definition_name(resource)},
    }  # fmt: skip
    meta = {"$ref": _META + "ListMeta", "description": f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"}
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}", "type": "object", "required": ["items"],
        "properties": {"apiVersion": _API_VERSION, "items": items, "kind": _KIND, "metadata": meta},
        "x-kubernetes-group-version-kind": [_named(version, resource.list_kind)],
    }  # fmt: skip
