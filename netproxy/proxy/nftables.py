"""Snapshot → the nftables table that kube-proxy writes for it, or the same meaning in flat maps.

Layout `kube-proxy` has a chain for each service port and for each of its endpoints. Layout `flat` keeps endpoints in
concatenated maps and needs chains only where a service port is special (session affinity, source ranges).

Source: kubernetes pkg/proxy/nftables/proxier.go (behaviour since 1.31; names also in the recorded states of 1.30).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import islice

from netproxy.core.net import Family
from netproxy.proxy.decisions import (
    NFTABLES,
    Origin,
    Policy,
    Refusal,
    Way,
    closed_addresses,
    decide,
    node_port_addresses,
    rewritten_inside,
)
from netproxy.proxy.ledger import Change, Ledger
from netproxy.proxy.model import Endpoint, NodeView, ServicePort, Snapshot
from netproxy.proxy.names import nft_about, nft_endpoint, nft_service
from netproxy.ruleset.ir import Drop, Goto, InInterface, Jump, Masquerade, Return, Source
from netproxy.ruleset.nft import (
    WORDS,
    Chain,
    Dispatch,
    Dnat,
    DnatFromMap,
    Element,
    Hook,
    InSet,
    Key,
    MarkIs,
    Match,
    Reject,
    Remember,
    Rule,
    Set,
    SetMark,
    Spread,
    Statement,
    Table,
)
from netproxy.ruleset.nft_plan import NftPlan

TABLE = "kube-proxy"
CHUNKS = {"kube-proxy": 500, "flat": 2000}
"""Service ports in one transaction of a first load: the kernel is quadratic in its anonymous maps."""
FIRST_CHUNK = 500
"""The first of them, small: nothing can be loaded before it is made."""
LOCAL_OFFSET = 1 << 16
"""Layout flat: where the numbers of endpoints for policy Local begin."""

_MARK = Jump("mark-for-masquerade")
_REJECT = Goto("reject-chain")
_NEW = Match("ct state", ("new",))
_FROM_LOCAL = Match("fib saddr type", ("local",))
_PORT = ("meta l4proto", "th dport")
_TYPES = {Family.IPV4: "ipv4_addr", Family.IPV6: "ipv6_addr"}
_LOOPBACK = {Family.IPV4: "127.0.0.0/8", Family.IPV6: "::1"}
_WAYS_IN = {"service": "service-ips", "nodeport": "service-nodeports"}
_NOTHING = Element()


_Entry = tuple[str, Key, Element]
"""An element of a map or set, and where it belongs."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one service port adds to the table."""

    elements: tuple[_Entry, ...] = ()
    chains: tuple[Chain, ...] = ()
    sets: tuple[Set, ...] = ()


def compile_nftables(snapshot: Snapshot, node: NodeView, *, layout: str = "kube-proxy") -> Table:
    """The table that makes NODE serve SNAPSHOT, in one address family."""
    parts = [service_part(service, node, layout=layout) for service in snapshot.services]
    return assemble(parts, node, snapshot.service_cidrs, layout=layout)


def service_part(service: ServicePort, node: NodeView, *, layout: str = "kube-proxy") -> Part:
    """Everything that one service port adds."""
    if layout == "flat" and not service.affinity_s:
        return _FlatPart(service, node).part()
    return _ChainedPart(service, node).part()


# --- one service port, whatever the layout


