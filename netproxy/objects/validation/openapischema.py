"""What is refused of the schema of a custom kind, beside its structure: words, lists, defaults, rules.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
(ValidateCustomResourceDefinitionOpenAPISchema) and pkg/apiserver/schema/defaulting/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from netproxy.core.errors import Problem
from netproxy.objects.custom.check import NONE, schema_problems
from netproxy.objects.custom.lists import embedded_problems
from netproxy.objects.custom.rules import rule_problems
from netproxy.objects.custom.structure import pruned
from netproxy.objects.validation.celrules import cel_problems, leads_somewhere
from netproxy.objects.validation.structural import Schema, structural_problems, unstructural
from netproxy.objects.validation.words import Problems, forbidden, invalid, required, unsupported

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_META = ("metadata", "kind", "apiVersion")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_AT_ROOT = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems"
    " UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations"
)
_INTERNAL: Mapping[str, tuple[str, Any]] = {
    "id": ("ID", ""), "$schema": ("Schema", ""), "$ref": ("Ref", None), "description": ("Description", ""), "type": ("Type", ""),
    "nullable": ("Nullable", False), "format": ("Format", ""), "title": ("Title", ""), "default": ("Default", None),
    "maximum": ("Maximum", None), "exclusiveMaximum": ("ExclusiveMaximum", False), "minimum": ("Minimum", None),
    "exclusiveMinimum": ("ExclusiveMinimum", False), "maxLength": ("MaxLength", None), "minLength": ("MinLength", None),
    "pattern": ("Pattern", ""), "maxItems": ("MaxItems", None), "minItems": ("MinItems", None),
    "uniqueItems": ("UniqueItems", False), "multipleOf": ("MultipleOf", None), "enum": ("Enum", None),
    "maxProperties": ("MaxProperties", None), "minProperties": ("MinProperties", None), "required": ("Required", None),
    "items": ("Items", None), "allOf": ("AllOf", None), "oneOf": ("OneOf", None), "anyOf": ("AnyOf", None), "not": ("Not", None),
    "properties": ("Properties", None), "additionalProperties": ("AdditionalProperties", None),
    "patternProperties": ("PatternProperties", None), "dependencies": ("Dependencies", None),
    "additionalItems": ("AdditionalItems", None), "definitions": ("Definitions", None), "externalDocs": ("ExternalDocs", None),
    "example": ("Example", None), "x-kubernetes-preserve-unknown-fields": ("XPreserveUnknownFields", None),
    "x-kubernetes-embedded-resource": ("XEmbeddedResource", False), "x-kubernetes-int-or-string": ("XIntOrString", False),
    "x-kubernetes-list-map-keys": ("XListMapKeys", None), "x-kubernetes-list-type": ("XListType", None),
    "x-kubernetes-map-type": ("XMapType", None), "x-kubernetes-validations": ("XValidations", None),
}  # fmt: skip
"""The fields of a schema in the order, and under the names, of the API server's own form; with what they are when unset."""


@dataclass(frozen=True, slots=True)
class _At:
    """Where in a schema we are."""

    is_root: bool = False
    no_default: str | None = None
    """Why there may be no default here."""
    in_meta: bool = False
    """Inside of what all objects have."""


def root_problems(schema: Schema, path: str, *, has_status: bool) -> Problems:
    """What is wrong with the whole schema of a version. HAS_STATUS: its status is written by itself."""
    found: list[Problem] = []
    if has_status:
        found += _status_problems(schema, path)
    if schema.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    late = unstructural(schema)
    if not late:
        found += structural_problems(schema, path) or _default_problems(schema, path, is_root=True)
    found += _schema_problems(schema, path, _At(is_root=True))
    yield from found
    if late and not found:
        yield invalid(path, "", late)
    if not late and not found:
        yield from cel_problems(schema, path)


def _status_problems(schema: Schema, path: str) -> Problems:
    """What may be said at the root where the status has a way of its own."""
    allowed = _AT_ROOT.split()
    for name, (own, unset) in _INTERNAL.items():
        if schema.get(name, unset) == unset:
            continue
        if name == "type":
            if schema[name] != "object":
                why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
                yield invalid(f"{path}.type", schema[name], why)
                return
        elif own not in allowed:
            why = f"only [{_AT_ROOT}] fields are allowed at the root of the schema if the status subresource is enabled"
            yield invalid(path, internal_form(schema), why)
            return


