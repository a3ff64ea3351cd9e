"""The chains that all service ports share in iptables mode, and the whole tables made of them.

Source: kubernetes 1.30 pkg/proxy/iptables/proxier.go (behaviour and texts; recorded states in tests/cases).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from netproxy.core.net import Family
from netproxy.proxy.chains import Slot
from netproxy.proxy.decisions import IPTABLES, node_port_addresses
from netproxy.proxy.iptables_service import LOCALHOST_COUNTER, ServiceRules, host
from netproxy.proxy.model import NodeView
from netproxy.ruleset.ir import (
    Accept,
    AddrType,
    Chain,
    Comment,
    CtState,
    Destination,
    Drop,
    Jump,
    Mark,
    Masquerade,
    Match,
    Nfacct,
    Return,
    Rule,
    Ruleset,
    SetMark,
    Source,
    Table,
)

INVALID_COUNTER = "ct_state_invalid_dropped_pkts"
"""The nfacct object that counts packets dropped as INVALID."""
COUNTERS = (INVALID_COUNTER, LOCALHOST_COUNTER)
_NEW = CtState(("NEW",))
_TO_LOCAL = AddrType("dst", "LOCAL")


def assemble(parts: Sequence[ServiceRules], node: NodeView) -> Ruleset:
    """The tables with the rules of all service ports."""
    nat = nat_chains(parts, node, own=[chain for part in parts for chain in part.chains])
    tables = {
        "mangle": Table("mangle", _by_name(mangle_chains())),
        "filter": Table("filter", _by_name(filter_chains(parts, node))),
        "nat": Table("nat", _by_name(nat)),
    }
    return Ruleset(node.family, tables)


def shared_chain(slot: Slot, parts: Sequence[ServiceRules], node: NodeView) -> Chain:
    """One of the chains that all service ports add to."""
    rules = tuple([rule for part in parts for place, added in part.shared() if place == slot for rule in added])
    return Chain(slot[1], (*rules, *_tail(node)) if slot == ("nat", "KUBE-SERVICES") else rules)


def mangle_chains() -> list[Chain]:
    """The chains of the mangle table."""
    return [*_built_in("mangle"), _CANARY]


def filter_chains(parts: Sequence[ServiceRules], node: NodeView) -> list[Chain]:
    """The chains of the filter table."""
    return _filter_chains(
        node,
        services=_all(parts, lambda p: p.filter_services),
        external=_all(parts, lambda p: p.filter_external),
        node_ports=_all(parts, lambda p: p.filter_node_ports),
        firewall=_all(parts, lambda p: p.firewall),
    )


def nat_chains(parts: Sequence[ServiceRules], node: NodeView, own: Iterable[Chain]) -> list[Chain]:
    """The chains of the nat table, the services' OWN ones among them."""
    services, node_ports = _all(parts, lambda p: p.services), _all(parts, lambda p: p.node_ports)
    return _nat_chains(node, services=services, node_ports=node_ports, own=own)


def _all(parts: Sequence[ServiceRules], pick: Callable[[ServiceRules], tuple[Rule, ...]]) -> tuple[Rule, ...]:
    return tuple([rule for part in parts for rule in pick(part)])


def in_order(chains: Iterable[Chain]) -> list[Chain]:
    """For a reader that takes them one by one: the dispatch chains, then what leads into them."""
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
        counted = (Nfacct(INVALID_COUNTER),) if node.nfacct else ()
        yield Rule((CtState(("INVALID",)), *counted), Drop(), "an untracked packet would leave without translation")
    bit = node.masquerade_mark
    yield Rule((Comment("kubernetes forwarding rules"), Mark(bit, bit)), Accept(), "marked traffic may be forwarded")
    yield Rule((Comment("kubernetes forwarding conntrack rule"), CtState(("RELATED", "ESTABLISHED"))), Accept(),
               "so may its replies")  # fmt: skip


def mark_masq(node: NodeView) -> Chain:
    """Marks what is to be masqueraded: chains of service ports jump to it."""
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
        mark_masq(node),
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
            yield Rule((Destination(host(ip)), note), jump, why)
        return
    guard: tuple[Match, ...] = ()
    if node.family is Family.IPV6:
        guard = (Destination("::1/128", negated=True),)
    elif not node.localhost_node_ports:
        guard = (Destination("127.0.0.0/8", negated=True),)
    yield Rule((*guard, note, _TO_LOCAL), jump, why)
