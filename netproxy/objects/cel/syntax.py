"""An expression as a tree.

Source: github.com/google/cel-spec doc/langdef.md (grammar).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|//[^\n]*)+)
    |(?P<number>0x[0-9a-fA-F]+u?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[uU]?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<text>[bB]?[rR]?(?:'''(?:\\.|(?!''').)*'''|\"\"\"(?:\\.|(?!\"\"\").)*\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|\.\?|\[\?|[-+*/%<>!?:.,()\[\]{}])""",
    re.X | re.S | re.A,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.S)
_CHARS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BEGINNINGS = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
"""With what an expression begins."""
_LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))


class SyntaxFaultError(ValueError):
    """The text is no expression; PLACE is where that shows."""

    def __init__(self, why: str, place: int) -> None:
        super().__init__(why)
        self.place = place


class Unsigned(int):
    """An integer that is never negative, which is a type of its own."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is written down."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str
    place: int


@dataclass(frozen=True, slots=True)
class Field:
    """A field of something; MAYBE: one that need not be there."""

    of: Any
    name: str
    place: int
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list or a map; MAYBE: one that need not be there."""

    of: Any
    at: Any
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator; OF is what it belongs to, if anything."""

    name: str
    arguments: tuple[Any, ...]
    of: Any = None
    place: int = -1


@dataclass(frozen=True, slots=True)
class Many:
    """A list; of each item, whether it need not be there."""

    items: tuple[tuple[Any, bool], ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A map; of each key, whether it need not be there."""

    items: tuple[tuple[Any, Any, bool], ...]


