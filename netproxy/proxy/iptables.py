"""Snapshot → the iptables Ruleset that kube-proxy writes for it.

Source: kubernetes 1.30 pkg/proxy/iptables/proxier.go (behaviour and texts; recorded states in tests/cases).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from netproxy.core.net import Family
from netproxy.proxy.decisions import (
    IPTABLES,
    Origin,
    Policy,
    Ranges,
    Refusal,
    decide,
    node_port_addresses,
    rewritten_inside,
)
from netproxy.proxy.model import Endpoint, NodeView, ServicePort, Snapshot
from netproxy.proxy.names import endpoint_chain, iptables_about, service_hash
from netproxy.ruleset.ir import (
    Accept,
    Action,
    AddrType,
    Chain,
    Comment,
    CtState,
    Destination,
    DestinationPort,
    Dnat,
    Drop,
    InInterface,
    Jump,
    Mark,
    Masquerade,
    Match,
    Proto,
    ProtoModule,
    Random,
    Recent,
    Reject,
    Return,
    Rule,
    Ruleset,
    SetMark,
    Source,
    Table,
)

LARGE_CLUSTER = 1000
"""Above this many endpoints kube-proxy leaves out the comments of endpoint rules and lets stale chains linger."""

PER_SERVICE = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")
"""Chains that belong to one service port: stale ones are removed."""

_MASQ = Jump("KUBE-MARK-MASQ")
_NEW = CtState(("NEW",))
_TO_LOCAL = AddrType("dst", "LOCAL")
_FROM_LOCAL = AddrType("src", "LOCAL")
_OUTSIDE = "the source is no Pod: replies must come back here"
_MASK = {Family.IPV4: "255.255.255.255", Family.IPV6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}
_REJECT = {Family.IPV4: Reject("icmp-port-unreachable"), Family.IPV6: Reject("icmp6-port-unreachable")}


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What one service port adds to the shared chains, and its own chains (each after those it jumps to)."""

    services: tuple[Rule, ...] = ()  # nat KUBE-SERVICES
    node_ports: tuple[Rule, ...] = ()  # nat KUBE-NODEPORTS
    filter_services: tuple[Rule, ...] = ()
    filter_external: tuple[Rule, ...] = ()
    filter_node_ports: tuple[Rule, ...] = ()
    firewall: tuple[Rule, ...] = ()
    chains: tuple[Chain, ...] = ()


def compile_iptables(snapshot: Snapshot, node: NodeView, *, compiler: Compiler | None = None) -> Ruleset:
    """The rules that make NODE serve SNAPSHOT, in one address family.

    A COMPILER kept between calls makes the work proportional to the service ports that changed.
    """
    return (compiler or Compiler(node)).ruleset(snapshot)


class Compiler:
    """Compiles the service ports of one node and remembers each result by its (frozen) input."""

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self._comments = True
        self._parts: list[ServiceRules] = []
        self._services: tuple[ServicePort, ...] = ()
        self._last: tuple[Snapshot, Ruleset] | None = None

    def ruleset(self, snapshot: Snapshot) -> Ruleset:
        """Compile a whole snapshot."""
        if self._last is not None and self._last[0] is snapshot:
            return self._last[1]
        old = self._parts
        parts = list(self._compiled(snapshot))
        self._parts, self._services = parts, snapshot.services
        result = _changed(self._last[1], old, parts) if self._last is not None else None
        self._last = snapshot, result or _assemble(parts, self.node)
        return self._last[1]

    def fresh(self, snapshot: Snapshot) -> Iterator[tuple[str, Iterable[Chain]]]:
        """The tables of a whole snapshot, compiled while they are read: each chain after those that it jumps to."""
        parts: list[ServiceRules] = []
        nat, filters, mangle = _Gathered(parts), _Gathered(parts), _by_name((*_built_in("mangle"), _CANARY))
        yield "mangle", mangle.values()
        yield "nat", self._fresh_nat(snapshot, parts, nat)
        yield "filter", _in_order(filters.filters(self.node))
        self._parts, self._services, self._last = parts, snapshot.services, None

    def _fresh_nat(self, snapshot: Snapshot, parts: list[ServiceRules], gathered: _Gathered) -> Iterator[Chain]:
        yield _mark_masq(self.node)
        for part in self._compiled(snapshot):
            parts.append(part)
            yield from part.chains
        yield from _in_order([c for c in gathered.nat(self.node, own=()) if c.name != "KUBE-MARK-MASQ"])

    def _compiled(self, snapshot: Snapshot) -> Iterator[ServiceRules]:
        """Each service port's rules: remembered, or compiled now."""
        comments = snapshot.endpoint_count <= LARGE_CLUSTER
        same = comments is self._comments
        self._comments = comments
        if same and len(snapshot.services) == len(self._services):
            for new, old, part in zip(snapshot.services, self._services, self._parts, strict=True):
                yield part if new is old else service_rules(new, self.node, comments=comments)
            return
        known = {id(s): p for s, p in zip(self._services, self._parts, strict=True)} if same else {}
        for service in snapshot.services:
            yield known.get(id(service)) or service_rules(service, self.node, comments=comments)


