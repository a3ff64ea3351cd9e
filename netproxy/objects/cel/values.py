"""What values there are beside those of JSON, and when two are the same.

Source: github.com/google/cel-spec doc/langdef.md; github.com/google/cel-go common/types.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from netproxy.objects.cel.syntax import Unsigned

SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1


class CelError(ValueError):
    """An expression has no value."""


class SpentError(Exception):
    """An expression asks for more than it may: nothing in it goes on after that."""


class Budget:
    """How many steps an expression may still take."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take steps. Raises SpentError."""
        self.left -= steps
        if self.left < 0:
            raise SpentError

    def look_through(self, value: Any) -> None:
        """Take the steps that it needs to look at everything in a value; ten characters are one. Raises SpentError."""
        rest = [value]
        while rest:
            found = rest.pop()
            if isinstance(found, str | bytes):
                self.spend(1 + len(found) // 10)
            elif isinstance(found, list | dict):
                self.spend(1 + len(found))
                rest += found.values() if isinstance(found, dict) else found
            else:
                self.spend(1)


@dataclass(frozen=True, slots=True)
class Optional:
    """A value, or none."""

    values: tuple[Any, ...] = ()

    @property
    def value(self) -> Any:
        """The value. Raises CelError."""
        if not self.values:
            raise CelError("optional.none() dereference")
        return self.values[0]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type."""

    name: str


NONE = Optional()
_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "bool"), (Unsigned, "uint"), (int, "int"), (float, "double"), (str, "string"), (bytes, "bytes"), (list, "list"),
    (dict, "map"), (datetime, "google.protobuf.Timestamp"), (timedelta, "google.protobuf.Duration"), (Kind, "type"),
    (type(None), "null_type"), (Optional, "optional_type"),
)  # fmt: skip


def kind_of(value: Any) -> str:
    """The name of a value's type.

    >>> kind_of(1), kind_of(True), kind_of([])
    ('int', 'bool', 'list')
    """
    return next((name for kind, name in _NAMES if isinstance(value, kind)), f"kubernetes.{type(value).__name__}")


def is_number(value: Any) -> bool:
    """Whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal; those of different types are not, but for numbers.

    >>> same(1, 1.0), same(1, True), same([1, {"a": None}], [1.0, {"a": None}])
    (True, False, True)
    """
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return kind_of(left) == kind_of(right) and bool(left == right)


def no_overload() -> CelError:
    """An operator or a function that is not for such values."""
    return CelError("no such overload")


def in_range(number: int) -> int:
    """An integer of 64 bits. Raises CelError."""
    if not SMALLEST <= number <= LARGEST:
        raise CelError("integer overflow")
    return number
