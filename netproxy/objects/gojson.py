"""JSON as Go's decoder reads it: the words for what is no JSON, and every key that is there twice.

Source: encoding/json scanner.go (states and messages); sigs.k8s.io/json (duplicate keys).
"""

from __future__ import annotations

import re
from typing import Any

import orjson

END = "unexpected end of JSON input"
TOO_DEEP = "exceeded max depth"
DEEPEST = 200
"""Levels of objects and lists in each other. Go's decoder takes 10,000; what writes JSON here takes 254, a list of all included."""
_ROOM = 254 - DEEPEST

_KEY = re.compile(rb'"[ \t\r\n]*:')
_GAPS = (b'" ', b'"\t', b'"\n', b'"\r')
_SPACE = re.compile(r"[ \t\r\n]*")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BEGUN = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?)?)?")
_HEX = frozenset("0123456789abcdefABCDEF")
_ESCAPE = re.compile(r'[^"\\\x00-\x1f]*')


class Pairs(list[tuple[str, Any]]):
    """An object whose keys are not all different: all of them, in order."""


class SyntaxFaultError(ValueError):
    """The text is no JSON."""


def parsed(text: bytes) -> tuple[Any, bool]:
    """The value of a JSON text, and whether it is plain: an object in which a key is there twice is `Pairs`.

    >>> parsed(b'{"a": {"b": 1, "b": 2}}')
    ({'a': [('b', 1), ('b', 2)]}, False)

    Raises SyntaxFaultError in Go's words.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _slowly(text), False
    return (_slowly(text), False) if _repeats(text, value) else (value, True)


def _repeats(text: bytes, value: Any) -> bool:
    """Whether a key may be there twice: there is more in the text that looks like one than in what was read of it.

    Raises SyntaxFaultError for a value that is too deep to be written again.
    """
    if text.count(b"{") + text.count(b"[") > DEEPEST:
        check_depth(value)
    there = sum(1 for _ in _KEY.finditer(text)) if any(gap in text for gap in _GAPS) else text.count(b'":')
    return there != orjson.dumps(value).count(b'":')


def check_depth(value: Any) -> None:
    """Raise SyntaxFaultError for a value that is too deep to be written in a list of all."""
    for _ in range(_ROOM):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise SyntaxFaultError(TOO_DEEP) from error


def _slowly(text: bytes) -> Any:
    import json

    shown = text.decode(errors="replace")
    fault = _Scanner(shown).fault()
    if fault:
        raise SyntaxFaultError(fault)
    value = json.loads(shown, object_pairs_hook=_object)
    return _whole(value) if _HALF.search(text) else value


def _whole(value: Any) -> Any:
    """With half characters replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Pairs):
        return Pairs((_whole(key), _whole(item)) for key, item in value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _object(pairs: list[tuple[str, Any]]) -> Any:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Pairs(pairs)


class Numeral(float):
    """A number that is printed as it was written."""

    written = ""

    def __new__(cls, text: str) -> Numeral:
        """The number that a text is."""
        made = super().__new__(cls, text)
        made.written = text
        return made

    def __repr__(self) -> str:
        return self.written


def numerals(text: bytes) -> Any:
    """The value of a good JSON text, in which numbers that are not whole know how they are written.

    >>> numerals(b"[1.50, 100000000000000000000]")
    [1.50, 100000000000000000000]
    """
    import json

    return json.loads(text.decode(errors="replace"), object_pairs_hook=_object, parse_float=Numeral)


def plain(value: Any) -> Any:
    """The value with only the last of what is there twice."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


class _FaultError(Exception):
    """The first thing that is wrong."""


class _Scanner:
    """Goes through a text as Go's scanner does, for the words about its first fault."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def fault(self) -> str:
        """What is wrong with the text; empty when nothing is."""
        try:
            self._values()
        except _FaultError as error:
            return str(error)
        return ""

    def _values(self) -> None:
        """The one value, without recursion: OPEN are the brackets that wait for their ends."""
        opened: list[str] = []
        self._begin(opened)
        while opened:
            self._skip()
            if opened[-1] == "{":
                self._after(opened, "}", "after object key:value pair")
            else:
                self._after(opened, "]", "after array element")
        self._skip()
        if self._at < len(self._text):
            raise self._wrong("after top-level value")

    def _after(self, opened: list[str], end: str, where: str) -> None:
        """Between two values of an object or a list."""
        char = self._char()
        if char == end:
            self._at += 1
            opened.pop()
        elif char != ",":
            raise self._wrong(where)
        else:
            self._at += 1
            if end == "}":
                self._skip()
                self._key()
            self._begin(opened)

    def _begin(self, opened: list[str]) -> None:
        """A value up to its end, or to the first value inside it."""
        while True:
            self._skip()
            char = self._char()
            if char not in "{[":
                self._scalar(char)
                return
            opened.append(char)
            if len(opened) > DEEPEST:
                raise _FaultError(TOO_DEEP)
            self._at += 1
            self._skip()
            if self._char() == {"{": "}", "[": "]"}[char]:
                self._at += 1
                opened.pop()
                return
            if char == "{":
                self._key()

    def _key(self) -> None:
        if self._char() != '"':
            raise self._wrong("looking for beginning of object key string")
        self._string()
        self._skip()
        if self._char() != ":":
            raise self._wrong("after object key")
        self._at += 1

    def _scalar(self, char: str) -> None:
        if char == '"':
            self._string()
        elif char == "-" or "0" <= char <= "9":
            self._number()
        elif char in "tfn":
            self._word({"t": "true", "f": "false", "n": "null"}[char])
        else:
            raise self._wrong("looking for beginning of value")

    def _word(self, word: str) -> None:
        for char in word:
            if self._char() != char:
                raise self._wrong(f"in literal {word} (expecting '{char}')")
            self._at += 1

    def _number(self) -> None:
        found = _NUMBER.match(self._text, self._at)
        begun = _BEGUN.match(self._text, self._at)
        if found is None or (begun is not None and begun.end() > found.end()):
            self._at = begun.end() if begun is not None else self._at
            self._char()
            raise self._wrong("in numeric literal")
        self._at = found.end()

    def _string(self) -> None:
        self._at += 1
        while True:
            found = _ESCAPE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            char = self._char()
            if char == '"':
                self._at += 1
                return
            if char != "\\":
                raise self._wrong("in string")
            self._escape()

    def _escape(self) -> None:
        begun = self._at
        self._at += 1
        char = self._char()
        size = 6 if char == "u" else 2
        found = self._text[begun : begun + size]
        is_good = char in 'bfnrt\\/"' or (char == "u" and all(digit in _HEX for digit in found[2:]))
        if not is_good:
            raise _FaultError(f"invalid escape sequence `{found}` in string")
        if len(found) < size:
            raise _FaultError(END)
        self._at = begun + size

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _char(self) -> str:
        if self._at >= len(self._text):
            raise _FaultError(END)
        return self._text[self._at]

    def _wrong(self, where: str) -> _FaultError:
        return _FaultError(f"invalid character {_quoted(self._text[self._at])} {where}")


def _quoted(char: str) -> str:
    """A character as Go writes it in a message."""
    known = {"'": r"'\''", '"': "'\"'", "\\": r"'\\'", "\n": r"'\n'", "\t": r"'\t'", "\r": r"'\r'", "\b": r"'\b'",
             "\f": r"'\f'", "\a": r"'\a'", "\v": r"'\v'"}  # fmt: skip
    if char in known:
        return known[char]
    if ord(char) < 128 and not char.isprintable():
        return f"'\\x{ord(char):02x}'"
    return f"'{char}'" if char.isprintable() else f"'\\u{ord(char):04x}'"
