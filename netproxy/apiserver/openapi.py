"""OpenAPI documents of what is served: a v3 document for each group and version, and v2 of all. Made when they are asked for.

The definitions are the official ones (`openapi.json.xz`, see tools/generate_openapi.py); the paths follow from the resources.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from netproxy.apiserver.customschema import custom_definitions, definition_name
from netproxy.apiserver.discovery import KUBERNETES, groups, kind_of, parts, verbs, versions
from netproxy.objects.kinds import REVIEWS, Resource

Definition = dict[str, Any]

V3 = "#/components/schemas/"
V2 = "#/definitions/"
TITLE = {"title": "Kubernetes", "version": KUBERNETES}

_QUERY: dict[str, tuple[str, str]] = {
    "allowWatchBookmarks": ("boolean", "Ask for events of type BOOKMARK in a watch."),
    "continue": ("string", "Where the page before ended."),
    "dryRun": ("string", "All: say what would be, and keep nothing."),
    "fieldManager": ("string", "Who manages the fields that are written."),
    "fieldSelector": ("string", "Only objects with these fields."),
    "fieldValidation": ("string", "What becomes of unknown and duplicate fields: Ignore, Warn or Strict."),
    "force": ("boolean", "Take over fields that others manage."),
    "gracePeriodSeconds": ("integer", "How long the object may take to end."),
    "labelSelector": ("string", "Only objects with these labels."),
    "limit": ("integer", "The most objects in one answer."),
    "orphanDependents": ("boolean", "Deprecated: use propagationPolicy."),
    "propagationPolicy": ("string", "What becomes of what the object owns: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "As of which version."),
    "resourceVersionMatch": ("string", "How resourceVersion is meant: Exact or NotOlderThan."),
    "sendInitialEvents": ("boolean", "Begin a watch with what is there."),
    "timeoutSeconds": ("integer", "How long the call may take."),
    "watch": ("boolean", "Go on with what changes."),
}
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_SELECT = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch",
    "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_PARAMETERS = {
    "list": _SELECT, "get": (), "post": _WRITE, "put": _WRITE, "patch": ("dryRun", "fieldManager", "fieldValidation", "force"),
    "delete": _DELETE, "deletecollection": (*_DELETE, *_SELECT),
}  # fmt: skip
_METHODS = {"create": "post", "update": "put", "patch": "patch", "delete": "delete", "get": "get"}
_PATCHES = (
    "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)  # fmt: skip


@cache
def definitions() -> Mapping[str, Definition]:
    """The official definitions by name; whoever asks must not change them."""
    import lzma

    found: dict[str, Definition] = json.loads(
        lzma.decompress(files(__package__).joinpath("openapi.json.xz").read_bytes())
    )
    return found


@cache
def _by_kind() -> Mapping[tuple[str, str, str], str]:
    return {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, definition in definitions().items()
        for kind in definition.get("x-kubernetes-group-version-kind", ())
        if len(definition["x-kubernetes-group-version-kind"]) == 1
    }


def names(served: Sequence[Resource]) -> list[str]:
    """The documents that there are: `api/v1`, `apis/apps/v1`, …, and `version`."""
    return [
        "version",
        "api/v1",
        *(f"apis/{group}/{version}" for group in groups(served) for version in versions(served, group)),
    ]


def index(served: Sequence[Resource]) -> Definition:
    """`/openapi/v3`: where each document is; its URL changes with the document."""
    return {
        "paths": {
            name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={fingerprint(served, name)}"}
            for name in names(served)
        }
    }


def fingerprint(served: Sequence[Resource], name: str) -> str:
    """A hash that changes with what a document says."""
    mine = [r for r in (*served, *REVIEWS) if r.api_version == api_version(name)]
    said = f"{mine!r}{[r.custom.definition.digest for r in mine if r.custom is not None] or ''}"
    return hashlib.sha512(f"{TITLE['version']} {said}".encode()).hexdigest().upper()


def api_version(name: str) -> str:
    """Group and version of a document.

    >>> api_version("apis/apps/v1"), api_version("api/v1")
    ('apps/v1', 'v1')
    """
    return name.partition("/")[2]


def document(served: Sequence[Resource], name: str) -> Definition:
    """The v3 document of this name."""
    mine = [r for r in (*served, *REVIEWS) if r.api_version == api_version(name)]
    paths = {path: made for resource in mine for path, made in _paths(resource).items()}
    if name == "version":
        paths = {"/version/": {"get": {"operationId": "getCodeVersion", "responses": {"200": {"description": "OK"}}}}}
    schemas = {**definitions(), **custom_definitions(mine)}
    wanted = _closure(schemas, _names_in(paths))
    return {
        "openapi": "3.0.0", "info": TITLE, "paths": _v3(paths),
        "components": {"schemas": {key: _v3(schemas[key]) for key in sorted(wanted)}},
    }  # fmt: skip


def document_v2(served: Sequence[Resource]) -> Definition:
    """`/openapi/v2`: everything in one document."""
    paths = {path: _v2_paths(made) for resource in (*served, *REVIEWS) for path, made in _paths(resource).items()}
    known = {**definitions(), **custom_definitions(served)}
    found = {name: _with_prefix(_v2(definition), V2) for name, definition in known.items()}
    return {"swagger": "2.0", "info": TITLE, "paths": paths, "definitions": found}


# --- paths


def _paths(resource: Resource) -> dict[str, Definition]:
    within = "/namespaces/{namespace}" if resource.namespaced else ""
    every = f"{resource.prefix}{within}/{resource.plural}"
    one = every + "/{name}"
    made = {every: _operations(resource, "", ("list", "create", "deletecollection"))}
    made[one] = _operations(resource, "", ("get", "update", "patch", "delete"))
    if resource.namespaced and "list" in verbs(resource):
        made[f"{resource.prefix}/{resource.plural}"] = _operations(resource, "", ("list",))
    for part in parts(resource):
        made[f"{one}/{part}"] = _operations(resource, part, ("get", "create", "update", "patch", "delete"))
    return {path: operations for path, operations in made.items() if operations}


def _operations(resource: Resource, part: str, wanted: Iterable[str]) -> Definition:
    known = verbs(resource, part)
    made = {}
    for verb in wanted:
        if verb in known:
            method = {"list": "get", "deletecollection": "delete"}.get(verb) or _METHODS[verb]
            made[method] = _operation(resource, part, verb)
    return made


def _operation(resource: Resource, part: str, verb: str) -> Definition:
    group, version, kind = kind_of(resource, part) if part else ("", "", resource.kind)
    group, version = (group, version) if version else (resource.group, resource.version)
    is_custom = resource.custom is not None and kind == resource.kind
    definition = definition_name(resource) if is_custom else _by_kind().get((group, version, kind), "")
    shape = {"$ref": definition} if definition else {"type": "string"}
    listed = definition_name(resource, resource.list_kind) if is_custom else f"{definition}List"
    given = {"$ref": listed} if verb == "list" and definition else shape
    method = _METHODS.get(verb, verb)
    made: Definition = {
        "operationId": f"{verb}{kind}{part.title()}", "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": {"group": group, "kind": kind, "version": version},
        **({"parameters": [_parameter(name) for name in _PARAMETERS[method]]} if _PARAMETERS[method] else {}),
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": given}}}},
    }  # fmt: skip
    if method in ("post", "put"):
        made["requestBody"] = {"required": True, "content": {"*/*": {"schema": shape}}}
    if method == "patch":
        body = {"schema": {"$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"}}
        made["requestBody"] = {"required": True, "content": dict.fromkeys(_PATCHES[: len(_PATCHES) - is_custom], body)}
    return made


def _parameter(name: str) -> Definition:
    kind, description = _QUERY[name]
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": True}}


def _v2_paths(operations: Definition) -> Definition:
    return {
        method: {
            **{key: value for key, value in operation.items() if key.startswith("x-") or key == "operationId"},
            "parameters": [
                {k: v for k, v in p.items() if k != "schema"} | p["schema"] for p in operation.get("parameters", ())
            ],
            "responses": {"200": {"description": "OK"}},
        }
        for method, operation in operations.items()
    }


# --- definitions


def _names_in(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {name for item in schema for name in _names_in(item)}
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return own | {name for value in schema.values() for name in _names_in(value)}


def _closure(schemas: Mapping[str, Definition], first: set[str]) -> set[str]:
    """Those definitions, and all that they lead to."""
    found: set[str] = set()
    waiting = first
    while waiting:
        found |= waiting
        waiting = {name for key in waiting for name in _names_in(schemas[key])} - found
    return found


def _with_prefix(schema: Any, prefix: str) -> Any:
    if isinstance(schema, list):
        return [_with_prefix(item, prefix) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _with_prefix(value, prefix) for key, value in schema.items()}
    return {**made, "$ref": prefix + made["$ref"]} if isinstance(made.get("$ref"), str) else made


def _v2(definition: Definition) -> Definition:
    """A definition as v2 has it: what is of one type or another is a string."""
    if "oneOf" not in definition:
        return definition
    return {**{key: value for key, value in definition.items() if key != "oneOf"}, "type": "string"}


def _v3(schema: Any) -> Any:
    """A definition as v3 has it: a reference with a description stands below `allOf`."""
    if isinstance(schema, list):
        return [_v3(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _v3(value) for key, value in schema.items()}
    target = made.pop("$ref", None)
    if not isinstance(target, str):
        return {**made, "$ref": target} if target is not None else made
    return {**made, "allOf": [{"$ref": V3 + target}]} if made else {"$ref": V3 + target}
