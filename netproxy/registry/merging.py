"""Objects under a shape: one merged into another, and places taken out of one.

Source: sigs.k8s.io/structured-merge-diff v6 typed/merge.go, typed/remove.go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from netproxy.registry.fieldset import FieldSet, element_of, is_owned
from netproxy.registry.shape import FOUND, Owned, Shape


def merged(live: Any, config: Any, shape: Shape) -> Any:
    """LIVE with what CONFIG says; nothing is taken out, and lists have the order of CONFIG where it has one.

    >>> merged({"a": {"b": 1}, "c": 2}, {"a": {"d": 3}}, FOUND)
    {'a': {'b': 1, 'd': 3}, 'c': 2}
    """
    if shape.owned in (Owned.FIELDS, Owned.AS_FOUND) and (live or config):
        if not isinstance(live or {}, dict) or not isinstance(config or {}, dict):
            return config
        result = dict(live or {})
        for key, value in (config or {}).items():
            result[key] = merged(result[key], value, shape.within(key)) if key in result else value
        return result
    if shape.owned in (Owned.ITEMS, Owned.VALUES) and (live or config):
        return _merged_items(live or [], config or [], shape)
    return config


def _merged_items(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    before = [element_of(item, shape) for item in live]
    after = {element_of(item, shape): item for item in config}
    old: dict[str, Any] = {}
    for element, item in zip(before, live, strict=True):
        old[element] = None if element in old else item  # one of many is not merged
    within, result = shape.items or FOUND, []
    for place in _order(before, list(after)):
        if isinstance(place, int):
            result.append(live[place])
        else:
            there = old.get(place)
            result.append(after[place] if there is None else merged(there, after[place], within))
    return result


def _order(before: list[str], wanted: list[str]) -> Iterator[int | str]:
    """In which order items come: those that are wanted by their element, those that only were there by their place.

    >>> list(_order(["a", "x", "b"], ["b", "c", "a"]))
    [1, 'b', 'c', 'a']
    """
    known, asked = set(before), set(wanted)
    shared = deque(element for element in wanted if element in known)
    done: set[str] = set()
    rest = deque(wanted)
    left = 0
    while left < len(before) or rest:
        here = before[left] if left < len(before) else ""
        if here and here not in asked:
            yield left
            left += 1
        elif here and rest and here != rest[0] and shared and shared[0] != here:
            left += 1  # it is wanted, but not yet
        else:
            if here and (here in done or (rest and here == rest[0])):
                left += 1
            if rest:
                element = rest.popleft()
                done.add(element)
                if shared and shared[0] == element:
                    shared.popleft()
                yield element


def without(value: Any, places: FieldSet, shape: Shape) -> Any:
    """A value without some places; what becomes empty stays, empty.

    >>> without({"a": {"b": 1}, "c": 2}, {"f:a": {"f:b": {}}, "f:c": {}}, FOUND)
    {'a': {}}
    """
    if not places or not value:
        return value
    if isinstance(value, dict) and shape.owned in (Owned.FIELDS, Owned.AS_FOUND):
        result: dict[str, Any] = {}
        for key, item in value.items():
            below = places.get("f:" + key)
            if below is None:
                result[key] = item
            elif not is_owned(below):
                result[key] = without(item, below, shape.within(key))
        return result
    if isinstance(value, list) and shape.owned in (Owned.ITEMS, Owned.VALUES):
        kept = []
        for item in value:
            below = places.get(element_of(item, shape))
            if below is None:
                kept.append(item)
            elif not is_owned(below):
                kept.append(without(item, below, shape.items or FOUND))
        return kept
    return type(value)() if isinstance(value, dict | list) else value
