"""One service port → the iptables rules that kube-proxy writes for it.

Source: kubernetes 1.30 pkg/proxy/iptables/proxier.go (behaviour and texts; recorded states in tests/cases).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from netproxy.core.net import Family
from netproxy.proxy.chains import Slot
from netproxy.proxy.decisions import IPTABLES, Origin, Policy, Ranges, Refusal, decide, rewritten_inside
from netproxy.proxy.model import Endpoint, NodeView, ServicePort
from netproxy.proxy.names import endpoint_chain, iptables_about, service_hash
from netproxy.ruleset.ir import (
    Accept,
    Action,
    AddrType,
    Chain,
    Comment,
    Destination,
    DestinationPort,
    Dnat,
    Drop,
    InInterface,
    Jump,
    Match,
    Nfacct,
    Proto,
    ProtoModule,
    Random,
    Recent,
    Reject,
    Rule,
    Source,
)

LOCALHOST_COUNTER = "localhost_nps_accepted_pkts"
"""The nfacct object that counts node ports of loopback."""
_MASQ = Jump("KUBE-MARK-MASQ")
_TO_LOCAL = AddrType("dst", "LOCAL")
_FROM_LOCAL = AddrType("src", "LOCAL")
_OUTSIDE = "the source is no Pod: replies must come back here"
_MASK = {Family.IPV4: "255.255.255.255", Family.IPV6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}
_REJECT = {Family.IPV4: Reject("icmp-port-unreachable"), Family.IPV6: Reject("icmp6-port-unreachable")}


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What one service port adds to the shared chains, and its own chains (each after those it jumps to)."""

    name: str
    services: tuple[Rule, ...] = ()  # nat KUBE-SERVICES
    node_ports: tuple[Rule, ...] = ()  # nat KUBE-NODEPORTS
    filter_services: tuple[Rule, ...] = ()
    filter_external: tuple[Rule, ...] = ()
    filter_node_ports: tuple[Rule, ...] = ()
    firewall: tuple[Rule, ...] = ()
    chains: tuple[Chain, ...] = ()

    def shared(self) -> tuple[tuple[Slot, tuple[Rule, ...]], ...]:
        """What it adds to each shared chain."""
        return (
            (("nat", "KUBE-SERVICES"), self.services),
            (("nat", "KUBE-NODEPORTS"), self.node_ports),
            (("filter", "KUBE-SERVICES"), self.filter_services),
            (("filter", "KUBE-EXTERNAL-SERVICES"), self.filter_external),
            (("filter", "KUBE-NODEPORTS"), self.filter_node_ports),
            (("filter", "KUBE-PROXY-FIREWALL"), self.firewall),
        )


def service_rules(service: ServicePort, node: NodeView, *, comments: bool = True) -> ServiceRules:
    """Everything that one service port adds."""
    return _ServiceCompiler(service, node, comments=comments).rules()


