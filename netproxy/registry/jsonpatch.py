"""JSON patch (RFC 6902) and merge patch (RFC 7386), as the API server's library has them.

A pointer without its first slash is read, an index may count from the end, to replace a field that is not there adds it, and
a field that is null is like one that is not there. `Touched` objects are those that a patch has opened: the library writes them
with their fields sorted.

Source: github.com/evanphx/json-patch v4 patch.go, merge.go.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from netproxy.core.errors import ApiError
from netproxy.core.numbers import whole
from netproxy.objects.gojson import SyntaxFaultError, check_depth

MOST_COPIED = 3 << 20
"""So many bytes may be added by copying: a copy of copies of copies is soon larger than any memory."""
_INDEX = re.compile(r"[+-]?[0-9]+")


class Touched(dict[str, Any]):
    """An object that a patch has opened; its own."""


class _Opened(list[Any]):
    """A list that a patch has opened; its own."""


class _UnfitError(Exception):
    """The operation does not fit."""


def json_patch(target: Any, operations: list[Any]) -> Any:
    """Apply add, remove, replace, move, copy and test in order; TARGET stays as it is. Raises ApiError.

    >>> json_patch({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}])
    {'a': [1, 2]}
    """
    holder: list[Any] = [_own(target)]
    room = MOST_COPIED
    try:
        for operation in operations:
            room -= _do(holder, operation if isinstance(operation, dict) else {}, room)
        check_depth(holder[0])
    except (_UnfitError, SyntaxFaultError, RecursionError):
        why = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", why).with_details() from None
    return holder[0]


def _do(holder: list[Any], operation: dict[str, Any], room: int) -> int:
    """Do one operation; how many bytes it has copied, which may be ROOM."""
    kind, path, value, copied = operation.get("op"), operation.get("path"), operation.get("value"), 0
    if kind == "move":
        value = _taken(*_found(holder, operation.get("from")))
    elif kind == "copy":
        value, copied = _copied(*_found(holder, operation.get("from")), room)
    if kind == "replace" and path == "":
        if not isinstance(value, dict | list):
            raise _UnfitError
        holder[0] = _own(value)
    elif kind == "test" and path == "":
        _test(holder[0], value)
    elif kind in ("add", "move", "copy"):
        _add(*_found(holder, path), value)
    elif kind == "remove":
        _remove(*_found(holder, path))
    elif kind == "replace":
        _replace(*_found(holder, path), value)
    elif kind == "test":
        _test(_get(*_found(holder, path)), value)
    else:
        raise _UnfitError
    return copied


def _taken(place: Any, key: str) -> Any:
    value = _get(place, key)
    _remove(place, key)
    return value


def _copied(place: Any, key: str, room: int) -> tuple[Any, int]:
    value = _written(_get(place, key))
    copied = len(orjson.dumps(value))
    if copied > room:
        raise _UnfitError
    return value, copied


def _written(value: Any) -> Any:
    """The same value, of which no part is that of another place: as it would be read from its text."""
    if isinstance(value, dict):
        return {key: _written(value[key]) for key in (sorted(value) if isinstance(value, Touched) else value)}
    return [_written(item) for item in value] if isinstance(value, list) else value


def _found(holder: list[Any], path: Any) -> tuple[Any, str]:
    """The object or list that a pointer ends in, opened, and the last key."""
    parts = path.split("/") if isinstance(path, str) else []
    if len(parts) < 2:
        raise _UnfitError
    keys = [part.replace("~1", "/").replace("~0", "~") for part in parts]
    here = holder[0]
    for key in keys[1:-1]:
        below = _own(_get(here, key))
        if not isinstance(below, dict | list):
            raise _UnfitError
        if isinstance(here, dict):
            here[key] = below
        else:
            here[_index(key, len(here))] = below
        here = below
    return here, keys[-1]


def _own(value: Any) -> Any:
    """A value that may be changed in place."""
    if isinstance(value, dict) and not isinstance(value, Touched):
        return Touched(value)
    return _Opened(value) if isinstance(value, list) and not isinstance(value, _Opened) else value


def _index(key: str, most: int) -> int:
    """An index below MOST; a negative one counts from the end."""
    if not _INDEX.fullmatch(key) or not -most <= whole(key) < most:
        raise _UnfitError
    return whole(key) % most


def _get(place: Any, key: str) -> Any:
    return place.get(key) if isinstance(place, dict) else place[_index(key, len(place))]


def _add(place: Any, key: str, value: Any) -> None:
    if isinstance(place, dict):
        place[key] = value
    elif key == "-":
        place.append(value)
    else:
        place.insert(_index(key, len(place) + 1), value)


def _remove(place: Any, key: str) -> None:
    if isinstance(place, dict):
        if key not in place:
            raise _UnfitError
        del place[key]
    else:
        del place[_index(key, len(place))]


def _replace(place: Any, key: str, value: Any) -> None:
    if isinstance(place, dict):
        place[key] = value
    else:
        place[_index(key, len(place))] = value


def _test(found: Any, wanted: Any) -> None:
    if not _is_same(found, wanted):
        raise _UnfitError


def _is_same(left: Any, right: Any) -> bool:
    """Whether two values are written alike: 1 is not 1.0."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    return type(left) is type(right) and bool(left == right)


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch: null removes, lists are replaced.

    >>> merge({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
    {'b': {'c': 2, 'd': 3}}
    """
    if not isinstance(target, dict):
        return _without_nulls(patch)
    if not isinstance(patch, dict):
        return patch
    result = Touched(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            there = result.get(key)
            result[key] = _without_nulls(value) if there is None else merge(there, value)
    return result


def _without_nulls(value: Any) -> Any:
    """A new value: fields that are null are not there."""
    if isinstance(value, dict):
        return Touched({key: _without_nulls(item) for key, item in value.items() if item is not None})
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
