"""Which addresses a Pod gets from its node's ranges, and what its link is called by them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from hashlib import sha256

from netproxy.core.errors import ConflictError
from netproxy.core.net import contains, family_of
from netproxy.linux.links import PodLink
from netproxy.objects.cluster import NodeSpec


def pod_address(cidr: str, taken: set[str]) -> str:
    """The first free Pod address of a node's range; .0 and .1 (the gateway) are never given.

    >>> pod_address("10.244.1.0/24", {"10.244.1.2"})
    '10.244.1.3'

    Raises ConflictError when the range is full.
    """
    net = ipaddress.ip_network(cidr)
    for offset in range(2, min(net.num_addresses - 1, 1 << 16)):
        address = str(net[offset])
        if address not in taken:
            return address
    raise ConflictError(f"the Pod range {cidr} is full")


def pod_addresses(node: NodeSpec, known: tuple[str, ...], taken: Iterable[str]) -> tuple[str, ...]:
    """One address of each of the node's ranges: those that the Pod had before, when they are its node's and free.

    Raises ConflictError when a range is full.
    """
    used = set(taken)
    mine = all(any(contains(cidr, ip) for cidr in node.pod_cidrs) for ip in known)
    if known and mine and not used & set(known):
        return known
    return tuple(pod_address(cidr, used) for cidr in node.pod_cidrs)


def pod_link(namespace: str, uid: str, ips: tuple[str, ...], node: NodeSpec) -> PodLink:
    """The link between a Pod's namespace and its node: its name and index are decided here, so that both are known."""
    gateways = {family_of(cidr): _gateway(cidr) for cidr in node.pod_cidrs}
    name = "veth" + sha256(uid.encode()).hexdigest()[:8]
    addresses = tuple((ip, gateways[family_of(ip)]) for ip in ips)
    return PodLink(namespace, name, _link_index(ips[0], node.pod_cidrs[0]), addresses)


def _gateway(cidr: str) -> str:
    """The node's end of a Pod's link: the first address of the range, fe80::1 for IPv6."""
    return "fe80::1" if ":" in cidr else str(ipaddress.ip_network(cidr)[1])


def _link_index(address: str, cidr: str) -> int:
    """The node-side link's index: chosen by us, one for each address of the range."""
    return 1000 + int(ipaddress.ip_address(address)) - int(ipaddress.ip_network(cidr).network_address)
