"""What is written of a lab → its checks as values, or what is wrong with each field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from netproxy.labkit.check import CODES, KINDS, Check

Mistake = tuple[str, str]
"""A field, and what is wrong with it."""

_WORDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("a string; put it into quotes", lambda value: isinstance(value, str)),
    "int": ("a number", lambda value: type(value) is int),
    "Sequence[str]": ("a list of strings", lambda value: _is_texts(value)),
}
_PATTERNS = ("body", "contains")


def check_of(item: Any) -> Check | list[Mistake]:
    """One entry of `checks`, or everything that is wrong with it."""
    if not isinstance(item, dict):
        return [("", "Invalid value: must be an object, such as {name: vip, kind: http, source: client, host: web}")]
    kind = KINDS.get(str(item.get("kind")))
    if kind is None:
        return [("kind", _unsupported(item.get("kind"), KINDS))]
    given = {str(field).replace("-", "_"): value for field, value in item.items() if field != "kind"}
    wrong = list(_wrong(kind, given))
    return wrong or kind(**given)


def mistakes(meta: Mapping[str, Any]) -> Iterator[Mistake]:
    """What is wrong with the types in a lab.yaml."""
    for field in ("title", "breaks"):
        if not isinstance(meta.get(field), str | None):
            yield field, "Invalid value: must be a string; put it into quotes"
    needs, programs = meta.get("needs"), meta.get("programs")
    if not (isinstance(needs, str | None) or _is_texts(needs)):
        yield "needs", "Invalid value: must be a word or a list of words"
    if programs is not None and not (isinstance(programs, dict) and _is_texts(list(programs.values()))):
        yield "programs", "Invalid value: must be an object: a machine, and the file that is run there"


def _wrong(kind: type[Any], given: Mapping[str, Any]) -> Iterator[Mistake]:
    known = {field.name: field for field in fields(kind)}
    for name in sorted(given.keys() - known.keys()):
        yield name, f"unknown field; known ones are {', '.join(known)}"
    for name, field in known.items():
        if name not in given:
            if field.default is MISSING:
                yield name, "Required value"
            continue
        word, _, optional = str(field.type).partition(" | ")
        wanted, is_right = _WORDS[word]
        if given[name] is None and optional:
            continue
        if not is_right(given[name]):
            yield name, f"Invalid value: must be {wanted}"
        elif name == "code" and given[name] not in CODES:
            yield name, _unsupported(given[name], CODES)
        elif name in _PATTERNS:
            yield from _unreadable(name, given[name])


def _unreadable(name: str, given: Any) -> Iterator[Mistake]:
    for pattern in [given] if isinstance(given, str) else given:
        try:
            re.compile(pattern)
        except re.error as error:
            yield name, f"Invalid value: {pattern!r}: must be a regular expression: {error}"


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _unsupported(value: Any, known: Mapping[str, Any]) -> str:
    return f'Unsupported value: "{value}": supported values: {", ".join(sorted(known))}'
