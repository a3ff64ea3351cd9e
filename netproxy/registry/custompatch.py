"""Patches of custom objects: what a patch made is read by the schema of the version that was patched.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go (applyJSPatch).
"""

from __future__ import annotations

from typing import Any

from netproxy.core.errors import ApiError
from netproxy.objects.custom.definition import Version, group_kind
from netproxy.objects.custom.numbers import plain_numbers
from netproxy.objects.decoding import DecodingError, word
from netproxy.objects.meta import Object
from netproxy.registry.jsonpatch import json_patch, merge
from netproxy.registry.options import WriteOptions
from netproxy.registry.patch import JSON, MOST_OPERATIONS, Patch, undecodable
from netproxy.registry.patched import json_text, refused


def custom_patched(seen: Object, patch: Patch, options: WriteOptions, version: Version) -> Object:
    """The object after a JSON or merge patch. What can be overlooked is told to the writer, if it wants to know.

    Raises ApiError when the value is no such patch, when it does not fit, or leaves no object.
    """
    made = plain_numbers(_made(seen, patch))
    try:
        if not isinstance(made, dict):
            raise DecodingError(f"json: cannot unmarshal {word(made)} into Go value of type map[string]interface {{}}")
        if group_kind(made) != (version.definition.group, version.kind):
            return made  # which says itself what is wrong with it
        reading = version.read({**made, "metadata": made.get("metadata") or {}})
    except DecodingError as error:
        raise refused(_text(made), str(error)) from error
    told = (*patch.told, *reading.told)
    options.tell(told, lambda: refused(_text(made), f"strict decoding error: {', '.join(told)}"))
    found: Object = reading.obj
    return found


def _made(seen: Object, patch: Patch) -> Any:
    if patch.kind != JSON:
        return merge(seen, patch.value)
    if not isinstance(patch.value, list):
        raise undecodable(patch.value, "[]handlers.jsonPatchOp")
    if len(patch.value) > MOST_OPERATIONS:
        most = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(patch.value)}"
        raise ApiError(413, "RequestEntityTooLarge", most)
    return json_patch(seen, patch.value)


def _text(made: Any) -> str:
    return json_text(_sorted(made))


def _sorted(value: Any) -> Any:
    """A value with the keys of all objects in order, as Go writes maps."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
