"""JSON text → plain values: one or several, each key once, within the limits.

The fast reader does the work; what it cannot tell (a key that is there twice, where one value of several ends) is asked of the
standard library's when there is reason to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from netproxy.objects.limits import DEEPEST, HEAVIEST, MOST_DOCUMENTS, TOO_DEEP, TOO_HEAVY, TOO_MANY, VALUE, LimitError
from netproxy.objects.scalars import number

_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*"|[\[\]{}]', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_HIDDEN_COLON = re.compile(rb"\\u003a", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:[\s\ufeff]+|---[ \t]*(?:#[^\n]*)?(?:\n|\Z))*")


def values(text: bytes) -> tuple[list[Any], bytes, int]:
    """The JSON values at the beginning of a text, what follows them, and how many lines come before that.

    >>> values(b'{"a": 1} {"b": 2}'), values(b"{a: 1}")
    (([{'a': 1}, {'b': 2}], b'', 0), ([], b'{a: 1}', 0))

    Raises LimitError.
    """
    import orjson

    if len(text) > HEAVIEST:
        _weigh(text)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _stream(text)
    if not _is_flat(text):
        _check_depth(value)
    if _lost_keys(text, orjson.dumps(value)):
        return _stream(text)
    return [value], b"", 0


def _lost_keys(before: bytes, after: bytes) -> bool:
    """Whether there are fewer colons after the reading than before it: then a key was there twice. Or nobody can tell."""
    if b"\\" in before and _HIDDEN_COLON.search(before):
        return True
    return before.count(b":") != after.count(b":")


def _is_flat(text: bytes) -> bool:
    """Whether its depth is surely harmless: each turn takes away one level, or two."""
    left = text.translate(None, _NO_BRACKETS)
    for _ in range(DEEPEST // 2):
        before, left = left, left.replace(b"{}", b"").replace(b"[]", b"")
        if not left or left == before:
            break
    return not left


def _stream(data: bytes) -> tuple[list[Any], bytes, int]:
    text, found = data.decode(), list[Any]()
    at, line, counted = _next(text, 0), 0, 0
    while at < len(text) and text[at] in "{[":
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = _decoded(text, at)
        except ValueError:  # what YAML makes of it, or says about it
            break
        except LimitError as error:
            raise LimitError(str(error), line, at - text.rfind("\n", 0, at) - 1) from error
        found.append(value)
        if len(found) > MOST_DOCUMENTS:
            raise LimitError(TOO_MANY, line, 0)
        at = _next(text, end)
    column = at - text.rfind("\n", 0, at) - 1
    rest = text[at:].strip() and " " * column + text[at:]
    return found, rest.encode(), line + text.count("\n", counted, at)


def _next(text: str, at: int) -> int:
    """Where the next value begins: after white space and separators."""
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _decoded(text: str, at: int) -> tuple[Any, int]:
    import orjson

    try:
        value, end = _DECODER.raw_decode(text, at)
        orjson.dumps(value)
    except RecursionError as error:
        raise LimitError(TOO_DEEP, 0, 0) from error
    except orjson.JSONEncodeError as error:
        why = TOO_DEEP if "ecursion" in str(error) else f"Invalid value: {error}; write whole characters"
        raise LimitError(why, 0, 0) from error
    _check_depth(value)
    return value, end


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _int(text: str) -> int | float:
    value = int(text)
    return value if -1 << 63 <= value < 1 << 63 else number(float(text))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=lambda text: number(float(text)), parse_constant=_no_constant
)  # fmt: skip


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [item for holder in level for item in _items(holder) if isinstance(item, dict | list)]
        if not level:
            return
    raise LimitError(TOO_DEEP, 0, 0)


def _items(holder: Any) -> Iterable[Any]:
    return holder.values() if isinstance(holder, dict) else holder


def _weigh(text: bytes) -> None:
    """Raise LimitError when an object of a large text is too heavy; the items of a list are objects of their own."""
    stack: list[tuple[bool, bool, int, int]] = []
    begun, last = 0, b""
    for count, token in enumerate(_TOKEN.finditer(text)):
        now, word = token.start() + VALUE * count, token[0]
        if now - begun > HEAVIEST:
            at = token.start()
            raise LimitError(TOO_HEAVY, text.count(b"\n", 0, at), at - text.rfind(b"\n", 0, at) - 1)
        if word in (b"{", b"["):
            is_list = word == b"["
            own = not stack or (stack[-1][0] and (stack[-1][1] or (is_list and last == b'"items"')))
            stack.append((own, is_list, begun, now))
            begun = now if own else begun
        elif word in (b"}", b"]") and stack:
            own, _, before, entered = stack.pop()
            begun = before + now - entered if own else begun
        last = word
