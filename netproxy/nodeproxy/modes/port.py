"""What a proxy mode is to the rest of the room."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from netproxy.linux.ports import Host
from netproxy.proxy.model import ServicePort, Snapshot
from netproxy.proxy.rules import Line

__all__ = ["Host", "Line", "Mode", "Pending", "Wanted"]

Wanted = Callable[[ServicePort], bool]


@dataclass(frozen=True, slots=True)
class Pending:
    """What the next pass would change: how much, and in the words of the mode's own tools."""

    changes: int
    text: str

    def __bool__(self) -> bool:
        return bool(self.changes)


class Mode(Protocol):
    """One node's rules in one mode and one address family. One thread owns it."""

    name: str

    def sync(self, snapshot: Snapshot, *, check: bool) -> int:
        """Make the kernel right; how many things changed. CHECK looks at the kernel first. Raises KernelError."""
        ...

    def pending(self, snapshot: Snapshot) -> Pending:
        """What a pass would change, after a look at the kernel; changes nothing."""
        ...

    def lines(self, snapshot: Snapshot, wanted: Wanted) -> Iterable[tuple[ServicePort, Iterable[Line]]]:
        """What the WANTED service ports are made of, in packet order, with counters where the kernel has them."""
        ...

    def remove(self, *, successor: str) -> bool:
        """Take this mode's state away, after SUCCESSOR's is there; False when connections still need some of it."""
        ...

    def close(self) -> None:
        """Give sockets and processes back; the kernel's state stays."""
        ...
