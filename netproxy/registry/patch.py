"""Patches as pure functions: JSON merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge patch.

Source for the merge keys: the `x-kubernetes-patch-merge-key` marks of the official schema.
"""

from __future__ import annotations

from typing import Any

from netproxy.core.errors import ManifestError, Problem, UnsupportedError

MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "hostAliases": "ip", "imagePullSecrets": "name", "conditions": "type", "addresses": "type",
    "ownerReferences": "uid", "taints": "key",
}  # fmt: skip


def patched(obj: Any, body: Any, content_type: str) -> Any:
    """The object after a patch. Raises ManifestError, or UnsupportedError for a type of patch that is not known."""
    match content_type.partition(";")[0].strip():
        case "application/merge-patch+json":
            return merge(obj, body)
        case "application/strategic-merge-patch+json":
            return strategic(obj, body)
        case "application/json-patch+json":
            return json_patch(obj, body)
        case other:
            raise UnsupportedError(f"the body of the request was in an unknown format: {other}")


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


def strategic(target: Any, patch: Any, field: str = "") -> Any:
    """Strategic merge patch: lists with a merge key are merged item by item; `$patch: delete|replace` works.

    >>> strategic({"containers": [{"name": "a", "image": "x"}]}, {"containers": [{"name": "a", "image": "y"}]})
    {'containers': [{'name': 'a', 'image': 'y'}]}
    """
    if isinstance(patch, list):
        return _merge_list(target if isinstance(target, list) else [], patch, field)
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
        else:
            result[key] = strategic(result.get(key), value, key)
    return result


def _merge_list(target: list[Any], patch: list[Any], field: str) -> list[Any]:
    key = MERGE_KEYS.get(field) or _port_key(field, patch)
    if key is None or not all(isinstance(item, dict) for item in (*target, *patch)):
        return patch
    result = list(target)
    for item in patch:
        at = next((i for i, old in enumerate(result) if old.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(item)
        else:
            result[at] = strategic(result[at], item)
    return result


def _port_key(field: str, patch: list[Any]) -> str | None:
    """`ports` merge by `containerPort` in a container and by `port` in a Service."""
    if field != "ports":
        return None
    return "containerPort" if any(isinstance(item, dict) and "containerPort" in item for item in patch) else "port"


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """Apply add, remove, replace, move, copy and test in order. Raises ManifestError for one that does not fit."""
    result = target
    for number, operation in enumerate(operations):
        try:
            result = _operate(result, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            text = (
                f"Invalid value: {operation}: the server rejected our request due to an error in our request ({error})"
            )
            raise ManifestError([Problem(f"[{number}]", text)]) from error
    return result


def _operate(target: Any, operation: dict[str, Any]) -> Any:
    path = _split(operation["path"])
    match operation["op"]:
        case "add" | "replace":
            return _put(target, path, operation["value"], insert=operation["op"] == "add")
        case "remove":
            return _remove(target, path)
        case "test":
            if _get(target, path) != operation["value"]:
                raise ValueError(f"testing value {operation['path']} failed")
            return target
        case "copy":
            return _put(target, path, _get(target, _split(operation["from"])), insert=True)
        case "move":
            source = _split(operation["from"])
            return _put(_remove(target, source), path, _get(target, source), insert=True)
        case other:
            raise ValueError(f"unknown operation {other}")


def _split(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _get(target: Any, path: list[str]) -> Any:
    for step in path:
        target = target[int(step)] if isinstance(target, list) else target[step]
    return target


def _put(target: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(target, list):
        items = list(target)
        if rest:
            items[int(step)] = _put(items[int(step)], rest, value, insert=insert)
        elif step == "-":
            items.append(value)
        elif insert:
            items.insert(int(step), value)
        else:
            items[int(step)] = value
        return items
    if rest:
        return {**target, step: _put(target[step], rest, value, insert=insert)}
    return {**target, step: value}


def _remove(target: Any, path: list[str]) -> Any:
    step, rest = path[0], path[1:]
    if isinstance(target, list):
        items = list(target)
        if rest:
            items[int(step)] = _remove(items[int(step)], rest)
        else:
            del items[int(step)]
        return items
    if rest:
        return {**target, step: _remove(target[step], rest)}
    if step not in target:
        raise KeyError(step)
    return {k: v for k, v in target.items() if k != step}
