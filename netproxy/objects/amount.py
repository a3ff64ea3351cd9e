"""Quantities as Kubernetes parses and writes them: `500m`, `1536Mi`, `1e3`.

Source: kubernetes apimachinery/pkg/api/resource/quantity.go, suffix.go, amount.go (behaviour).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from netproxy.core.numbers import MOST_DIGITS

_PARTS = re.compile(r"([+-]?)([0-9]*)(\.?)([0-9]*)([eEinumkKMGTP]*[-+]?[0-9]*)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
_MOST = (1 << 63) - 1
_NANO = 10**9
_FARTHEST = 3000
"""An exponent beyond this is of no use, and its digits would fill the memory."""

FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_WRONG = "unable to parse quantity's suffix"


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity: its value in 10⁻⁹, how it is written (`d`ecimal, `b`inary, `e`xponent), and its text if that stays as given."""

    nano: int
    form: str = "d"
    text: str = ""

    def __str__(self) -> str:
        """In canonical form."""
        return self.text or _canonical(self.nano, self.form)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is behind the decimal point."""
        return self.nano % _NANO == 0

    @property
    def value(self) -> int:
        """The whole number, rounded up away from zero as Kubernetes does.

        >>> amount("1500m").value, amount("2Ki").value
        (2, 2048)
        """
        up = -(-abs(self.nano) // _NANO)
        return up if self.nano > 0 else -up

    def __add__(self, other: Amount) -> Amount:
        """The sum, written as the first is, unless that is nothing.

        >>> str(amount("512Mi") + amount("512Mi")), str(amount("0") + amount("1Ki"))
        ('1Gi', '1Ki')
        """
        return Amount(self.nano + other.nano, self.form if self.nano else other.form)

    def __sub__(self, other: Amount) -> Amount:
        """The difference, written as the first is, unless that is nothing."""
        return self + Amount(-other.nano, other.form)

    def to_milli(self) -> Amount:
        """Rounded up to thousandths, as amounts of resources are.

        >>> str(amount("100u").to_milli())
        '1m'
        """
        if not self.nano % 10**6:
            return self
        up = -(-abs(self.nano) // 10**6) * 10**6
        return Amount(up if self.nano > 0 else -up, self.form)


@lru_cache(maxsize=4096)
def amount(given: str) -> Amount:
    """The quantity that a text is. Raises ValueError in Kubernetes' words.

    >>> [str(amount(text)) for text in ("0.5", "1024Mi", "1.5Gi", "0.1", "1e3", "100", "1000", "500Ki", "0.5Ki", "-2000m")]
    ['500m', '1Gi', '1536Mi', '100m', '1e3', '100', '1k', '500Ki', '512', '-2']
    """
    found = _PARTS.fullmatch(given)
    if not given or not found or len(given) > MOST_DIGITS:
        raise ValueError(FORMAT_WRONG)
    sign, whole, _, part, suffix = found.groups()
    digits = whole.lstrip("0")
    base, power, form = _scale(suffix)
    shifted = (digits or "0") + part
    nano = _nano(int(shifted), len(part), base, power)
    if form == "b":
        nano = min(nano, _MOST * _NANO)
    if sign == "-":
        nano = -nano
    kept = given if nano and _stays(shifted, len(part), power, form) else ""
    return Amount(nano, "d" if form == "b" and 0 < abs(nano) < _NANO else form, kept)


def quantity_text(value: Any) -> str:
    """The text of a quantity in JSON: a number may stand there, too.

    >>> quantity_text(2), quantity_text(0.5), quantity_text(" 1 "), quantity_text(None)
    ('2', '0.5', '1', '0')
    """
    if value is None:
        return "0"
    return value.strip() if isinstance(value, str) else str(value)


def _scale(suffix: str) -> tuple[int, int, str]:
    if suffix in _DECIMAL:
        return 10, _DECIMAL[suffix], "d"
    if suffix in _BINARY:
        return 2, _BINARY[suffix], "b"
    exponent = _EXPONENT.fullmatch(suffix)
    if not exponent or abs(int(exponent[1])) > _FARTHEST:
        raise ValueError(SUFFIX_WRONG)
    return 10, int(exponent[1]), "e"


def _nano(mantissa: int, places: int, base: int, power: int) -> int:
    """The value in 10⁻⁹, rounded up."""
    if base == 2:
        return -(-(mantissa << power) * _NANO // _tens(places))
    shift = 9 + power - places
    return mantissa * _tens(shift) if shift >= 0 else -(-mantissa // _tens(-shift))


def _tens(power: int) -> int:
    return int(10**power)


def _stays(shifted: str, places: int, power: int, form: str) -> bool:
    """Whether a text is canonical enough to be kept: what the quick way of the parser keeps."""
    if form == "b":
        fast = not places and 14 - len(shifted) - power * 3 // 10 >= 0
        return fast and int(shifted) & 7 != 0
    scale = power - places
    fast = len(shifted) <= 18 and scale >= -9
    return fast and scale % 3 == 0 and not shifted.endswith("000") and shifted[0] != "0"


def _canonical(nano: int, form: str) -> str:
    if not nano:
        return "0"
    if form == "b" and nano % _NANO == 0 and abs(nano) >= 1024 * _NANO:
        mantissa, power = nano // _NANO, 0
        while mantissa % 1024 == 0:
            mantissa, power = mantissa // 1024, power + 10
        return f"{mantissa}{next((s for s, p in _BINARY.items() if p == power), '')}"
    mantissa, power = nano, -9
    while mantissa % 1000 == 0:
        mantissa, power = mantissa // 1000, power + 3
    if form == "e":
        return f"{mantissa}e{power}" if power else str(mantissa)
    return f"{mantissa}{next((s for s, p in _DECIMAL.items() if p == power), '')}"
