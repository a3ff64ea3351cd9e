"""Sets of field paths, written as Kubernetes writes them (FieldsV1): a map of path elements to what is owned below them.

`{"f:spec": {"f:ports": {".": {}, ...}}}` owns `spec.ports` itself and what is below it, but not `spec`; an element with nothing
below it is owned. Elements: `f:` a field or key, `k:` an item by its keys, `v:` an item by its value. Sets are never
changed once made, and parts of them are shared.

Source: sigs.k8s.io/structured-merge-diff v6 fieldpath (set.go, serialize.go), typed (compare.go, tofieldset.go).
"""

from __future__ import annotations

from typing import Any

import orjson

from netproxy.registry.gotext import go_quoted
from netproxy.registry.shape import FOUND, Owned, Shape

FieldSet = dict[str, Any]
"""A set of paths: its keys are path elements, its values what is owned below; `.` says that the place itself is owned, too."""

NOTHING: FieldSet = {}
"""What is below an element that is owned and has nothing owned below it."""

_WHOLE, _FIELDS, _AS_FOUND = Owned.WHOLE, Owned.FIELDS, Owned.AS_FOUND


# --- sets


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in either.

    >>> union({"f:a": {}}, {"f:a": {"f:b": {}}, "f:c": {}})
    {'f:a': {'f:b': {}, '.': {}}, 'f:c': {}}
    """
    result = dict(left)
    for element, below in right.items():
        if element in result:
            result[element] = _joined(result[element], below)
        elif element != ".":
            result[element] = below
    return result


def _joined(left: FieldSet, right: FieldSet) -> FieldSet:
    if left is right or left == right:
        return left
    result = union(left, right)
    if is_owned(left) or is_owned(right):
        result["."] = NOTHING
    return result


def is_owned(below: FieldSet) -> bool:
    """Whether an element with this below it is owned itself."""
    return not below or "." in below


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in LEFT and not in RIGHT; LEFT itself when that is all of it.

    >>> difference({"f:a": {".": {}, "f:b": {}}, "f:c": {}}, {"f:a": {}, "f:c": {}})
    {'f:a': {'f:b': {}}}
    """
    result = left
    for element, below in right.items():
        here = left.get(element)
        if here is None or element == ".":
            continue
        rest = _without(here, below)
        if rest is here:
            continue
        if result is left:
            result = dict(left)
        if rest is None:
            del result[element]
        else:
            result[element] = rest
    return result


def _without(left: FieldSet, right: FieldSet) -> FieldSet | None:
    """What is left of an element; None when nothing is."""
    stays = is_owned(left) and not is_owned(right)
    rest = difference(left, right)
    if stays == is_owned(left):
        return _plain(rest) if rest or stays else None
    rest = {element: below for element, below in rest.items() if element != "."}
    return rest or None


