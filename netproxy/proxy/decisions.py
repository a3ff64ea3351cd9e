"""What becomes of traffic for a service port on one node: who may take it, who rejects or drops it, whose source is rewritten.

Decided once: the compilers write it down in the words of their mode, `behaviour` says it of one flow. Where modes differ
is said here, too.

Source: kubernetes pkg/proxy (iptables, nftables, ipvs; userspace of 1.1), as recorded in tests/cases.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from netproxy.core.net import contains
from netproxy.proxy.config import node_port_ips
from netproxy.proxy.model import Endpoint, NodeView, ServicePort
from netproxy.proxy.topology import Categories, categorize

IPTABLES, NFTABLES, IPVS, USERSPACE = "iptables", "nftables", "ipvs", "userspace"


class Role(Enum):
    """What an address is to a service port."""

    CLUSTER = "ClusterIP"
    EXTERNAL = "external IP"
    BALANCER = "load balancer IP"
    NODE_PORT = "node port"


class Front(NamedTuple):
    """An address and port where a service port takes traffic; a node port has no address of its own."""

    role: Role
    address: str
    port: int


class Refusal(Enum):
    """What happens where nobody may take the traffic."""

    REJECT = "reject"
    """Nobody in the whole cluster: the caller is told."""
    DROP = "drop"
    """Somebody elsewhere, but the policy keeps traffic here: the caller waits."""
    CLOSE = "close"
    """A process has taken the connection already, and closes it."""


class Origin(Enum):
    """Where traffic comes from."""

    POD = "a Pod, as the node's detector knows it"
    NODE = "the node itself"
    OUTSIDER = "anybody but a Pod"
    ANYBODY = "anybody"


class Policy(Enum):
    """Between which endpoints traffic is spread."""

    CLUSTER = "those of the whole cluster"
    LOCAL = "those of this node"


class Way(NamedTuple):
    """One of the ways for traffic to an external address: the first whose ORIGIN fits is taken."""

    origin: Origin
    to: Policy
    rewrites_source: bool
    """So that the answer comes back through this node."""


class Ranges(NamedTuple):
    """Who may enter through a load balancer's IP."""

    cidrs: tuple[str, ...]
    itself: tuple[str, ...]
    """The load balancer's IPs: the node calls with one of them as its source. Only when the node is in a range."""

    def admit(self, source: str) -> bool:
        """Whether SOURCE may enter."""
        return source in self.itself or any(contains(cidr, source) for cidr in self.cidrs)


class Decision(NamedTuple):
    """All that is decided about one service port on one node."""

    endpoints: Categories
    inside: tuple[Endpoint, ...]
    """Who takes traffic to the ClusterIP."""
    outside: tuple[Endpoint, ...]
    """Who takes traffic to external addresses when it does come from outside."""
    no_inside: Refusal | None
    no_outside: Refusal | None
    ways: tuple[Way, ...]
    """For traffic to external addresses; none where it cannot be served, or there is no external address."""
    ranges: Ranges | None
    """None lets everybody in."""
    hairpins: tuple[Endpoint, ...]
    """Endpoints whose source is rewritten when they reach themselves."""

    def who(self, way: Way) -> tuple[Endpoint, ...]:
        """The endpoints behind a way."""
        return self.endpoints.local if way.to is Policy.LOCAL else self.endpoints.cluster


# --- one service port


def decide(service: ServicePort, node: NodeView, mode: str) -> Decision:
    """What NODE does with traffic for SERVICE in MODE."""
    match mode:
        case "ipvs":
            return _in_ipvs(service, node)
        case "userspace":
            return _by_process(service)
        case _:
            return _by_rules(service, node, mode)


def _by_rules(service: ServicePort, node: NodeView, mode: str) -> Decision:
    """iptables and nftables."""
    endpoints = categorize(service, node)
    cluster, local, reachable, exist = endpoints
    inside = local if service.internal_local else cluster
    no_inside = None if inside else _refusal(endpoints)
    hairpins = reachable
    if mode == NFTABLES and node.version.nft_hairpin_set:
        hairpins = tuple([e for e in reachable if e.local])
    if not service.externally_accessible:  # nearly all Services of a cluster
        return Decision(endpoints, inside, (), no_inside, None, (), None, hairpins)
    outside = local if service.external_local else cluster
    ways: tuple[Way, ...] = ()
    if exist:
        ways = _local_ways(node, anybody=bool(local)) if service.external_local else _CLUSTER_WAYS
    ranges = source_ranges(service, node) if exist or mode != IPTABLES else None
    return Decision(
        endpoints, inside, outside, no_inside, None if outside else _refusal(endpoints), ways, ranges, hairpins
    )


def _refusal(endpoints: Categories) -> Refusal:
    return Refusal.DROP if endpoints.exist_anywhere else Refusal.REJECT


