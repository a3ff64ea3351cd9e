"""What the schema of a custom kind makes of an object: unknown fields go, empty ones are filled, metadata is read as metadata.

Objects are values: what changes is made anew, what does not is the same.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{pruning,defaulting,objectmeta}/algorithm.go
and customresource_handler.go (unstructuredSchemaCoercer).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import ManifestError
from netproxy.objects.canonical import canonical
from netproxy.objects.decoding import DecodingError, read
from netproxy.objects.meta import Object
from netproxy.objects.schema import METADATA
from netproxy.objects.validation.words import invalid

Schema = Mapping[str, Any]

META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))
"""What every object has, whatever its schema says."""
_NOTHING: Schema = {}


def of_field(schema: Schema, field: str) -> tuple[bool, Schema | None]:
    """Whether a schema knows a field, and the field's own schema, if it has one."""
    found = (schema.get("properties") or _NOTHING).get(field)
    if found is not None:
        return True, found
    others = schema.get("additionalProperties")
    return others is not None, others if isinstance(others, dict) else None


def items_of(schema: Schema) -> Schema | None:
    """The schema of the items of a list."""
    found = schema.get("items")
    return found if isinstance(found, dict) else None


# --- unknown fields


def pruned(obj: Object, schema: Schema) -> tuple[Object, list[str]]:
    """The object without the fields that its schema does not know, and the paths of those, sorted.

    >>> pruned({"kind": "X", "spec": {"a": 1, "b": 2}}, {"properties": {"spec": {"properties": {"a": {}}}}})
    ({'kind': 'X', 'spec': {'a': 1}}, ['spec.b'])
    """
    gone: list[str] = []
    made: Object = _pruned(obj, {**schema, "x-kubernetes-embedded-resource": True}, "", gone)
    return made, sorted(gone)


def _pruned(value: Any, schema: Schema | None, path: str, gone: list[str]) -> Any:
    if isinstance(value, dict):
        return _pruned_fields(value, schema, path, gone)
    if isinstance(value, list):
        if schema is not None and schema.get("x-kubernetes-preserve-unknown-fields"):
            return [_kept(item, items_of(schema), f"{path}[{at}]", gone) for at, item in enumerate(value)]
        of = items_of(schema) if schema is not None else None
        return [_pruned(item, of, f"{path}[{at}]", gone) for at, item in enumerate(value)]
    return value


def _kept(value: Any, schema: Schema | None, path: str, gone: list[str]) -> Any:
    """A value within something that keeps what is unknown: only what has a schema of its own is looked at."""
    if schema is None:
        return value
    return _pruned(value, {**schema, "x-kubernetes-preserve-unknown-fields": True}, path, gone)


def _pruned_fields(value: Mapping[str, Any], schema: Schema | None, path: str, gone: list[str]) -> Object:
    keeps = schema is not None and schema.get("x-kubernetes-preserve-unknown-fields")
    made: Object = {}
    for field, item in value.items():
        here = f"{path}.{field}" if path else field
        if schema is not None and schema.get("x-kubernetes-embedded-resource") and field in META_FIELDS:
            made[field] = item
            continue
        known, of = of_field(schema, field) if schema is not None else (False, None)
        if known:
            made[field] = _pruned(item, of, here, gone)
        elif keeps:
            made[field] = item
        else:
            gone.append(here)
    return made


def without_nulls(value: Any, schema: Schema) -> Any:
    """A value without the nulls that its schema neither takes nor fills."""
    if isinstance(value, dict):
        made: Object = {}
        for field, item in value.items():
            _, of = of_field(schema, field)
            if item is None and of is not None and not of.get("nullable"):
                if "default" in of:
                    made[field] = item
                continue
            made[field] = without_nulls(item, of) if of is not None else item
        return made
    of = items_of(schema)
    return [without_nulls(item, of) for item in value] if isinstance(value, list) and of is not None else value


# --- defaults


def defaulted(value: Any, schema: Schema) -> Any:
    """A value with what its schema fills in.

    >>> defaulted({"spec": {}}, {"properties": {"spec": {"properties": {"color": {"default": "red"}}}}})
    {'spec': {'color': 'red'}}
    """
    if isinstance(value, dict):
        made: Object = dict(value)
        for field, of in (schema.get("properties") or _NOTHING).items():
            default = of.get("default")
            if default is not None and made.get(field) is None and (field not in made or not of.get("nullable")):
                made[field] = default
        for field, item in made.items():
            _, within = of_field(schema, field)
            if within is not None:
                made[field] = defaulted(_filled(item, within), within)
        return made
    of = items_of(schema)
    return [defaulted(_filled(item, of), of) for item in value] if isinstance(value, list) and of is not None else value


def _filled(item: Any, schema: Schema) -> Any:
    return schema.get("default") if item is None and not schema.get("nullable") else item


# --- objects in objects


def coerced(value: Any, schema: Schema | None, path: str, told: list[str]) -> Any:
    """A value with the metadata of the objects in it as metadata is read. Raises DecodingError for what is none.

    TOLD takes the paths of unknown fields in it.
    """
    if schema is None:
        return value
    if isinstance(value, list):
        of = items_of(schema)
        return [coerced(item, of, f"{path}[{at}]", told) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    made: Object = {}
    for field, item in value.items():
        here = f"{path}.{field}" if path else field
        if schema.get("x-kubernetes-embedded-resource") and field in META_FIELDS:
            item = _meta_field(field, item, here, told)
        known, of = of_field(schema, field)
        made[field] = coerced(item, of, here, told) if known else item
    return made


def _meta_field(field: str, item: Any, path: str, told: list[str]) -> Any:
    if field == "metadata":
        try:
            return metadata_read(item, path, told)
        except DecodingError as error:
            raise DecodingError(f"{path}: {invalid(path, item, str(error)).message}") from error
    if not isinstance(item, str):
        raise DecodingError(f"{path}: {invalid(path, item, 'must be a string').message}")
    return item


def metadata_read(meta: Any, path: str, told: list[str]) -> Object:
    """Metadata as Go reads and writes it. Raises DecodingError."""
    reading = read({} if meta is None else meta, METADATA)
    told += [f"{path}.{text.partition(chr(34))[2][:-1]}" for text in reading.told]
    lets_go = reading.obj.get("managedFields") == []
    try:
        made = canonical({"apiVersion": "v1", "kind": "ConfigMap", "metadata": reading.obj})["metadata"]
    except ManifestError as error:
        raise DecodingError(error.problems[0].message) from error
    return {**made, "managedFields": []} if lets_go else {**made}
