"""Addresses and ports that the API server hands out: VIPs, node ports, Pod addresses.

Values in, value out: what is taken is read from the objects, so nothing is forgotten after a crash. The first free one
of the band that Kubernetes keeps for dynamic allocation is taken, so that an address somebody will ask for by name
(the lower band) stays free.

Source: kubernetes pkg/registry/core/service/{ipallocator,portallocator} (bands of KEP-3070 and KEP-3668).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from netproxy.core.errors import ConflictError
from netproxy.core.net import family_of


def free_address(cidr: str, taken: Iterable[str]) -> str:
    """The first free address of a Service range, above the band kept for static use.

    >>> free_address("10.96.0.0/16", ["10.96.1.0"])
    '10.96.1.1'

    Raises ConflictError when the range is full.
    """
    net = ipaddress.ip_network(cidr)
    size = min(net.num_addresses, 1 << 16)
    used = {int(ipaddress.ip_address(ip)) for ip in taken if family_of(ip) is family_of(cidr)}
    base = int(net.network_address)
    band: int = min(max(16, size // 16), 256) if size > 32 else 1
    last = size - 1 if net.version == 4 else size
    for offset in (*range(band, last), *range(1, min(band, last))):
        if base + offset not in used:
            return str(
                ipaddress.ip_address(base + offset) if net.version == 4 else ipaddress.IPv6Address(base + offset)
            )
    raise ConflictError(f"the range {cidr} is full")


def free_port(first: int, last: int, taken: set[int]) -> int:
    """The first free node port, above the band kept for static use.

    >>> free_port(30000, 32767, set())
    30086

    Raises ConflictError when the range is full.
    """
    size = last - first + 1
    band: int = min(max(16, size // 32), 128) if size > 32 else 0
    candidates: list[int] = [*range(first + band, last + 1), *range(first, first + band)]
    for port in candidates:
        if port not in taken:
            return port
    raise ConflictError(f"the node port range {first}-{last} is full")


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
