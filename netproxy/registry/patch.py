"""An object after a patch, by the type of the patch: JSON patch, JSON merge patch, strategic merge patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ApiError
from netproxy.objects.meta import Object
from netproxy.registry.jsonpatch import json_patch, merge
from netproxy.registry.options import WriteOptions
from netproxy.registry.patched import read_merged, read_patched
from netproxy.registry.strategic import has_merge_keys, strategic

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
MOST_OPERATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Patch:
    """What is to become of an object."""

    kind: str
    """The media type."""
    value: Any
    told: tuple[str, ...] = ()
    """What was wrong with its text and can be overlooked."""


def patched(seen: Object, patch: Patch, options: WriteOptions) -> Object:
    """The object after a patch, of the same kind. What can be overlooked is told to the writer, if it wants to know.

    Raises ApiError when the value is no such patch or the type is not known, when it does not fit, or leaves no such object.
    """
    value = patch.value
    if patch.kind == STRATEGIC and has_merge_keys(seen):
        return read_merged(strategic(seen, _object(value)), seen, value, patch.told, options)
    if patch.kind == MERGE:
        return read_patched(seen, lambda obj: merge(obj, value), patch.told, options)
    if patch.kind != JSON:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details()
    if not isinstance(value, list):
        raise undecodable(value, "[]handlers.jsonPatchOp")
    if len(value) > MOST_OPERATIONS:
        most = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(value)}"
        raise ApiError(413, "RequestEntityTooLarge", most)
    return read_patched(seen, lambda obj: json_patch(obj, value), patch.told, options)


def _object(value: Any) -> Object:
    if not isinstance(value, dict):
        raise undecodable(value, "map[string]interface {}")
    return value


def undecodable(value: Any, wanted: str) -> ApiError:
    """The refusal of a patch of another type."""
    given = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
    why = f"error decoding patch: json: cannot unmarshal {given} into Go value of type {wanted}"
    return ApiError(400, "BadRequest", why)
