"""Patches as pure functions: JSON patch (RFC 6902, by `jsonpatch`), JSON merge patch (RFC 7386), strategic merge patch."""

from __future__ import annotations

from typing import Any

from netproxy.core.errors import ApiError
from netproxy.objects.meta import Object
from netproxy.registry.strategic import has_merge_keys, strategic

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
MOST_OPERATIONS = 10_000


def patched(obj: Object, body: Any, content_type: str) -> Any:
    """The object after a patch of this type.

    Raises ApiError when the body is no such patch or the type is not known, and when an operation does not fit; ManifestError
    for a strategic one that does not.
    """
    kind = content_type.partition(";")[0].strip()
    accepted = [JSON, MERGE, STRATEGIC] if has_merge_keys(obj) else [JSON, MERGE]
    if kind not in accepted:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details()
    if kind == JSON:
        return json_patch(obj, body)
    if not isinstance(body, dict):
        raise _undecodable(body, "map[string]interface {}")
    return merge(obj, body) if kind == MERGE else strategic(obj, body)


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch: null removes, lists are replaced.

    >>> merge({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
    {'b': {'c': 2, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: Object, operations: Any) -> Any:
    """Apply add, remove, replace, move, copy and test in order. Raises ApiError.

    >>> json_patch({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}])
    {'a': [1, 2]}
    """
    import jsonpatch  # not needed until somebody patches
    from jsonpointer import JsonPointerException

    if not isinstance(operations, list):
        raise _undecodable(operations, "[]handlers.jsonPatchOp")
    if len(operations) > MOST_OPERATIONS:
        most = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", most)
    try:
        wanted = [_forgiving(operation) for operation in operations]
        return jsonpatch.JsonPatch(wanted).apply(target)
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError, ValueError, KeyError) as error:
        why = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", why) from error


def _forgiving(operation: Any) -> Any:
    """An operation as Kubernetes understands it: to replace a field of an object that is not there is to add it."""
    path = operation.get("path") if isinstance(operation, dict) else None
    is_field = isinstance(path, str) and path and not path.rpartition("/")[2].isdigit() and not path.endswith("/-")
    return {**operation, "op": "add"} if is_field and operation.get("op") == "replace" else operation


def _undecodable(body: Any, wanted: str) -> ApiError:
    given = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(body), "number")
    return ApiError(
        400, "BadRequest", f"error decoding patch: json: cannot unmarshal {given} into Go value of type {wanted}"
    )
