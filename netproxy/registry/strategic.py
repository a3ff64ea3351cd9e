"""Strategic merge patch: lists of objects are merged item by item where the schema names a key; with all directives.

Source: kubernetes 1.36 staging/src/k8s.io/apimachinery/pkg/util/strategicpatch/patch.go.
"""

from __future__ import annotations

from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.meta import Object
from netproxy.objects.schema import merge_key, type_of, type_of_field

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def has_merge_keys(obj: Object) -> bool:
    """Whether the kind can be patched so: there is a schema for it."""
    return bool(type_of(obj))


def strategic(target: Object, patch: Object) -> Object:
    """The object after a patch.

    >>> pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "x"}]}}
    >>> strategic(pod, {"spec": {"containers": [{"name": "a", "image": "y"}]}})["spec"]
    {'containers': [{'name': 'a', 'image': 'y'}]}

    Raises ManifestError for a directive that is not known or does not fit.
    """
    return _merged(target, patch, type_of(target))


def _merged(target: Object, patch: Object, of: str) -> Object:
    """An object of the type OF, patched."""
    match patch.get("$patch", "merge"):
        case "replace":
            return {field: _plain(value) for field, value in patch.items() if field != "$patch"}
        case "delete":
            return {}
        case "merge":
            pass
        case other:
            raise _refused(f"unknown patch type: {other} in map: {_go(patch)}")
    result = dict(target)
    if "$retainKeys" in patch:
        kept = _names(patch, "$retainKeys")
        result = {field: value for field, value in result.items() if field in kept}
    for field in _fields(patch):
        value = patch.get(field)
        if field in patch and value is None:
            result.pop(field, None)
            continue
        new = _field(result.get(field), patch, field, of)
        if new is not None:
            result[field] = new
    return result


def _fields(patch: Object) -> list[str]:
    """The fields that a patch speaks of: by a value or by a directive."""
    names = [field.partition("/")[2] if field.startswith((_ORDER, _DELETE)) else field for field in patch]
    return [field for field in dict.fromkeys(names) if not field.startswith("$")]


def _field(old: Any, patch: Object, field: str, of: str) -> Any:
    """The new value of one field; None when there is none."""
    value, key = patch.get(field), merge_key(of, field)
    if isinstance(old, dict) and isinstance(value, dict):
        return _merged(old, value, type_of_field(of, field))
    if key is None or not isinstance(value if value is not None else old, list):
        return old if value is None else _plain(value)
    return _list(old if isinstance(old, list) else [], patch, field, key, type_of_field(of, field))


def _list(old: list[Any], patch: Object, field: str, key: str, of: str) -> list[Any]:
    given, deleted = patch.get(field) or [], _names(patch, _DELETE + field)
    order = _names(patch, _ORDER + field)
    if key:
        same = _items(old, given, key, of)
        wanted = [item.get(key) for item in (order or given) if isinstance(item, dict)]
        return _ordered(same, wanted, [item.get(key) for item in old], key)
    merged: list[Any] = []
    for item in (*old, *given):
        if item not in merged and item not in deleted:
            merged.append(item)
    return _ordered(merged, order or given, old, "")


def _items(old: list[Any], given: list[Any], key: str, of: str) -> list[Any]:
    """Items of a list merged by their key."""
    for item in given:
        if not isinstance(item, dict):
            raise _refused(f"expected an object with {key} in a list, got {item!r}")
    plain = [item for item in given if item.get("$patch") not in ("replace", "delete")]
    if any(item.get("$patch") == "replace" for item in given):
        return [_plain(item) for item in plain]
    gone = [item.get(key) for item in given if item.get("$patch") == "delete"]
    result = [item for item in old if item.get(key) not in gone]
    for item in plain:
        if key not in item:
            raise _refused(f"map: {_go(item)} does not contain declared merge key: {key}")
        at = next((i for i, known in enumerate(result) if known.get(key) == item[key]), None)
        if at is None:
            result.append(_merged({}, item, of))
        else:
            result[at] = _merged(result[at], item, of)
    return result


def _ordered(merged: list[Any], wanted: list[Any], before: list[Any], key: str) -> list[Any]:
    """What the patch speaks of in its order; the rest goes between as it was before."""

    def name(item: Any) -> Any:
        return item.get(key) if key else item

    ours = sorted((item for item in merged if name(item) in wanted), key=lambda item: wanted.index(name(item)))
    others = [item for item in merged if name(item) not in wanted]
    result: list[Any] = []
    while ours and others:
        left, right = name(others[0]), name(ours[0])
        is_before = right in before and before.index(left) < before.index(right)
        result.append((others if is_before else ours).pop(0))
    return [*result, *ours, *others]


def _names(patch: Object, directive: str) -> list[Any]:
    found = patch.get(directive) or []
    if not isinstance(found, list):
        raise _refused(f"{directive} must be a list, got {found!r}")
    return found


def _plain(value: Any) -> Any:
    """A new value: without nulls and directives."""
    if isinstance(value, dict):
        return {field: _plain(v) for field, v in value.items() if v is not None and not field.startswith("$")}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _go(value: Object) -> str:
    """A map as Go prints it."""
    return f"map[{' '.join(f'{field}:{value[field]}' for field in sorted(value))}]"


def _refused(why: str) -> ManifestError:
    return ManifestError([Problem("patch", f"Invalid value: {why}")])
