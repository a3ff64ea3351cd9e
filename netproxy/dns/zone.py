"""The records of a cluster and how a name is found among them, as the Kubernetes DNS specification 1.1.0 has them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from netproxy.core.net import Family, contains, family_of

TTL_S = 5
VERSION_TTL_S = 28800


@dataclass(frozen=True, slots=True)
class Srv:
    """A service location: priority and weight are given where it is answered."""

    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Records:
    """Everything at one name; empty lists at a name that only has names below it."""

    addresses: tuple[str, ...] = ()
    srv: tuple[Srv, ...] = ()
    shares: int = 0
    """Among how many a weight is shared: each address of each endpoint counts with each port, the same target twice, too."""
    ptr: tuple[str, ...] = ()
    cname: str = ""
    txt: tuple[str, ...] = ()
    ns: tuple[str, ...] = ()

    def of_family(self, family: Family) -> tuple[str, ...]:
        """The addresses of one family."""
        return tuple(a for a in self.addresses if family_of(a) is family)


@dataclass(frozen=True, slots=True)
class Zone:
    """All names of a cluster; lower case, without the last dot."""

    domain: str
    names: Mapping[str, Records]
    namespaces: frozenset[str]
    reverse: tuple[str, ...]
    """CIDRs whose reverse names are ours."""
    pods_mode: str = "insecure"
    pods: frozenset[tuple[str, str]] = frozenset()
    """(namespace, address) of the Pods that exist, for mode `verified`."""
    serial: int = 0
    servers: tuple[str, ...] = ()
    """Addresses of the name server itself."""
    faults: tuple[str, ...] = ()
    """Services whose objects make no sense, with the reason: the others are served."""

    def is_ours(self, qname: str) -> bool:
        """Whether this server is the authority for a name (lower case, no last dot)."""
        return self.apex_of(qname) is not None

    def apex_of(self, qname: str) -> str | None:
        """The zone that a name is in: the domain, or a reverse zone; None outside."""
        if qname == self.domain or qname.endswith("." + self.domain):
            return self.domain
        if qname.endswith((".in-addr.arpa", ".ip6.arpa")):
            apex = "in-addr.arpa" if qname.endswith(".in-addr.arpa") else "ip6.arpa"
            address = address_of(qname)
            if qname in self.names or (address and any(contains(cidr, address) for cidr in self.reverse)):
                return apex
        return None

    def find(self, qname: str) -> Records | None:
        """The records at a name; None when it does not exist (NXDOMAIN)."""
        known = self.names.get(qname)
        if known is not None:
            return known
        return self._pod(qname)

    def _pod(self, qname: str) -> Records | None:
        """`10-244-0-5.NAMESPACE.pod.ZONE`."""
        below = qname.removesuffix(f".pod.{self.domain}")
        dashed, dot, at = below.partition(".")
        if below == qname or not dot or "." in at or self.pods_mode == "disabled" or at not in self.namespaces:
            return None
        address = _undashed(dashed)
        if address is None or (self.pods_mode == "verified" and (at, address) not in self.pods):
            return None
        return Records(addresses=(address,))


def _undashed(text: str) -> str | None:
    if "%" in text:
        return None
    for candidate in (text.replace("-", "."), text.replace("-", ":")):
        try:
            return str(ipaddress.ip_address(candidate))
        except ValueError:
            continue
    return None


def reverse_name(address: str) -> str:
    """The name of an address in the reverse tree.

    >>> reverse_name("10.0.0.5")
    '5.0.0.10.in-addr.arpa'
    """
    return ipaddress.ip_address(address).reverse_pointer


def address_of(qname: str) -> str | None:
    """The address that a reverse name stands for; None when it is none.

    >>> address_of("5.0.0.10.in-addr.arpa"), address_of("0.10.in-addr.arpa")
    ('10.0.0.5', None)
    """
    if qname.endswith(".in-addr.arpa"):
        candidate = ".".join(reversed(qname.removesuffix(".in-addr.arpa").split(".")))
    else:
        nibbles = qname.removesuffix(".ip6.arpa").split(".")[::-1]
        whole = len(nibbles) == 32 and all(len(nibble) == 1 for nibble in nibbles)
        candidate = ":".join("".join(nibbles[at : at + 4]) for at in range(0, 32, 4)) if whole else ""
    try:
        return str(ipaddress.ip_address(candidate))
    except ValueError:
        return None
