"""Whether lists that are sets or maps by their schema are so, and whether objects in objects are objects.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{listtype,objectmeta}/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.objects.custom.structure import items_of, of_field
from netproxy.objects.meta import Object
from netproxy.objects.validation.metadata import metadata_problems
from netproxy.objects.validation.names import dns_1035_label, path_segment
from netproxy.objects.validation.words import Problems, as_json, duplicate, invalid, required

Schema = Mapping[str, Any]


def list_problems(value: Any, schema: Schema, path: str = "") -> Problems:
    """Items that are there twice in lists in which they may not be."""
    if isinstance(value, dict):
        for field, item in value.items():
            known, of = of_field(schema, field)
            if known and of is not None:
                named = field in (schema.get("properties") or ())
                yield from list_problems(item, of, _below(path, field, named=named))
    elif isinstance(value, list):
        yield from _of_list(value, schema, path)
        of = items_of(schema)
        if of is not None:
            for at, item in enumerate(value):
                yield from list_problems(item, of, f"{path}[{at}]")


def _below(path: str, field: str, *, named: bool) -> str:
    if not named:
        return f"{path}[{field}]"
    return f"{path}.{field}" if path else field


def _of_list(value: list[Any], schema: Schema, path: str) -> Problems:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        for at in _twice(value):
            yield duplicate(f"{path}[{at}]", value[at])
    elif kind == "map":
        for at, item in enumerate(value):
            if item is not None and not isinstance(item, dict):
                yield invalid(f"{path}[{at}]", item, "must be an object for an array of list-type map")
                return
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        told = [{key: item[key] for key in sorted(keys) if key in (item or {})} for item in value]
        for at in _twice(told):
            yield duplicate(f"{path}[{at}]", told[at])


def _twice(items: list[Any]) -> list[int]:
    """Where an item is for the second time."""
    seen: dict[str, int] = {}
    found = []
    for at, item in enumerate(items):
        text = f"{isinstance(item, bool)} {as_json(item)}"
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            found.append(at)
    return found


def embedded_problems(value: Any, schema: Schema | None, path: str = "", *, is_root: bool = True) -> Problems:
    """What is wrong with the objects in an object."""
    if schema is None:
        return
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from embedded_problems(item, items_of(schema), f"{path}[{at}]", is_root=False)
    elif isinstance(value, dict):
        if schema.get("x-kubernetes-embedded-resource") and not is_root:
            yield from _embedded(value, path)
        for field, item in value.items():
            known, of = of_field(schema, field)
            if known:
                named = field in (schema.get("properties") or ())
                yield from embedded_problems(item, of, _below(path, field, named=named), is_root=False)


def _embedded(obj: Object, path: str) -> Problems:
    for field in ("apiVersion", "kind"):
        if field not in obj:
            yield required(f"{path}.{field}")
    for field in sorted(obj):
        if field == "metadata":
            meta = obj[field]
            yield from _said_of(meta, f"{path}.metadata")
        elif field in ("apiVersion", "kind"):
            yield from _named(field, obj[field], f"{path}.{field}")


def _named(field: str, value: Any, path: str) -> Problems:
    if not value:
        yield invalid(path, value, "must not be empty")
    elif field == "apiVersion":
        if value.count("/") > 1:
            yield invalid(path, value, f"unexpected GroupVersion string: {value}")
    elif wrong := list(dns_1035_label(value.lower())):
        yield invalid(path, value, f"may have mixed case, but should otherwise match: {','.join(wrong)}")


def _said_of(meta: Object, path: str) -> Problems:
    needs_none = {**meta, "name": meta.get("name") or "fakename"}
    for problem in metadata_problems(needs_none, path_segment, path=path):
        yield Problem(problem.path, problem.message, reason=problem.reason)
