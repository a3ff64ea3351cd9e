"""What a controller wants changed, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from netproxy.core.names import NamespacedName
from netproxy.objects.meta import Object


@dataclass(frozen=True)
class Create:
    """Make this object."""

    obj: Object


@dataclass(frozen=True)
class Update:
    """Put this state in the object's place (its resourceVersion is the one that was read)."""

    obj: Object


@dataclass(frozen=True)
class Delete:
    """Take the object away; Pods first stop what they run."""

    kind: str
    name: NamespacedName


Change = Create | Update | Delete


class View(Protocol):
    """What a controller may read: the store has it, a test has a small one."""

    def find(self, kind: str, name: NamespacedName) -> Object | None:
        """One object or None."""
        ...

    def list(self, kind: str, in_namespace: str = "") -> Iterator[Object]:
        """All objects of a kind, sorted."""
        ...

    def all(self, kind: str) -> Iterable[Object]:
        """All objects of a kind, unsorted."""
        ...
