"""Snapshot → what kube-proxy did before 1.2: rules that redirect to a process, which picks an endpoint and copies bytes.

Source: kubernetes 1.1 pkg/proxy/userspace (proxier.go, roundrobin.go); kube-proxy had it until 1.25.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from netproxy.core.net import join_host_port
from netproxy.proxy.decisions import Role, fronts, ready_endpoints
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.names import iptables_about
from netproxy.ruleset.ir import (
    Action,
    AddrType,
    Chain,
    Comment,
    Destination,
    DestinationPort,
    Dnat,
    Jump,
    Match,
    OtherTarget,
    Proto,
    Rule,
    Ruleset,
    Table,
)

PROTOCOLS = ("tcp", "udp")


class Forward(NamedTuple):
    """What the proxy process does for one service port: NAME is `namespace/service:port/protocol`."""

    name: str
    protocol: str
    endpoints: tuple[tuple[str, int], ...]
    affinity_s: int = 0


def forward_name(service: ServicePort) -> str:
    """A service port's name, with its protocol."""
    return f"{service.name}/{service.protocol}"


def forwards(snapshot: Snapshot) -> tuple[Forward, ...]:
    """What the process has to know: every TCP and UDP service port with its ready endpoints, in order."""
    return tuple(
        Forward(
            forward_name(s), s.protocol, tuple((e.address, e.port) for e in ready_endpoints(s)), s.affinity_s
        )
        for s in snapshot.services
        if s.protocol in PROTOCOLS
    )  # fmt: skip


def compile_userspace(snapshot: Snapshot, node: NodeView, ports: Mapping[str, int]) -> Ruleset:
    """The rules that bring traffic to the process; PORTS says on which port it listens for which forward."""
    listening = [s for s in snapshot.services if forward_name(s) in ports]
    container = tuple(rule for s in listening for rule in portals(s, node, ports[forward_name(s)], on_host=False))
    host = tuple(rule for s in listening for rule in portals(s, node, ports[forward_name(s)], on_host=True))
    nodes = {
        on_host: tuple(
            node_port_rule(s, node, ports[forward_name(s)], on_host=on_host) for s in listening if s.node_port
        )
        for on_host in (False, True)
    }
    first = Comment("handle ClusterIPs; NOTE: this must be before the NodePort rules")
    last = Comment("handle service NodePorts; NOTE: this must be the last rule in the chain")
    local = AddrType("dst", "LOCAL")
    hooks = {
        where: (
            Rule((first,), Jump(f"KUBE-PORTALS-{kind}"), "is it for a Service?"),
            Rule((last, local), Jump(f"KUBE-NODEPORT-{kind}"), "for this node itself: perhaps a node port"),
        )
        for where, kind in (("PREROUTING", "CONTAINER"), ("OUTPUT", "HOST"))
    }
    chains = (
        Chain("PREROUTING", hooks["PREROUTING"], "ACCEPT"), Chain("INPUT", (), "ACCEPT"),
        Chain("OUTPUT", hooks["OUTPUT"], "ACCEPT"), Chain("POSTROUTING", (), "ACCEPT"),
        Chain("KUBE-PORTALS-CONTAINER", container), Chain("KUBE-PORTALS-HOST", host),
        Chain("KUBE-NODEPORT-CONTAINER", nodes[False]), Chain("KUBE-NODEPORT-HOST", nodes[True]),
    )  # fmt: skip
    return Ruleset(node.family, {"nat": Table("nat", {chain.name: chain for chain in chains})})


def portals(service: ServicePort, node: NodeView, port: int, *, on_host: bool) -> Iterator[Rule]:
    """The rules for each of a service port's addresses."""
    for role, ip, service_port in fronts(service):
        if role is Role.NODE_PORT:
            continue
        length = 128 if ":" in ip else 32
        match: tuple[Match, ...] = (
            Destination(f"{ip}/{length}"), Proto(service.protocol), Comment(iptables_about(service.name)),
            DestinationPort(service.protocol, service_port),
        )  # fmt: skip
        yield Rule(match, _to_process(node, port, on_host=on_host), "the proxy process takes the connection")


def node_port_rule(service: ServicePort, node: NodeView, port: int, *, on_host: bool) -> Rule:
    """The rule for a service port's node port."""
    match = (
        Proto(service.protocol),
        Comment(iptables_about(service.name)),
        DestinationPort(service.protocol, service.node_port),
    )
    return Rule(match, _to_process(node, port, on_host=on_host), "the proxy process takes the connection")


def _to_process(node: NodeView, port: int, *, on_host: bool) -> Action:
    if on_host and not ipaddress.ip_address(node.node_ip).is_loopback:
        return Dnat(join_host_port(node.node_ip, port))
    return OtherTarget(("-j", "REDIRECT", "--to-ports", str(port)))
