"""Whether a text is a schedule of cron, in the words of the parser that Kubernetes uses.

Source: github.com/robfig/cron/v3 parser.go (behaviour).
"""

from __future__ import annotations

import re

from netproxy.core.numbers import whole
from netproxy.objects.quantity import duration_fault
from netproxy.objects.validation.timezones import zone_reason
from netproxy.objects.validation.words import quoted

_MONTHS = {
    name: at
    for at, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)
}
_DAYS = {name: at for at, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS),
)  # fmt: skip
_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_is_int = re.compile(r"[+-]?[0-9]+").fullmatch
_MOST = 1 << 63


def schedule_reason(text: str) -> str:
    """Why a text is no schedule; empty for one that is.

    >>> schedule_reason("*/5 * * * mon-fri"), schedule_reason("61 * * * *")
    ('', 'end of range (61) above maximum (59): 61')
    """
    try:
        _check(text)
    except ValueError as error:
        return str(error)
    return ""


def _check(text: str) -> None:
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, space, text = text.partition(" ")
        if not space:
            raise ValueError("invalid schedule format: runtime error: slice bounds out of range [:-1]")
        called = zone.partition("=")[2]
        if reason := called and zone_reason(called):
            raise ValueError(f"provided bad location {called}: {reason}")
        text = text.strip()
    if text.startswith("@"):
        _descriptor(text)
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    for field, bounds in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if part:
                _range(part, *bounds)


def _descriptor(text: str) -> None:
    if text.startswith("@every "):
        duration = text.removeprefix("@every ")
        why = duration_fault(duration)
        if why:
            raise ValueError(f"failed to parse duration {text}: {why}")
    elif text not in _NAMED:
        raise ValueError(f"unrecognized descriptor: {text}")


def _range(text: str, least: int, most: int, names: dict[str, int]) -> None:
    span, *steps = text.split("/")
    bounds = span.split("-")
    if bounds[0] in ("*", "?"):
        start, end = least, most
    else:
        start = end = _number(bounds[0], names)
        if len(bounds) == 2:
            end = _number(bounds[1], names)
        elif len(bounds) > 2:
            raise ValueError(f"too many hyphens: {text}")
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = _number(steps[0], {}) if steps else 1
    if steps and len(bounds) == 1:
        end = most
    if start < least:
        raise ValueError(f"beginning of range ({start}) below minimum ({least}): {text}")
    if end > most:
        raise ValueError(f"end of range ({end}) above maximum ({most}): {text}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if not step:
        raise ValueError(f"step of range should be a positive number: {text}")


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not _is_int(text):
        raise ValueError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    if not -_MOST <= whole(text) < _MOST:
        raise ValueError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: value out of range")
    if whole(text) < 0:
        raise ValueError(f"negative number ({whole(text)}) not allowed: {text}")
    return whole(text)
