"""Values that drivers hand out."""

from __future__ import annotations

from dataclasses import dataclass


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
    reply_destination: str = ""
    """Where the answer goes: another address than the source when that was rewritten."""