class _ServiceCompiler:
    """The names, texts and decisions that the rules of one service port share."""

    def __init__(self, service: ServicePort, node: NodeView, *, comments: bool) -> None:
        self.service = service
        self.node = node
        self.comments = comments
        self.key = f"{service.name}/{service.protocol}"
        self.name = iptables_about(service.name)
        self.note: tuple[Match, ...] = (Comment(self.name),) if comments else ()
        self.protocol = service.protocol
        self.proto = _proto(service.protocol)
        self.decision = decision = decide(service, node, IPTABLES)
        self.endpoints = endpoints = decision.endpoints
        self.chain_of = {
            label: endpoint_chain(service.name, self.protocol, label)
            for label in [e.label for e in endpoints.reachable]
        }
        hashed = service_hash(service.name, service.protocol)
        self.cluster_chain = "KUBE-SVC-" + hashed
        self.local_chain = "KUBE-SVL-" + hashed
        self.external_chain = "KUBE-EXT-" + hashed
        self.firewall_chain = "KUBE-FW-" + hashed
        self.internal_chain = self.local_chain if service.internal_local else self.cluster_chain
        self.port = DestinationPort(service.protocol, service.port)

    def rules(self) -> ServiceRules:
        service, decision = self.service, self.decision
        quiet = not (service.externally_accessible or service.health_check_node_port)
        if quiet and not decision.no_inside:  # nearly all Services of a cluster
            return ServiceRules(self.key, services=(self._cluster_ip(),), chains=self._chains())
        return ServiceRules(
            self.key,
            services=tuple(self._services()),
            node_ports=tuple(self._node_ports()),
            filter_services=(self._blocked_cluster_ip(decision.no_inside),) if decision.no_inside else (),
            filter_external=tuple(self._blocked_external(decision.no_outside)) if decision.no_outside else (),
            filter_node_ports=tuple(self._health_check()),
            firewall=tuple(self._firewall_drops()),
            chains=self._chains() if self.endpoints.exist_anywhere else (),
        )

    # what leads into the chains

    def _to(self, ip: str, comment: str, action: Action | None, *extra: Match, why: str) -> Rule:
        match = (Destination(host(ip)), self.proto, Comment(comment), *extra, self.port)
        return Rule(match, action, why)

    def _cluster_ip(self) -> Rule:
        return self._to(self.service.cluster_ip, f"{self.name} cluster IP", Jump(self.internal_chain),
                        why="traffic to the ClusterIP")  # fmt: skip

    def _services(self) -> Iterable[Rule]:
        service = self.service
        if not self.decision.no_inside:
            yield self._cluster_ip()
        if not self.decision.ways:
            return
        for ip in service.external_ips:
            yield self._to(ip, f"{self.name} external IP", Jump(self.external_chain), why="traffic to an external IP")
        entry = self.firewall_chain if self.decision.ranges else self.external_chain
        for ip in service.load_balancer_ips:
            yield self._to(ip, f"{self.name} loadbalancer IP", Jump(entry), why="traffic to a load balancer's IP")

    def _node_ports(self) -> Iterable[Rule]:
        if self.service.node_port and self.decision.ways:
            match = (self.proto, Comment(self.name), DestinationPort(self.protocol, self.service.node_port))
            to = Jump(self.external_chain)
            if self.node.nfacct and self.node.localhost_node_ports:
                counted = (Destination("127.0.0.0/8"), *match, Nfacct(LOCALHOST_COUNTER))
                yield Rule(counted, to, "traffic to the node port of loopback, counted")
            yield Rule(match, to, "traffic to the node port")

    def _block(self, refusal: Refusal) -> tuple[str, Action]:
        if refusal is Refusal.REJECT:
            return f"{self.name} has no endpoints", _REJECT[self.node.family]
        return f"{self.name} has no local endpoints", Drop()

    def _blocked_cluster_ip(self, refusal: Refusal) -> Rule:
        comment, action = self._block(refusal)
        return self._to(self.service.cluster_ip, comment, action, why=comment)

    def _blocked_external(self, refusal: Refusal) -> Iterable[Rule]:
        comment, action = self._block(refusal)
        for ip in (*self.service.external_ips, *self.service.load_balancer_ips):
            yield self._to(ip, comment, action, why=comment)
        if self.service.node_port:
            port = DestinationPort(self.protocol, self.service.node_port)
            yield Rule((self.proto, Comment(comment), _TO_LOCAL, port), action, comment)

    def _health_check(self) -> Iterable[Rule]:
        port = self.service.health_check_node_port
        if port:
            match = (_proto("tcp"), Comment(f"{self.name} health check node port"), DestinationPort("tcp", port))
            yield Rule(match, Accept(), "let the load balancer ask which nodes have endpoints")

    def _firewall_drops(self) -> Iterable[Rule]:
        if self.decision.ranges:
            comment = f"{self.name} traffic not accepted by {self.firewall_chain}"
            for ip in self.service.load_balancer_ips:
                yield self._to(ip, comment, Drop(), why="the source is in none of loadBalancerSourceRanges")

    # the chains themselves

    def _chains(self) -> tuple[Chain, ...]:
        endpoints = self.endpoints
        chains = [
            self._endpoint_chain(endpoint, name)
            for endpoint, name in zip(endpoints.reachable, self.chain_of.values(), strict=True)
        ]
        if endpoints.cluster and self.service.uses_cluster_endpoints:
            chains.append(Chain(self.cluster_chain, self._spread(self.cluster_chain, endpoints.cluster)))
        if endpoints.local and self.service.uses_local_endpoints:
            chains.append(Chain(self.local_chain, self._spread(self.local_chain, endpoints.local)))
        if self.decision.ways:
            chains.append(Chain(self.external_chain, tuple(self._external())))
        if self.decision.ranges:
            chains.append(Chain(self.firewall_chain, tuple(self._firewall(self.decision.ranges))))
        return tuple(chains)

    def _endpoint_chain(self, endpoint: Endpoint, name: str) -> Chain:
        note = self.note
        seen: tuple[Match, ...] = ()
        if self.service.affinity_s:
            seen = (Recent("set", name, _MASK[self.node.family]),)
        return Chain(
            name,
            (
                Rule(
                    (Source(host(endpoint.address)), *note),
                    _MASQ,
                    "the endpoint calls itself: replies must come back here",
                ),
                Rule(
                    (self.proto, *note, *seen, _module(self.protocol)),
                    Dnat(endpoint.target),
                    "the endpoint takes the connection",
                ),
            ),
        )

    def _spread(self, chain: str, endpoints: tuple[Endpoint, ...]) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        if chain == self.internal_chain and not self.decision.no_inside:
            rules += self._masquerade_outsiders()
        labels = list(self.chain_of)
        if endpoints is not self.endpoints.reachable:
            labels = [e.label for e in endpoints]
        names = [self.chain_of[label] for label in labels]
        notes: list[tuple[Match, ...]] = [()] * len(endpoints)
        if self.comments:
            notes = [(Comment(f"{self.name} -> {label}"),) for label in labels]
        if self.service.affinity_s:
            mask, seconds = _MASK[self.node.family], self.service.affinity_s
            rules += [
                Rule(
                    (*note, Recent("rcheck", name, mask, seconds, reap=True)), Jump(name), "this client was here before"
                )
                for name, note in zip(names, notes, strict=True)
            ]
        count = len(endpoints)
        for at, (name, note) in enumerate(zip(names, notes, strict=True)):
            chance, why = _share_of(count - at)
            rules.append(Rule((*note, *chance), Jump(name), why))
        return tuple(rules)

    def _masquerade_outsiders(self) -> Iterable[Rule]:
        node, service = self.node, self.service
        to_vip: tuple[Match, ...] = (Destination(host(service.cluster_ip)),)
        rest = (self.proto, Comment(f"{self.name} cluster IP"), self.port)
        origin, pods = rewritten_inside(node, IPTABLES), node.local_traffic
        if origin is Origin.ANYBODY:
            yield Rule((*to_vip, *rest), _MASQ, "masqueradeAll: every source is rewritten")
        elif origin is Origin.OUTSIDER and isinstance(pods, Source):
            yield Rule((Source(pods.net, negated=True), *to_vip, *rest), _MASQ, _OUTSIDE)
        elif origin is Origin.OUTSIDER and isinstance(pods, InInterface):
            yield Rule((*to_vip, InInterface(pods.name, negated=True), *rest), _MASQ, _OUTSIDE)

    def _external(self) -> Iterable[Rule]:
        about = f"{self.name} external destinations"
        for way in self.decision.ways:
            to = Jump(self.local_chain if way.to is Policy.LOCAL else self.cluster_chain)
            match way.origin:
                case Origin.POD:
                    pod = (self.node.local_traffic,) if self.node.local_traffic else ()
                    yield Rule((*pod, Comment(f"pod traffic for {about}")), to,
                               "a Pod takes the short way to any endpoint")  # fmt: skip
                case Origin.NODE:
                    note = Comment(f"masquerade LOCAL traffic for {about}")
                    yield Rule((note, _FROM_LOCAL), _MASQ, "the node itself calls")
                    note = Comment(f"route LOCAL traffic for {about}")
                    yield Rule((note, _FROM_LOCAL), to, "the node itself may reach any endpoint")
                case _ if way.rewrites_source:
                    note = Comment(f"masquerade traffic for {about}")
                    yield Rule((note,), _MASQ, "replies must come back through this node")
                    yield Rule((), to, "policy Cluster: any endpoint")
                case _:
                    yield Rule((), to, "policy Local: endpoints of this node, source kept")

    def _firewall(self, ranges: Ranges) -> Iterable[Rule]:
        note = Comment(f"{self.name} loadbalancer IP")
        accept = Jump(self.external_chain)
        for cidr in ranges.cidrs:
            yield Rule((*_source(cidr), note), accept, "a source range that may enter")
        for ip in ranges.itself:
            yield Rule((Source(host(ip)), note), accept, "the node calls through the load balancer's own IP")
        yield Rule((Comment(f"other traffic to {self.name} will be dropped by KUBE-PROXY-FIREWALL"),), None,
                   "everything else stays as it is, and is dropped in the filter table")  # fmt: skip


def host(address: str) -> str:
    return f"{address}/128" if ":" in address else f"{address}/32"


def _source(cidr: str) -> tuple[Match, ...]:
    return () if cidr.endswith("/0") else (Source(cidr),)


@cache
def _proto(protocol: str) -> Proto:
    return Proto(protocol)


@cache
def _module(protocol: str) -> ProtoModule:
    return ProtoModule(protocol)


@lru_cache(maxsize=4096)
def _share_of(left: int) -> tuple[tuple[Match, ...], str]:
    """What gives the first of LEFT endpoints its share, and why."""
    return ((_one_of(left),), f"1 in {left} of what is left") if left > 1 else ((), "all that is left")


def _one_of(count: int) -> Random:
    """Probability 1/COUNT as the kernel keeps it: kube-proxy writes ten decimals, iptables rounds to 31 bits.

    >>> _one_of(3).numerator / 2**31
    0.33333333348855376
    """
    return Random(int(float(f"{1 / count:.10f}") * 2**31 + 0.5))