_CLUSTER_WAYS = (Way(Origin.ANYBODY, Policy.CLUSTER, rewrites_source=True),)
_POD_WAY = Way(Origin.POD, Policy.CLUSTER, rewrites_source=False)
_NODE_WAY = Way(Origin.NODE, Policy.CLUSTER, rewrites_source=True)
_HERE_WAY = Way(Origin.ANYBODY, Policy.LOCAL, rewrites_source=False)


def _local_ways(node: NodeView, *, anybody: bool) -> tuple[Way, ...]:
    """externalTrafficPolicy Local: Pods and the node go as if by way of the load balancer, which may be elsewhere."""
    ways = (_NODE_WAY, _HERE_WAY) if anybody else (_NODE_WAY,)
    return ways if node.local_traffic is None else (_POD_WAY, *ways)


def _in_ipvs(service: ServicePort, node: NodeView) -> Decision:
    """IPVS: policy Local without an endpoint here takes those of the whole cluster; it rejects where it has nobody."""
    endpoints = categorize(service, node)
    cluster, local = endpoints.cluster, endpoints.local
    inside = local if service.internal_local and local else cluster
    no_inside = None if inside else Refusal.REJECT
    hairpins = tuple([e for e in service.endpoints if e.local])
    if not service.externally_accessible:
        return Decision(endpoints, inside, (), no_inside, None, (), None, hairpins)
    here = bool(service.external_local and local)
    outside = local if here else cluster
    way = Way(Origin.ANYBODY, Policy.LOCAL if here else Policy.CLUSTER, rewrites_source=not service.external_local)
    return Decision(
        endpoints, inside, outside, no_inside, None if outside else Refusal.REJECT, (way,) if outside else (),
        source_ranges(service, node), hairpins,
    )  # fmt: skip


def _by_process(service: ServicePort) -> Decision:
    """userspace: a process takes everything, and connects as the node."""
    ready = ready_endpoints(service)
    refusal = None if ready else Refusal.CLOSE
    ways = _CLUSTER_WAYS if ready else ()
    return Decision(Categories(ready, (), ready, bool(ready)), ready, ready, refusal, refusal, ways, None, ())


def ready_endpoints(service: ServicePort) -> tuple[Endpoint, ...]:
    """Between whom the process of userspace mode chooses."""
    return tuple([e for e in service.endpoints if e.ready])


def source_ranges(service: ServicePort, node: NodeView) -> Ranges | None:
    """loadBalancerSourceRanges; None when there are none, or no IP that they could guard."""
    if not (service.load_balancer_ips and service.source_ranges):
        return None
    here = bool(node.node_ip) and any(contains(cidr, node.node_ip) for cidr in service.source_ranges)
    return Ranges(service.source_ranges, service.load_balancer_ips if here else ())


# --- where traffic is taken


def fronts(service: ServicePort) -> Iterator[Front]:
    """Every address and port of a service port, in the order in which modes write them."""
    yield Front(Role.CLUSTER, service.cluster_ip, service.port)
    for ip in service.external_ips:
        yield Front(Role.EXTERNAL, ip, service.port)
    for ip in service.load_balancer_ips:
        yield Front(Role.BALANCER, ip, service.port)
    if service.node_port:
        yield Front(Role.NODE_PORT, "", service.node_port)


def node_port_addresses(node: NodeView, mode: str) -> tuple[str, ...]:
    """The addresses of this node that take node ports, of those that it has at this moment."""
    chosen = node_port_ips(node) if node.node_port_addresses else tuple(dict.fromkeys(node.addresses))
    if mode == USERSPACE or (mode == IPTABLES and node.localhost_node_ports):
        return chosen
    return tuple(ip for ip in chosen if not ipaddress.ip_address(ip).is_loopback)


def closed_addresses(service: ServicePort, node: NodeView, mode: str) -> tuple[str, ...]:
    """The addresses of a service port that refuse all ports that are no service port's."""
    match mode:
        case "nftables":
            return (service.cluster_ip,)
        case "ipvs":  # they are bound to the node, and those it had before stay its own
            ips = (service.cluster_ip, *service.external_ips, *service.load_balancer_ips)
            own = node.addresses
            return tuple([ip for ip in ips if ip not in own])
        case _:
            return ()


# --- what holds for all service ports of a node


def rewritten_inside(node: NodeView, mode: str) -> Origin | None:
    """Whose source is rewritten on the way to a ClusterIP; None for nobody's, since nobody knows the Pods."""
    if node.masquerade_all or mode == USERSPACE:
        return Origin.ANYBODY
    return None if node.local_traffic is None else Origin.OUTSIDER


def drops_unallocated(mode: str) -> bool:
    """Whether an address of the Service ranges that no Service has is dropped."""
    return mode == NFTABLES


def own_packets_pass(role: Role, mode: str) -> bool:
    """Whether the node's own packets to a front without any endpoint are left alone: iptables asks only in INPUT, FORWARD."""
    return mode == IPTABLES and role in (Role.EXTERNAL, Role.BALANCER)
