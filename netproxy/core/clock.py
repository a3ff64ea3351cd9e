"""Time as an argument."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

LONGEST_WAIT_S = 86400
"""How long a command may be told to wait: a day."""

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


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
    """Seconds since the epoch of a time as Kubernetes writes it; 0 for an empty one. Years that Python lacks are its first or last.

    >>> seconds("1970-01-01T00:01:00Z"), seconds("1970-01-01T00:00:01.500000Z"), seconds("")
    (60.0, 1.5, 0.0)
    >>> seconds("-0001-12-31T23:00:00Z") < 0 < seconds("10000-01-01T00:00:00Z")
    True
    """
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except ValueError:
        return (_FIRST if text.startswith(("-", "0000")) else _LAST).timestamp()
