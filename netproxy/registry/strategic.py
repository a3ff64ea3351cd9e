"""Strategic merge patch: lists of objects are merged item by item where the schema names a key; with all directives.

Source: kubernetes 1.36 staging/src/k8s.io/apimachinery/pkg/util/strategicpatch/patch.go, apiserver
pkg/endpoints/handlers/patch.go (which failure has which code).
"""

from __future__ import annotations

from typing import Any

from netproxy.core.errors import ApiError
from netproxy.objects.meta import Object
from netproxy.objects.schema import fields_of, merge_key, root_of, type_of_field
from netproxy.registry.elements import BAD_ORDER, check_order, common_type, index_of, ordered
from netproxy.registry.gotext import failed, go_text, go_type, malformed

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder"
_DELETE = "$deleteFromPrimitiveList"
_BAD_RETAIN = "invalid patch format of retainKeys"
_BAD_DELETE = "invalid patch format of primitive list"


def has_merge_keys(obj: Object) -> bool:
    """Whether the kind can be patched so: there is a schema for it."""
    return bool(root_of(obj))


def strategic(target: Object, patch: Object) -> Object:
    """The object after a patch.

    >>> pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "x"}]}}
    >>> strategic(pod, {"spec": {"containers": [{"name": "a", "image": "y"}]}})["spec"]
    {'containers': [{'name': 'a', 'image': 'y'}]}

    Raises ApiError for a directive that is not known or does not fit.
    """
    return _merged(target, patch, root_of(target))


def _merged(target: Object, patch: Object, of: str) -> Object:
    """An object of the type OF, patched."""
    if _PATCH in patch:
        return _directed(patch)
    result, patch = dict(target), dict(patch)
    if _RETAIN in patch:
        result = _retained(result, patch)
    for key in [key for key in patch if key.startswith(_ORDER)]:
        _arrange(result, patch, key, of)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            field = _named(key, _BAD_DELETE)
            if field in result and isinstance(value, list) and isinstance(result[field], list):
                result[field] = _deleted(result[field], value)
            elif value is None:
                result.pop(field, None)
        elif value is None:
            result.pop(key, None)
        else:
            _put(result, key, value, of)
    return result


def _directed(patch: Object) -> Object:
    directive = patch[_PATCH]
    if directive == "replace":
        return {field: value for field, value in patch.items() if field != _PATCH}
    if directive == "delete":
        return {}
    raise _unknown(directive, patch)


def _unknown(directive: Any, patch: Object) -> ApiError:
    shown = directive if isinstance(directive, str) else f"%!s({go_type(directive)}={go_text(directive)})"
    return failed(f"unknown patch type: {shown} in map: {go_text(patch)}")


def _retained(target: Object, patch: Object) -> Object:
    """Only the fields that the patch names; the directive is taken out of it."""
    kept = patch.pop(_RETAIN)
    if not isinstance(kept, list):
        raise malformed(_BAD_RETAIN)
    for field, value in patch.items():
        if value is not None and not field.startswith((_DELETE, _ORDER)) and field not in kept:
            raise malformed(_BAD_RETAIN)
    return {field: value for field, value in target.items() if field in kept}


def _named(directive: str, wrong: str) -> str:
    """The field of a directive that names one."""
    _, slash, field = directive.partition("/")
    if not slash:
        raise malformed(wrong)
    return field


def _put(result: Object, field: str, value: Any, of: str) -> None:
    """Merge a value that is not null into a field."""
    there = result.get(field)
    if isinstance(there, dict) and isinstance(value, dict):
        _check_field(of, field)
        result[field] = _merged(there, value, type_of_field(of, field))
    elif isinstance(there, list) and isinstance(value, list):
        result[field] = _merged_list(there, value, of, field)
    else:
        new, is_kept = _plain(value)
        if is_kept:
            result[field] = new
        else:
            result.pop(field, None)


def _check_field(of: str, field: str) -> None:
    if of and field not in fields_of(of):
        name = of.rpartition(".")[2]
        raise failed(f'unable to find api field in struct {name} for the json field "{field}"')


def _plain(value: Any) -> tuple[Any, bool]:
    """A new value without nulls and directives, and whether there is one."""
    if isinstance(value, dict):
        if _PATCH in value:
            return None, False
        found = {field: _plain(item) for field, item in value.items() if item is not None}
        return {field: item for field, (item, is_kept) in found.items() if is_kept}, True
    if isinstance(value, list):
        return [item for item, is_kept in map(_plain, value) if is_kept], True
    return value, True


# --- lists


def _merged_list(there: list[Any], given: list[Any], of: str, field: str) -> list[Any]:
    _check_field(of, field)
    key = merge_key(of, field)
    if key is None:
        return given
    if not there and not given:
        return there
    if common_type(there, given) is not dict:
        both = [item for index, item in enumerate([*there, *given]) if item not in [*there, *given][:index]]
        return ordered(both, given, there, "")
    there, given = _special(there, given, key)
    return ordered(_merged_items(there, given, key, type_of_field(of, field)), given, there, key)


def _deleted(there: list[Any], gone: list[Any]) -> list[Any]:
    if there or gone:
        common_type(there, gone)
    return [item for item in there if item not in gone]


def _special(there: list[Any], given: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """The items that are left, and those of the patch that are no directives."""
    plain = [item for item in given if _PATCH not in item]
    is_replaced = False
    for item in given:
        match item.get(_PATCH, _PATCH):
            case "delete":
                if key not in item:
                    raise no_key(item, key)
                there = [known for known in there if known.get(key) != item[key]]
            case "replace":
                is_replaced = True
            case "merge":
                raise failed("merging lists cannot yet be specified in the patch")
            case directive if directive != _PATCH:
                raise _unknown(directive, item)
    return (plain, []) if is_replaced else (there, plain)


def no_key(item: Object, key: str) -> ApiError:
    """The refusal of an item that does not say which one it is."""
    return failed(f"map: {go_text(item)} does not contain declared merge key: {key}")


def _merged_items(there: list[Any], given: list[Any], key: str, of: str) -> list[Any]:
    result = list(there)
    for item in given:
        if key not in item:
            raise no_key(item, key)
        at = index_of(result, item, key)
        if at < 0:
            result.append(item)
        else:
            result[at] = _merged(result[at], item, of)
    return result


def _arrange(result: Object, patch: Object, directive: str, of: str) -> None:
    """Bring a list into the order that the patch wants, with what the patch has for it; both are taken out of the patch."""
    order, field = patch.pop(directive), _named(directive, BAD_ORDER)
    there, given = result.get(field), patch.get(field)
    for value in (order, *([there] if field in result else []), *([given] if field in patch else [])):
        if not isinstance(value, list):
            raise failed(f"expected a []interface {{}}, but received a {go_type(value)}")
    _check_field(of, field)
    key = merge_key(of, field) or ""
    check_order(given or [], order, key)
    if there is None and given is None:
        return
    patch.pop(field, None)
    if there is None:
        there, given = [], _plain(given)[0]
        merged = given
    else:
        merged = there if given is None else _merged_list(there, given, of, field)
    result[field] = ordered(merged, order, there, key)
