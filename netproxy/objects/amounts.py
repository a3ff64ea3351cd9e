"""Quantities of resources as exact numbers.

Source: kubernetes apimachinery pkg/api/resource/quantity.go (the grammar).
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction

from netproxy.core.numbers import MOST_DIGITS, whole

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([KMGTPE]i|[numkMGTPE]?|[eE][+-]?[0-9]+)")
_BINARY = {f"{letter}i": Fraction(1 << 10 * power) for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
}  # fmt: skip


@functools.lru_cache(4096)
def amount(text: str) -> Fraction:
    """The number that a quantity means; nothing for what is none.

    >>> [str(amount(text)) for text in ("500m", "1Gi", "1e3", "-2", "1.5", "x")]
    ['1/2', '1073741824', '1000', '-2', '3/2', '0']
    >>> amount("9" * 5000) == amount("1e9999999"), amount("-" + "9" * 5000) < amount("-9"), amount("1e-9999999") < amount("1n")
    (True, True, True)
    """
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        return Fraction(0)
    number, suffix = found.groups()
    scale = (
        _BINARY.get(suffix)
        or _DECIMAL.get(suffix)
        or Fraction(10) ** max(-MOST_DIGITS, min(whole(suffix[1:]), MOST_DIGITS))
    )
    if len(number) > MOST_DIGITS:  # beyond everything that there can be
        number = f"{number[:1] if number[0] in '+-' else ''}1e{MOST_DIGITS}"
    return Fraction(number) * scale
