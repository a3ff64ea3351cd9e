"""The words in which the API server refuses a value of one field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from netproxy.core.errors import Problem

PORT_RANGE = "must be between 1 and 65535, inclusive"
PROTOCOLS = ("SCTP", "TCP", "UDP")

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*\Z")

Problems = Iterator[Problem]


def invalid(path: str, value: Any, why: str) -> Problem:
    """A value that cannot be."""
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    return Problem(path, f"Invalid value: {shown}: {why}")


def required(path: str, why: str = "") -> Problem:
    """A value that is missing."""
    return Problem(path, "Required value" + (f": {why}" if why else ""), reason="FieldValueRequired")


def one_of(path: str, value: Any, choices: tuple[str, ...]) -> Problems:
    """Whether a value, when there is one, is among the choices."""
    if value is not None and value not in choices:
        listed = ", ".join(f'"{choice}"' for choice in choices)
        yield Problem(
            path, f'Unsupported value: "{value}": supported values: {listed}', reason="FieldValueNotSupported"
        )


def port(path: str, value: Any) -> Problems:
    """Whether a value is a port's number."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        yield invalid(path, value, PORT_RANGE)


def port_or_name(path: str, value: Any) -> Problems:
    """Whether a value is a port's number or its name."""
    if isinstance(value, str):
        if len(value) > 15 or not _PORT_NAME.match(value):
            yield invalid(
                path, value, "must be no more than 15 characters of a-z, 0-9 and single '-', with at least one letter"
            )
    else:
        yield from port(path, value)
