"""What becomes of a connection in each mode, said without rules: kube-proxy's documented behaviour as one function.

It knows no chains and no sets, so it can be compared with what real packets do, and modes can be compared with each other.

Source: kubernetes pkg/proxy (all modes), test/integration tables of flows (tests/cases/flows).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import assert_never

from netproxy.core.net import Family, contains, join_host_port
from netproxy.proxy.decisions import (
    IPTABLES,
    Decision,
    Origin,
    Refusal,
    Role,
    closed_addresses,
    decide,
    drops_unallocated,
    fronts,
    node_port_addresses,
    own_packets_pass,
    rewritten_inside,
)
from netproxy.proxy.model import Endpoint, NodeView, ServicePort, Snapshot
from netproxy.ruleset.ir import Source

POD, NODE, EXTERNAL = "pod", "node", "external"


@dataclass(frozen=True, slots=True)
class Probe:
    """The first packet of a connection. KIND: where it comes from, a Pod of this node, the node itself, or outside."""

    kind: str
    source: str
    destination: str
    port: int
    protocol: str
    """Lower case; `icmp` for an echo request, whose port is 0."""

    def __str__(self) -> str:
        if self.protocol == "icmp":
            return f"{self.kind} {self.source} pings {self.destination}"
        return f"{self.kind} {self.source} -> {join_host_port(self.destination, self.port)}/{self.protocol.upper()}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ends.

    RESULT: accept (by one of ENDPOINTS), close (accepted, and closed at once), reject (the sender is told), drop (it is
    not), local (by the node itself) or pass (no rule).
    """

    result: str
    endpoints: tuple[str, ...] = ()
    masquerade: bool = False
    """Whether the source is rewritten (also when the endpoint is the caller itself)."""

    def __str__(self) -> str:
        match self.result:
            case "accept":
                rewritten = ", source rewritten" if self.masquerade else ""
                return f"goes to {', '.join(self.endpoints)}{rewritten}"
            case "reject":
                return "is refused"
            case "drop":
                return "gets no answer"
            case "close":
                return "is accepted and closed at once"
            case "local":
                return "is answered by the node itself"
            case _:
                return "is left alone"


def ending(probe: Probe, snapshot: Snapshot, node: NodeView, mode: str) -> Ending:
    """What becomes of PROBE on NODE in MODE; NODE must be the view of that mode."""
    takes_node_ports = probe.destination in node_port_addresses(node, mode)
    for service in snapshot.services:
        if probe.protocol == service.protocol:
            role = _role(probe, service, takes_node_ports=takes_node_ports)
            if role:
                return _served(probe, service, node, mode, role)
    return _not_served(probe, snapshot, node, mode)


def _role(probe: Probe, service: ServicePort, *, takes_node_ports: bool) -> Role | None:
    """Which address of a service port a probe is for."""
    for role, address, port in fronts(service):
        is_there = takes_node_ports if role is Role.NODE_PORT else probe.destination == address
        if is_there and probe.port == port:
            return role
    return None


def _not_served(probe: Probe, snapshot: Snapshot, node: NodeView, mode: str) -> Ending:
    """An address of a Service on another port, an address of nobody, or nothing of ours."""
    checks = {service.health_check_node_port for service in snapshot.services} - {0}
    if probe.protocol == "tcp" and probe.port in checks and probe.destination in node.addresses:
        return Ending("local")
    if mode == IPTABLES and probe.destination in node.addresses:
        for (
            service
        ) in snapshot.services:  # who refuses does so on every address of the node, also where no node port is
            if (service.protocol, service.node_port) == (probe.protocol, probe.port):
                refusal = decide(service, node, mode).no_outside
                return _REFUSED[refusal] if refusal else _PASS
    if any(probe.destination in closed_addresses(service, node, mode) for service in snapshot.services):
        return _REFUSED[Refusal.REJECT]
    if drops_unallocated(mode) and any(contains(cidr, probe.destination) for cidr in snapshot.service_cidrs):
        return _REFUSED[Refusal.DROP]
    return _PASS


def _served(probe: Probe, service: ServicePort, node: NodeView, mode: str, role: Role) -> Ending:
    decision = decide(service, node, mode)
    if role is Role.BALANCER and decision.ranges and not decision.ranges.admit(probe.source):
        return _REFUSED[Refusal.DROP]
    if role is Role.CLUSTER:
        if decision.no_inside:
            return _REFUSED[decision.no_inside]
        origin = rewritten_inside(node, mode)
        return _accepted(
            probe, decision, decision.inside, masquerade=origin is not None and _is_from(probe, origin, node)
        )
    for way in decision.ways:
        if _is_from(probe, way.origin, node):
            return _accepted(probe, decision, decision.who(way), masquerade=way.rewrites_source)
    assert decision.no_outside is not None  # what has no way in says why
    if decision.no_outside is Refusal.REJECT and probe.kind == NODE and own_packets_pass(role, mode):
        return _PASS
    return _REFUSED[decision.no_outside]


