"""Time as an argument."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

LONGEST_WAIT_S = 86400
"""How long a command may be told to wait: a day."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, as Kubernetes writes times.

    >>> timestamp(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """Seconds since the epoch of a time as Kubernetes writes it; 0 for an empty one.

    >>> seconds("1970-01-01T00:01:00Z"), seconds("1970-01-01T00:00:01.500000Z"), seconds("")
    (60.0, 1.5, 0.0)
    """
    return datetime.fromisoformat(text).timestamp() if text else 0.0
