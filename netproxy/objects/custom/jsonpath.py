"""Places in an object, as printer columns and selectable fields name them: `.spec.size`, `.status.conditions[?(@.type=="Ready")].status`.

Source: kubernetes 1.36 staging/src/k8s.io/client-go/util/jsonpath (parser.go, jsonpath.go).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

Step = Callable[[list[Any]], Iterator[Any]]

_FIELD = re.compile(r"(?:\\.|[^\\.\[\]{}\s()'\"])+")
_QUOTED = re.compile(r"\[\s*'((?:\\.|[^'\\])*)'\s*\]")
_FILTER = re.compile(r"\[\?\(\s*(.+?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?)\s*)?\)\]", re.DOTALL)
_PLACES = re.compile(r"\[\s*(\*|-?\d+(?:\s*,\s*-?\d+)*|-?\d*:-?\d*(?::-?\d*)?)\s*\]")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def found_at(path: str, obj: Any) -> list[Any]:
    """The values at a place; none where there is nothing, or where the path cannot be followed.

    >>> found_at(".status.conditions[?(@.type=='Ready')].status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    ['True']
    """
    try:
        return _through(steps(path), [obj])
    except (ValueError, IndexError, TypeError):
        return []


@lru_cache(maxsize=2048)
def steps(path: str) -> tuple[Step, ...]:
    """How to get there. Raises ValueError for what is no path."""
    made: list[Step] = []
    at = 0
    while at < len(path):
        step, at = _next(path, at)
        made.append(step)
    return tuple(made)


def _next(path: str, at: int) -> tuple[Step, int]:
    if path[at] == ".":
        return _dotted(path, at)
    found = _QUOTED.match(path, at)
    if found:
        inner = steps(f".{found[1]}")  # a dot is a step in quotes, too
        return lambda values: iter(_through(inner, values)), found.end()
    found = _FILTER.match(path, at)
    if found:
        return _filter(found[1], found[2], found[3]), found.end()
    found = _PLACES.match(path, at)
    if found:
        return _places(found[1]), found.end()
    found = _FIELD.match(path, at) if at == 0 else None
    if found:
        return _field(_plain(found[0])), found.end()
    raise ValueError(f"unexpected {path[at:]!r}")


def _through(path: tuple[Step, ...], values: list[Any]) -> list[Any]:
    for step in path:
        values = list(step(values))
    return values


def _dotted(path: str, at: int) -> tuple[Step, int]:
    is_deep = path.startswith("..", at)
    at += 2 if is_deep else 1
    if is_deep and path.startswith("[", at):
        return _deep, at
    found = _FIELD.match(path, at)
    if found is None:
        if path.startswith("[", at) or at == len(path):
            return _same, at
        raise ValueError(f"unexpected {path[at:]!r}")
    step = _every if found[0] == "*" else _field(_plain(found[0]))
    return (lambda values: step(list(_deep(values)))) if is_deep else step, found.end()


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _same(values: list[Any]) -> Iterator[Any]:
    yield from values


def _field(name: str) -> Step:
    def step(values: list[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, dict) and name in value:
                yield value[name]

    return step


def _every(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def _deep(values: list[Any]) -> Iterator[Any]:
    for value in values:
        yield value
        yield from _deep(list(_every([value])))


def _places(text: str) -> Step:
    if text == "*":
        return _every
    if ":" in text:
        begin, end, *by = (int(part) if part.strip() else None for part in text.split(":"))
        taken = slice(begin, end, by[0] if by else None)
        return lambda values: (item for value in values if value is not None for item in _listed(value)[taken])
    wanted = [int(part) for part in text.split(",")]
    return lambda values: (_listed(value)[place] for value in values if value is not None for place in wanted)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("not a list")
    return value


def _filter(left: str, compare: str | None, right: str | None) -> Step:
    def picks(item: Any) -> bool:
        values = _operand(left, item)
        if compare is None:
            return bool(values)
        others = _operand(right or "", item)
        if not values or not others:
            return False
        if type(values[0]) is not type(others[0]):
            raise ValueError("incompatible types for comparison")
        return _COMPARE[compare](values[0], others[0])

    return lambda values: (item for value in values if value is not None for item in _listed(value) if picks(item))


def _operand(text: str, item: Any) -> list[Any]:
    """What one side of a comparison is of an item."""
    if text.startswith("@"):
        return found_at(text[1:], item)
    if text[:1] in ("'", '"'):
        return [_plain(text[1:-1])]
    if text in ("true", "false"):
        return [text == "true"]
    return [float(text) if "." in text else int(text)]
