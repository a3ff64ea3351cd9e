"""The order of lists: that of keys in etcd, in which namespace and name are parted by a slash.

Source: kubernetes apiserver pkg/storage/util.go, NamespaceKeyFunc.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from netproxy.core.names import NamespacedName

_AFTER_SLASH = chr(ord("/") + 1)

Placed = tuple[str, NamespacedName]
"""A name after its place."""


def place(name: NamespacedName) -> str:
    """What objects are sorted by.

    >>> place(NamespacedName("a-b", "x")) < place(NamespacedName("a", "x"))
    True
    """
    return f"{name.namespace}/{name.name}" if name.namespace else name.name


def span(placed: Sequence[Placed], namespace: str, start: str = "") -> tuple[int, int]:
    """Where what is in a namespace begins and ends; all of it when there is none. START is a place, or a name in there."""
    if not namespace:
        return (_at(placed, start) if start else 0), len(placed)
    return _at(placed, f"{namespace}/{start}"), _at(placed, f"{namespace}{_AFTER_SLASH}")


def _at(placed: Sequence[Placed], where: str) -> int:
    return bisect_left(placed, where, key=lambda entry: entry[0])
