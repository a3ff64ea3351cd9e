"""Times as Go parses them: RFC 3339, with millionths of seconds or without; and Go's words for what is none.

Source: Go time/format.go (parse, behaviour).
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone

SECONDS = "2006-01-02T15:04:05Z07:00"
MICROSECONDS = "2006-01-02T15:04:05.000000Z07:00"

_ZERO = "0001-01-01T00:00:00"
_CYCLE = 400
"""So many years the calendar repeats."""
_FIELDS = (("2006", ""), ("01", "-"), ("02", "-"), ("15", "T"), ("04", ":"), ("05", ":"))
"""The parts of a layout, and what stands before each."""
_RANGES = {"01": (1, 12, "month"), "15": (0, 23, "hour"), "04": (0, 59, "minute"), "05": (0, 59, "second")}
_DIGITS = {"2006": re.compile(r"[0-9]{4}"), "15": re.compile(r"[0-9]{1,2}")}
_TWO = re.compile(r"[0-9]{2}")
_FRACTION = re.compile(r"[.,][0-9]+")
_SIX = re.compile(r"[.,][0-9]{6}")
_ZONE = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")


def moment(text: str, layout: str = SECONDS) -> str | None:
    """The time that a text is, as it is written: in UTC, with the layout's fraction; None for Go's zero time.

    >>> moment("2026-01-02T03:04:05+01:00"), moment("9999-12-31T23:59:59.5-01:00"), moment("0001-01-01T00:00:00Z")
    ('2026-01-02T02:04:05Z', '10000-01-01T00:59:59Z', None)

    Raises ValueError in Go's words.
    """
    numbers, rest = [], text
    for field, before in _FIELDS:
        if not rest.startswith(before):
            raise _unreadable(text, layout, rest, before)
        rest = rest[len(before) :]
        found = _DIGITS.get(field, _TWO).match(rest)
        if not found:
            raise _unreadable(text, layout, rest, field)
        low, high, what = _RANGES.get(field, (0, 9999, ""))
        if not low <= int(found[0]) <= high:
            raise _out_of_range(text, what)
        numbers.append(int(found[0]))
        rest = rest[found.end() :]
    micro, rest = _fraction(text, layout, rest)
    zone, rest = _zone(text, layout, rest)
    if rest:
        raise ValueError(f"parsing time {quoted(text)}: extra text: {quoted(rest)}")
    year, month, day, hour, minute, second = numbers
    alike = _CYCLE * 5 + year % _CYCLE  # Go has years that Python has not; every so many the calendar is the same
    if not 1 <= day <= monthrange(alike, month)[1]:
        raise _out_of_range(text, "day")
    at = datetime(alike, month, day, hour, minute, second, micro, zone).astimezone(UTC)
    return _written(at, at.year - alike + year, layout)


def _written(at: datetime, year: int, layout: str) -> str | None:
    fraction = f".{at.microsecond:06}" if layout == MICROSECONDS else ""
    years = f"-{-year:04}" if year < 0 else f"{year:04}"
    written = f"{years}-{at:%m-%dT%H:%M:%S}{fraction}Z"
    return None if written.startswith(_ZERO) and not at.microsecond else written


def _fraction(text: str, layout: str, rest: str) -> tuple[int, str]:
    """The millionths after the seconds."""
    if layout == MICROSECONDS:
        found = _SIX.match(rest)
        if not found:
            raise _unreadable(text, layout, rest, ".000000")
    else:
        found = _FRACTION.match(rest)
        if not found:
            return 0, rest
    return int(found[0][1:7].ljust(6, "0")), rest[found.end() :]


def _zone(text: str, layout: str, rest: str) -> tuple[timezone, str]:
    if rest.startswith("Z"):
        return UTC, rest[1:]
    found = _ZONE.match(rest)
    if not found:
        raise _unreadable(text, layout, rest, "Z07:00")
    hours, minutes = int(found[2]), int(found[3])
    if hours > 24 or minutes > 60:
        raise _out_of_range(text, f"time zone offset {'hour' if hours > 24 else 'minute'}")
    apart = min(timedelta(hours=hours, minutes=minutes), timedelta(hours=23, minutes=59))
    return timezone(apart if found[1] == "+" else -apart), rest[found.end() :]


def _unreadable(text: str, layout: str, rest: str, wanted: str) -> ValueError:
    return ValueError(
        f"parsing time {quoted(text)} as {quoted(layout)}: cannot parse {quoted(rest)} as {quoted(wanted)}"
    )


def _out_of_range(text: str, what: str) -> ValueError:
    return ValueError(f"parsing time {quoted(text)}: {what} out of range")


def quoted(text: str) -> str:
    """As the parser of times and durations quotes: whatever is not ASCII byte by byte.

    >>> print(quoted("5µ"))
    "5\\xc2\\xb5"
    """
    shown = []
    for byte in text.encode("utf-8", "surrogatepass"):
        char = chr(byte)
        if char in '"\\':
            char = "\\" + char
        elif not " " <= char < "\x80":
            char = f"\\x{byte:02x}"
        shown.append(char)
    return f'"{"".join(shown)}"'