# --- one service port ------------------------------------------------------------------------------------------------


def service_rules(service: ServicePort, node: NodeView, *, comments: bool = True) -> ServiceRules:
    """Everything that one service port adds."""
    return _ServiceCompiler(service, node, comments=comments).rules()


class _ServiceCompiler:
    """The names, texts and decisions that the rules of one service port share."""

    def __init__(self, service: ServicePort, node: NodeView, *, comments: bool) -> None:
        self.service = service
        self.node = node
        self.comments = comments
        self.name = iptables_about(service.name)
        self.note: tuple[Match, ...] = (Comment(self.name),) if comments else ()
        self.protocol = service.protocol
        self.proto = _proto(service.protocol)
        self.decision = decision = decide(service, node, IPTABLES)
        self.endpoints = endpoints = decision.endpoints
        self.chain_of = {
            target: endpoint_chain(service.name, self.protocol, target)
            for target in [e.target for e in endpoints.reachable]
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
        if not service.externally_accessible and not decision.no_inside:  # nearly all Services of a cluster
            return ServiceRules(services=(self._cluster_ip(),), chains=self._chains())
        return ServiceRules(
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
        match = (Destination(_host(ip)), self.proto, Comment(comment), *extra, self.port)
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
            yield Rule(match, Jump(self.external_chain), "traffic to the node port")

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
            self._endpoint_chain(endpoint.address, target, name)
            for endpoint, (target, name) in zip(endpoints.reachable, self.chain_of.items(), strict=True)
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

    def _endpoint_chain(self, address: str, target: str, name: str) -> Chain:
        note = self.note
        seen: tuple[Match, ...] = ()
        if self.service.affinity_s:
            seen = (Recent("set", name, _MASK[self.node.family]),)
        return Chain(
            name,
            (
                Rule((Source(_host(address)), *note), _MASQ, "the endpoint calls itself: replies must come back here"),
                Rule(
                    (self.proto, *note, *seen, _module(self.protocol)),
                    Dnat(target),
                    "the endpoint takes the connection",
                ),
            ),
        )

    def _spread(self, chain: str, endpoints: tuple[Endpoint, ...]) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        if chain == self.internal_chain and not self.decision.no_inside:
            rules += self._masquerade_outsiders()
        targets = list(self.chain_of)
        if endpoints is not self.endpoints.reachable:
            targets = [e.target for e in endpoints]
        names = [self.chain_of[target] for target in targets]
        notes: list[tuple[Match, ...]] = [()] * len(endpoints)
        if self.comments:
            notes = [(Comment(f"{self.name} -> {target}"),) for target in targets]
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
        to_vip: tuple[Match, ...] = (Destination(_host(service.cluster_ip)),)
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
            yield Rule((Source(_host(ip)), note), accept, "the node calls through the load balancer's own IP")
        yield Rule((Comment(f"other traffic to {self.name} will be dropped by KUBE-PROXY-FIREWALL"),), None,
                   "everything else stays as it is, and is dropped in the filter table")  # fmt: skip


def _host(address: str) -> str:
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


# --- all of them -----------------------------------------------------------------------------------------------------


class _Gathered:
    """The shared chains, made of what all service ports add."""

    def __init__(self, parts: list[ServiceRules]) -> None:
        self._parts = parts

    def _all(self, pick: Callable[[ServiceRules], tuple[Rule, ...]]) -> tuple[Rule, ...]:
        return tuple([rule for part in self._parts for rule in pick(part)])

    def filters(self, node: NodeView) -> list[Chain]:
        """The chains of the filter table."""
        return _filter_chains(
            node,
            services=self._all(lambda p: p.filter_services),
            external=self._all(lambda p: p.filter_external),
            node_ports=self._all(lambda p: p.filter_node_ports),
            firewall=self._all(lambda p: p.firewall),
        )

    def nat(self, node: NodeView, own: Iterable[Chain]) -> list[Chain]:
        """The chains of the nat table, the services' OWN ones among them."""
        services, node_ports = self._all(lambda p: p.services), self._all(lambda p: p.node_ports)
        return _nat_chains(node, services=services, node_ports=node_ports, own=own)


def _assemble(parts: list[ServiceRules], node: NodeView) -> Ruleset:
    gathered = _Gathered(parts)
    nat = gathered.nat(node, own=[chain for part in parts for chain in part.chains])
    tables = {
        "mangle": Table("mangle", _by_name((*_built_in("mangle"), _CANARY))),
        "filter": Table("filter", _by_name(gathered.filters(node))),
        "nat": Table("nat", _by_name(nat)),
    }
    return Ruleset(node.family, tables)


MANY = 64
"""Changed service ports from which on everything is put together anew."""


def _changed(before: Ruleset, old: list[ServiceRules], new: list[ServiceRules]) -> Ruleset | None:
    """The ruleset before with the chains of a few service ports replaced; None when more than their own chains changed."""
    if len(old) != len(new):
        return None
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if a is not b]
    if len(pairs) > MANY or any(_shared(a) != _shared(b) for a, b in pairs):
        return None
    chains = dict(before.tables["nat"].chains)
    for a, _ in pairs:
        for chain in a.chains:
            chains.pop(chain.name, None)
    for _, b in pairs:
        for chain in b.chains:
            chains[chain.name] = chain
    return Ruleset(before.family, {**before.tables, "nat": Table("nat", chains)})


def _shared(part: ServiceRules) -> tuple[tuple[Rule, ...], ...]:
    return (
        part.services,
        part.node_ports,
        part.filter_services,
        part.filter_external,
        part.filter_node_ports,
        part.firewall,
    )


def _in_order(chains: Iterable[Chain]) -> list[Chain]:
    """The dispatch chains, then what leads into them."""
    listed = list(chains)
    ours = [chain for chain in listed if chain.policy is None]
    last = [chain for chain in ours if chain.name == "KUBE-SERVICES"]
    first = [chain for chain in ours if chain.name != "KUBE-SERVICES"]
    return [*first, *last, *(chain for chain in listed if chain.policy is not None)]


def _by_name(chains: Iterable[Chain]) -> dict[str, Chain]:
    return {chain.name: chain for chain in chains}


_CANARY = Chain("KUBE-PROXY-CANARY")
_HOOKS = {
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}


def _built_in(table: str, **rules: tuple[Rule, ...]) -> list[Chain]:
    return [Chain(name, rules.get(name, ()), "ACCEPT") for name in _HOOKS[table]]


def _filter_chains(
    node: NodeView, *, services: tuple[Rule, ...], external: tuple[Rule, ...], node_ports: tuple[Rule, ...],
    firewall: tuple[Rule, ...],
) -> list[Chain]:  # fmt: skip
    portals = Rule((_NEW, Comment("kubernetes service portals")), Jump("KUBE-SERVICES"), "Services without endpoints")
    outside = Rule((_NEW, Comment("kubernetes externally-visible service portals")), Jump("KUBE-EXTERNAL-SERVICES"),
                   "external addresses without endpoints")  # fmt: skip
    ranges = Rule((_NEW, Comment("kubernetes load balancer firewall")), Jump("KUBE-PROXY-FIREWALL"), "source ranges")
    localnet = Rule((), Jump("KUBE-FIREWALL"), "packets that claim to come from loopback")
    checks = Rule((Comment("kubernetes health check service ports"),), Jump("KUBE-NODEPORTS"), "health check ports")
    forward = Rule((Comment("kubernetes forwarding rules"),), Jump("KUBE-FORWARD"), "what Services may forward")
    return [
        *_built_in("filter", INPUT=(localnet, ranges, checks, outside), FORWARD=(ranges, forward, portals, outside),
                   OUTPUT=(localnet, ranges, portals)),
        Chain("KUBE-EXTERNAL-SERVICES", external),
        Chain("KUBE-FIREWALL", tuple(_localnet_guard(node))),
        Chain("KUBE-FORWARD", tuple(_forwarding(node))),
        Chain("KUBE-NODEPORTS", node_ports),
        _CANARY,
        Chain("KUBE-PROXY-FIREWALL", firewall),
        Chain("KUBE-SERVICES", services),
    ]  # fmt: skip


def _localnet_guard(node: NodeView) -> Iterable[Rule]:
    if node.localhost_node_ports:
        loopback = "127.0.0.0/8"
        match = (
            Source(loopback, negated=True), Destination(loopback), Comment("block incoming localnet connections"),
            CtState(("RELATED", "ESTABLISHED", "DNAT"), negated=True),
        )  # fmt: skip
        yield Rule(match, Drop(), "route_localnet is on, so nobody outside may reach 127.0.0.0/8")


def _forwarding(node: NodeView) -> Iterable[Rule]:
    if not node.tcp_be_liberal:
        yield Rule((CtState(("INVALID",)),), Drop(), "an untracked packet would leave without translation")
    bit = node.masquerade_mark
    yield Rule((Comment("kubernetes forwarding rules"), Mark(bit, bit)), Accept(), "marked traffic may be forwarded")
    yield Rule((Comment("kubernetes forwarding conntrack rule"), CtState(("RELATED", "ESTABLISHED"))), Accept(),
               "so may its replies")  # fmt: skip


def _mark_masq(node: NodeView) -> Chain:
    bit = node.masquerade_mark
    return Chain("KUBE-MARK-MASQ", (Rule((), SetMark(bit, bit), "rewrite the source when it leaves"),))


def _nat_chains(
    node: NodeView, *, services: tuple[Rule, ...], node_ports: tuple[Rule, ...], own: Iterable[Chain]
) -> list[Chain]:
    portals = Rule((Comment("kubernetes service portals"),), Jump("KUBE-SERVICES"), "is it for a Service?")
    leaving = Rule(
        (Comment("kubernetes postrouting rules"),), Jump("KUBE-POSTROUTING"), "does its source need rewriting?"
    )
    bit = node.masquerade_mark
    return [
        *_built_in("nat", PREROUTING=(portals,), OUTPUT=(portals,), POSTROUTING=(leaving,)),
        _mark_masq(node),
        Chain("KUBE-POSTROUTING", (
            Rule((Mark(bit, bit, negated=True),), Return(), "not marked: leave it alone"),
            Rule((), SetMark(bit, 0), "take the mark off, so that it is rewritten once"),
            Rule((Comment("kubernetes service traffic requiring SNAT"),), Masquerade(), "rewrite the source to this node's"),
        )),
        _CANARY,
        *own,
        Chain("KUBE-NODEPORTS", node_ports),
        Chain("KUBE-SERVICES", (*services, *_tail(node))),
    ]  # fmt: skip


def _tail(node: NodeView) -> Iterable[Rule]:
    """The last rules of KUBE-SERVICES: what is for this node itself may be for a node port."""
    note = Comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")
    jump, why = Jump("KUBE-NODEPORTS"), "for this node itself: perhaps a node port"
    if node.node_port_addresses:
        for ip in node_port_addresses(node, IPTABLES):
            yield Rule((Destination(_host(ip)), note), jump, why)
        return
    guard: tuple[Match, ...] = ()
    if node.family is Family.IPV6:
        guard = (Destination("::1/128", negated=True),)
    elif not node.localhost_node_ports:
        guard = (Destination("127.0.0.0/8", negated=True),)
    yield Rule((*guard, note, _TO_LOCAL), jump, why)
