"""YAML text → plain values, from the parser's events: no recursion, every key once, and an end to what is too large.

Source: go.yaml.in/yaml/v2 decode.go (aliases, merges, keys), yaml.go (strict: duplicate keys).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from netproxy.objects.limits import (
    DEEPEST,
    HEAVIEST,
    MOST_DOCUMENTS,
    TOO_DEEP,
    TOO_HEAVY,
    TOO_MANY,
    TOO_MANY_ALIASES,
    VALUE,
    LimitError,
)
from netproxy.objects.scalars import key_text, number, plain, tagged

LONGEST_PATH = 100
"""How much of a path a message has, in characters."""
_NO_KEY: Any = object()
_MERGE: Any = object()
_MERGE_TAG = "tag:yaml.org,2002:merge"


class _Open:
    """A map or a list that has begun and not ended."""

    __slots__ = ("anchor", "is_own", "key", "merged", "value", "weight")

    def __init__(self, value: Any, anchor: str | None, *, is_own: bool) -> None:
        self.value = value
        self.anchor = anchor
        self.key: Any = _NO_KEY
        """Of a map: the key whose value is next."""
        self.merged: set[str] = set()
        """Keys that another map has lent; they may be said again."""
        self.weight = VALUE
        self.is_own = is_own
        """Whether its weight is no part of what it is in: it is an object, or a list of objects."""


class Reader:
    """Reads the documents of one text."""

    def __init__(self, text: bytes, repeated: list[str] | None = None) -> None:
        """With a list in REPEATED, keys that are there twice are no mistake: the last one counts, and each is told there."""
        self._repeated = repeated
        self._parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        """Values and their weights; None while the value is still open."""
        self._by_alias = 0
        """What aliases have brought in, over the whole text."""
        self._event: Any = None
        self._ended = 0
        self._document: Any = None

    def documents(self) -> Iterator[Any]:
        """Each document's value; none for an empty one. Raises LimitError and yaml.YAMLError."""
        act = {
            yaml.ScalarEvent: self._scalar, yaml.MappingStartEvent: self._begin, yaml.SequenceStartEvent: self._begin,
            yaml.MappingEndEvent: self._end, yaml.SequenceEndEvent: self._end, yaml.AliasEvent: self._alias,
        }  # fmt: skip
        event_of = self._parser.get_event
        while True:
            event = self._event = event_of()
            kind = type(event)
            if kind in act:
                act[kind](event)
            elif kind is yaml.DocumentEndEvent:
                self._ended += 1
                if self._ended > MOST_DOCUMENTS:
                    raise self._mistake(TOO_MANY)
                if self._document is not None:
                    yield self._document
                self._document = None
                self._anchors.clear()
            elif kind is yaml.StreamEndEvent:
                return

    # --- events

    def _scalar(self, event: Any) -> None:
        text, tag, implicit = event.value, event.tag, event.implicit[0]
        if text == "<<" and (implicit or tag == _MERGE_TAG) and self._wants_key():
            self._open[-1].key = _MERGE
            return
        try:
            value: Any = tagged(tag, text) if tag else plain(text) if implicit else text
            if type(value) is float and not self._wants_key():
                value = number(value)
        except ValueError as error:
            raise self._mistake(f"Invalid value: {error}") from error
        weight = VALUE + len(text)
        if event.anchor:
            self._anchors[event.anchor] = (value, weight)
        self._add(value, weight)

    def _begin(self, event: Any) -> None:
        if len(self._open) >= DEEPEST:
            raise self._mistake(TOO_DEEP)
        if event.anchor:
            self._anchors[event.anchor] = None
        is_map = type(event) is yaml.MappingStartEvent
        outer = self._open[-1] if self._open else None
        is_own = outer is None or (
            outer.is_own and (type(outer.value) is list or (outer.key == "items" and not is_map))
        )
        self._open.append(_Open({} if is_map else [], event.anchor, is_own=is_own))

    def _end(self, _: Any) -> None:
        ended = self._open.pop()
        if ended.anchor:
            self._anchors[ended.anchor] = (ended.value, ended.weight)
        self._add(ended.value, VALUE if ended.is_own else ended.weight)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise self._mistake(f"unknown anchor '{event.anchor}' referenced; write &{event.anchor} before it")
        known = self._anchors[event.anchor]
        if known is None:
            raise self._mistake(f"anchor '{event.anchor}' value contains itself; write the value out")
        value, weight = known
        self._by_alias += weight
        if self._by_alias > HEAVIEST:
            raise self._mistake(TOO_MANY_ALIASES)
        self._add(value, weight)

    # --- values

    def _wants_key(self) -> bool:
        return bool(self._open) and self._open[-1].key is _NO_KEY and type(self._open[-1].value) is dict

    def _add(self, value: Any, weight: int) -> None:
        """Put a value into what is open: as an item, as a key, or as the value of the last key."""
        if not self._open:
            self._document = value
            return
        into = self._open[-1]
        into.weight += weight
        if into.weight > HEAVIEST:
            raise self._mistake(TOO_HEAVY)
        if type(into.value) is list:
            into.value.append(value)
        elif into.key is _NO_KEY:
            into.key = self._new_key(into, value)
        else:
            if into.key is _MERGE:
                self._merge(into, value)
            else:
                into.value[into.key] = value
            into.key = _NO_KEY

    def _new_key(self, into: _Open, value: Any) -> str:
        key = value
        if type(value) is not str:
            try:
                key = key_text(value)
            except ValueError as error:
                raise self._mistake(f"invalid map key: {error}") from error
        if key in into.value:
            if key not in into.merged and self._repeated is not None:
                self._repeated.append(f'line {self._event.start_mark.line + 1}: key "{key}" already set in map')
            elif key not in into.merged:
                raise self._mistake(f'Duplicate value: the key "{key}" is set already; leave one of them out')
            into.merged.discard(key)
        return str(key)

    def _merge(self, into: _Open, value: Any) -> None:
        """What `<<` brings in: of several maps the first one wins, and it wins over keys before it, as with go-yaml."""
        lent = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in lent):
            raise self._mistake("map merge requires map or sequence of maps as the value")
        for item in reversed(lent):
            into.value.update(item)
            into.merged.update(item)

    def _mistake(self, why: str) -> LimitError:
        mark = self._event.start_mark
        return LimitError(why, mark.line, mark.column, self._path())

    def _path(self) -> str:
        """Where in the document the reader is, as a field path."""
        path = ""
        for holder in self._open:
            if isinstance(holder.value, list):
                path += f"[{len(holder.value)}]"
            elif isinstance(holder.key, str):
                path += f".{holder.key}"
        return path.removeprefix(".")[:LONGEST_PATH]