class _PartCompiler:
    """Names and decisions that both layouts share; what they do about endpoints is their own."""

    def __init__(self, service: ServicePort, node: NodeView) -> None:
        self.service = service
        self.node = node
        self.word = WORDS[node.family]
        self.source = f"{self.word} saddr"
        self.decision = decide(service, node, NFTABLES)
        self.endpoints = self.decision.endpoints
        self.base = nft_service(service.namespace, service.service, service.protocol, service.port_name)

    def _key(self, ip: str) -> Key:
        return (ip, self.service.protocol, str(self.service.port))

    def _node_port(self) -> Key:
        return (self.service.protocol, str(self.service.node_port))

    def _external_ips(self) -> tuple[str, ...]:
        return (*self.service.external_ips, *self.service.load_balancer_ips)

    def _dispatch(self, inside: Goto, external: Goto | None, node_port: Goto | None) -> list[_Entry]:
        """What leads to the endpoints, and what is refused because there are none."""
        service, decision = self.service, self.decision
        found: list[_Entry] = [
            ("cluster-ips", (ip,), _NOTHING) for ip in closed_addresses(service, self.node, NFTABLES)
        ]
        to_inside = None if decision.no_inside else inside
        self._lead(found, "service", self._key(service.cluster_ip), to_inside, decision.no_inside)
        for ip in self._external_ips():
            self._lead(found, "service", self._key(ip), external, decision.no_outside)
        if service.node_port:
            self._lead(found, "nodeport", self._node_port(), node_port, decision.no_outside)
        if decision.ranges:
            to = Element(Goto(f"firewall-{self.base}"), nft_about(service.name))
            found += [("firewall-ips", self._key(ip), to) for ip in service.load_balancer_ips]
        return found

    def _lead(self, found: list[_Entry], kind: str, key: Key, to: Goto | None, refusal: Refusal | None) -> None:
        """A way in, and what becomes of those who do not take it: under policy Local there may be both."""
        if to:
            found.append((_WAYS_IN[kind], key, Element(to)))
        if refusal:
            verdict = _REJECT if refusal is Refusal.REJECT else Drop()
            found.append((f"no-endpoint-{kind}s", key, Element(verdict, nft_about(self.service.name))))

    def _firewall(self) -> Iterator[Chain]:
        ranges = self.decision.ranges
        if ranges is None:
            return
        allowed = [ipaddress.ip_network(cidr, strict=False) for cidr in (*ranges.cidrs, *ranges.itself)]
        values = _intervals(allowed)
        rules: tuple[Rule, ...] = ()
        if not any(value.endswith("/0") for value in values):
            match = Match(self.source, values, negated=True)
            rules = (Rule((match, Drop()), why="the source is in none of loadBalancerSourceRanges"),)
        yield Chain(f"firewall-{self.base}", rules)


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _intervals(nets: Iterable[_Network]) -> tuple[str, ...]:
    """Networks as nft prints an interval set: sorted, neighbours joined; what is no network any more is FIRST-LAST.

    >>> _intervals([ipaddress.ip_network("10.0.0.2"), ipaddress.ip_network("10.0.0.1"), ipaddress.ip_network("10.1.0.0/16")])
    ('10.0.0.1-10.0.0.2', '10.1.0.0/16')
    """
    joined: list[tuple[int, int]] = []
    bits = 32
    for net in sorted(nets, key=lambda net: int(net.network_address)):
        bits = net.max_prefixlen
        first, last = int(net.network_address), int(net.broadcast_address)
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(_interval(first, last, bits) for first, last in joined)


def _interval(first: int, last: int, bits: int) -> str:
    address = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
    count = last - first + 1
    if count & (count - 1) == 0 and first % count == 0:
        length = bits - count.bit_length() + 1
        return str(address(first)) if length == bits else f"{address(first)}/{length}"
    return f"{address(first)}-{address(last)}"


def _masquerade_outsiders(node: NodeView, to: tuple[Statement, ...] = ()) -> Iterator[Rule]:
    """Traffic to a ClusterIP from what is no Pod comes back through this node."""
    word, local = WORDS[node.family], node.local_traffic
    match rewritten_inside(node, NFTABLES):
        case Origin.ANYBODY:
            yield Rule((*to, _MARK), why="masqueradeAll: every source is rewritten")
        case Origin.OUTSIDER:
            why = "the source is no Pod: replies must come back here"
            if isinstance(local, Source):
                yield Rule((*to, Match(f"{word} saddr", (local.net,), negated=True), _MARK), why=why)
            elif isinstance(local, InInterface):
                yield Rule((*to, Match("iifname", (_interface(local),), negated=True), _MARK), why=why)


def _from_pod(node: NodeView) -> Match | None:
    match node.local_traffic:
        case Source(net):
            return Match(f"{WORDS[node.family]} saddr", (net,))
        case InInterface() as local:
            return Match("iifname", (_interface(local),))
        case _:
            return None


