"""Scalars of YAML as sigs.k8s.io/yaml reads them: YAML 1.1 without its numbers in base 60, `=` and dates.

Source: go.yaml.in/yaml/v2 resolve.go, sigs.k8s.io/yaml yaml.go (keys), Go strconv (numbers).
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from typing import Any

Scalar = str | int | float | bool | None

_PREFIX = "tag:yaml.org,2002:"
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_BEGINNINGS = frozenset("+-0123456789.yYnNtTfFoO~")
"""What a plain scalar that is no string begins with."""
_NUMBERS = frozenset("+-0123456789.")
_LONGEST = 400
"""A number of more characters is beyond every range: no text of this length is given to the parsers."""
_INT = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_GAP = re.compile(r"(?<=[0-9])_(?=[0-9])")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"([Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]*)?(Z|[+-][0-9]{2}:[0-9]{2})| [0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]*)?)?"
)
_INT64, _UINT64 = 1 << 63, 1 << 64


def plain(text: str) -> Scalar:
    """The value of a scalar without quotes and tag.

    >>> [plain(t) for t in ("80", "yes", "12:30", "=", "0o17", "1_000", "08", "", "2024-01-01", "1.30")]
    [80, True, '12:30', '=', 15, 1000, 8.0, None, '2024-01-01', 1.3]
    """
    if text and text[0] not in _BEGINNINGS:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return _number(text) if text[0] in _NUMBERS and len(text) <= _LONGEST else text


def tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with a tag. Raises ValueError when it is none of that kind.

    >>> tagged("tag:yaml.org,2002:str", "80"), tagged("tag:yaml.org,2002:int", "80"), tagged("!other", "80")
    ('80', 80, '80')
    """
    wanted = tag.removeprefix(_PREFIX)
    if wanted == "binary":
        return _binary(text)
    if wanted == "timestamp" and _TIMESTAMP.fullmatch(text):
        return text
    if not tag.startswith(_PREFIX) or wanted not in ("bool", "int", "float", "null", "timestamp"):
        return text
    value = plain(text)
    found = _kind(value)
    if found != wanted and (found, wanted) != ("int", "float"):
        shown = text if len(text) <= 40 else text[:40] + "..."
        raise ValueError(f"cannot decode !!{found} `{shown}` as a !!{wanted}")
    return value


def key_text(key: Any) -> str:
    """A map's key as JSON has it. Raises ValueError for what cannot be one.

    >>> [key_text(k) for k in ("a", 80, True, 1.3, 1e6)]
    ['a', '80', 'true', '1.3', '1e+06']
    """
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int):
        return str(key)
    if isinstance(key, float):
        return _short(key)
    what = "null" if key is None else "a map" if isinstance(key, dict) else "a list"
    raise ValueError(f"{what} cannot be a key; write a string")


def number(value: float) -> int | float:
    """A number as it is after a trip through JSON: a whole one is an integer. Raises ValueError for what JSON has not.

    >>> number(80.0), number(1.5)
    (80, 1.5)
    """
    if not math.isfinite(value):
        raise ValueError("is no number that JSON can carry")
    return int(value) if value.is_integer() and abs(value) < _INT64 else value


def _number(text: str) -> Scalar:
    digits = text.replace("_", "") if text[0] != "." else _GAP.sub("", text)
    found = _INT.fullmatch(digits)
    value = _int(found) if found else None
    if value is not None:
        return value
    if _FLOAT.fullmatch(digits) and math.isfinite(read := float(digits)):
        return read
    return text


def _int(found: re.Match[str]) -> int | float | None:
    sign, *forms = found.groups()
    base, digits = next((base, form) for base, form in zip((16, 2, 8, 10), forms, strict=True) if form)
    value = int(digits, base)
    if sign == "-":
        return -value if value <= _INT64 else None
    if value < _INT64:
        return value
    return float(value) if value < _UINT64 and not sign else None  # an int64 or a float64, as Kubernetes decodes JSON


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "bool"
    return {str: "str", int: "int", float: "float", type(None): "null"}[type(value)]


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.splitlines()), validate=True).decode("utf-8", "replace")
    except binascii.Error as error:
        raise ValueError("!!binary value contains invalid base64 data") from error


def _short(value: float) -> str:
    """The fewest digits that mean this number in 32 bits, with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    try:
        single = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return ".inf" if value > 0 else "-.inf"
    text = next(
        t
        for t in (f"{single:.{digits}e}" for digits in range(17))
        if struct.pack("<f", float(t)) == struct.pack("<f", single)
    )
    mantissa, _, power = text.partition("e")
    if -4 <= int(power) < 6 or not single:
        whole = f"{single:.{max(0, len(mantissa.lstrip('-').replace('.', '')) - 1 - int(power))}f}"
        return whole.rstrip("0").rstrip(".") if "." in whole else whole
    return text