_REFUSED = {refusal: Ending(refusal.value) for refusal in Refusal}
_PASS = Ending("pass")


def _accepted(probe: Probe, decision: Decision, endpoints: tuple[Endpoint, ...], *, masquerade: bool) -> Ending:
    """An endpoint that calls itself gets a rewritten source, too."""
    hairpin = len(endpoints) == 1 and any(e in decision.hairpins and e.address == probe.source for e in endpoints)
    return Ending("accept", tuple(sorted(e.target for e in endpoints)), masquerade or hairpin)


def _is_from(probe: Probe, origin: Origin, node: NodeView) -> bool:
    match origin:
        case Origin.ANYBODY:
            return True
        case Origin.NODE:
            return probe.kind == NODE
        case Origin.POD:
            return _is_pod(probe, node)
        case Origin.OUTSIDER:
            return not _is_pod(probe, node)
        case _:  # pragma: no cover  # mypy proves that nothing comes here
            assert_never(origin)


def _is_pod(probe: Probe, node: NodeView) -> bool:
    if isinstance(node.local_traffic, Source):
        return contains(node.local_traffic.net, probe.source)
    return node.local_traffic is not None and probe.kind == POD


# --- two modes beside each other


@dataclass(frozen=True, slots=True)
class Difference:
    """One flow that ends differently, and in words what it is about."""

    about: str
    probe: Probe
    first: Ending
    second: Ending


def differences(first: tuple[str, Snapshot, NodeView], second: tuple[str, Snapshot, NodeView]) -> Iterator[Difference]:
    """Where two modes (name, snapshot, view) treat the Services that exist differently: one flow for each place.

    Of versions of kube-proxy, one may see Services and addresses that the other does not: both are asked.
    """
    asked = {probe: about for _, snapshot, node in (second, first) for about, probe in probes(snapshot, node)}
    for probe, about in asked.items():
        ends = [ending(probe, snapshot, node, mode) for mode, snapshot, node in (first, second)]
        if ends[0] != ends[1]:
            yield Difference(about, probe, *ends)


def probes(snapshot: Snapshot, node: NodeView) -> Iterator[tuple[str, Probe]]:
    """Flows that show what a proxy does: every address of every Service from everywhere, and what is nobody's."""
    sources = dict(_sources(snapshot, node))
    used = {(s.cluster_ip, s.port, s.protocol) for s in snapshot.services}
    for service in snapshot.services:
        for kind, source in sources.items():
            for title, address, port in _targets(service, node):
                if ipaddress.ip_address(address).is_loopback and kind != NODE:
                    continue
                here = address if ipaddress.ip_address(address).is_loopback else source
                yield f"{service.name}: {title}", Probe(kind, here, address, port, service.protocol)
    for ip, name in {s.cluster_ip: f"{s.namespace}/{s.service}" for s in snapshot.services}.items():
        free = next(port for port in range(9, 65535) if (ip, port, "tcp") not in used)
        yield f"{name}: a port that the ClusterIP does not have", Probe(POD, sources[POD], ip, free, "tcp")
    unused = _unused(snapshot, node.family)
    if unused:
        yield "an address of the Service range that no Service has", Probe(POD, sources[POD], unused, 80, "tcp")


def _targets(service: ServicePort, node: NodeView) -> Iterator[tuple[str, str, int]]:
    for role, address, port in fronts(service):
        if role is not Role.NODE_PORT:
            yield role.value, address, port
            continue
        for ip in dict.fromkeys(node.addresses):
            title = "node port on loopback" if ipaddress.ip_address(ip).is_loopback else f"node port on {ip}"
            yield title, ip, port


def _sources(snapshot: Snapshot, node: NodeView) -> Iterator[tuple[str, str]]:
    """A Pod that is no endpoint, the node, and somebody outside."""
    taken = {e.address for s in snapshot.services for e in s.endpoints}
    v6 = node.family is Family.IPV6
    net = (
        node.local_traffic.net
        if isinstance(node.local_traffic, Source)
        else ("fd00:244::/64" if v6 else "10.244.0.0/16")
    )
    hosts = (str(ip) for ip in islice(ipaddress.ip_network(net, strict=False).hosts(), 99, None))  # not the gateway
    yield POD, next(ip for ip in hosts if ip not in taken)
    yield NODE, node.node_ip
    yield EXTERNAL, "2001:db8:ffff::7" if v6 else "198.51.100.7"


def _unused(snapshot: Snapshot, family: Family) -> str:
    taken = {s.cluster_ip for s in snapshot.services}
    for cidr in snapshot.service_cidrs:
        net = ipaddress.ip_network(cidr)
        if (net.version == 6) is (family is Family.IPV6):
            # from the far end, where nobody allocates early
            return next((str(net[-at]) for at in range(2, 300) if str(net[-at]) not in taken), "")
    return ""
