"""What is refused about the conditions of a status.

Source: kubernetes apimachinery pkg/apis/meta/v1/validation/validation.go (ValidateConditions; behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.validation.names import by_regex, qualified, size
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    invalid,
    invalids,
    required,
    too_long,
    unsupported,
)

_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_is_reason = re.compile(_REASON).fullmatch
_LONGEST_REASON, _LONGEST_MESSAGE = 1024, 32 << 10


def condition_problems(conditions: Sequence[Mapping[str, Any]], path: str) -> Problems:
    """What is wrong with each of them, and with two of one type."""
    seen: set[str] = set()
    for index, item in enumerate(conditions):
        place, kind = f"{path}[{index}]", item.get("type") or ""
        if kind in seen:
            yield duplicate(f"{place}.type", kind)
        seen.add(kind)
        yield from invalids(f"{place}.type", kind, qualified(kind))
        yield from _condition(item, place)


def _condition(item: Mapping[str, Any], path: str) -> Problems:
    if item.get("status") not in ("True", "False", "Unknown"):
        yield unsupported(f"{path}.status", item.get("status") or "", ("False", "True", "Unknown"))
    if (item.get("observedGeneration") or 0) < 0:
        yield invalid(f"{path}.observedGeneration", item["observedGeneration"], "must be greater than or equal to zero")
    if not item.get("lastTransitionTime"):
        yield required(f"{path}.lastTransitionTime")
    reason = item.get("reason") or ""
    if not reason:
        yield required(f"{path}.reason")
    elif not _is_reason(reason):
        words = (
            "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
            "characters or '_,:', and must end with an alphanumeric character or '_'"
        )
        yield invalid(
            f"{path}.reason", reason,
            by_regex(words, _REASON, "my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"),
        )  # fmt: skip
    if size(reason) > _LONGEST_REASON:
        yield too_long(f"{path}.reason", _LONGEST_REASON)
    if size(item.get("message") or "") > _LONGEST_MESSAGE:
        yield too_long(f"{path}.message", _LONGEST_MESSAGE)
