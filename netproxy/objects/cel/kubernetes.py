"""Kubernetes' own functions of expressions: URLs, addresses, ranges, quantities, formats.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/cel/library/{urls,ip,cidr,quantity,format}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from netproxy.core.names import quoted
from netproxy.objects.amount import amount
from netproxy.objects.cel.values import NONE, CelError, Optional, no_overload
from netproxy.objects.custom.formats import has_format
from netproxy.objects.validation.names import (
    Reasons,
    dns_1035_label,
    dns_label,
    dns_subdomain,
    label_value,
    qualified,
)

_NANO = 10**9


@dataclass(frozen=True, slots=True)
class URL:
    """An absolute URL, or a path."""

    text: str


@dataclass(frozen=True, slots=True)
class IP:
    """An address."""

    address: IPv4Address | IPv6Address

    @property
    def text(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class CIDR:
    """An address with the length of its network's prefix."""

    address: IPv4Address | IPv6Address
    network: IPv4Network | IPv6Network

    @property
    def text(self) -> str:
        return f"{self.address}/{self.network.prefixlen}"


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount of something."""

    nano: int


@dataclass(frozen=True, slots=True)
class Format:
    """A form that texts may have."""

    reasons: Callable[[str], Reasons]


def _url(text: str) -> URL:
    parts = urlsplit(text)
    if not (text.startswith("/") or (parts.scheme and parts.netloc)):
        raise CelError(f"URL parse error during conversion from string: parse {quoted(text)}: invalid URI for request")
    return URL(text)


def _ip(text: str) -> IP:
    try:
        found = ip_address(text)
    except ValueError:
        raise CelError(f"IP Address {quoted(text)} parse error during conversion from string") from None
    if "%" in text:
        raise CelError(f"IP address {quoted(text)} with zone value is not allowed")
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        raise CelError(f"IPv4-mapped IPv6 address {quoted(text)} is not allowed")
    return IP(found)


def _cidr(text: str) -> CIDR:
    try:
        if "/" not in text:
            raise ValueError
        found = ip_interface(text)
    except ValueError:
        raise CelError(
            f"network address parse error during conversion from string: netip.ParsePrefix({quoted(text)})"
        ) from None
    return CIDR(found.ip, found.network)


def _quantity(text: str) -> Quantity:
    try:
        return Quantity(amount(text).nano)
    except ValueError as error:
        raise CelError(str(error)) from error


def _is(make: Callable[[str], Any]) -> Callable[[str], bool]:
    """Whether a text can be made something of."""

    def check(text: str) -> bool:
        try:
            return bool(make(text)) or True
        except ValueError:
            return False

    return check


def _within(network: CIDR, other: Any) -> bool:
    """Whether an address, or a network, is in a network."""
    if isinstance(other, str):
        other = _cidr(other) if "/" in other else _ip(other)
    if other.address.version != network.network.version:
        return False
    if isinstance(other, CIDR):
        return other.network.subnet_of(network.network)  # type: ignore[arg-type]
    return other.address in network.network


def _nano(value: Any) -> int:
    if isinstance(value, Quantity):
        return value.nano
    if isinstance(value, int) and not isinstance(value, bool):
        return value * _NANO
    raise no_overload()


def _compared(left: Quantity, right: Quantity) -> int:
    return (left.nano > right.nano) - (left.nano < right.nano)


def _as_integer(of: Quantity) -> int:
    if of.nano % _NANO:
        raise CelError("cannot convert value to integer")
    return of.nano // _NANO


def _validated(of: Format, text: str) -> Optional:
    wrong = list(of.reasons(text))
    return Optional((wrong,)) if wrong else NONE


def _known(name: str) -> Callable[[str], Reasons]:
    return lambda text: () if has_format(name, text) else (f"must be a valid {name}",)


_FORMATS: Mapping[str, Callable[[str], Reasons]] = {
    "dns1123Label": dns_label, "dns1123Subdomain": dns_subdomain, "dns1035Label": dns_1035_label, "qualifiedName": qualified,
    "dns1123LabelPrefix": lambda text: dns_label(text.removesuffix("-") or text), "labelValue": label_value,
    "dns1123SubdomainPrefix": lambda text: dns_subdomain(text.removesuffix("-") or text),
    "dns1035LabelPrefix": lambda text: dns_1035_label(text.removesuffix("-") or text),
    **{name: _known(name) for name in ("uri", "uuid", "byte", "date", "datetime")},
}  # fmt: skip


def _named(name: str) -> Optional:
    return Optional((Format(_FORMATS[name]),)) if name in _FORMATS else NONE


def _made(reasons: Callable[[str], Reasons]) -> Callable[[], Format]:
    return lambda: Format(reasons)


def _host(of: URL) -> str:
    return urlsplit(of.text).netloc.rpartition("@")[2]


_IN_PATHS = "/%:@!$&'()*+,;="


def _port(of: URL) -> str:
    port = urlsplit(of.text).port
    return "" if port is None else str(port)


KUBERNETES: Mapping[str, Callable[..., Any]] = {
    "url": _url, "isURL": _is(_url), "ip": _ip, "isIP": _is(_ip), "ip.isCanonical": lambda text: _ip(text).text == text,
    "cidr": _cidr, "isCIDR": _is(_cidr), "quantity": _quantity, "isQuantity": _is(_quantity), "format.named": _named,
    **{f"format.{name}": _made(reasons) for name, reasons in _FORMATS.items()},
}  # fmt: skip

KUBERNETES_METHODS: Mapping[str, Callable[..., Any]] = {
    "getScheme": lambda of: urlsplit(of.text).scheme, "getHost": _host, "getHostname": lambda of: urlsplit(of.text).hostname or "",
    "getPort": _port, "getEscapedPath": lambda of: quote(urlsplit(of.text).path, _IN_PATHS),
    "getQuery": lambda of: parse_qs(urlsplit(of.text).query),
    "family": lambda of: of.address.version, "isUnspecified": lambda of: of.address.is_unspecified,
    "isLoopback": lambda of: of.address.is_loopback, "isLinkLocalMulticast": lambda of: _is_local_multicast(of),
    "isLinkLocalUnicast": lambda of: of.address.is_link_local and not of.address.is_multicast,
    "isGlobalUnicast": lambda of: _is_global(of), "containsIP": _within, "containsCIDR": _within, "ip": lambda of: IP(of.address),
    "masked": lambda of: CIDR(of.network.network_address, of.network), "prefixLength": lambda of: of.network.prefixlen,
    "isInteger": lambda of: of.nano % _NANO == 0, "asInteger": _as_integer,
    "asApproximateFloat": lambda of: of.nano / _NANO, "add": lambda of, other: Quantity(of.nano + _nano(other)),
    "sub": lambda of, other: Quantity(of.nano - _nano(other)), "compareTo": _compared,
    "isGreaterThan": lambda of, other: of.nano > other.nano, "isLessThan": lambda of, other: of.nano < other.nano,
    "validate": _validated,
}  # fmt: skip


def _is_local_multicast(of: IP) -> bool:
    text = of.text
    return text.startswith("224.0.0.") or (":" in text and text.startswith("ff02"))


def _is_global(of: IP) -> bool:
    found = of.address
    return not (
        found.is_unspecified
        or found.is_loopback
        or found.is_multicast
        or found.is_link_local
        or of.text == "255.255.255.255"
    )
