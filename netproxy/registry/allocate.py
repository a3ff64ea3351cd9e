"""Addresses and ports that the API server hands out: VIPs, node ports.

Who holds what is worked out from the objects, so nothing is forgotten after a crash, and follows each write, so nothing is
walked at a write. The next free one of the band that Kubernetes keeps for dynamic allocation is taken, so that an address
somebody will ask for by name (the lower band) stays free.

Source: kubernetes pkg/registry/core/service/{ipallocator,portallocator} (bands of KEP-3070 and KEP-3668).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterator
from dataclasses import dataclass

from netproxy.core.errors import ApiError, ConflictError
from netproxy.core.net import Family, family_of
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.meta import Object, key, spec

ANY = ""
"""The use of a number that has no uses: an address is held or not."""


class Pool:
    """Numbers that are held, each for one use or more (a port: its protocols), and free ones of some spans.

    What is given back is not given out at once to somebody else: the next one comes after the last, round and round, as
    long as there is one in the first span, and only then from the next.

    >>> pool = Pool("the range 3-6", range(4, 7), range(3, 4))
    >>> pool.free(), pool.free(), pool.free({6}), pool.free({4, 5, 6})
    (4, 5, 4, 3)
    """

    def __init__(self, name: str, *spans: range) -> None:
        self._name = name
        self._spans = [span for span in spans if span]
        self._held: dict[int, dict[str, str]] = {}
        self._next = [0] * len(self._spans)
        """For each span the place after the last number that was given out."""

    def holder(self, number: int, use: str = ANY) -> str | None:
        """Who holds a number for this use."""
        return self._held.get(number, {}).get(use)

    def holders(self, number: int) -> set[str]:
        """Who holds a number, for whatever use."""
        return set(self._held.get(number, {}).values())

    def hold(self, number: int, who: str, use: str = ANY) -> None:
        """WHO holds the number."""
        self._held.setdefault(number, {})[use] = who

    def release(self, number: int, who: str, use: str = ANY) -> None:
        """WHO holds it no more; somebody else who does keeps it."""
        uses = self._held.get(number, {})
        if uses.get(use) == who:
            del uses[use]
        if not uses:
            self._held.pop(number, None)

    def free(self, besides: Container[int] = ()) -> int:
        """A number that nobody holds for any use and that is not in BESIDES. Raises ConflictError when none is left."""
        for index, span in enumerate(self._spans):
            start = self._next[index]
            for step in range(len(span)):
                place = (start + step) % len(span)
                if span[place] not in self._held and span[place] not in besides:
                    self._next[index] = place + 1
                    return span[place]
        raise ConflictError(f"{self._name} is full")


class Holdings:
    """What the Services of a cluster hold. An index of the store: it follows every write."""

    def __init__(self, cluster: ClusterSpec) -> None:
        self._addresses = {family: _address_pool(cluster, family) for family in Family}
        first, last = cluster.node_ports
        self.ports = _port_pool(first, last)

    def addresses(self, family: Family) -> Pool:
        """The pool of a family; empty where the cluster has no range for it."""
        return self._addresses[family]

    def changed(self, before: Object | None, after: Object | None) -> None:
        """A Service came, changed or went."""
        if before is not None:
            who = str(key(before))
            for pool, number, use in self._of(before):
                pool.release(number, who, use)
        if after is not None:
            who = str(key(after))
            for pool, number, use in self._of(after):
                pool.hold(number, who, use)

    def _of(self, service: Object) -> Iterator[tuple[Pool, int, str]]:
        given = spec(service)
        for ip in given.get("clusterIPs") or ():
            if ip and ip != "None":
                yield self._addresses[family_of(ip)], int(ipaddress.ip_address(ip)), ANY
        for port in given.get("ports") or ():
            if port.get("nodePort"):
                yield self.ports, port["nodePort"], port.get("protocol") or "TCP"
        if given.get("healthCheckNodePort"):
            yield self.ports, given["healthCheckNodePort"], "TCP"


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants something of a cluster's ranges."""

    name: str
    owner: str
    """Whose the addresses and ports are that a new state of a Service may go on having; empty for a new Service."""
    cluster: ClusterSpec
    holdings: Holdings
    dry_run: bool = False
    """Hand out nothing: what looks like an address or a port is nobody's."""


def full(what: str) -> ApiError:
    """Nothing is left of what a Service was to get."""
    return internal(f"{what}: range is full")


def internal(why: str) -> ApiError:
    """What a Service asks for cannot be had, and the real server calls that its own fault."""
    return ApiError(500, "InternalError", f"Internal error occurred: {why}").with_details(causes=[{"message": why}])


def _address_pool(cluster: ClusterSpec, family: Family) -> Pool:
    cidr = cluster.cidr_of(family)
    if cidr is None:
        return Pool(f"the range of {family.value}")
    net = ipaddress.ip_network(cidr)
    base, size = int(net.network_address), min(net.num_addresses, 1 << 16)
    band = min(max(16, size // 16), 256) if size > 16 else 0
    end, dynamic = base + (size - 1 if net.version == 4 else size), base + band + 1
    return Pool(f"the range {cidr}", range(dynamic, end), range(base + 1, min(dynamic, end)))


def _port_pool(first: int, last: int) -> Pool:
    size = last - first + 1
    band = min(max(16, size // 32), 128) if size > 32 else 0
    return Pool(
        f"the node port range {first}-{last}", range(first + band, last + 1), range(first, first + band)
    )  # fmt: skip
