"""Addresses and ports that the API server hands out: VIPs, node ports.

Who holds what is worked out from the objects, so nothing is forgotten after a crash, and follows each write, so nothing is
walked at a write. The first free one of the band that Kubernetes keeps for dynamic allocation is taken, so that an address
somebody will ask for by name (the lower band) stays free.

Source: kubernetes pkg/registry/core/service/{ipallocator,portallocator} (bands of KEP-3070 and KEP-3668).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterator

from netproxy.core.errors import ConflictError
from netproxy.core.net import Family, family_of
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.meta import Object, key, spec

ANY = ""
"""The use of a number that has no uses: an address is held or not."""


class Pool:
    """Numbers that are held, each for one use or more (a port: its protocols), and the first free one of some spans.

    >>> pool = Pool("the range 3-5", range(4, 6), range(3, 4))
    >>> pool.hold(4, "a")
    >>> pool.free(), pool.holder(4), pool.free({5})
    (5, 'a', 3)
    """

    def __init__(self, name: str, *spans: range) -> None:
        self._name = name
        self._spans = spans
        self._held: dict[int, dict[str, str]] = {}
        self._from = 0
        """Every candidate before this place is held."""

    def holder(self, number: int, use: str = ANY) -> str | None:
        """Who holds a number for this use."""
        return self._held.get(number, {}).get(use)

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
            self._from = min(self._from, self._place(number))

    def free(self, besides: Container[int] = ()) -> int:
        """The first number that nobody holds for any use and that is not in BESIDES. Raises ConflictError when none is left."""
        known = True
        for place, number in enumerate(self._candidates(self._from), self._from):
            held = number in self._held
            known = known and held
            if known:
                self._from = place + 1
            if not held and number not in besides:
                return number
        raise ConflictError(f"{self._name} is full")

    def _candidates(self, place: int) -> Iterator[int]:
        for span in self._spans:
            yield from span[place:]
            place = max(0, place - len(span))

    def _place(self, number: int) -> int:
        passed = 0
        for span in self._spans:
            if number in span:
                return passed + number - span.start
            passed += len(span)
        return self._from


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


def _address_pool(cluster: ClusterSpec, family: Family) -> Pool:
    cidr = cluster.cidr_of(family)
    if cidr is None:
        return Pool(f"the range of {family.value}")
    net = ipaddress.ip_network(cidr)
    base, size = int(net.network_address), min(net.num_addresses, 1 << 16)
    band = min(max(16, size // 16), 256) if size > 32 else 1
    last = size - 1 if net.version == 4 else size
    return Pool(f"the range {cidr}", range(base + band, base + last), range(base + 1, base + min(band, last)))


def _port_pool(first: int, last: int) -> Pool:
    size = last - first + 1
    band = min(max(16, size // 32), 128) if size > 32 else 0
    return Pool(
        f"the node port range {first}-{last}", range(first + band, last + 1), range(first, first + band)
    )  # fmt: skip
