"""One service port → what it adds to the nftables table: what both layouts share, and layout kube-proxy.

Source: kubernetes pkg/proxy/nftables/proxier.go (behaviour since 1.31; names also in the recorded states of 1.30).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from netproxy.core.net import Family
from netproxy.proxy.decisions import NFTABLES, Origin, Policy, Refusal, Way, closed_addresses, decide, rewritten_inside
from netproxy.proxy.model import Endpoint, NodeView, ServicePort
from netproxy.proxy.names import nft_about, nft_endpoint, nft_service
from netproxy.proxy.versions import V1_30, KubeProxyVersion
from netproxy.ruleset.ir import Drop, Goto, InInterface, Jump, Source
from netproxy.ruleset.nft import (
    WORDS,
    Chain,
    Dnat,
    DnatSpread,
    Element,
    InSet,
    Key,
    Match,
    Remember,
    Rule,
    Set,
    SetMark,
    Spread,
    Statement,
)


def style_of(node: NodeView, layout: str) -> KubeProxyVersion:
    """Whose chains a layout has: `flat` has those of one version, whatever is copied."""
    return V1_30 if layout == "flat" else node.version


MARK = Jump("mark-for-masquerade")
NOTHING = Element()
_REJECT = Goto("reject-chain")
_FROM_LOCAL = Match("fib saddr type", ("local",))
TYPES = {Family.IPV4: "ipv4_addr", Family.IPV6: "ipv6_addr"}
"""nft's type of an address."""
_WAYS_IN = {"service": "service-ips", "nodeport": "service-nodeports"}

Entry = tuple[str, Key, Element]
"""An element of a map or set, and where it belongs."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one service port adds to the table."""

    elements: tuple[Entry, ...] = ()
    chains: tuple[Chain, ...] = ()
    sets: tuple[Set, ...] = ()