def _interface(local: InInterface) -> str:
    return local.name[:-1] + "*" if local.name.endswith("+") else local.name


def _external_rules(node: NodeView, ways: tuple[Way, ...], targets: Mapping[Policy, Goto]) -> Iterator[Rule]:
    """What happens to traffic for an external address."""
    for way in ways:
        to = targets[way.to]
        match way.origin:
            case Origin.POD:
                pod = _from_pod(node)
                where = (pod, to) if pod else (to,)
                yield Rule(where, "short-circuit pod traffic", "a Pod takes the short way to any endpoint")
            case Origin.NODE:
                yield Rule((_FROM_LOCAL, _MARK), "masquerade local traffic", "the node itself calls")
                yield Rule((_FROM_LOCAL, to), "short-circuit local traffic", "the node itself may reach any endpoint")
            case _ if way.rewrites_source:
                yield Rule((_MARK,), why="policy Cluster: replies must come back through this node")
                yield Rule((to,), why="policy Cluster: any endpoint")
            case _:
                yield Rule((to,), why="policy Local: endpoints of this node, source kept")


# --- layout kube-proxy


class _ChainedPart(_PartCompiler):
    """A chain for the service port, one for each endpoint."""

    def part(self) -> Part:
        service, endpoints = self.service, self.endpoints
        cluster, local, external = f"service-{self.base}", f"local-{self.base}", f"external-{self.base}"
        internal = local if service.internal_local else cluster
        to_external = Goto(external) if self.decision.ways else None
        elements = tuple(self._dispatch(Goto(internal), to_external, to_external))
        if not endpoints.exist_anywhere:
            return Part(elements, tuple(self._firewall()))
        names = {
            e: nft_endpoint(service.namespace, service.service, service.protocol, service.port_name, e.address, e.port)
            for e in endpoints.reachable
        }
        chains = [self._endpoint(endpoint, name) for endpoint, name in names.items()]
        if endpoints.cluster and service.uses_cluster_endpoints:
            chains.append(self._spread(cluster, [names[e] for e in endpoints.cluster], guards=internal == cluster))
        if endpoints.local and service.uses_local_endpoints:
            chains.append(self._spread(local, [names[e] for e in endpoints.local], guards=internal == local))
        if self.decision.ways:
            targets = {Policy.CLUSTER: Goto(cluster), Policy.LOCAL: Goto(local)}
            chains.append(Chain(external, tuple(_external_rules(self.node, self.decision.ways, targets))))
        chains += self._firewall()
        sets = tuple(self._affinity_set(name) for name in names.values()) if service.affinity_s else ()
        return Part(elements, tuple(chains), sets)

    def _affinity_set(self, name: str) -> Set:
        return Set(f"affinity-{name}", (_TYPES[self.node.family],), flags=("dynamic", "timeout"),
                   timeout_s=self.service.affinity_s, size=65535)  # fmt: skip

    def _endpoint(self, endpoint: Endpoint, name: str) -> Chain:
        hairpin = Match(self.source, (endpoint.address,))
        rules = [Rule((hairpin, _MARK), why="the endpoint calls itself: replies must come back here")]
        if self.service.affinity_s:
            remember = Remember(f"affinity-{name}", self.source)
            rules.append(Rule((remember,), why="the next connection of this client comes here, too"))
        to = (_protocol(self.service.protocol), Dnat(endpoint.target))
        rules.append(Rule(to, why="the endpoint takes the connection"))
        return Chain(f"endpoint-{name}", tuple(rules))

    def _spread(self, chain: str, names: list[str], *, guards: bool) -> Chain:
        rules: list[Rule] = []
        if guards:
            vip = Match(f"{self.word} daddr", (self.service.cluster_ip,))
            port = Match(f"{self.service.protocol} dport", (str(self.service.port),))
            rules += _masquerade_outsiders(self.node, (vip, port))
        if self.service.affinity_s:
            source = (self.source,)
            rules += [
                Rule((InSet(source, f"affinity-{name}"), Goto(f"endpoint-{name}")), why="this client was here before")
                for name in names
            ]
        to = Spread(tuple([f"endpoint-{name}" for name in names]))
        rules.append(Rule((to,), why=f"1 of {len(names)}, each with the same chance"))
        return Chain(chain, tuple(rules))