def internal_form(schema: Schema) -> dict[str, Any]:
    """A schema as the API server shows its own form of it."""
    return {own: _internal(name, schema.get(name, unset)) for name, (own, unset) in _INTERNAL.items()}


def _internal(name: str, value: Any) -> Any:
    if name in ("properties", "patternProperties", "definitions") and isinstance(value, dict):
        return {key: internal_form(value[key]) for key in sorted(value)}
    if name in ("allOf", "oneOf", "anyOf") and isinstance(value, list):
        return [internal_form(each) for each in value]
    if name == "not" and isinstance(value, dict):
        return internal_form(value)
    if name == "items" and isinstance(value, dict):
        return {"Schema": internal_form(value), "JSONSchemas": None}
    if name in ("additionalProperties", "additionalItems") and value is not None:
        return {"Allows": bool(value), "Schema": internal_form(value) if isinstance(value, dict) else None}
    return value


# --- one schema after another


def _schema_problems(schema: Schema, path: str, at: _At) -> Problems:
    yield from _words(schema, path, at)
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", why)
    yield from _fields(schema, path, at)
    inner = replace(at, is_root=False)
    if isinstance(schema.get("not"), dict):
        yield from _schema_problems(schema["not"], f"{path}.not", inner)
    for name in ("allOf", "oneOf", "anyOf"):
        for place, each in enumerate(schema.get(name) or ()):
            yield from _schema_problems(each, f"{path}.{name}[{place}]", inner)
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _schema_problems(items, f"{path}.items", inner)
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    yield from _map_type(schema, path)
    yield from _list_type(schema, path)
    yield from _rules(schema, path)


def _words(schema: Schema, path: str, at: _At) -> Problems:
    kind = schema.get("type") or ""
    if kind and kind not in _TYPES:
        yield unsupported(f"{path}.type", kind, _TYPES, plain=True)
    if schema.get("default") is not None and at.no_default is not None:
        yield forbidden(f"{path}.default", f"must not be set {at.no_default}".rstrip())
    for name in _UNSUPPORTED:
        if schema.get(name):
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if at.in_meta and schema.get("x-kubernetes-embedded-resource"):
        yield forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")


def _fields(schema: Schema, path: str, at: _At) -> Problems:
    others, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if others is not None and others is not True and properties:
        why = "additionalProperties and properties are mutual exclusive"
        yield forbidden(f"{path}.additionalProperties", why)
    if isinstance(others, dict):
        why = "inside additionalProperties applying to object metadata"
        inner = replace(at, is_root=False, no_default=why if at.in_meta else at.no_default)
        yield from _schema_problems(others, f"{path}.additionalProperties", inner)
    for name, each in properties.items():
        inner = replace(at, is_root=False)
        if (at.is_root or schema.get("x-kubernetes-embedded-resource")) and name in _META:
            inner = replace(inner, in_meta=True, no_default=f"in top-level {name}" if at.is_root else at.no_default)
        yield from _schema_problems(each, f"{path}.properties[{name}]", inner)


def _needs_type(schema: Schema, path: str, wanted: str, because: str) -> Problems:
    kind, why = schema.get("type") or "", f"must be {wanted} if {because} is specified"
    yield invalid(f"{path}.type", kind, why) if kind else required(f"{path}.type", why)


def _map_type(schema: Schema, path: str) -> Problems:
    word, key = schema.get("x-kubernetes-map-type"), "x-kubernetes-map-type"
    if word is not None and schema.get("type") != "object":
        yield from _needs_type(schema, path, "object", key)
    if word not in (None, "atomic", "granular"):
        yield unsupported(f"{path}.{key}", word, ("atomic", "granular"), plain=True)


