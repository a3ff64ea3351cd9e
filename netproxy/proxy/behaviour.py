"""What becomes of a connection in each mode, said without rules: kube-proxy's documented behaviour as one function.

It knows no chains and no sets, so it can be compared with what real packets do, and modes can be compared with each other.

Source: kubernetes pkg/proxy (all modes), test/integration tables of flows (tests/cases/flows).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from netproxy.core.net import Family, contains, join_host_port
from netproxy.proxy.config import node_port_ips
from netproxy.proxy.ipvs import node_addresses
from netproxy.proxy.model import Endpoint, NodeView, ServicePort, Snapshot
from netproxy.proxy.topology import categorize
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


_PASS, _DROP, _REJECT = Ending("pass"), Ending("drop"), Ending("reject")


def ending(probe: Probe, snapshot: Snapshot, node: NodeView, mode: str) -> Ending:
    """What becomes of PROBE on NODE in MODE; NODE must be the view of that mode."""
    for service in snapshot.services:
        role = _role(probe, service, node, mode)
        if role:
            return _served(probe, service, node, mode, role)
    return _not_served(probe, snapshot, node, mode)


def _role(probe: Probe, service: ServicePort, node: NodeView, mode: str) -> str:
    """Which address of a service port a probe is for: cluster, external, balancer, nodeport, or none."""
    if probe.protocol != service.protocol:
        return ""
    if probe.port == service.port:
        for role, addresses in (
            ("cluster", (service.cluster_ip,)), ("external", service.external_ips),
            ("balancer", service.load_balancer_ips),
        ):  # fmt: skip
            if probe.destination in addresses:
                return role
    if probe.port == service.node_port and probe.destination in node_port_targets(node, mode):
        return "nodeport"
    return ""


def node_port_targets(node: NodeView, mode: str) -> tuple[str, ...]:
    """The addresses of this node that take node ports."""
    if mode == "ipvs":
        return node_addresses(node)
    chosen = node_port_ips(node) if node.node_port_addresses else node.addresses
    loopback = mode == "userspace" or (mode == "iptables" and node.localhost_node_ports)
    return tuple(ip for ip in chosen if loopback or not ipaddress.ip_address(ip).is_loopback)


def _not_served(probe: Probe, snapshot: Snapshot, node: NodeView, mode: str) -> Ending:
    """An address of a Service on another port, an address of nobody, or nothing of ours."""
    checks = {service.health_check_node_port for service in snapshot.services} - {0}
    if probe.protocol == "tcp" and probe.port in checks and probe.destination in node.addresses:
        return Ending("local")
    cluster_ips = {service.cluster_ip for service in snapshot.services}
    if mode == "nftables":
        if probe.destination in cluster_ips:
            return _REJECT
        if any(contains(cidr, probe.destination) for cidr in snapshot.service_cidrs):
            return _DROP
    if mode == "ipvs":
        bound = cluster_ips | {
            ip for s in snapshot.services for ip in (*s.external_ips, *s.load_balancer_ips)
        } - {*node.addresses}  # fmt: skip
        if probe.destination in bound:
            return _REJECT
    return _PASS


def _served(probe: Probe, service: ServicePort, node: NodeView, mode: str, role: str) -> Ending:
    if mode == "userspace":
        ready = tuple(e.target for e in service.endpoints if e.ready)
        return Ending("accept", ready, masquerade=True) if ready else Ending("close")
    if role == "balancer" and not _may_enter(probe, service, node, mode):
        return _DROP
    return _by_ipvs(probe, service, node, role) if mode == "ipvs" else _by_rules(probe, service, node, mode, role)


def _may_enter(probe: Probe, service: ServicePort, node: NodeView, mode: str) -> bool:
    """loadBalancerSourceRanges."""
    if not service.source_ranges or (mode == "iptables" and not categorize(service, node).exist_anywhere):
        return True
    if any(contains(cidr, probe.source) for cidr in service.source_ranges):
        return True
    own = bool(node.node_ip) and any(contains(cidr, node.node_ip) for cidr in service.source_ranges)
    return own and probe.source in service.load_balancer_ips


def _by_rules(probe: Probe, service: ServicePort, node: NodeView, mode: str, role: str) -> Ending:
    """iptables and nftables."""
    found = categorize(service, node)
    if role == "cluster":
        chosen = found.local if service.internal_local else found.cluster
        if not chosen:
            return _DROP if found.exist_anywhere else _REJECT
        return _accept(probe, chosen, masquerade=_is_outsider(probe, node))
    if not found.exist_anywhere:
        if mode == "iptables" and probe.kind == NODE and role != "nodeport":
            return _PASS  # KUBE-EXTERNAL-SERVICES is not asked in OUTPUT
        return _REJECT
    if not service.external_local:
        return _accept(probe, found.cluster, masquerade=True)
    if _is_pod(probe, node):
        return _accept(probe, found.cluster, masquerade=False)
    if probe.kind == NODE:
        return _accept(probe, found.cluster, masquerade=True)
    return _accept(probe, found.local, masquerade=False) if found.local else _DROP


def _by_ipvs(probe: Probe, service: ServicePort, node: NodeView, role: str) -> Ending:
    """IPVS: policy Local without an endpoint here takes those of the whole cluster."""
    found = categorize(service, node)
    local = service.internal_local if role == "cluster" else service.external_local
    chosen = found.local if local and found.local else found.cluster
    if not chosen:
        return _REJECT  # by IPVS itself: a virtual server without destinations answers with an ICMP error
    masquerade = _is_outsider(probe, node) if role == "cluster" else not service.external_local
    return _accept(probe, chosen, masquerade=masquerade, only_here=True)


def _accept(probe: Probe, endpoints: tuple[Endpoint, ...], *, masquerade: bool, only_here: bool = False) -> Ending:
    """An endpoint that calls itself gets a rewritten source, too."""
    hairpin = any(e.address == probe.source and (e.local or not only_here) for e in endpoints)
    return Ending("accept", tuple(sorted(e.target for e in endpoints)), masquerade or (hairpin and len(endpoints) == 1))


def _is_pod(probe: Probe, node: NodeView) -> bool:
    if isinstance(node.local_traffic, Source):
        return contains(node.local_traffic.net, probe.source)
    return node.local_traffic is not None and probe.kind == POD


def _is_outsider(probe: Probe, node: NodeView) -> bool:
    """Whether traffic to a ClusterIP gets its source rewritten."""
    return node.masquerade_all or (node.local_traffic is not None and not _is_pod(probe, node))


# --- two modes beside each other


@dataclass(frozen=True, slots=True)
class Difference:
    """One flow that ends differently, and in words what it is about."""

    about: str
    probe: Probe
    first: Ending
    second: Ending


def differences(first: tuple[str, Snapshot, NodeView], second: tuple[str, Snapshot, NodeView]) -> Iterator[Difference]:
    """Where two modes (name, snapshot, view) treat the Services that exist differently: one flow for each place."""
    for about, probe in probes(first[1], first[2]):
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
    yield "ClusterIP", service.cluster_ip, service.port
    for ip in service.external_ips:
        yield "external IP", ip, service.port
    for ip in service.load_balancer_ips:
        yield "load balancer IP", ip, service.port
    if service.node_port:
        for ip in dict.fromkeys(node.addresses):
            title = "node port on loopback" if ipaddress.ip_address(ip).is_loopback else f"node port on {ip}"
            yield title, ip, service.node_port


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
