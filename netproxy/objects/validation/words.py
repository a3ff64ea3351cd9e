"""The words in which the API server refuses a value of one field.

Source: kubernetes apimachinery pkg/util/validation/field/errors.go (Error.ErrorBody), Go strconv.Quote and encoding/json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from netproxy.core.errors import Problem
from netproxy.objects.validation.names import port_name

PORT_RANGE = "must be between 1 and 65535, inclusive"
PROTOCOLS = ("SCTP", "TCP", "UDP")
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"

Problems = Iterator[Problem]

_ESCAPES = {
    "\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", '"': r"\"", "\\": r"\\",
}  # fmt: skip
_HTML = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"})
_PLAIN = re.compile(r"[ !#-\[\]-~]*\Z")


def quoted(text: str) -> str:
    """A string as Go's `%q` writes it.

    >>> print(quoted('a "b"' + chr(0) + chr(233) + chr(0x2028)))
    "a \\"b\\"\\x00é\\u2028"
    """
    return f'"{text}"' if _PLAIN.match(text) else '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char == " " or (char.isprintable() and not char.isspace()):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def as_json(value: Any) -> str:
    """A value as Go's encoding/json writes it; keys stay in their order.

    >>> as_json({"a": ["<", 1, None]})
    '{"a":["\\\\u003c",1,null]}'
    """
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_HTML)


class Typed(str):
    """A string that Go knows as a type of its own: it is shown as JSON, not in Go's quotes."""

    __slots__ = ()


def shown(value: Any) -> str:
    """A bad value: a string in quotes, all else as JSON.

    >>> shown("a"), shown(True), shown(None), shown([1, 2])
    ('"a"', 'true', 'null', '[1,2]')
    """
    return quoted(value) if isinstance(value, str) and type(value) is not Typed else as_json(value)


def invalid(path: str, value: Any, why: str = "") -> Problem:
    """A value that cannot be."""
    return Problem(path, f"Invalid value: {shown(value)}" + (f": {why}" if why else ""))


def invalids(path: str, value: Any, whys: Iterable[str]) -> Problems:
    """A value that cannot be, for each of these reasons."""
    for why in whys:
        yield invalid(path, value, why)


def required(path: str, why: str = "") -> Problem:
    """A value that is missing."""
    return Problem(path, "Required value" + (f": {why}" if why else ""), reason="FieldValueRequired")


def forbidden(path: str, why: str) -> Problem:
    """A value that may not be, here and now."""
    return Problem(path, f"Forbidden: {why}", reason="FieldValueForbidden")


def duplicate(path: str, value: Any, why: str = "") -> Problem:
    """A value that is there already."""
    return Problem(path, f"Duplicate value: {shown(value)}" + (f": {why}" if why else ""), reason="FieldValueDuplicate")


def unsupported(path: str, value: Any, choices: Sequence[str], *, plain: bool = False) -> Problem:
    """A value that is not among the choices; PLAIN: Go knows it as a string, not as a type of its own."""
    listed = ", ".join(map(quoted, choices))
    said = quoted(value) if plain else as_json(value)
    return Problem(path, f"Unsupported value: {said}: supported values: {listed}", reason="FieldValueNotSupported")


def too_long(path: str, most: int) -> Problem:
    """A value of more bytes than there may be."""
    return Problem(path, f"Too long: may not be more than {most} bytes", reason="FieldValueTooLong")


def too_many(path: str, count: int, most: int) -> Problem:
    """A list of more items than there may be."""
    return Problem(path, f"Too many: {count}: must have at most {most} items", reason="FieldValueTooMany")


def one_of(path: str, value: Any, choices: tuple[str, ...]) -> Problems:
    """Whether a value, when there is one, is among the choices."""
    if value is not None and value not in choices:
        yield unsupported(path, value, choices)


def port(path: str, value: Any) -> Problems:
    """Whether a value is a port's number."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        yield invalid(path, value, PORT_RANGE)


def port_or_name(path: str, value: Any) -> Problems:
    """Whether a value is a port's number or its name."""
    if isinstance(value, str):
        yield from invalids(path, value, port_name(value))
    else:
        yield from port(path, value or 0)


def unchanged(path: str, new: Any, old: Any) -> Problems:
    """Whether a value is still what it was; nothing, an empty list and an empty map are the same."""
    if new != old and (new or old):
        yield invalid(path, new, IMMUTABLE)


def unchanged_shown(path: str, new: Any, old: Any, shown: Any) -> Problems:
    """Whether a value is still what it was, which a refusal SHOWS in another form."""
    if new != old and (new or old):
        yield invalid(path, shown, IMMUTABLE)


def unchanged_typed(path: str, new: Any, old: Any) -> Problems:
    """Whether a string that Go knows as a type of its own is still what it was."""
    yield from unchanged(path, Typed(new) if isinstance(new, str) else new, old)