def parsed(text: str) -> Any:
    """The tree of an expression.

    >>> parsed("a.b > 1").name
    '>'

    Raises SyntaxFaultError.
    """
    try:
        return _Reader(text).whole()
    except RecursionError:
        raise SyntaxFaultError("expression recursion limit exceeded", 0) from None


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                shown = text[at : at + 2] if text[at] == "=" else text[at]
                raise SyntaxFaultError(f"token recognition error at: '{shown}'", at)
            if found.lastgroup != "space":
                self._tokens.append((str(found.lastgroup), found[0], at))
            at = found.end()
        self._at = 0
        self._length = len(text)

    def whole(self) -> Any:
        """The tree of everything."""
        made = self._choice()
        if self._kind():
            raise self._unexpected("<EOF>", is_alone=self._at == len(self._tokens) - 1)
        return made

    # --- tokens

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _text(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _place(self) -> int:
        return self._tokens[self._at][2] if self._at < len(self._tokens) else -1

    def _take(self) -> str:
        text = self._text()
        self._at += 1
        return text

    def _is(self, *signs: str) -> bool:
        return self._kind() in ("sign", "name") and self._text() in signs

    def _skip(self, sign: str) -> bool:
        if self._is(sign):
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if self._skip(sign):
            return
        raise self._missing(sign) if bool(self._kind()) is (sign == ":") else self._unexpected(f"'{sign}'")

    def _missing(self, sign: str) -> SyntaxFaultError:
        return SyntaxFaultError(f"missing '{sign}' at {self._shown()}", self._here())

    def _unexpected(self, wanted: str = "", *, is_alone: bool = False) -> SyntaxFaultError:
        """What stands here is not what is wanted; it is too much, if it stands ALONE."""
        how = "extraneous" if is_alone else "mismatched"
        return SyntaxFaultError(f"{how} input {self._shown()} expecting {wanted or _BEGINNINGS}", self._here())

    def _shown(self) -> str:
        return f"'{self._text()}'" if self._kind() else "'<EOF>'"

    def _here(self) -> int:
        return self._place() if self._kind() else self._length

    # --- operators, the weakest first

    def _choice(self) -> Any:
        made = self._level(0)
        place = self._place()
        if self._skip("?"):
            yes = self._level(0)
            self._need(":")
            return Call("?:", (made, yes, self._choice()), None, place)
        return made

    def _level(self, level: int) -> Any:
        if level == len(_LEVELS):
            return self._signed()
        made = self._level(level + 1)
        while self._is(*_LEVELS[level]):
            place = self._place()
            made = Call(self._take(), (made, self._level(level + 1)), None, place)
        return made

    def _signed(self) -> Any:
        place = self._place()
        if self._skip("!"):
            return Call("!", (self._signed(),), None, place)
        if self._skip("-"):
            inner = self._signed()
            is_plain = isinstance(inner, Constant) and type(inner.value) in (int, float)
            return Constant(-inner.value) if is_plain else Call("-", (inner,), None, place)
        return self._member()

    def _member(self) -> Any:
        made = self._primary()
        while True:
            if self._is(".", ".?"):
                place, maybe = self._place(), self._take() == ".?"
                name = self._name()
                if self._is("(") and not maybe:
                    place = self._place()
                    made = Call(name, self._arguments(), made, place)
                else:
                    made = Field(made, name, place, maybe)
            elif self._is("[", "[?"):
                maybe = self._take() == "[?"
                made = Item(made, self._choice(), maybe)
                self._need("]")
            else:
                return made

    def _name(self) -> str:
        if self._kind() != "name":
            raise SyntaxFaultError(f"no viable alternative at input '.{self._text()}'", self._here())
        return self._take()

    def _arguments(self) -> tuple[Any, ...]:
        self._need("(")
        return tuple(self._listed(")", self._choice))

    def _listed(self, end: str, read: Callable[[], Any]) -> list[Any]:
        made = []
        while not self._is(end):
            made.append(read())
            if not self._skip(","):
                break
        self._need(end)
        return made

    def _primary(self) -> Any:
        kind, text, place = self._kind(), self._text(), self._place()
        if kind == "number":
            return Constant(_number(self._take()))
        if kind == "text":
            return Constant(_string(self._take()))
        if kind == "name" and text != "in":
            self._take()
            if text in _WORDS:
                return Constant(_WORDS[text])
            opens = self._place()
            return Call(text, self._arguments(), None, opens) if self._is("(") else Name(text, place)
        if self._skip("("):
            made = self._choice()
            self._need(")")
            return made
        if self._is("[", "[?"):
            if self._take() == "[?":
                first = (self._choice(), True)
                self._skip(",")
                return Many((first, *self._listed("]", self._item)))
            return Many(tuple(self._listed("]", self._item)))
        if self._skip("{"):
            return Pairs(tuple(self._listed("}", self._pair)))
        if self._skip("."):
            return Name(self._name(), place)
        raise self._unexpected()

    def _item(self) -> tuple[Any, bool]:
        maybe = self._skip("?")
        return self._choice(), maybe

    def _pair(self) -> tuple[Any, Any, bool]:
        maybe = self._skip("?")
        key = self._choice()
        self._need(":")
        return key, self._choice(), maybe


_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}


def _number(text: str) -> float:
    if text[:2] in ("0x", "0X"):
        return Unsigned(int(text[:-1], 16)) if text[-1] in "uU" else int(text, 16)
    if text[-1] in "uU":
        return Unsigned(int(text[:-1]))
    return int(text) if text.isdigit() else float(text)


def _string(text: str) -> str | bytes:
    marks = re.match(r"[bBrR]*", text)
    prefix = marks[0].lower() if marks else ""
    body = text[len(prefix) :]
    width = 3 if body[:3] in ("'''", '"""') else 1
    body = body[width:-width]
    made = body if "r" in prefix else _ESCAPE.sub(_unescaped, body)
    return made.encode() if "b" in prefix else made


def _unescaped(found: re.Match[str]) -> str:
    text = found[1]
    if text[0] in "xXuU":
        return chr(int(text[1:], 16))
    return chr(int(text, 8)) if len(text) == 3 else _CHARS.get(text, text)
