"""Numbers in texts of others, of any length: Python reads no more than some thousand digits, and slowly."""

from __future__ import annotations

MOST_DIGITS = 400
"""A number of more is as large as 10 to the power of this: beyond everything that a number is compared with."""


def whole(text: str) -> int:
    """The number that digits say, after a sign or not.

    >>> whole("-007"), whole("9" * 5000) == 10 ** MOST_DIGITS, whole("0" * 5000)
    (-7, True, 0)

    Raises ValueError for what is no number.
    """
    if len(text) <= MOST_DIGITS:
        return int(text)
    digits = text.lstrip("+-").lstrip("0")
    found = 10**MOST_DIGITS if len(digits) > MOST_DIGITS else int(digits or 0)
    return -found if text.startswith("-") else found