def _plain(below: FieldSet) -> FieldSet:
    """An element that is owned and has nothing below it has one spelling."""
    return NOTHING if len(below) == 1 and "." in below else below


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in both.

    >>> intersection({"f:a": {".": {}, "f:b": {}}, "f:c": {}}, {"f:a": {"f:b": {}, "f:d": {}}})
    {'f:a': {'f:b': {}}}
    """
    result: FieldSet = {}
    for element, below in left.items():
        other = right.get(element)
        if other is None or element == ".":
            continue
        both = intersection(below, other)
        if is_owned(below) and is_owned(other):
            result[element] = {".": NOTHING, **both} if both else NOTHING
        elif both:
            result[element] = both
    return result


def outside(left: FieldSet, places: FieldSet) -> FieldSet:
    """What of LEFT is neither at one of the PLACES nor below one.

    >>> outside({"f:spec": {"f:a": {}}, "f:status": {"f:b": {}}}, {"f:status": {}})
    {'f:spec': {'f:a': {}}}
    """
    result = left
    for element, below in places.items():
        here = left.get(element)
        if here is None:
            continue
        if result is left:
            result = dict(left)
        rest = NOTHING if is_owned(below) else outside(here, below)
        if rest:
            result[element] = rest
        else:
            del result[element]
    return result


# --- what an object has


def element_of(item: Any, shape: Shape) -> str:
    """The path element of an item of a list.

    >>> element_of({"port": 80, "name": "x"}, Shape(Owned.ITEMS, keys=("port", "protocol"), defaults={"protocol": "TCP"}))
    'k:{"port":80,"protocol":"TCP"}'
    """
    if shape.owned is Owned.VALUES or not isinstance(item, dict):
        return "v:" + _json(item)
    defaults = shape.defaults
    found = {key: item.get(key, defaults.get(key)) for key in shape.keys}
    if None in found.values():
        found = {key: value for key, value in found.items() if value is not None}
    return "k:" + _json(found)


def _json(value: Any) -> str:
    """As Go writes it."""
    text = orjson.dumps(value).decode()
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def all_of(value: Any, shape: Shape) -> FieldSet:
    """What is owned at and below the place of a value that was not there before.

    >>> all_of({"a": {"b": 1}, "c": [2]}, FOUND)
    {'.': {}, 'f:a': {'.': {}, 'f:b': {}}, 'f:c': {}}
    """
    owned = shape.owned
    if owned is _WHOLE or not value:
        return NOTHING
    if owned is _FIELDS or owned is _AS_FOUND:
        if type(value) is not dict:
            return NOTHING
        fields, items = shape.fields, shape.items or FOUND
        result: FieldSet = {".": NOTHING}
        for key, item in value.items():
            within = fields.get(key, items)
            result["f:" + key] = NOTHING if within.owned is _WHOLE else all_of(item, within)
        return result
    result = {".": NOTHING}
    items = shape.items or FOUND
    for element, same in grouped(value, shape).items():
        result[element] = all_of(same[0], items) if len(same) == 1 else NOTHING
    return result


def grouped(items: Any, shape: Shape) -> dict[str, list[Any]]:
    """The items of a list by their path elements; those that are the same belong together."""
    result: dict[str, list[Any]] = {}
    for item in items if isinstance(items, list) else ():
        result.setdefault(element_of(item, shape), []).append(item)
    return result


def compare(old: Any, new: Any, shape: Shape) -> tuple[FieldSet, FieldSet]:
    """What NEW has that OLD has not, or not so; and what only OLD has.

    >>> compare({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 0, "d": {}}, FOUND)
    ({'f:b': {}, 'f:d': {}}, {'f:c': {}})
    """
    changed: FieldSet = {}
    removed: FieldSet = {}
    if shape.owned is _FIELDS or shape.owned is _AS_FOUND:
        _compare_fields(old or NOTHING, new or NOTHING, shape, changed, removed)
    else:
        _compare_items(old, new, shape, changed, removed)
    return changed, removed


def _compare_fields(old: Any, new: Any, shape: Shape, changed: FieldSet, removed: FieldSet) -> None:
    fields, items = shape.fields, shape.items or FOUND
    for key, value in new.items():
        if key not in old:
            within = fields.get(key, items)
            changed["f:" + key] = NOTHING if within.owned is _WHOLE else all_of(value, within)
        elif old[key] is not value and old[key] != value:
            _compare_value("f:" + key, old[key], value, fields.get(key, items), changed, removed)
    for key, value in old.items():
        if key not in new:
            removed["f:" + key] = all_of(value, fields.get(key, items))


def _compare_items(old: Any, new: Any, shape: Shape, changed: FieldSet, removed: FieldSet) -> None:
    before, after, within = grouped(old, shape), grouped(new, shape), shape.items or FOUND
    for element, same in after.items():
        was = before.get(element, ())
        if len(same) == len(was) == 1:
            if same[0] != was[0]:
                _compare_value(element, was[0], same[0], within, changed, removed)
        elif len(was) > 1 and len(same) > 1:
            if was != same:
                changed[element] = NOTHING
        else:
            changed[element] = all_of(same[0], within) if len(same) == 1 else NOTHING
    for element, was in before.items():
        if len(was) == 1 and len(after.get(element, ())) != 1:
            removed[element] = all_of(was[0], within)
        elif len(was) > 1 >= len(after.get(element, ())):
            removed[element] = NOTHING


def _compare_value(element: str, old: Any, new: Any, shape: Shape, changed: FieldSet, removed: FieldSet) -> None:
    """Note what became of one place whose value is another now."""
    kind: type = dict if shape.owned is _FIELDS or shape.owned is _AS_FOUND else list
    parts = [value for value in (old, new) if value is not None]
    if shape.owned is _WHOLE or not (old or new) or any(type(value) is not kind for value in parts):
        changed[element] = NOTHING
        return
    more, less = compare(old, new, shape)
    if more:
        changed[element] = more
    if less:
        removed[element] = less


def leaves_of(value: Any, shape: Shape) -> FieldSet:
    """What an applied configuration owns: its values, the items of its lists, the keys of its maps, not the fields above them.

    >>> leaves_of({"a": {"b": 1}, "c": {}}, Shape(Owned.FIELDS, fields=lambda: {"a": Shape(Owned.FIELDS, items=FOUND)}))
    {'f:a': {'f:b': {}}, 'f:c': {}}
    """
    if shape.owned is _FIELDS or shape.owned is _AS_FOUND:
        return _field_leaves(value, shape) if isinstance(value, dict) else {}
    result: FieldSet = {}
    for element, same in grouped(value, shape).items():
        below = leaves_of(same[0], shape.items or FOUND) if len(same) == 1 else {}
        result[element] = {".": NOTHING, **below} if below else NOTHING
    return result


def _field_leaves(value: dict[str, Any], shape: Shape) -> FieldSet:
    result: FieldSet = {}
    for key, item in value.items():
        within = shape.within(key)
        is_leaf = within.owned is _WHOLE or (within.owned is _AS_FOUND and not isinstance(item, dict))
        below = {} if is_leaf else leaves_of(item, within)
        if is_leaf or item is None or item == {} or key not in shape.fields:
            result["f:" + key] = {".": NOTHING, **below} if below else NOTHING
        elif below:
            result["f:" + key] = below
    return result


def named(fields: FieldSet, shape: Shape) -> FieldSet:
    """The set with all named fields on the way to what is in it: those that an applied configuration does not own.

    >>> named({"f:a": {"f:b": {}}}, Shape(Owned.FIELDS, fields=lambda: {"a": FOUND}))
    {'f:a': {'f:b': {}, '.': {}}}
    """
    result: FieldSet = {}
    for element, below in fields.items():
        if not below or element == ".":
            result[element] = below
            continue
        field = element[2:] if element.startswith("f:") else ""
        within = shape.within(field) if field else shape.items or FOUND
        result[element] = named(below, within)
        if field in shape.fields:
            result[element]["."] = NOTHING
    return result


# --- text


def read(given: Any) -> FieldSet | None:
    """A set as a client wrote it, in our spelling; None when it is none. Elements of a kind that is not known are left out.

    >>> read({"f:a": {".": {}, 'k:{"b":1,"a":2}': {}}, "z:x": {}}), read({"f:a": {"b": {}}})
    ({'f:a': {'.': {}, 'k:{"a":2,"b":1}': {}}}, None)
    """
    if not isinstance(given, dict):
        return None
    result: FieldSet = {}
    for element, below in given.items():
        if element == ".":
            result["."] = NOTHING
            continue
        if element[1:2] != ":":
            return None
        if element[0] not in "fvki":
            continue
        spelt, inner = _spelt(element), read(below)
        if not spelt or inner is None:
            return None
        result[spelt] = _plain(inner)
    return result


def _spelt(element: str) -> str:
    """An element in our spelling; empty when it cannot be read."""
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return element
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    if kind == "k:":
        return kind + _json({name: value[name] for name in sorted(value)}) if isinstance(value, dict) else ""
    return kind + _json(value) if kind == "v:" or type(value) is int else ""


# --- paths


def paths(fields: FieldSet, prefix: str = "") -> list[str]:
    """All paths of a set as people read them, in Kubernetes' order: at every place first what is owned there.

    >>> paths({"f:b": {}, "f:a": {".": {}, 'k:{"name":"x"}': {}}, "f:c": {}})
    ['.a', '.b', '.c', '.a[name="x"]']
    """
    names = sorted((element for element in fields if element != "."), key=_rank)
    here = [prefix + path_text(element) for element in names if is_owned(fields[element])]
    return here + [path for element in names for path in paths(fields[element], prefix + path_text(element))]


def _rank(element: str) -> tuple[int, Any]:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return 0, text
    value = orjson.loads(text)
    if kind == "k:" and isinstance(value, dict):
        return 1, [(name, _value_rank(value[name])) for name in sorted(value)]
    return 2, _value_rank(value)


def _value_rank(value: Any) -> tuple[int, Any]:
    """Numbers first, then strings, then booleans."""
    if isinstance(value, bool):
        return 2, value
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def path_text(element: str) -> str:
    """An element of a path as people read it.

    >>> path_text("f:spec"), path_text('k:{"port":80,"protocol":"TCP"}'), path_text('v:"a"')
    ('.spec', '[port=80,protocol="TCP"]', '[="a"]')
    """
    if element.startswith("f:"):
        return "." + element[2:]
    value = orjson.loads(element[2:])
    if isinstance(value, dict):
        return f"[{','.join(f'{name}={_shown(value[name])}' for name in sorted(value))}]"
    return f"[={_shown(value)}]"


def _shown(value: Any) -> str:
    return go_quoted(value) if isinstance(value, str) else orjson.dumps(value).decode()


def in_order(fields: FieldSet) -> FieldSet:
    """The same set with its elements in the order in which Kubernetes writes them.

    >>> in_order({"f:b": {}, ".": {}, 'k:{"a":1}': {}, "f:a": {}})
    {'.': {}, 'f:a': {}, 'f:b': {}, 'k:{"a":1}': {}}
    """
    here = {".": NOTHING} if "." in fields else {}
    names = sorted((element for element in fields if element != "."), key=_rank)
    return here | {element: in_order(fields[element]) for element in names}
