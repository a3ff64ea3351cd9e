"""Whether an applied configuration has the types of its kind, in the words of structured-merge-diff.

Source: sigs.k8s.io/structured-merge-diff v6 typed/validate.go, typed/helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netproxy.registry.fieldset import element_of, path_text
from netproxy.registry.gotext import go_quoted, go_syntax, go_text, go_type
from netproxy.registry.shape import FOUND, Owned, Shape

_OF_TYPE: dict[str, tuple[type, ...]] = {
    "any": (str, int, float, bool),
    "string": (str,),
    "numeric": (int, float),
    "boolean": (bool,),
}


def type_error(value: Any, shape: Shape) -> str:
    """What is wrong with the types of a value; empty when nothing is.

    >>> type_error({"a": 5}, Shape(Owned.FIELDS, items=Shape(Owned.WHOLE, scalar="string")))
    '.a: expected string, got &value.valueUnstructured{Value:5}'
    """
    found = [f"{path}: {what}" if path else what for path, what in _errors(value, shape, "")]
    return found[0] if len(found) == 1 else "\n  ".join(["errors:", *found]) if found else ""


def _errors(value: Any, shape: Shape, path: str) -> Iterator[tuple[str, str]]:
    inside = shape.inside or shape
    if value is None or inside.owned is Owned.AS_FOUND:
        return
    if inside.owned is Owned.WHOLE:
        if inside.scalar and (type(value) not in _OF_TYPE[inside.scalar]):
            yield path, _unexpected(value, inside.scalar)
    elif inside.owned is Owned.FIELDS:
        yield from _field_errors(value, inside, path)
    elif not isinstance(value, list):
        yield path, f"expected list, got &{{{go_text(value)}}}"
    elif inside.owned is Owned.PLACES:
        for index, item in enumerate(value):
            yield from _errors(item, inside.items or FOUND, f"{path}[{index}]")
    else:
        yield from _item_errors(value, inside, path)


def _unexpected(value: Any, scalar: str) -> str:
    match scalar:
        case "numeric":
            return f"expected numeric (int or float), got {go_type(value)}"
        case "string":
            return f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"
    if scalar == "any":
        return f"expected any scalar, got &{{{go_text(value)}}}"
    return f"expected boolean, got &{{{go_text(value)}}}"


def _field_errors(value: Any, shape: Shape, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, f"expected map, got &{{{go_text(value)}}}"
        return
    for key in sorted(value):
        if shape.is_closed and key not in shape.fields:
            yield f"{path}.{key}", "field not declared in schema"
            return
        yield from _errors(value[key], shape.within(key), f"{path}.{key}")


def _item_errors(value: list[Any], shape: Shape, path: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for index, item in enumerate(value):
        wrong = _not_an_item(item, shape)
        if wrong:
            yield path, f"element {index}: {wrong}"
            return
        element = element_of(item, shape)
        if element in seen:
            yield path, f"duplicate entries for key {path_text(element)}"
        seen.add(element)
        yield from _errors(item, shape.items or FOUND, path + path_text(element))


def _not_an_item(item: Any, shape: Shape) -> str:
    """Why something cannot be an item of a list whose items are told apart."""
    if shape.owned is Owned.VALUES:
        words = {
            dict: "without keys has an element that's a map type",
            type(None): "without keys has an element that's an explicit null",
        }
        if isinstance(item, list):
            return "not supported: associative list with lists as elements"
        return f"associative list {words[type(item)]}" if type(item) in words else ""
    if item is None:
        return "associative list with keys may not have a null element"
    if not isinstance(item, dict):
        return "associative list with keys may not have non-map elements"
    if not any(key in item or key in shape.defaults for key in shape.keys):
        keys = " ".join(go_quoted(key) for key in shape.keys)
        return (
            f"associative list with keys has an element that omits all key fields [{keys}] (and doesn't have default values"
            " for any key fields)"
        )
    return ""