class PartCompiler:
    """Names and decisions that both layouts share; what they do about endpoints is their own."""

    def __init__(self, service: ServicePort, node: NodeView, style: KubeProxyVersion) -> None:
        self.style = style
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

    def _dispatch(self, inside: Goto, external: Goto | None, node_port: Goto | None) -> list[Entry]:
        """What leads to the endpoints, and what is refused because there are none."""
        service, decision = self.service, self.decision
        found: list[Entry] = [("cluster-ips", (ip,), NOTHING) for ip in closed_addresses(service, self.node, NFTABLES)]
        to_inside = None if decision.no_inside else inside
        self._lead(found, "service", self._key(service.cluster_ip), to_inside, decision.no_inside)
        for ip in self._external_ips():
            self._lead(found, "service", self._key(ip), external, decision.no_outside)
        if service.node_port:
            self._lead(found, "nodeport", self._node_port(), node_port, decision.no_outside)
        if decision.ranges:
            about = nft_about(service.name) if self.style.nft_names_firewalls else ""
            to = Element(Goto(f"firewall-{self.base}"), about)
            found += [("firewall-ips", self._key(ip), to) for ip in service.load_balancer_ips]
        return found

    def _lead(self, found: list[Entry], kind: str, key: Key, to: Goto | None, refusal: Refusal | None) -> None:
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
        values = intervals(allowed)
        rules: tuple[Rule, ...] = ()
        if not any(value.endswith("/0") for value in values):
            match = Match(self.source, values, negated=True)
            rules = (Rule((match, Drop()), why="the source is in none of loadBalancerSourceRanges"),)
        yield Chain(f"firewall-{self.base}", rules)


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def intervals(nets: Iterable[_Network]) -> tuple[str, ...]:
    """Networks as nft prints an interval set: sorted, neighbours joined; what is no network any more is FIRST-LAST.

    >>> intervals([ipaddress.ip_network("10.0.0.2"), ipaddress.ip_network("10.0.0.1"), ipaddress.ip_network("10.1.0.0/16")])
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


def _marking(node: NodeView, *, inline: bool) -> Statement:
    """What has the source rewritten later."""
    return SetMark("|", node.masquerade_mark) if inline else MARK


def masquerade_outsiders(node: NodeView, to: tuple[Statement, ...] = (), *, inline: bool = False) -> Iterator[Rule]:
    """Traffic to a ClusterIP from what is no Pod comes back through this node. INLINE: the rule sets the mark itself."""
    origin, mark = rewritten_inside(node, NFTABLES), _marking(node, inline=inline)
    if origin is Origin.ANYBODY:
        about = "masquerade all clusterIP traffic" if inline else ""
        yield Rule((*to, mark), about, "masqueradeAll: every source is rewritten")
    elif origin is Origin.OUTSIDER:
        about = "masquerade clusterIP traffic from outside cluster" if inline else ""
        outside = _pods(node, negated=True)
        yield Rule((*to, outside, mark), about, "the source is no Pod: replies must come back here")


def _pods(node: NodeView, *, negated: bool = False) -> Match:
    """What recognises Pods; there has to be something that does."""
    local = node.local_traffic
    if isinstance(local, Source):
        return Match(f"{WORDS[node.family]} saddr", (local.net,), negated)
    assert local is not None
    return Match("iifname", (_interface(local),), negated)


def _interface(local: InInterface) -> str:
    return local.name[:-1] + "*" if local.name.endswith("+") else local.name


def external_rules(
    node: NodeView, ways: tuple[Way, ...], targets: Mapping[Policy, Goto], *, inline: bool = False
) -> Iterator[Rule]:
    """What happens to traffic for an external address. INLINE: rules set the mark themselves."""
    mark = _marking(node, inline=inline)
    for way in ways:
        to = targets[way.to]
        match way.origin:
            case Origin.POD:
                why = "a Pod takes the short way to any endpoint"
                yield Rule((_pods(node), to), "short-circuit pod traffic", why)
            case Origin.NODE:
                yield Rule((_FROM_LOCAL, mark), "masquerade local traffic", "the node itself calls")
                yield Rule((_FROM_LOCAL, to), "short-circuit local traffic", "the node itself may reach any endpoint")
            case _ if way.rewrites_source:
                about = "masquerade" if inline else ""
                yield Rule((mark,), about, "policy Cluster: replies must come back through this node")
                yield Rule((to,), why="policy Cluster: any endpoint")
            case _:
                yield Rule((to,), why="policy Local: endpoints of this node, source kept")


class ChainedPart(PartCompiler):
    """A chain for the service port; one for each endpoint where the version has them, or clients return to theirs."""

    def __init__(self, service: ServicePort, node: NodeView, style: KubeProxyVersion) -> None:
        super().__init__(service, node, style)
        self.has_endpoint_chains = style.nft_endpoint_chains or bool(service.affinity_s)
        self.cluster, self.local = f"service-{self.base}", f"local-{self.base}"
        self.internal = self.local if service.internal_local else self.cluster

    def part(self) -> Part:
        external = f"external-{self.base}"
        to_external = Goto(external) if self.decision.ways else None
        elements = self._dispatch(Goto(self.internal), to_external, to_external)
        if not self.endpoints.exist_anywhere:
            return Part(tuple(elements), tuple(self._firewall()))
        if self.style.nft_hairpin_set:
            elements += [("hairpin-connections", self._hairpin(e), NOTHING) for e in self.decision.hairpins]
        names = self._endpoint_names() if self.has_endpoint_chains else {}
        chains = [self._endpoint(endpoint, name) for endpoint, name in names.items()]
        chains += self._service_chains(names)
        if self.decision.ways:
            targets = {Policy.CLUSTER: Goto(self.cluster), Policy.LOCAL: Goto(self.local)}
            rules = external_rules(self.node, self.decision.ways, targets, inline=self.style.nft_marks_inline)
            chains.append(Chain(external, tuple(rules)))
        chains += self._firewall()
        sets = tuple(self._affinity_set(name) for name in names.values()) if self.service.affinity_s else ()
        return Part(tuple(elements), tuple(chains), sets)

    def _hairpin(self, endpoint: Endpoint) -> Key:
        return (endpoint.address, endpoint.address, self.service.protocol, str(endpoint.port))

    def _endpoint_names(self) -> dict[Endpoint, str]:
        at = self.service
        return {
            e: nft_endpoint(at.namespace, at.service, at.protocol, at.port_name, e.written or e.address, e.port)
            for e in self.endpoints.reachable
        }

    def _affinity_set(self, name: str) -> Set:
        return Set(f"affinity-{name}", (TYPES[self.node.family],), flags=("dynamic", "timeout"),
                   timeout_s=self.service.affinity_s, size=65535)  # fmt: skip

    def _endpoint(self, endpoint: Endpoint, name: str) -> Chain:
        rules: list[Rule] = []
        if not self.style.nft_hairpin_set:
            hairpin = Match(self.source, (endpoint.address,))
            rules.append(Rule((hairpin, MARK), why="the endpoint calls itself: replies must come back here"))
        if self.service.affinity_s:
            remember = Remember(f"affinity-{name}", self.source)
            rules.append(Rule((remember,), why="the next connection of this client comes here, too"))
        to = (_protocol(self.service.protocol), Dnat(endpoint.target))
        rules.append(Rule(to, why="the endpoint takes the connection"))
        return Chain(f"endpoint-{name}", tuple(rules))

    def _service_chains(self, names: Mapping[Endpoint, str]) -> Iterator[Chain]:
        service, endpoints = self.service, self.endpoints
        if endpoints.cluster and service.uses_cluster_endpoints:
            yield Chain(self.cluster, tuple(self._spread(self.cluster, endpoints.cluster, names)))
        if endpoints.local and service.uses_local_endpoints:
            yield Chain(self.local, tuple(self._spread(self.local, endpoints.local, names)))

    def _spread(self, chain: str, endpoints: tuple[Endpoint, ...], names: Mapping[Endpoint, str]) -> Iterator[Rule]:
        if chain == self.internal and not self.style.nft_guards_together:
            vip = Match(f"{self.word} daddr", (self.service.cluster_ip,))
            port = Match(f"{self.service.protocol} dport", (str(self.service.port),))
            yield from masquerade_outsiders(self.node, (vip, port))
        why = f"1 of {len(endpoints)}, each with the same chance"
        if not self.has_endpoint_chains:
            targets = tuple([(e.address, str(e.port)) for e in endpoints])
            yield Rule((_protocol(self.service.protocol), DnatSpread(targets)), why=why)
            return
        for name in [names[e] for e in endpoints] if self.service.affinity_s else ():
            known = InSet((self.source,), f"affinity-{name}")
            yield Rule((known, Goto(f"endpoint-{name}")), why="this client was here before")
        yield Rule((Spread(tuple([f"endpoint-{names[e]}" for e in endpoints])),), why=why)


@cache
def _protocol(name: str) -> Match:
    return Match("meta l4proto", (name,))
