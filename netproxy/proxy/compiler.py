"""What a compiler is, whatever the mode: whole states, and what is different since the one before.

Rules are values, and most of them are the same after a change: work is in proportion to what changed. A compiler keeps
nothing that could not be made anew; `whole` of a new one gives the same as that of one that has seen every change.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from netproxy.proxy.model import Snapshot

S = TypeVar("S", covariant=True)
C = TypeVar("C", covariant=True)


class Compiler(Protocol[S, C]):
    """Compiles snapshots for one node: S is a whole state in the words of the mode, C what leads from one to the next."""

    def whole(self, snapshot: Snapshot) -> S:
        """Everything, and the next `change` begins here."""
        ...

    def look(self, snapshot: Snapshot) -> S:
        """Everything, for somebody who only looks: the next `change` begins where it would have begun."""
        ...

    def change(self, snapshot: Snapshot) -> C | None:
        """What is different since the snapshot before, of which everything must have been written.

        None when whole states have to be compared: take `whole` then.
        """
        ...

    def get_ready(self) -> None:
        """Do now what the next `change` would have to do first."""
        ...