@cache
def _protocol(name: str) -> Match:
    return Match("meta l4proto", (name,))


# --- layout flat


class _FlatPart(_PartCompiler):
    """Entries in the endpoint maps; the chains are shared by all service ports of the same shape."""

    def part(self) -> Part:
        service, decision = self.service, self.decision
        inside = _flat_internal(self.node, service.protocol, len(decision.inside))
        external = self._external(node_port=False)
        node_port = self._external(node_port=True)
        to_external, to_node_port = (Goto(chains[-1].name) if chains else None for chains in (external, node_port))
        elements = self._dispatch(Goto(inside.name), to_external, to_node_port)
        chains: list[Chain] = []
        if not decision.no_inside:
            chains.append(inside)
            elements += _numbered(self._endpoint_map(service.cluster_ip), decision.inside, 0)
        if external:
            entries = [self._endpoint_map(ip) for ip in self._external_ips()]
            chains += external if entries else ()
            if service.node_port:
                entries.append((f"nodeport-endpoints-{service.protocol}", (str(service.node_port),)))
                chains += node_port
            for entry in entries:
                elements += _numbered(entry, self.endpoints.cluster, 0)
                elements += _numbered(entry, self.endpoints.local, LOCAL_OFFSET) if service.external_local else ()
        chains += self._firewall()
        elements += [("hairpins", (e.address, e.address), _NOTHING) for e in decision.hairpins]
        return Part(tuple(elements), tuple(chains))

    def _external(self, *, node_port: bool) -> tuple[Chain, ...]:
        service, endpoints, ways = self.service, self.endpoints, self.decision.ways
        if not ways:
            return ()
        here = len(endpoints.local) if service.external_local else None
        return _flat_external(
            self.node, _Shape(service.protocol, len(endpoints.cluster), here, ways), node_port=node_port
        )

    def _endpoint_map(self, ip: str) -> tuple[str, Key]:
        return f"endpoints-{self.service.protocol}", (ip, str(self.service.port))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What chains for external addresses depend on: how many endpoints, and for policy Local how many here."""

    protocol: str
    count: int
    here: int | None
    ways: tuple[Way, ...]


def _numbered(entry: tuple[str, Key], endpoints: tuple[Endpoint, ...], offset: int) -> list[tuple[str, Key, Element]]:
    name, key = entry
    return [(name, (str(at), *key), Element((e.address, str(e.port)))) for at, e in enumerate(endpoints, offset)]


@lru_cache(maxsize=4096)
def _flat_internal(node: NodeView, protocol: str, count: int) -> Chain:
    """The chain for a ClusterIP that COUNT endpoints serve."""
    rules = (*_masquerade_outsiders(node), _flat_spread(node, protocol, count, 0, node_port=False))
    return Chain(f"cluster-ip-{protocol}-{count}", rules)


@lru_cache(maxsize=4096)
def _flat_external(node: NodeView, shape: _Shape, *, node_port: bool) -> tuple[Chain, ...]:
    """The chains for an external address; the last one is the entry."""
    protocol, count, here = shape.protocol, shape.count, shape.here
    kind = f"{'nodeport' if node_port else 'external'}-{protocol}"
    cluster = Chain(f"{kind}-spread-{count}", (_flat_spread(node, protocol, count, 0, node_port=node_port),))
    chains = [cluster]
    targets = {Policy.CLUSTER: Goto(cluster.name)}
    if here:
        spread = _flat_spread(node, protocol, here, LOCAL_OFFSET, node_port=node_port)
        chains.append(Chain(f"{kind}-spread-local-{here}", (spread,)))
        targets[Policy.LOCAL] = Goto(chains[-1].name)
    rules = tuple(_external_rules(node, shape.ways, targets))
    name = f"{kind}-{count}" if here is None else f"{kind}-{count}-local-{here}"
    return (*chains, Chain(name, rules))


def _flat_spread(node: NodeView, protocol: str, count: int, offset: int, *, node_port: bool) -> Rule:
    port = f"{protocol} dport"
    fields = (port,) if node_port else (f"{WORDS[node.family]} daddr", port)
    name = f"nodeport-endpoints-{protocol}" if node_port else f"endpoints-{protocol}"
    return Rule((DnatFromMap(max(count, 1), fields, name, offset),), why=f"1 of {count}, each with the same chance")


# --- all of them


def assemble(parts: Iterable[Part], node: NodeView, service_cidrs: tuple[str, ...] = (), *, layout: str) -> Table:
    """The whole table. Where two service ports want the same address and port, the first keeps it."""
    sets = {item.name: item for item in _sets(node, layout)}
    elements: dict[str, dict[Key, Element]] = {name: {} for name in sets}
    if node.node_port_addresses:
        elements["nodeport-ips"] = {(ip,): Element() for ip in node_port_addresses(node, NFTABLES)}
    chains = {chain.name: chain for chain in _base_chains(node, service_cidrs, layout)}
    for part in parts:
        for name, key, element in part.elements:
            elements[name].setdefault(key, element)
        for chain in part.chains:
            chains.setdefault(chain.name, chain)
        for item in part.sets:
            sets[item.name] = item
            elements[item.name] = {}
    return Table(node.family, TABLE, "rules for kube-proxy", sets, elements, chains)


def _sets(node: NodeView, layout: str) -> Iterator[Set]:
    address = _TYPES[node.family]
    ports = ("inet_proto", "inet_service")
    yield Set("cluster-ips", (address,), comment="Active ClusterIPs")
    if node.node_port_addresses:
        yield Set("nodeport-ips", (address,), comment="IPs that accept NodePort traffic")
    verdict = ("verdict",)
    yield Set("no-endpoint-services", (address, *ports), verdict,
              comment="vmap to drop or reject packets to services with no endpoints")  # fmt: skip
    yield Set("no-endpoint-nodeports", ports, verdict,
              comment="vmap to drop or reject packets to service nodeports with no endpoints")  # fmt: skip
    yield Set("firewall-ips", (address, *ports), verdict,
              comment="destinations that are subject to LoadBalancerSourceRanges")  # fmt: skip
    yield Set("service-ips", (address, *ports), verdict, comment="ClusterIP, ExternalIP and LoadBalancer IP traffic")
    yield Set("service-nodeports", ports, verdict, comment="NodePort traffic")
    if layout == "flat":
        word = WORDS[node.family]
        number, own = "numgen random mod 2", f"{word} daddr"
        for protocol in ("tcp", "udp", "sctp"):
            port = f"{protocol} dport"
            yield Set(f"endpoints-{protocol}", (number, own, port), (own, port), typeof=True,
                      comment="number, address and port of a service to an endpoint")  # fmt: skip
            yield Set(f"nodeport-endpoints-{protocol}", (number, port), (own, port), typeof=True,
                      comment="number and node port to an endpoint")  # fmt: skip
        yield Set("hairpins", (address, address), comment="endpoints that call themselves")


def _base_chains(node: NodeView, service_cidrs: tuple[str, ...], layout: str) -> Iterator[Chain]:
    word = WORDS[node.family]
    jumps = {
        "filter-prerouting-pre-dnat": ["firewall-check"],
        "filter-output-pre-dnat": ["firewall-check"],
        "filter-input": ["nodeport-endpoints-check", "service-endpoints-check"],
        "filter-forward": ["service-endpoints-check", "cluster-ips-check"],
        "filter-output": ["service-endpoints-check", "cluster-ips-check"],
    }
    for name, targets in jumps.items():
        yield Chain(name, tuple(Rule((_NEW, Jump(to)), why=_WHY[to]) for to in targets), _HOOKS[name])
    for name, to in (("nat-prerouting", "services"), ("nat-output", "services"), ("nat-postrouting", "masquerading")):
        yield Chain(name, (Rule((Jump(to),), why=_WHY[to]),), _HOOKS[name])
    vip, ports = Dispatch((f"{word} daddr", *_PORT), "service-ips"), tuple(_to_node_port(node))
    yield Chain("nodeport-endpoints-check", (Rule((*ports, Dispatch(_PORT, "no-endpoint-nodeports")), why=_WHY["no"]),))
    checks = {"service-endpoints-check": "no-endpoint-services", "firewall-check": "firewall-ips"}
    for name, map_name in checks.items():
        yield Chain(name, (Rule((Dispatch(vip.fields, map_name),), why=_WHY[name]),))
    yield Chain("services", (
        Rule((vip,), why="is it for a Service's address and port?"),
        Rule((*ports, Dispatch(_PORT, "service-nodeports")), why="is it for a node port?"),
    ))  # fmt: skip
    yield Chain("masquerading", tuple(_masquerading(node, layout)))
    yield Chain("cluster-ips-check", tuple(_cluster_ips_check(node, service_cidrs)))
    mark = SetMark("|", node.masquerade_mark)
    yield Chain("mark-for-masquerade", (Rule((mark,), why="rewrite the source when it leaves"),))
    helper = "helper for @no-endpoint-services / @no-endpoint-nodeports"
    yield Chain(
        "reject-chain", (Rule((Reject(),), why="there is nobody to answer, and the caller is told"),), comment=helper
    )


_HOOKS = {
    "filter-prerouting-pre-dnat": Hook("filter", "prerouting", -110),
    "filter-output-pre-dnat": Hook("filter", "output", -110),
    "filter-input": Hook("filter", "input", 0),
    "filter-forward": Hook("filter", "forward", 0),
    "filter-output": Hook("filter", "output", 0),
    "nat-prerouting": Hook("nat", "prerouting", -100),
    "nat-output": Hook("nat", "output", -100),
    "nat-postrouting": Hook("nat", "postrouting", 100),
}
_WHY = {
    "firewall-check": "loadBalancerSourceRanges, before the destination is rewritten",
    "nodeport-endpoints-check": "node ports without endpoints",
    "service-endpoints-check": "Services without endpoints",
    "cluster-ips-check": "ports that a ClusterIP does not have",
    "services": "is it for a Service?",
    "masquerading": "does its source need rewriting?",
    "no": "a node port without endpoints is refused",
}


def _to_node_port(node: NodeView) -> Iterator[Statement]:
    """The addresses that take node ports."""
    word = WORDS[node.family]
    if node.node_port_addresses:
        yield InSet((f"{word} daddr",), "nodeport-ips")
    else:
        yield Match("fib daddr type", ("local",))
        yield Match(f"{word} daddr", (_LOOPBACK[node.family],), negated=True)


def _masquerading(node: NodeView, layout: str) -> Iterator[Rule]:
    word, bit = WORDS[node.family], node.masquerade_mark
    if layout == "flat":
        itself = InSet((f"{word} saddr", f"{word} daddr"), "hairpins")
        yield Rule((Match("ct status", ("dnat",)), itself, _MARK),
                   why="the endpoint calls itself: replies must come back here")  # fmt: skip
    yield Rule((MarkIs(bit, 0), Return()), why="not marked: leave it alone")
    yield Rule((SetMark("^", bit),), why="take the mark off, so that it is rewritten once")
    yield Rule((Masquerade(),), why="rewrite the source to this node's")


def _cluster_ips_check(node: NodeView, service_cidrs: tuple[str, ...]) -> Iterator[Rule]:
    word = WORDS[node.family]
    yield Rule((InSet((f"{word} daddr",), "cluster-ips"), Reject()), "Reject traffic to invalid ports of ClusterIPs",
               "a ClusterIP answers only on the ports of its Service")  # fmt: skip
    own = [ipaddress.ip_network(cidr) for cidr in service_cidrs if (":" in cidr) is (node.family is Family.IPV6)]
    if own:
        yield Rule((Match(f"{word} daddr", _intervals(own)), Drop()), "Drop traffic to unallocated ClusterIPs",
                   "no Service has this ClusterIP")  # fmt: skip


# --- from one snapshot to the next


class NftCompiler:
    """Compiles the service ports of one node, remembers each result, and knows what a few changed ones change.

    A cache, nothing more: `table` gives what `compile_nftables` gives.
    """

    def __init__(self, node: NodeView, *, layout: str = "kube-proxy") -> None:
        self.node = node
        self.layout = layout
        self._ledger: Ledger[Part, _Thing] = Ledger(lambda service: service_part(service, node, layout=layout), _things)

    def whole(self, snapshot: Snapshot) -> Table:
        """The whole table, and the next `change` begins here."""
        return assemble(self._ledger.reset(snapshot), self.node, snapshot.service_cidrs, layout=self.layout)

    def look(self, snapshot: Snapshot) -> Table:
        """The whole table, for somebody who only looks."""
        return assemble(self._ledger.look(snapshot), self.node, snapshot.service_cidrs, layout=self.layout)

    def fresh(self, snapshot: Snapshot) -> Iterator[NftPlan]:
        """Transactions that load a whole snapshot into an empty namespace, each made when it is asked for.

        Nothing is live before the last one, which brings the base chains.
        """
        static = assemble((), self.node, snapshot.service_cidrs, layout=self.layout)
        base = tuple(chain for chain in static.chains.values() if chain.hook)
        yield NftPlan(
            static.family, TABLE, whole=replace(static, chains={n: c for n, c in static.chains.items() if not c.hook})
        )
        seen: dict[Hashable, None] = {}
        parts = self._ledger.stream(snapshot)
        size = FIRST_CHUNK
        while chunk := list(islice(parts, size)):
            yield _first_load(static.family, chunk, seen)
            size = CHUNKS[self.layout]
        yield NftPlan(static.family, TABLE, chains=base)

    def get_ready(self) -> None:
        """Do now what the next `change` would have to do first."""
        self._ledger.get_ready()

    def change(self, snapshot: Snapshot) -> NftPlan | None:
        """What is different from the snapshot before; None when whole tables have to be compared: take `whole` then."""
        changes = self._ledger.change(snapshot)
        return None if changes is None else _plan_of(self.node.family, changes)


_Thing = Element | Chain | Set


def _first_load(family: Family, parts: Iterable[Part], seen: dict[Hashable, None]) -> NftPlan:
    """Everything of some parts that is not there yet."""
    elements: dict[str, dict[Key, Element]] = {}
    chains: list[Chain] = []
    sets: list[Set] = []
    for part in parts:
        for name, key, element in part.elements:
            if (name, key) not in seen:
                seen[name, key] = None
                elements.setdefault(name, {})[key] = element
        chains += [chain for chain in part.chains if (Chain, chain.name) not in seen]
        seen.update(dict.fromkeys((Chain, chain.name) for chain in part.chains))
        sets += part.sets
    return NftPlan(
        family, TABLE, chains=tuple({c.name: c for c in chains}.values()), elements=elements, sets=tuple(sets)
    )


def _things(part: Part) -> dict[Hashable, _Thing]:
    """Everything that a part adds, each thing once: elements by set and key, chains and sets by name."""
    found: dict[Hashable, _Thing] = {(name, key): element for name, key, element in reversed(part.elements)}
    found |= {(Chain, chain.name): chain for chain in part.chains}
    return found | {(Set, item.name): item for item in part.sets}


def _plan_of(family: Family, changes: Iterable[Change[_Thing]]) -> NftPlan | None:
    """The transaction; None when a set has to be made anew, since every chain that uses it must be, too."""
    chains: list[Chain] = []
    sets: list[Set] = []
    gone: dict[type, list[str]] = {Chain: [], Set: []}
    flushed: list[str] = []
    elements: dict[str, dict[Key, Element]] = {}
    lost: dict[str, dict[Key, Element]] = {}
    for key, old, new in changes:
        assert isinstance(key, tuple)
        kind, name = key
        if isinstance(new, Chain):
            chains.append(new)
            flushed += [new.name] if old else []
        elif isinstance(new, Set):
            if old:
                return None
            sets.append(new)
        elif kind in gone:
            gone[kind].append(name)
        else:
            if isinstance(old, Element):
                lost.setdefault(kind, {})[name] = old
            if isinstance(new, Element):
                elements.setdefault(kind, {})[name] = new
    return NftPlan(
        family, TABLE, sets=tuple(sets), removed_sets=tuple(gone[Set]), chains=tuple(chains), flushed=tuple(flushed),
        removed_chains=tuple(gone[Chain]), elements=elements, removed_elements=lost,
    )  # fmt: skip
