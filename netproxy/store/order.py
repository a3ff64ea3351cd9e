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


def span(placed: Sequence[Placed], namespace: str) -> tuple[int, int]:
    """Where what is in a namespace begins and ends; all of it when there is none."""
    if not namespace:
        return 0, len(placed)
    ends = (f"{namespace}/", f"{namespace}{_AFTER_SLASH}")
    first, last = (bisect_left(placed, end, key=lambda entry: entry[0]) for end in ends)
    return first, last
