"""What tables are made of: columns, and the words in which cells say ages, selectors and lists.

Source: kubernetes 1.36 pkg/printers/internalversion/printers.go, apimachinery pkg/util/duration/duration.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from netproxy.objects.meta import Object, metadata
from netproxy.objects.selector import label_selector, selector_text

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"

Cells = list[Any]
Conditions = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    """1 for what is only shown with `-o wide`."""

    @property
    def definition(self) -> dict[str, Any]:
        """As a Table has it."""
        return {
            "name": self.name, "type": self.type, "format": self.format, "description": "", "priority": self.priority,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Printer:
    """How objects of one kind are shown."""

    columns: tuple[Column, ...]
    cells: Callable[[Object, float], Cells]
    """Of one object, at a time."""
    conditions: Callable[[Object], Conditions | None] = lambda _: None
    """What is said of the whole row."""


def columns(text: str, wide: str = "", *, named: bool = True) -> tuple[Column, ...]:
    """Columns as a line of text; `:integer` after a name is its type, the first one is the object's name.

    >>> columns("Name,Ready:integer", "Node")[1:]
    (Column(name='Ready', type='integer', format='', priority=0), Column(name='Node', type='string', format='', priority=1))
    """
    made = [_column(word, 0) for word in text.split(",")] + [_column(word, 1) for word in wide.split(",") if word]
    if named:
        made[0] = NAME
    return tuple(made)


NAME = Column("Name", format="name")


def _column(word: str, priority: int) -> Column:
    name, _, kind = word.partition(":")
    return Column(name, kind or "string", "", priority)


# --- time


def age(since: Any, now: float) -> str:
    """How long ago a time of an object was.

    >>> age("1970-01-01T00:00:00Z", 90), age("1970-01-01T00:00:00Z", 7300), age("", 1), age("yesterday", 1)
    ('90s', '121m', '<unknown>', '<unknown>')
    """
    moment = seconds(since)
    return UNKNOWN if moment is None else human_duration(now - moment)


def age_of(obj: Object, now: float) -> str:
    """How old an object is."""
    return age(metadata(obj).get("creationTimestamp"), now)


def seconds(time: Any) -> float | None:
    """A time of an object in seconds since 1970; None for what is none: not every resource's times are checked.

    >>> seconds("1970-01-01T00:01:00.5Z"), seconds(None)
    (60.5, None)
    """
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def human_duration(length_s: float) -> str:
    """A length of time with two or three digits that matter.

    >>> [human_duration(s) for s in (-2, -0.5, 119, 300, 301, 7200, 3 * 3600, 3 * 3600 + 60, 8 * 3600, 48 * 3600, 49 * 3600)]
    ['<invalid>', '0s', '119s', '5m', '5m1s', '120m', '3h', '3h1m', '8h', '2d', '2d1h']
    >>> [human_duration(d * 86400) for d in (8, 729, 730, 731, 2920)]
    ['8d', '729d', '2y', '2y1d', '8y']
    """
    whole = int(length_s)
    if whole < 0:
        return "0s" if whole == 0 or whole > -2 else "<invalid>"
    if whole < 120:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 180:
        return _two(minutes, "m", whole % 60, "s", until=10)
    if hours < 48:
        return _two(hours, "h", minutes % 60, "m", until=8)
    days = hours // 24
    if days < 730:
        return _two(days, "d", hours % 24, "h", until=8)
    return _two(days // 365, "y", days % 365, "d", until=8)


def _two(large: int, unit: str, small: int, small_unit: str, *, until: int) -> str:
    """A number with its smaller part, which is left out of numbers that are not small."""
    return f"{large}{unit}{small}{small_unit}" if small and large < until else f"{large}{unit}"


# --- lists and selectors


def listed(items: Sequence[str], most: int, separator: str = ",") -> str:
    """The first of a list, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a,b + 1 more...'
    """
    shown = separator.join(items[:most])
    return f"{shown} + {len(items) - most} more..." if len(items) > most else shown


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Labels as `a=b,c=d`.

    >>> labels_text({"b": "1", "a": "2"}), labels_text(None)
    ('a=2,b=1', '<none>')
    """
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or NONE


def selector_cell(selector: Mapping[str, Any] | None) -> str:
    """A `{matchLabels, matchExpressions}`, or `<none>`."""
    return selector_text(label_selector(selector)) or NONE


def containers_cells(template: Mapping[str, Any] | None) -> Cells:
    """The names and the images of a Pod template's containers."""
    containers = (part(template, "spec")).get("containers") or ()
    return [",".join(str(c.get(field) or "") for c in containers) for field in ("name", "image")]


def part(obj: Mapping[str, Any] | None, *path: str) -> Mapping[str, Any]:
    """A part of an object that is an object; an empty one where there is none.

    >>> part({"a": {"b": {"c": 1}}}, "a", "b"), part({"a": None}, "a", "b")
    ({'c': 1}, {})
    """
    for step in path:
        found = (obj or {}).get(step)
        obj = found if isinstance(found, dict) else None
    return obj or {}


def count(obj: Mapping[str, Any], field: str) -> int:
    """A number of an object; 0 where there is none."""
    return obj.get(field) or 0


def text(obj: Mapping[str, Any], field: str, otherwise: str = "") -> str:
    """A text of an object."""
    return str(obj.get(field) or otherwise)


def first(items: Iterable[Mapping[str, Any]], **wanted: Any) -> Mapping[str, Any]:
    """The first item with these values; an empty one when there is none.

    >>> first([{"type": "A", "x": 1}], type="A"), first([], type="A")
    ({'type': 'A', 'x': 1}, {})
    """
    return next((item for item in items if all(item.get(k) == v for k, v in wanted.items())), {})
