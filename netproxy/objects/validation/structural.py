"""Whether the schema of a custom kind is structural: of which types its fields are is said once, outside of all conditions.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{structural,validation,complete}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.objects.custom.goregex import compiled
from netproxy.objects.validation.words import Problems, forbidden, invalid, required

Schema = Mapping[str, Any]

_ANY_OF = [{"type": "integer"}, {"type": "string"}]
_PLACES = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}
_UNSTRUCTURED = (
    ("default", "undefined"), ("title", "empty"), ("description", "empty"), ("nullable", "false"),
    ("x-kubernetes-preserve-unknown-fields", "false"), ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"), ("x-kubernetes-list-map-keys", "empty"), ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"), ("x-kubernetes-validations", "empty"),
)  # fmt: skip


def unstructural(schema: Schema) -> str:
    """Why a schema has no structure at all; empty for one that has."""
    if isinstance(schema.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    for field, word in (
        ("id", "id"), ("$schema", "schema"), ("$ref", "$ref"), ("patternProperties", "patternProperties"),
        ("dependencies", "dependencies"), ("additionalItems", "additionalItems"), ("definitions", "definitions"),
    ):  # fmt: skip
        if schema.get(field):
            return f"OpenAPIV3Schema '{word}' is not supported"
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
    return next(filter(None, (unstructural(each) for _, each in within(schema))), "")


def within(schema: Schema) -> list[tuple[str, Schema]]:
    """The schemas in a schema, with where they are."""
    found = [(f".properties[{name}]", each) for name, each in (schema.get("properties") or {}).items()]
    found += [
        (f".{name}", schema[name]) for name in ("items", "additionalProperties", "not") if _is_schema(schema, name)
    ]
    for name in ("allOf", "anyOf", "oneOf"):
        found += [(f".{name}[{at}]", each) for at, each in enumerate(schema.get(name) or ())]
    return found


def _is_schema(schema: Schema, name: str) -> bool:
    return isinstance(schema.get(name), dict)


def structural_problems(schema: Schema, path: str) -> list[Problem]:
    """What keeps a schema from being structural, sorted."""
    found = [*_invariants(schema, "root", path), *_complete(schema, schema, path, path)]
    return sorted(found, key=lambda problem: f"{problem.path}: {problem.message}")


def _invariants(schema: Schema, level: str, path: str) -> Problems:
    kind, embedded = schema.get("type") or "", schema.get("x-kubernetes-embedded-resource")
    if kind == "array" and not _is_schema(schema, "items"):
        yield required(f"{path}.items", "must be specified")
    if _is_schema(schema, "items"):
        yield from _invariants(schema["items"], "item", f"{path}.items")
    for name, each in (schema.get("properties") or {}).items():
        yield from _invariants(each, "field", f"{path}.properties[{name}]")
    others = schema.get("additionalProperties")
    if others is not None and level == "root":
        yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(others, dict):
        yield from _invariants(others, "field", f"{path}.additionalProperties")
    yield from _extensions(schema, path)
    skips = schema.get("anyOf") == _ANY_OF, bool(schema.get("allOf")) and schema["allOf"][0].get("anyOf") == _ANY_OF
    yield from _conditions(schema, path, skips)
    yield from _type(schema, level, path)
    if embedded and others is not None:
        yield forbidden(f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set")
    if level == "root" and kind and kind != "object":
        yield invalid(f"{path}.type", kind, "must be object at the root")
    yield from _meta(schema, level, path)


def _extensions(schema: Schema, path: str) -> Problems:
    for name in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
        if schema.get("x-kubernetes-int-or-string") and schema.get(name):
            yield invalid(f"{path}.{name}", True, "must be false if x-kubernetes-int-or-string is true")


def _type(schema: Schema, level: str, path: str) -> Problems:
    kind = schema.get("type") or ""
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid(f"{path}.type", kind, why) if kind else required(f"{path}.type", why)
    elif not kind and not free:
        yield required(f"{path}.type", f"must not be empty {_PLACES[level]}")


def _meta(schema: Schema, level: str, path: str) -> Problems:
    """What a schema says of what all objects have."""
    embedded, properties = schema.get("x-kubernetes-embedded-resource"), schema.get("properties") or {}
    is_object = level == "root" or embedded
    for name in ("kind", "apiVersion"):
        kind = (properties.get(name) or {}).get("type") or ""
        if is_object and name in properties and kind != "string":
            yield invalid(f"{path}.properties[{name}].type", kind, "must be string")
    if "metadata" in properties:
        yield from _metadata(properties["metadata"], level, f"{path}.properties[metadata]", is_object=bool(is_object))
    if embedded and not schema.get("x-kubernetes-preserve-unknown-fields") and not properties:
        why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        yield required(f"{path}.properties", why)


def _metadata(schema: Schema, level: str, path: str, *, is_object: bool) -> Problems:
    if is_object and schema.get("type") != "object":
        yield invalid(f"{path}.type", schema.get("type") or "", "must be object")
    if level != "root":
        return
    left = {name for name in schema if name not in ("type", "default")}
    if not set(schema.get("properties") or ()) - {"name", "generateName"}:
        left.discard("properties")
    if left:
        why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield forbidden(path, why)


# --- conditions


def _conditions(schema: Schema, path: str, skips: tuple[bool, bool] = (False, False)) -> Problems:
    """What is wrong in what values have to fulfil. SKIPS: the usual way to say that something is a number or a text."""
    if not skips[0]:
        for at, each in enumerate(schema.get("anyOf") or ()):
            yield from _nested(each, f"{path}.anyOf[{at}]")
    for at, each in enumerate(schema.get("allOf") or ()):
        yield from _nested(each, f"{path}.allOf[{at}]", skips=skips[1] and at == 0)
    for at, each in enumerate(schema.get("oneOf") or ()):
        yield from _nested(each, f"{path}.oneOf[{at}]")
    if _is_schema(schema, "not"):
        yield from _nested(schema["not"], f"{path}.not")
    pattern = schema.get("pattern")
    if pattern:
        try:
            compiled(pattern)
        except ValueError as error:
            why = f"must be a valid regular expression, but isn't: error parsing regexp: {_regex_words(pattern, str(error))}"
            yield invalid(f"{path}.pattern", pattern, why)


def _regex_words(pattern: str, said: str) -> str:
    """How Go says what Python says about a pattern."""
    for ours, theirs in (
        ("missing ), unterminated subpattern", "missing closing )"), ("unterminated character set", "missing closing ]"),
        ("unbalanced parenthesis", "unexpected )"),
    ):  # fmt: skip
        if said.startswith(ours):
            return f"{theirs}: `{pattern}`"
    if said.startswith("nothing to repeat"):
        return f"missing argument to repetition operator: `{pattern[:1]}`"
    return f"{said.partition(' at position')[0]}: `{pattern}`"


def _nested(schema: Schema, path: str, *, skips: bool = False) -> Problems:
    """What is wrong with a schema that is a condition."""
    yield from _conditions(schema, path, (skips, False))
    for name in ("items",):
        if _is_schema(schema, name):
            yield from _nested(schema[name], f"{path}.{name}")
    for name, each in (schema.get("properties") or {}).items():
        yield from _nested(each, f"{path}.properties[{name}]")
    if schema.get("type"):
        yield forbidden(f"{path}.type", "must be empty to be structural")
    if schema.get("additionalProperties"):
        yield forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    for name, what in _UNSTRUCTURED:
        if schema.get(name) or (what == "undefined" and schema.get(name) is not None):
            yield forbidden(f"{path}.{name}", f"must be {what} to be structural")
    if "metadata" in (schema.get("properties") or ()):
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _complete(condition: Schema, schema: Schema | None, path: str, where: str) -> Problems:
    """Whether all that is asked in a condition of an object has a type outside of it."""
    if schema is None:
        yield required(path, f"because it is defined in {where}")
        return
    nested = [(f"{where}.not", condition["not"])] if _is_schema(condition, "not") else []
    for name in ("allOf", "anyOf", "oneOf"):
        nested += [(f"{where}.{name}[{at}]", each) for at, each in enumerate(condition.get(name) or ())]
    for place, each in nested:
        yield from _complete_nested(each, schema, path, place)


def _complete_nested(condition: Schema, schema: Schema | None, path: str, where: str) -> Problems:
    yield from _complete(condition, schema, path, where)
    if schema is None:
        return
    if _is_schema(condition, "items"):
        of = schema["items"] if _is_schema(schema, "items") else None
        yield from _complete_nested(condition["items"], of, f"{path}.items", f"{where}.items")
    properties = schema.get("properties") or {}
    for name, each in (condition.get("properties") or {}).items():
        place, said = f"{path}.properties[{name}]", f"{where}.properties[{name}]"
        if name in properties:
            yield from _complete_nested(each, properties[name], place, said)
        else:
            yield required(place, f"because it is defined in {said}")
