"""What is wrong with an address or a range, and which spellings the API server warns of.

Source: kubernetes apimachinery pkg/util/validation/ip.go, with StrictIPCIDRValidation as 1.36 has it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container

from netproxy.core.net import network, sloppy_address, sloppy_network
from netproxy.objects.validation.names import Reasons, cached
from netproxy.objects.validation.words import Problems, invalids, quoted

_ZEROS, _MAPPED = "must not have leading 0s", "must not be an IPv4-mapped IPv6 address"
_CIDR_ZEROS, _CIDR_MAPPED = (
    "must not have leading 0s in IP or prefix length",
    "must not have an IPv4-mapped IPv6 address",
)
_HOST_BITS = "must not have bits set beyond the prefix length"
STRICT = (_ZEROS, _MAPPED, _CIDR_ZEROS, _CIDR_MAPPED, _HOST_BITS)
"""Reasons that releases before 1.36 did not have."""

_LEADING_ZERO = re.compile(r"(^|[.:])0[0-9]+\.|\.0[0-9]+$")
_LINK_LOCAL_MULTICAST = {4: ipaddress.ip_network("224.0.0.0/24"), 6: ipaddress.ip_network("ff02::/16")}


@cached
def address(text: str) -> Reasons:
    """An address in a field that takes any spelling without leading zeros."""
    read = sloppy_address(text)
    if not read:
        return ("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",)
    if read == text:
        return ()
    if _LEADING_ZERO.search(text):
        return (_ZEROS,)
    return (_MAPPED,) if _is_mapped(text, read) else ()


@cached
def canonical_address(text: str) -> Reasons:
    """An address in the one spelling that it has."""
    read = sloppy_address(text)
    return address(text) or ((f"must be in canonical form ({quoted(read)})",) if read != text else ())


@cached
def cidr(text: str) -> Reasons:
    """A range in a field that takes any spelling without leading zeros and without bits after its prefix."""
    read = sloppy_network(text) if text == text.strip() else ""
    if not read:
        return ("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",)
    if read == text:
        return ()
    host, _, length = text.partition("/")
    if _LEADING_ZERO.search(host) or (length.startswith("0") and length != "0"):
        return (_CIDR_ZEROS,)
    if _is_mapped(host, sloppy_address(host)):
        return (_CIDR_MAPPED,)
    return (_HOST_BITS,) if _has_host_bits(text) else ()


@cached
def canonical_cidr(text: str) -> Reasons:
    """A range in the one spelling that it has."""
    read = sloppy_network(text)
    return cidr(text) or ((f"must be in canonical form ({quoted(read)})",) if read != text else ())


@cached
def endpoint(text: str) -> Reasons:
    """An address that a Pod, or something like it, can have."""
    read = sloppy_address(text)
    if not read:
        return ("must be a valid IP address",)
    ip = ipaddress.ip_address(read)
    if ip.is_unspecified:
        return (f"may not be unspecified ({text})",)
    if ip.is_loopback:
        return ("may not be in the loopback range (127.0.0.0/8, ::1/128)",)
    if ip.is_link_local:
        return ("may not be in the link-local range (169.254.0.0/16, fe80::/10)",)
    if ip in _LINK_LOCAL_MULTICAST[ip.version]:
        return ("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",)
    return ()


def address_problems(path: str, text: str, known: Container[str] = ()) -> Problems:
    """Whether a text is an address; what an object had before is KNOWN, and stays."""
    reasons = address(text)
    if reasons and text not in known:
        yield from invalids(path, text, reasons)


def cidr_problems(path: str, text: str, known: Container[str] = ()) -> Problems:
    """Whether a text is a range; what an object had before is KNOWN, and stays."""
    reasons = cidr(text)
    if reasons and text not in known:
        yield from invalids(path, text, reasons)


@cached
def address_warnings(path: str, text: str) -> Reasons:
    """What is said about an address that is spelt in another way than it should be."""
    read = sloppy_address(text)
    if not read or read == text:
        return ()
    if _LEADING_ZERO.search(text) or _is_mapped(text, read):
        return (f"{path}: non-standard IP address {quoted(text)} is invalid: use {quoted(read)}",)
    return (f"{path}: IPv6 address {quoted(text)} should be in RFC 5952 canonical format ({quoted(read)})",)


@cached
def cidr_warnings(path: str, text: str) -> Reasons:
    """What is said about a range that is spelt in another way than it should be."""
    read = sloppy_network(text)
    if not read or read == text:
        return ()
    host, _, length = text.partition("/")
    own = sloppy_address(host)
    bits = 128 if ":" in text else 32
    mapped = _is_mapped(host, own)
    if mapped and int(length) >= 96:  # as Go prints it: the range of the IPv4 address that it is
        read = network(f"{own}/{int(length) - 96}")
    said: Reasons = ()
    if own != read.partition("/")[0]:
        these = f"{quoted(read)} or {quoted(f'{own}/{bits}')}"
        said += (f"{path}: CIDR value {quoted(text)} is ambiguous in this context (should be {these}?)",)
    if _LEADING_ZERO.search(host) or length != str(int(length)) or mapped:
        said += (f"{path}: non-standard CIDR value {quoted(text)} is invalid: use {quoted(read)}",)
    if not said:
        said = (f"{path}: IPv6 CIDR value {quoted(text)} should be in RFC 5952 canonical format ({quoted(read)})",)
    return said


def is_ip(text: str) -> bool:
    """Whether a text is an address."""
    return bool(sloppy_address(text))


def is_ipv6(text: str) -> bool:
    """Whether Go reads an IPv6 address out of a text.

    >>> is_ipv6("fd00::1"), is_ipv6("::ffff:1.2.3.4"), is_ipv6("x")
    (True, False, False)
    """
    return ":" in sloppy_address(text)


def _is_mapped(text: str, read: str) -> bool:
    return ":" in text and ":" not in read


def _has_host_bits(text: str) -> bool:
    return ipaddress.ip_interface(text).ip != ipaddress.ip_interface(text).network.network_address