def _list_type(schema: Schema, path: str) -> Problems:
    word, key = schema.get("x-kubernetes-list-type"), "x-kubernetes-list-type"
    items = schema.get("items")
    if word is not None and schema.get("type") != "array":
        yield from _needs_type(schema, path, "array", key)
    elif word == "set" and isinstance(items, dict):
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        kind = items.get(key)
        if items.get("type") == "array" and kind not in (None, "atomic"):
            yield invalid(f"{path}.items.{key}", kind, why)
        elif items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
            yield invalid(f"{path}.items.x-kubernetes-map-type", kind, why)
    if word not in (None, "atomic", "set", "map"):
        yield unsupported(f"{path}.{key}", word, ("atomic", "set", "map"), plain=True)
    keys, why = schema.get("x-kubernetes-list-map-keys"), "must be map if x-kubernetes-list-map-keys is non-empty"
    if keys and word != "map":
        yield required(f"{path}.{key}", why) if word is None else invalid(f"{path}.{key}", word, why)
    if word == "map":
        yield from _keyed(schema, keys or (), path)
    if word in ("set", "map") and isinstance(items, dict):
        yield from _required_keys(items, keys or (), word, f"{path}.items")


def _keyed(schema: Schema, keys: Any, path: str) -> Problems:
    where, items = f"{path}.x-kubernetes-list-map-keys", schema.get("items")
    if not keys:
        yield required(where, "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        yield required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
    if not isinstance(items, dict):
        return
    if items.get("type") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(f"{path}.items.type", items.get("type") or "", why)
        return
    for at, name in enumerate(keys):
        of = (items.get("properties") or {}).get(name)
        if of is None:
            yield invalid(where, keys, "entries must all be names of item properties")
        elif of.get("type") in ("array", "object"):
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid(f"{path}.items.properties[{name}].type", items["type"], why)
        if name in keys[:at]:
            yield invalid(where, keys, "must not contain duplicate entries")


def _required_keys(items: Schema, keys: Any, word: str, path: str) -> Problems:
    if items.get("nullable"):
        yield forbidden(f"{path}.nullable", f"cannot be nullable when x-kubernetes-list-type is {word}")
    for name in keys if word == "map" else ():
        of, where = (items.get("properties") or {}).get(name), f"{path}.properties[{name}]"
        if of is not None and name not in (items.get("required") or ()) and of.get("default") is None:
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{where}.default", why)
        if of is not None and of.get("nullable"):
            yield forbidden(
                f"{where}.nullable", "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            )


def _rules(schema: Schema, path: str) -> Problems:
    for at, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        yield from _rule(rule, schema, f"{path}.x-kubernetes-validations[{at}]")


def _rule(rule: Mapping[str, Any], schema: Schema, path: str) -> Problems:
    text, message = rule.get("rule") or "", rule.get("message") or ""
    if not text.strip():
        yield required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid(f"{path}.message", message, "must be non-empty if specified")
    elif _has_lines(message.strip()):
        yield invalid(f"{path}.message", message, "must not contain line breaks")
    elif _has_lines(text.strip()) and not message.strip():
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    expression, field, reason = rule.get("messageExpression") or "", rule.get("fieldPath") or "", rule.get("reason")
    if expression and not expression.strip():
        yield required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    if reason is not None and reason not in _REASONS:
        yield unsupported(f"{path}.reason", reason, _REASONS)
    if field and not field.strip():
        yield invalid(f"{path}.fieldPath", field, "must be non-empty if specified")
    if _has_lines(field):
        yield invalid(f"{path}.fieldPath", field, "must not contain line breaks")
    if field and not leads_somewhere(field, schema):
        yield invalid(f"{path}.fieldPath", field, "must be a valid path")


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


# --- defaults


def _default_problems(schema: Schema, path: str, *, is_root: bool = False) -> list[Problem]:
    """Defaults that the schema itself would not take."""
    found: list[Problem] = []
    default = schema.get("default")
    if default is not None:
        found += _wrong_default(default, schema, f"{path}.default")
    if isinstance(schema.get("items"), dict):
        found += _default_problems(schema["items"], f"{path}.items")
    for name, each in (schema.get("properties") or {}).items():
        if not (is_root and name in _META):
            found += _default_problems(each, f"{path}.properties[{name}]")
    return found


def _wrong_default(default: Any, schema: Schema, path: str) -> list[Problem]:
    found: list[Problem] = []
    if isinstance(default, dict | list):
        wrapped = {"properties": {"default": schema}}
        if pruned({"default": default}, wrapped)[1]:
            found.append(invalid(path, default, "must not have unknown fields"))
    wrong = list(embedded_problems(default, schema, path, is_root=False))
    wrong = wrong or schema_problems(default, schema, path=path)
    return found + (wrong or rule_problems(default, schema, NONE, lambda _: None, path))
