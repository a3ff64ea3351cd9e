"""Numbers of JSON, which in Go are integers or fractions, never truth values."""

from __future__ import annotations

import math
from typing import Any

_EXACT = 1 << 53


def is_number(value: Any) -> bool:
    """Whether a value is a number.

    >>> is_number(1.5), is_number(True)
    (True, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def go_number(value: float) -> str:
    """A number as Go prints it.

    >>> go_number(10.0), go_number(1e21), go_number(0.1), go_number(-3), go_number(1e-7)
    ('10', '1e+21', '0.1', '-3', '1e-07')
    """
    if isinstance(value, int):
        return str(value)
    if value == 0 or 1e-4 <= abs(value) < 1e21:
        return f"{value:.0f}" if value.is_integer() else repr(value)
    return repr(value).replace(".0e", "e")


def whole(value: float) -> bool:
    """Whether a fraction is as good as an integer.

    Source: github.com/go-openapi/swag convert.go, IsFloat64AJSONInteger.
    """
    if math.isnan(value) or math.isinf(value) or abs(value) > _EXACT:
        return False
    nearest = float(math.floor(abs(value) + 0.5))
    difference = abs(abs(value) - nearest)
    if difference == 0:
        return True
    return value != 0 and nearest != 0 and difference / max(abs(value), nearest) < 1e-9


def plain_numbers(value: Any) -> Any:
    """A value as Go writes what it read: fractions that are whole are integers.

    >>> plain_numbers({"a": [1.0, 1.5]})
    {'a': [1, 1.5]}
    """
    if isinstance(value, dict):
        return {key: plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value
