"""Protocols, address families and addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_SLOPPY_IPV4 = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}\.\d{1,9}\Z", re.ASCII)
_IPV4 = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}\Z", re.ASCII)


class Protocol(StrEnum):
    """A transport protocol, spelt as Kubernetes spells it."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class Family(StrEnum):
    """An address family, spelt as Kubernetes spells it (`spec.ipFamilies`)."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"

    @property
    def bits(self) -> int:
        """Length of one address in bits: 32 or 128."""
        return 32 if self is Family.IPV4 else 128


PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
"""What the IP header calls the protocols of a Service."""


def family_of(address: str) -> Family:
    """Tell the family of an address or CIDR by its spelling.

    >>> family_of("10.0.0.1"), family_of("fd00::/64")
    (<Family.IPV4: 'IPv4'>, <Family.IPV6: 'IPv6'>)
    """
    return Family.IPV6 if ":" in address else Family.IPV4


def is_address(text: object) -> bool:
    """Tell whether TEXT is one IPv4 or IPv6 address; one with a zone, which may be any text, is none.

    >>> is_address("10.0.0.1"), is_address("10.0.0"), is_address("fe80::1%eth0"), is_address(None)
    (True, False, False, False)
    """
    if not isinstance(text, str) or "%" in text:
        return False
    if _IPV4.match(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_cidr(text: object) -> bool:
    """Tell whether TEXT is `address/length`; host bits may be set.

    >>> is_cidr("10.0.0.1/8"), is_cidr("10.0.0.1"), is_cidr("10.0.0.1/33"), is_cidr("fe80::%a b/64"), is_cidr("10.0.0.0/255.0.0.0")
    (True, False, False, False, False)
    """
    if not isinstance(text, str) or "%" in text or not text.partition("/")[2].isdigit():
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def network(cidr: str) -> str:
    """Return CIDR with its host bits cleared, as the kernel prints it.

    >>> network("192.168.0.7/24"), network("10.0.0.1")
    ('192.168.0.0/24', '10.0.0.1/32')
    """
    return str(ipaddress.ip_network(cidr, strict=False))


def sloppy_address(text: str) -> str:
    """The address that kube-proxy reads out of TEXT, as the kernel prints it; empty when it is none.

    Objects of old clusters may have IPv4 addresses with leading zeros: they are decimal, as all Kubernetes reads them.

    >>> sloppy_address("010.244.1.05"), sloppy_address("FD00:0:0::1"), sloppy_address("::ffff:10.0.0.1"), sloppy_address("10.0.0.300")
    ('10.244.1.5', 'fd00::1', '10.0.0.1', '')
    """
    if _IPV4.match(text):
        return text
    if _SLOPPY_IPV4.match(text):
        text = ".".join(str(int(part)) for part in text.split("."))
    if not is_address(text):
        return ""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def sloppy_network(text: str) -> str:
    """The range that kube-proxy reads out of TEXT, spaces around it or not, as the kernel prints it; empty when it is none.

    >>> sloppy_network(" 010.0.0.1/8"), sloppy_network("fd00::/064"), sloppy_network("10.0.0.1"), sloppy_network("10.0.0.0/33")
    ('10.0.0.0/8', 'fd00::/64', '', '')
    """
    address, _, length = text.strip().partition("/")
    if _SLOPPY_IPV4.match(address):
        address = sloppy_address(address)
    cidr = f"{address}/{int(length)}" if length.isascii() and length.isdigit() and len(length) < 9 else ""
    return network(cidr) if is_cidr(cidr) else ""


def contains(cidr: str, address: str) -> bool:
    """Tell whether ADDRESS lies in CIDR; families that differ never match."""
    if family_of(cidr) is not family_of(address):
        return False
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False)


def split_host_port(text: str) -> tuple[str, int] | None:
    """Address and port of `ADDRESS:PORT`; None when it is none.

    >>> split_host_port("127.0.0.1:6443"), split_host_port("[::1]:0"), split_host_port("::1:7"), split_host_port("a:1")
    (('127.0.0.1', 6443), ('::1', 0), None, None)
    """
    host, _, port = text.rpartition(":")
    inside = host.removeprefix("[").removesuffix("]")
    if not is_address(inside) or join_host_port(inside, 0) != f"{host}:0":
        return None
    return (inside, int(port)) if port.isascii() and port.isdigit() and int(port) < 1 << 16 else None


def join_host_port(address: str, port: int) -> str:
    """Spell `address:port` with brackets around an IPv6 address.

    >>> join_host_port("10.0.0.1", 80), join_host_port("fd00::1", 80)
    ('10.0.0.1:80', '[fd00::1]:80')
    """
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def node_ranges(cidr: str, count: int) -> Iterator[str]:
    """Pod ranges of the nodes: /24 of an IPv4 range, /64 of an IPv6 one, shorter when the range asks for it.

    >>> list(node_ranges("10.244.0.0/16", 2))
    ['10.244.0.0/24', '10.244.1.0/24']
    """
    net = ipaddress.ip_network(cidr)
    length = 24 if net.version == 4 else 64
    if net.prefixlen >= length or (1 << (length - net.prefixlen)) < count:
        length = min(net.prefixlen + max(1, (count - 1).bit_length()), net.max_prefixlen - 3)
    subnets = net.subnets(new_prefix=length)
    for _ in range(count):
        yield str(next(subnets))


@dataclass(frozen=True, slots=True)
class Flow:
    """One packet's five-tuple, before any translation."""

    source: str
    destination: str
    port: int
    protocol: Protocol = Protocol.TCP
    source_port: int = 40000
