"""The nftables table around the parts of all service ports: its sets, maps and base chains.

Source: kubernetes pkg/proxy/nftables/proxier.go (behaviour since 1.31).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from netproxy.core.net import Family
from netproxy.proxy.decisions import NFTABLES, node_port_addresses
from netproxy.proxy.model import NodeView
from netproxy.proxy.nftables_service import MARK, TYPES, Part, intervals, masquerade_outsiders, style_of
from netproxy.ruleset.ir import Drop, Jump, Masquerade, Return
from netproxy.ruleset.nft import (
    WORDS,
    Chain,
    Dispatch,
    Element,
    Hook,
    InSet,
    Key,
    MarkIs,
    Match,
    Reject,
    Rule,
    Set,
    SetMark,
    Statement,
    Table,
)

TABLE = "kube-proxy"
_NEW = Match("ct state", ("new",))
_PORT = ("meta l4proto", "th dport")
_LOOPBACK = {Family.IPV4: "127.0.0.0/8", Family.IPV6: "::1"}


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
    address = TYPES[node.family]
    ports = ("inet_proto", "inet_service")
    if style_of(node, layout).nft_hairpin_set:
        yield Set("hairpin-connections", (address, address, *ports), comment="service hairpin connections")
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
    here = ports[-1:]  # in hook input every destination is local
    yield Chain("nodeport-endpoints-check", (Rule((*here, Dispatch(_PORT, "no-endpoint-nodeports")), why=_WHY["no"]),))
    checks = {"service-endpoints-check": "no-endpoint-services", "firewall-check": "firewall-ips"}
    for name, map_name in checks.items():
        yield Chain(name, (Rule((Dispatch(vip.fields, map_name),), why=_WHY[name]),))
    yield Chain("services", (
        *guards(node, layout),
        Rule((vip,), why="is it for a Service's address and port?"),
        Rule((*ports, Dispatch(_PORT, "service-nodeports")), why="is it for a node port?"),
    ))  # fmt: skip
    inline = style_of(node, layout).nft_marks_inline
    yield Chain("masquerading", tuple(_masquerading_inline(node) if inline else _masquerading(node, layout)))
    yield Chain("cluster-ips-check", tuple(_cluster_ips_check(node, service_cidrs)))
    if not inline:
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


def guards(node: NodeView, layout: str) -> Iterator[Rule]:
    """What chain `services` does about the source of traffic to any ClusterIP, first of all."""
    style = style_of(node, layout)
    if style.nft_guards_together:
        to_any = InSet((f"{WORDS[node.family]} daddr",), "cluster-ips")
        yield from masquerade_outsiders(node, (to_any,), inline=style.nft_marks_inline)


def _masquerading_inline(node: NodeView) -> Iterator[Rule]:
    word, bit = WORDS[node.family], node.masquerade_mark
    marked = (MarkIs(bit, 0, negated=True), SetMark("^", bit), Masquerade())
    yield Rule(marked, why="marked: take the mark off, and rewrite the source to this node's")
    itself = InSet((f"{word} saddr", f"{word} daddr", *_PORT), "hairpin-connections")
    yield Rule((Match("ct status", ("dnat",)), itself, Masquerade()),
               why="the endpoint calls itself: replies must come back here")  # fmt: skip


def _masquerading(node: NodeView, layout: str) -> Iterator[Rule]:
    word, bit = WORDS[node.family], node.masquerade_mark
    if layout == "flat":
        itself = InSet((f"{word} saddr", f"{word} daddr"), "hairpins")
        yield Rule((Match("ct status", ("dnat",)), itself, MARK),
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
        yield Rule((Match(f"{word} daddr", intervals(own)), Drop()), "Drop traffic to unallocated ClusterIPs",
                   "no Service has this ClusterIP")  # fmt: skip
