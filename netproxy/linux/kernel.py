"""The ports: what the rest of netproxy wants of a kernel, in few words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from netproxy.ruleset.diff import Plan
from netproxy.ruleset.ir import Counters, Ruleset


class RuleKernel(Protocol):
    """The rules of one address family in one namespace."""

    def read(self) -> Ruleset:
        """All rules that are there, ours and others'."""
        ...

    def counters(self) -> tuple[Ruleset, Counters]:
        """The rules with the packets and bytes that each has seen."""
        ...

    def write(self, change: Plan) -> None:
        """One transaction, or several of which only the last one changes what packets meet."""
        ...


@dataclass(frozen=True, slots=True)
class TrackedFlow:
    """One conntrack entry: where the first packet went, and where the answer comes from."""

    protocol: str  # lower case
    source: str
    source_port: int
    destination: str
    port: int
    reply_source: str
    reply_port: int


class FlowKernel(Protocol):
    """The connection tracking table of one namespace."""

    def flows(self, protocol: str) -> Iterable[TrackedFlow]:
        """All entries of a protocol."""
        ...

    def forget(self, flows: Iterable[TrackedFlow]) -> int:
        """Remove entries; returns how many were still there."""
        ...
