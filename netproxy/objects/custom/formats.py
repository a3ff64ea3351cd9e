"""Whether a text has a format that a schema asks for.

Source: k8s.io/kube-openapi pkg/validation/strfmt (default.go, date.go, duration.go, time.go, kubernetes-extensions.go);
asaskevich/govalidator (patterns).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date
from ipaddress import ip_address
from urllib.parse import urlsplit

from netproxy.core.net import sloppy_address, sloppy_network
from netproxy.objects.validation.names import dns_label, dns_subdomain

_HEX = "[0-9a-fA-F]"


def _by(pattern: str) -> Callable[[str], bool]:
    found = re.compile(pattern, re.ASCII)
    return lambda text: found.fullmatch(text) is not None


def _uuid(third: str = _HEX, fourth: str = _HEX) -> Callable[[str], bool]:
    return _by(f"{_HEX}{{8}}-?{_HEX}{{4}}-?{third}{_HEX}{{3}}-?{fourth}{_HEX}{{3}}-?{_HEX}{{12}}")


def _hostname(text: str) -> bool:
    label = r"[^\W_]([^\W_]|-(?!\.|$)){0,62}"
    is_one = re.fullmatch(rf"{label}(\.{label})*", text) is not None
    last = text.rpartition(".")[2]
    return is_one and len(text) <= 255 and ("." not in text or re.fullmatch(r"[^\W\d_]{2,63}", last) is not None)


def _ipv6(text: str) -> bool:
    try:
        return ":" in text and bool(ip_address(text))
    except ValueError:
        return False


def _uri(text: str) -> bool:
    """What a request line could have."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(text) and text.isprintable() and " " not in text and (text.startswith("/") or bool(parts.scheme))


_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_ATOM}(?:\.{_ATOM})*|\[[^\]\s]+\])"
_email = re.compile(rf"\s*(?:{_ADDRESS}|(?:\"[^\"]*\"|[\w\s.-]*)<{_ADDRESS}>)\s*").fullmatch


def _isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9]{9}[0-9X]", digits):
        return False
    return sum((at + 1) * (10 if digit == "X" else int(digit)) for at, digit in enumerate(digits)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    return re.fullmatch(r"[0-9]{13}", digits) is not None and _weighted(digits) % 10 == 0


def _weighted(digits: str) -> int:
    return sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits))


def _card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    kinds = (
        r"4[0-9]{12}([0-9]{3})?|5[1-5][0-9]{14}|6(011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(0[0-5]|[68][0-9])[0-9]{11}"
        r"|(2131|1800|35[0-9]{3})[0-9]{11}"
    )
    if not re.fullmatch(kinds, digits):
        return False
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _rgb(text: str) -> bool:
    found = re.fullmatch(r"rgb\(\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\)", text)
    return found is not None and all(int(part) <= 255 for part in found.groups())


def _bytes(text: str) -> bool:
    try:
        return bool(text) and b64decode(text, validate=True) is not None
    except ValueError:
        return False


def _date(text: str) -> bool:
    try:
        return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _date_time(text: str) -> bool:
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[tT](\d\d):(\d\d):(\d\d)(\.\d+)?([zZ]|[+-]\d\d:?\d\d)", text, re.ASCII)
    return found is not None and _date(found[1]) and int(found[2]) < 24 and int(found[3]) < 60 and int(found[4]) < 60


_UNITS = "ns|us|µs|μs|ms|s|m|h"
_GO_DURATION = re.compile(rf"[+-]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:{_UNITS}))+)")
_WORDS = (
    "d|w|ns|us|µs|ms|s|m|h|nano(?:second)?s?|micro(?:second)?s?|milli(?:s|seconds?)?|sec(?:ond)?s?|min(?:ute)?s?|h(?:ou)?rs?|days?"
    "|wks?|weeks?"
)
_SCALA_DURATION = re.compile(rf"(?:[0-9]+(?:\.[0-9]+)?)\s*(?:{_WORDS})")


def _duration(text: str) -> bool:
    return _GO_DURATION.fullmatch(text) is not None or _SCALA_DURATION.fullmatch(text) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _by(f"{_HEX}{{24}}"), "uri": _uri, "email": lambda text: _email(text) is not None,
    "hostname": _hostname, "ipv4": lambda text: "." in text and bool(sloppy_address(text)), "ipv6": _ipv6,
    "cidr": lambda text: text == text.strip() and bool(sloppy_network(text)),
    "mac": _by("(%s{2}[:-]){5}%s{2}|(%s{2}[:-]){7}%s{2}|(%s{4}\\.){2}%s{4}|(%s{4}\\.){3}%s{4}" % ((_HEX,) * 8)),
    "uuid": _uuid(), "uuid3": _uuid("3"), "uuid4": _uuid("4", "[89abAB]"), "uuid5": _uuid("5", "[89abAB]"),
    "isbn": lambda text: _isbn10(text) or _isbn13(text), "isbn10": _isbn10, "isbn13": _isbn13, "creditcard": _card,
    "ssn": _by("[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}"), "hexcolor": _by("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"), "rgbcolor": _rgb,
    "byte": _bytes, "password": lambda _: True, "date": _date, "duration": _duration, "datetime": _date_time,
    "k8sshortname": lambda text: not dns_label(text), "k8slongname": lambda text: not dns_subdomain(text),
}  # fmt: skip
"""By the name of the format without dashes."""


def check_of(format_name: str, kind: str) -> str:
    """The format as it is checked in a schema of a type; empty for one that means nothing there.

    >>> check_of("date-time", "string"), check_of("int32", "integer"), check_of("int32", "string")
    ('date-time', 'int32', '')
    """
    if kind in ("", "string"):
        return format_name if format_name.replace("-", "") in FORMATS else ""
    known = {"integer": ("int32", "int64"), "number": ("float", "double")}.get(kind, ())
    return format_name if format_name in known else ""


def has_format(format_name: str, text: str) -> bool:
    """Whether a text has a format that is known."""
    return FORMATS[format_name.replace("-", "")](text)
