"""Snapshot → what kube-proxy did before 1.2: rules that redirect to a process, which picks an endpoint and copies bytes.

Source: kubernetes 1.1 pkg/proxy/userspace (proxier.go, roundrobin.go); kube-proxy had it until 1.25.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netproxy.core.net import join_host_port
from netproxy.proxy import chains
from netproxy.proxy.chains import Slot
from netproxy.proxy.decisions import Role, fronts, ready_endpoints
from netproxy.proxy.ledger import Ledger
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.names import iptables_about
from netproxy.ruleset.diff import Plan
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


@dataclass(frozen=True, slots=True)
class PortalRules:
    """What one service port adds to the chains that all share."""

    name: str
    container: tuple[Rule, ...] = ()
    host: tuple[Rule, ...] = ()
    node_container: tuple[Rule, ...] = ()
    node_host: tuple[Rule, ...] = ()
    chains: tuple[Chain, ...] = ()
    """Its own: there are none."""

    def shared(self) -> tuple[tuple[Slot, tuple[Rule, ...]], ...]:
        """What it adds to each shared chain."""
        return (
            (("nat", "KUBE-PORTALS-CONTAINER"), self.container), (("nat", "KUBE-PORTALS-HOST"), self.host),
            (("nat", "KUBE-NODEPORT-CONTAINER"), self.node_container), (("nat", "KUBE-NODEPORT-HOST"), self.node_host),
        )  # fmt: skip


def portal_rules(service: ServicePort, node: NodeView, port: int | None) -> PortalRules:
    """The rules that bring traffic for a service port to the process that listens on PORT (None: it does not)."""
    name = forward_name(service)
    if port is None:
        return PortalRules(name)
    to_nodes = {
        on_host: (node_port_rule(service, node, port, on_host=on_host),) if service.node_port else ()
        for on_host in (False, True)
    }
    container, host = (tuple(portals(service, node, port, on_host=on_host)) for on_host in (False, True))
    return PortalRules(name, container, host, to_nodes[False], to_nodes[True])


def compile_userspace(snapshot: Snapshot, node: NodeView, ports: Mapping[str, int]) -> Ruleset:
    """The rules that bring traffic to the process; PORTS says on which port it listens for which forward."""
    compiler = UserspaceCompiler(node)
    compiler.listen(ports)
    return compiler.whole(snapshot)


class UserspaceCompiler:
    """Compiles the service ports of one node for a process, and knows what a few changed ones change."""

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self._ports: Mapping[str, int] = {}
        self._ledger: Ledger[PortalRules, chains.Thing] = Ledger(self._compiled, chains.things, private=True)
        self._is_known = False

    def _compiled(self, service: ServicePort) -> PortalRules:
        return portal_rules(service, self.node, self._ports.get(forward_name(service)))

    def listen(self, ports: Mapping[str, int]) -> None:
        """The process listens on these ports now. Where it moved, everything has to be compared."""
        old, self._ports = self._ports, ports
        if any(old.get(part.name) != ports.get(part.name, old.get(part.name)) for part in self._ledger.parts):
            self._ledger.forget()
            self._is_known = False

    def whole(self, snapshot: Snapshot) -> Ruleset:
        """Everything, and the next `change` begins here."""
        self._is_known = True
        return _assemble(self._ledger.reset(snapshot), self.node)

    def look(self, snapshot: Snapshot) -> Ruleset:
        """Everything, for somebody who only looks."""
        return _assemble(self._ledger.look(snapshot), self.node)

    def change(self, snapshot: Snapshot) -> Plan | None:
        """What is different since the snapshot before; None when whole rulesets have to be compared."""
        before = self._ledger.parts
        changes = self._ledger.change(snapshot) if self._is_known else None
        if changes is None:
            return None
        return chains.plan_of(changes, self.node.family, before=before, after=self._ledger.parts, shared=_shared_chain)

    def get_ready(self) -> None:
        """Do now what the next `change` would have to do first."""
        self._ledger.get_ready()


def _shared_chain(slot: Slot, parts: Sequence[PortalRules]) -> Chain:
    return Chain(
        slot[1], tuple(rule for part in parts for place, rules in part.shared() if place == slot for rule in rules)
    )


def _assemble(parts: Sequence[PortalRules], node: NodeView) -> Ruleset:
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
    listed = (
        Chain("PREROUTING", hooks["PREROUTING"], "ACCEPT"), Chain("INPUT", (), "ACCEPT"),
        Chain("OUTPUT", hooks["OUTPUT"], "ACCEPT"), Chain("POSTROUTING", (), "ACCEPT"),
        *(_shared_chain(slot, parts) for slot, _ in PortalRules("").shared()),
    )  # fmt: skip
    return Ruleset(node.family, {"nat": Table("nat", {chain.name: chain for chain in listed})})


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
