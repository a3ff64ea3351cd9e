"""What a patch made of an object, read as the kind that it should be: what is refused, and in which words.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go, apimachinery pkg/runtime/converter.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from netproxy.core.errors import ApiError, ManifestError
from netproxy.objects.canonical import canonical
from netproxy.objects.decoding import DecodingError, Reading, read, word
from netproxy.objects.meta import Object
from netproxy.objects.schema import fields_of, root_of
from netproxy.registry.fieldset import in_order
from netproxy.registry.gotext import go_quoted, go_text
from netproxy.registry.jsonpatch import Touched
from netproxy.registry.options import WriteOptions
from netproxy.registry.restored import fault

_NO_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_SCHEME = 'in scheme "pkg/api/legacyscheme/scheme.go:30"'


def read_patched(seen: Object, patch: Callable[[Object], Any], told: tuple[str, ...], options: WriteOptions) -> Object:
    """The object after a JSON or merge patch. Raises ApiError when it is none of SEEN's kind any more, or has unknown fields.

    TOLD is what was wrong with the patch itself and can be overlooked.
    """
    try:
        return _read(patch(seen), seen, told, options)
    except _OddError:  # seldom: again, in the order of Go's structs
        value = patch(in_struct_order(seen, root_of(seen)))
        try:
            return _read(_sorted(value), seen, told, options, is_last=True)
        except _OddError as error:
            raise refused(json_text(value), str(error)) from None


class _OddError(Exception):
    """Something about the result has to be told."""


def _read(value: Any, seen: Object, told: tuple[str, ...], options: WriteOptions, *, is_last: bool = False) -> Object:
    of = _type_of(value, seen)
    if not of:
        return {**value, **{field: value.get(field) or seen[field] for field in ("apiVersion", "kind")}}
    try:
        reading = read(value, of)
        canonical(reading.obj)
    except (DecodingError, ManifestError) as error:
        raise _OddError(str(error)) from error
    if not value.get("apiVersion") and not value.get("kind"):  # it is no object of anything
        reading = Reading({}, tuple(f'unknown field "{field}"' for field in value))
    found = {**reading.obj, **{field: reading.obj.get(field) or seen[field] for field in ("apiVersion", "kind")}}
    _check_kind(found, seen)
    if (told or reading.told) and options.field_validation != "Ignore":
        if options.field_validation == "Strict":
            raise _OddError(f"strict decoding error: {', '.join((*told, *reading.told))}")
        if not is_last and len(reading.told) > 1:
            raise _OddError
        for text in (*told, *reading.told):
            options.warn(text)
    return found


def _type_of(value: Any, seen: Object) -> str:
    """The type that the result says it is of; what it does not say is as before."""
    if not isinstance(value, dict):
        what = f"json: cannot unmarshal {word(value)} into Go value of type {_NO_META}"
        raise _OddError(f"couldn't get version/kind; json parse error: {what}")
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field) or "", str):
            what = f"json: cannot unmarshal {word(value[field])} into Go struct field .{field} of type string"
            raise _OddError(f"couldn't get version/kind; json parse error: {what}")
    version, kind = value.get("apiVersion") or seen["apiVersion"], value.get("kind") or seen["kind"]
    if version.count("/") > 1:
        raise _OddError(f"unexpected GroupVersion string: {version}")
    of = root_of({"apiVersion": version, "kind": kind})
    if not of and root_of(seen):
        raise _OddError(f'no kind "{kind}" is registered for version "{version}" {_SCHEME}')
    return of


def _check_kind(found: Object, seen: Object) -> None:
    if found["kind"] != seen["kind"] or _group(found) != _group(seen):
        short, own = found["apiVersion"].rpartition("/")[2], _group(seen).partition(".")[0] or "core"
        raise _OddError(f"converting ({short}.{found['kind']}) to ({own}.{seen['kind']}): unknown conversion")


def _group(obj: Object) -> str:
    return str(obj["apiVersion"]).rpartition("/")[0]


def read_merged(value: Object, seen: Object, patch: Object, told: tuple[str, ...], options: WriteOptions) -> Object:
    """The object after a strategic merge patch. Raises ApiError as `read_patched` does, in other words."""
    of = root_of(seen)
    value = {**value, "apiVersion": seen["apiVersion"], "kind": seen["kind"]}
    wrong = fault(value, of)
    if wrong:
        raise refused(go_text(patch), wrong)
    try:
        reading = read(value, of)
        canonical(reading.obj)
    except DecodingError as error:  # of bytes that are none
        raise refused(go_text(patch), f"error decoding from json: {error}") from error
    except ManifestError as error:
        raise refused(go_text(patch), str(error)) from error
    told = (*told, *sorted(reading.told))
    options.tell(told, lambda: refused(go_text(patch), f"strict decoding error: {', '.join(told)}"))
    found: Object = reading.obj
    return found


def refused(shown: str, why: str) -> ApiError:
    """The refusal of what a patch made."""
    message = f"Invalid value: {go_quoted(shown)}: {why}"
    error = ApiError(422, "Invalid", f' "" is invalid: patch: {message}')
    return error.with_details(causes=[{"reason": "FieldValueInvalid", "message": message, "field": "patch"}])


# --- as the server writes it


def in_struct_order(value: Any, of: str) -> Any:
    """A value of a type with its fields in the order of Go's struct, and the keys of its maps sorted."""
    if not isinstance(value, dict):
        return value
    fields = fields_of(of)
    rank = {field: place for place, field in enumerate(fields)}
    result: dict[str, Any] = {}
    for field in sorted(value, key=lambda field: rank.get(field, len(rank))):
        code = fields.get(field, "")
        if code.startswith("[]:"):
            result[field] = [in_struct_order(item, code[3:]) for item in value[field] or ()]
        elif field == "fieldsV1":
            result[field] = in_order(value[field])
        elif code.startswith("{}"):
            result[field] = {key: in_struct_order(value[field][key], code[3:]) for key in sorted(value[field] or ())}
        else:
            result[field] = in_struct_order(value[field], code[1:])
    return result


def _sorted(value: Any) -> Any:
    """A value with the objects that a patch has opened in the order in which they are written."""
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _sorted(value[key]) for key in (sorted(value) if isinstance(value, Touched) else value)}


def json_text(value: Any) -> str:
    """JSON as Go writes it."""
    text = orjson.dumps(_sorted(value)).decode()
    for char, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escaped)
    return text
