"""Names of time zones.

Source: IANA's time zone data (the names, as data), Go time.LoadLocation (words).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def _zones() -> frozenset[str]:
    return frozenset(files("netproxy.objects").joinpath("timezones.txt").read_text().split())


def zone_reason(name: str) -> str:
    """Why a text names no time zone; empty for one that does.

    >>> zone_reason("Etc/UTC"), zone_reason("Mars/Base")
    ('', 'unknown time zone Mars/Base')
    """
    return "" if name in _zones() or name in ("UTC", "Local") else f"unknown time zone {name}"
