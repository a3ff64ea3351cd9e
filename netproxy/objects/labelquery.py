"""The query form of a label selector: `app=web,tier in (a, b),!old`, and what is wrong with it in Kubernetes' words.

Source: kubernetes apimachinery pkg/labels/selector.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from netproxy.core.errors import ManifestError, Problem
from netproxy.core.names import quoted
from netproxy.core.numbers import whole
from netproxy.objects.labels import label_key_problems, label_value_problems
from netproxy.objects.selector import Requirement, Selector

_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|[=!(),<>]|[^ \t\r\n=!(),<>\0]+)\0?|\0|\Z)")
_WORDS = ("in", "notin")
_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")
_LISTED = "in, notin, =, ==, !=, gt, lt"
_INT64 = 1 << 63


class SelectorError(ManifestError):
    """A text that is no selector."""

    def __init__(self, why: str) -> None:
        super().__init__([Problem("labelSelector", why)])
        self.why = why
        """The API server's words."""


class _Token(NamedTuple):
    text: str
    is_symbol: bool = False
    """Whether it is none of the words that a key or a value may be."""

    @property
    def is_end(self) -> bool:
        return not self.text


def parse_selector(text: str) -> Selector:
    """Parse the query form of a label selector.

    >>> from netproxy.objects.selector import matches
    >>> matches(parse_selector("app=web,tier in (a, b),!old"), {"app": "web", "tier": "b"})
    True

    Raises SelectorError when the text is not a selector.
    """
    return tuple(sorted(_Parser(text).requirements(), key=lambda term: term.key))


class _Parser:
    """Reads tokens from the left."""

    def __init__(self, text: str) -> None:
        self._tokens = [_Token(t, bool(re.match(r"[=!(),<>]", t))) for t in _TOKEN.findall(text)]
        self._at = 0

    def requirements(self) -> Iterable[Requirement]:
        """All terms."""
        while not self._next.is_end:
            if self._next.is_symbol and self._next.text != "!":
                raise SelectorError(f"found '{self._next.text}', expected: !, identifier, or 'end of string'")
            try:
                yield self._requirement()
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error.why}") from None
            token = self._take()
            if token.is_end:
                return
            if token.text != ",":
                raise SelectorError(f"found '{token.text}', expected: ',' or 'end of string'")
            after = self._next
            if after.is_end or (after.is_symbol and after.text != "!"):
                raise SelectorError(f"found '{after.text}', expected: identifier after ','")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += not token.is_end
        return token

    def _word(self) -> str:
        token = self._take()
        if token.is_symbol or token.is_end:
            raise SelectorError(f"found '{token.text}', expected: identifier")
        return token.text

    def _requirement(self) -> Requirement:
        is_absent = self._next.text == "!"
        if is_absent:
            self._take()
        key = self._word()
        wrong = label_key_problems(key)
        if wrong:
            raise SelectorError(f"<nil>: Invalid value: {quoted(key)}: {'; '.join(wrong)}")
        if is_absent or self._next.is_end or self._next.text == ",":
            return Requirement(key, "!" if is_absent else "exists", frozenset())
        operator = self._take().text
        if operator not in _OPERATORS:
            raise SelectorError(f"found '{operator}', expected: {_LISTED}")
        values = self._values() if operator in _WORDS else self._value()
        return _checked(key, operator, values)

    def _value(self) -> frozenset[str]:
        if self._next.is_end or self._next.text == ",":
            return frozenset(("",))
        return frozenset((self._word(),))

    def _values(self) -> frozenset[str]:
        token = self._take()
        if token.text != "(":
            raise SelectorError(f"found '{token.text}' expected: '('")
        first = self._next
        if first.text == ")":
            self._take()
            return frozenset(("",))
        if first.is_end or (first.is_symbol and first.text != ","):
            raise SelectorError(f"found '{first.text}', expected: ',', ')' or identifier")
        values = self._listed()
        self._take()
        return values

    def _listed(self) -> frozenset[str]:
        """The values up to the closing bracket; between two commas is the empty one."""
        found: set[str] = set()
        while True:
            token = self._take()
            if token.text == ",":
                found |= {""} if not found or self._next.text in (",", ")") else set()
            elif token.is_symbol or token.is_end:
                raise SelectorError(f"found '{token.text}', expected: ',', or identifier")
            else:
                found.add(token.text)
                if self._next.text not in (",", ")"):
                    raise SelectorError(f"found '{self._next.text}', expected: ',' or ')'")
            if self._next.text == ")":
                return frozenset(found)


def _checked(key: str, operator: str, values: frozenset[str]) -> Requirement:
    wrong: list[str] = []
    listed = sorted(values)
    for at, value in enumerate(listed if operator in ("<", ">") else ()):
        if not is_int64(value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            wrong.append(f"values[{at}]: Invalid value: {quoted(value)}: {why}")
    for at, value in enumerate(listed):
        problems = label_value_problems(value)
        if problems:
            wrong.append(f"values[{at}][{key}]: Invalid value: {quoted(value)}: {'; '.join(problems)}")
    if wrong:
        raise SelectorError(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")
    return Requirement(key, operator, values)


def is_int64(text: str) -> bool:
    """Whether Go reads a text as a number of 64 bits.

    >>> is_int64("-3"), is_int64("1_0"), is_int64(str(1 << 63))
    (True, False, False)
    """
    return bool(re.fullmatch(r"[+-]?[0-9]+", text)) and -_INT64 <= whole(text) < _INT64
