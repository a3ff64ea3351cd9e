"""JSON ↔ frozen dataclasses: what comes in has the shape, the types and the values that its class says, or is refused.

A field is `snake_case` here and `camelCase` in JSON. Its type is one of str, int, float, bool, Any, another Message,
`tuple[X, ...]`, `dict[str, X]` or `X | None`; `Annotated[X, Rule(...)]` adds what a type cannot say.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from types import UnionType
from typing import Annotated, Any, ClassVar, Self, get_args, get_origin, get_type_hints

from netproxy.core.errors import ManifestError, Problem

SHOWN = 80
"""How much of a wrong value a message repeats, in characters."""

_WORDS = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    tuple: "a list",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a field's type cannot say: a name of its own in JSON, a choice of values, limits, that it is not empty."""

    json: str = ""
    one_of: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    filled: bool = False


_FREE = Rule()


@dataclass(frozen=True, slots=True)
class Message:
    """A request, an answer, or a part of one."""

    LENIENT: ClassVar[bool] = False
    """Whether fields that it does not know are passed over: for answers, which may come from a newer netproxy."""

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """What JSON says. Raises ManifestError with everything that is wrong, each with its path."""
        problems: list[Problem] = []
        result: Self = _message(cls, value, "", problems)
        if problems:
            raise ManifestError(problems)
        return result

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """What a URL's query says: all of it is text. Raises ManifestError."""
        kinds = {item.key: item.kind for item in _parts_of(cls)}
        return cls.from_json(
            {key: _number(text) if kinds.get(key) in (int, float) else text for key, text in query.items()}
        )

    def to_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {item.key: _plain(getattr(self, item.name)) for item in _parts_of(type(self))}

    def to_query(self) -> dict[str, str]:
        """The same for a URL; what is empty is left out."""
        return {key: str(value) for key, value in self.to_json().items() if value not in ("", None)}


@dataclass(frozen=True, slots=True)
class _Part:
    """A field: its names, its type, its rule."""

    name: str
    key: str
    kind: Any
    rule: Rule
    required: bool


def _parts_of(cls: Any) -> tuple[_Part, ...]:
    """The fields of a class, read once."""
    return _read_parts(cls)


@functools.cache
def _read_parts(cls: Any) -> tuple[_Part, ...]:
    hints = get_type_hints(cls, include_extras=True)
    result = []
    for item in fields(cls):
        kind, rule = hints[item.name], _FREE
        if get_origin(kind) is Annotated:
            kind, rule = get_args(kind)[:2]
        result.append(_Part(item.name, rule.json or camel(item.name), kind, rule, item.default is MISSING))
    return tuple(result)


def camel(name: str) -> str:
    """A field's name in JSON.

    >>> camel("endpoint_slices")
    'endpointSlices'
    """
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _number(text: str) -> Any:
    """The number that a text is, or the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _message(cls: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    if not isinstance(value, dict):
        problems.append(_wrong(path, value, dict))
        return None
    parts = _parts_of(cls)
    before = len(problems)
    if not cls.LENIENT:
        problems += _unknown(value, [part.key for part in parts], path)
    found: dict[str, Any] = {}
    for part in parts:
        if part.key in value:
            found[part.name] = _checked(part, value[part.key], _joined(path, part.key), problems)
        elif part.required:
            problems.append(Problem(_joined(path, part.key), "Required value", reason="FieldValueRequired"))
    return cls(**found) if len(problems) == before else None


def _unknown(value: Mapping[Any, Any], known: list[str], path: str) -> list[Problem]:
    there = ", ".join(known) or "none"
    return [
        Problem(_joined(path, shown(key)), f"unknown field (there are: {there})") for key in value if key not in known
    ]


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _checked(part: _Part, value: Any, path: str, problems: list[Problem]) -> Any:
    """A value of the field's type that keeps its rule."""
    before = len(problems)
    result = _typed(part.kind, value, path, problems)
    if len(problems) == before:
        problems += _broken(part.rule, result, path)
    return result


def _broken(rule: Rule, value: Any, path: str) -> list[Problem]:
    if rule.one_of and value not in rule.one_of:
        choices = ", ".join(f'"{choice}"' for choice in rule.one_of if choice)
        why = f'Unsupported value: "{shown(value)}": supported values: {choices}'
        return [Problem(path, why, reason="FieldValueNotSupported")]
    if rule.filled and not value:
        return [Problem(path, "Required value", reason="FieldValueRequired")]
    if isinstance(value, float) and not rule.least <= value <= rule.most:
        return [Problem(path, f"Invalid value: {shown(value)}: must be between {rule.least} and {rule.most}")]
    return []


def _typed(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    origin = get_origin(kind)
    if origin is UnionType:
        return None if value is None else _typed(get_args(kind)[0], value, path, problems)
    if origin is tuple and isinstance(value, list):
        inner = get_args(kind)[0]
        return tuple(_typed(inner, item, f"{path}[{at}]", problems) for at, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        if inner is Any:
            return value
        return {str(key): _typed(inner, item, _joined(path, str(key)), problems) for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, Message):
        return _message(kind, value, path, problems)
    if kind is Any or _is_a(kind, value):
        return float(value) if kind is float else value
    problems.append(_wrong(path, value, origin or kind))
    return None


def _is_a(kind: Any, value: Any) -> bool:
    """Whether a value of JSON is of a plain type; true is no number, and neither is what no number can be."""
    if kind is float:
        return type(value) in (int, float) and -1e300 < value < 1e300 and math.isfinite(value)
    return type(value) is kind


def _wrong(path: str, value: Any, kind: Any) -> Problem:
    return Problem(
        path or "body", f"Invalid value: {shown(value)}: must be {_WORDS[kind]}", reason="FieldValueTypeInvalid"
    )


def shown(value: Any) -> str:
    """A value for a message, not longer than `SHOWN`."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
