"""What a proxy mode is to the rest of the agent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from netproxy.core import programs
from netproxy.core.net import Family
from netproxy.linux.iptables import IptablesKernel
from netproxy.linux.nftables import Generations
from netproxy.linux.partner import Partner
from netproxy.proxy.model import ServicePort, Snapshot
from netproxy.proxy.rules import Line

__all__ = ["Host", "Line", "Mode", "Pending", "Wanted"]

Wanted = Callable[[ServicePort], bool]


@dataclass
class Host:
    """One address family of one node's kernel: what all modes share of it."""

    namespace: str | None
    family: Family
    iptables: IptablesKernel
    generations: Generations
    is_new: bool = False
    """Nobody has written anything there yet."""
    forwarder: Partner = field(init=False)
    """The process of userspace mode; it begins at its first question, and may outlive the mode for its connections."""

    def __post_init__(self) -> None:
        family = "ipv6" if self.family is Family.IPV6 else "ipv4"
        self.forwarder = Partner([sys.executable, "-m", programs.USERSPACE, family], self.namespace)

    def close(self) -> None:
        """Give sockets and the process back."""
        self.forwarder.close()
        self.generations.close()


@dataclass(frozen=True, slots=True)
class Pending:
    """What the next pass would change: how much, and in the words of the mode's own tools."""

    changes: int
    text: str

    def __bool__(self) -> bool:
        return bool(self.changes)


class Mode(Protocol):
    """One node's rules in one mode and one address family. Not safe for two threads at once."""

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
