"""Quantities of bytes and of time, as Kubernetes writes them.

Source: kubernetes apimachinery/pkg/api/resource/quantity.go (the suffixes of whole numbers), Go time.ParseDuration.
"""

from __future__ import annotations

import re
from typing import Any

from netproxy.objects.moments import quoted

_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"([0-9]+\.?[0-9]*|\.[0-9]+)(h|ms|m|s|us|µs|ns)"
_DURATION = re.compile(rf"([-+]?)((?:{_PART})+|0)")
_LONGEST_S = (1 << 63) / 1e9
_QUANTITY = re.compile(r"(\d{1,12})(|k|M|G|Ki|Mi|Gi)")


def bytes_of(quantity: Any) -> int | None:
    """The number of bytes; None for what is no such quantity.

    >>> bytes_of("10Mi"), bytes_of("1500k"), bytes_of("10 MB")
    (10485760, 1500000, None)
    """
    found = _QUANTITY.fullmatch(str(quantity))
    return int(found[1]) * _SUFFIXES[found[2]] if found else None


def seconds_of(duration: Any) -> float | None:
    """Seconds of a Go duration; None for what is none.

    >>> seconds_of("1h0m0.5s"), seconds_of("-5ms"), seconds_of("0"), seconds_of("1.2.3s"), seconds_of("5"), seconds_of(None)
    (3600.5, -0.005, 0.0, None, None, None)
    """
    found = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if found is None:
        return None
    total = sum(float(number) * _UNITS_S[unit] for number, unit in re.findall(_PART, found[2]))
    return -total if found[1] == "-" else float(total)


def duration_fault(text: str) -> str:
    """Why a text is no duration, in Go's words: of its first part that is none. Empty when it is one.

    >>> duration_fault("1h3s"), duration_fault("1x"), duration_fault("5")
    ('', 'time: unknown unit "x" in duration "1x"', 'time: missing unit in duration "5"')
    """
    seconds = seconds_of(text)
    if seconds is not None and abs(seconds) < _LONGEST_S:
        return ""
    parts = re.findall(r"([0-9]*\.?[0-9]*)([^0-9.]*)", text.lstrip("+-"))  # of which the last is empty
    number, unit = next(part for part in parts if not part[0].strip(".") or part[1] not in _UNITS_S)
    if not number.strip("."):
        return f"time: invalid duration {quoted(text)}"
    what = f"unknown unit {quoted(unit)}" if unit else "missing unit"
    return f"time: {what} in duration {quoted(text)}"
