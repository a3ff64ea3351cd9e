"""Snapshot → what kube-proxy keeps in a kernel in IPVS mode: virtual servers, sets, addresses, a handful of rules.

Source: kubernetes 1.30 pkg/proxy/ipvs/proxier.go and ipset.go (behaviour and texts; recorded states in tests/cases).
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from netproxy.core.net import PROTOCOL_NUMBERS, Family, network
from netproxy.proxy.decisions import (
    IPVS,
    Origin,
    closed_addresses,
    decide,
    node_port_addresses,
    rewritten_inside,
)
from netproxy.proxy.ledger import Change, Ledger
from netproxy.proxy.model import Endpoint, NodeView, ServicePort, Snapshot
from netproxy.ruleset.ipvs import (
    MH_PORT,
    IpSet,
    Ipvs,
    IpvsPlan,
    RealServer,
    ServerKey,
    VirtualServer,
    destination_changes,
)
from netproxy.ruleset.ir import (
    Accept,
    Action,
    AddrType,
    Chain,
    Comment,
    CtState,
    Drop,
    InInterface,
    Jump,
    Mark,
    Masquerade,
    Match,
    MatchSet,
    Proto,
    Reject,
    Return,
    Rule,
    Ruleset,
    SetMark,
    Source,
    Table,
    Words,
)


@dataclass(frozen=True, slots=True)
class SetKind:
    """One of the sets: its type, and the comment of the rules that ask it."""

    name: str
    type: str
    comment: str


_PORT, _IP_PORT = "bitmap:port", "hash:ip,port"
SETS = {
    kind.name: kind
    for kind in (
        SetKind("LOOP-BACK", "hash:ip,port,ip",
                "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"),
        SetKind("CLUSTER-IP", _IP_PORT, "Kubernetes service cluster ip + port for masquerade purpose"),
        SetKind("EXTERNAL-IP", _IP_PORT, "Kubernetes service external ip + port for masquerade and filter purpose"),
        SetKind("EXTERNAL-IP-LOCAL", _IP_PORT,
                "Kubernetes service external ip + port with externalTrafficPolicy=local"),
        SetKind("LOAD-BALANCER", _IP_PORT, "Kubernetes service lb portal"),
        SetKind("LOAD-BALANCER-FW", _IP_PORT,
                "Kubernetes service load balancer ip + port for load balancer with sourceRange"),
        SetKind("LOAD-BALANCER-LOCAL", _IP_PORT,
                "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"),
        SetKind("LOAD-BALANCER-SOURCE-IP", "hash:ip,port,ip",
                "Kubernetes service load balancer ip + port + source IP for packet filter purpose"),
        SetKind("LOAD-BALANCER-SOURCE-CIDR", "hash:ip,port,net",
                "Kubernetes service load balancer ip + port + source cidr for packet filter purpose"),
        SetKind("NODE-PORT-TCP", _PORT, "Kubernetes nodeport TCP port for masquerade purpose"),
        SetKind("NODE-PORT-LOCAL-TCP", _PORT, "Kubernetes nodeport TCP port with externalTrafficPolicy=local"),
        SetKind("NODE-PORT-UDP", _PORT, "Kubernetes nodeport UDP port for masquerade purpose"),
        SetKind("NODE-PORT-LOCAL-UDP", _PORT, "Kubernetes nodeport UDP port with externalTrafficPolicy=local"),
        SetKind("NODE-PORT-SCTP-HASH", _IP_PORT,
                "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'"),
        SetKind("NODE-PORT-LOCAL-SCTP-HASH", _IP_PORT,
                "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'"),
        SetKind("HEALTH-CHECK-NODE-PORT", _PORT, "Kubernetes health check node port"),
        SetKind("IPVS-IPS", "hash:ip", "All ipvs service IPs"),
    )
}  # fmt: skip


def set_name(short: str, family: Family) -> str:
    """The full name of a set: at most 31 characters.

    >>> set_name("LOAD-BALANCER-SOURCE-CIDR", Family.IPV6)
    'KUBE-6-LOAD-BALANCER-SOURCE-CID'
    """
    return f"KUBE-{'6-' if family is Family.IPV6 else ''}{short}"[:31]


@dataclass(frozen=True, slots=True)
class Part:
    """What one service port adds."""

    servers: tuple[VirtualServer, ...] = ()
    entries: tuple[tuple[str, str], ...] = ()
    addresses: tuple[str, ...] = ()
    guards: tuple[Rule, ...] = ()
    """Rules of KUBE-IPVS-OUT-FILTER, in the order of the addresses."""
    owner: str = ""


def compile_ipvs(snapshot: Snapshot, node: NodeView) -> Ipvs:
    """What makes NODE serve SNAPSHOT with IPVS, in one address family."""
    return assemble([service_part(service, node) for service in snapshot.services], node)


def assemble(parts: Iterable[Part], node: NodeView) -> Ipvs:
    """All parts together. Where two service ports want the same address and port, the first keeps it."""
    servers: dict[ServerKey, VirtualServer] = {}
    entries: dict[str, set[str]] = {name: set() for name in SETS}
    addresses: set[str] = set()
    guards: list[Rule] = []
    for part in parts:
        for server in part.servers:
            servers.setdefault(server.key, server)
        for name, entry in part.entries:
            entries[name].add(entry)
        addresses.update(part.addresses)
        guards += part.guards
    entries["IPVS-IPS"] = addresses
    sets = {
        set_name(name, node.family): IpSet(set_name(name, node.family), SETS[name].type, frozenset(found))
        for name, found in entries.items()
    }
    full = frozenset(name for name, found in entries.items() if found)
    return Ipvs(node.family, servers, sets, frozenset(addresses), rules(node, full, tuple(guards)))


# --- one service port


def service_part(service: ServicePort, node: NodeView) -> Part:
    """Everything that one service port adds."""
    return _PartCompiler(service, node).part()


class _PartCompiler:
    def __init__(self, service: ServicePort, node: NodeView) -> None:
        self.service = service
        self.node = node
        self.decision = decide(service, node, IPVS)
        self.servers: list[VirtualServer] = []
        self.entries: list[tuple[str, str]] = []
        self.guards: list[Rule] = []

    def part(self) -> Part:
        service, decision = self.service, self.decision
        for endpoint in decision.hairpins:
            entry = f"{endpoint.address},{service.protocol}:{endpoint.port},{endpoint.address}"
            self.entries.append(("LOOP-BACK", entry))
        self._add("CLUSTER-IP", service.cluster_ip)
        self._serve(service.cluster_ip, service.port, decision.inside)
        for ip in service.external_ips:
            self._add("EXTERNAL-IP-LOCAL" if service.external_local else "EXTERNAL-IP", ip)
            self._serve(ip, service.port, decision.outside)
        for ip in service.load_balancer_ips:
            self._load_balancer(ip)
            self._serve(ip, service.port, decision.outside)
        ips = node_port_addresses(self.node, IPVS) if service.node_port else ()
        if ips:
            self._node_port(ips)
        if service.health_check_node_port and (
            ips or not service.node_port
        ):  # kube-proxy gives up where a node port is nowhere
            self.entries.append(("HEALTH-CHECK-NODE-PORT", str(service.health_check_node_port)))
        addresses = closed_addresses(service, self.node, IPVS)
        return Part(tuple(self.servers), tuple(self.entries), addresses, tuple(self.guards), service.name)

    def _add(self, name: str, ip: str) -> None:
        self.entries.append((name, f"{ip},{self.service.protocol}:{self.service.port}"))

    def _serve(self, ip: str, port: int, endpoints: tuple[Endpoint, ...]) -> None:
        """A virtual server."""
        flags = (MH_PORT,) if self.node.ipvs_scheduler == "mh" else ()
        self.servers.append(
            VirtualServer(
                ServerKey(self.service.protocol, ip, port), self.node.ipvs_scheduler, self.service.affinity_s, flags,
                tuple(RealServer(e.address, e.port) for e in endpoints),
            )
        )  # fmt: skip

    def _load_balancer(self, ip: str) -> None:
        service, ranges = self.service, self.decision.ranges
        self._add("LOAD-BALANCER", ip)
        if service.external_local:
            self._add("LOAD-BALANCER-LOCAL", ip)
        if not ranges:
            return
        self._add("LOAD-BALANCER-FW", ip)
        where = f"{ip},{service.protocol}:{service.port}"
        nets = [net for cidr in ranges.cidrs for net in _nets(cidr)]
        self.entries += [("LOAD-BALANCER-SOURCE-CIDR", f"{where},{net}") for net in nets]
        if ranges.itself:
            self.entries.append(("LOAD-BALANCER-SOURCE-IP", f"{where},{ip}"))
        else:
            self.guards.append(_guard(ip, service.protocol, service.port))

    def _node_port(self, ips: tuple[str, ...]) -> None:
        service = self.service
        name = f"NODE-PORT-{service.protocol.upper()}"
        local = f"NODE-PORT-LOCAL-{service.protocol.upper()}"
        entries = [str(service.node_port)]
        if service.protocol == "sctp":
            name, local = f"{name}-HASH", f"{local}-HASH"
            entries = [f"{ip},sctp:{service.node_port}" for ip in ips]
        self.entries += [(name, entry) for entry in entries]
        if service.external_local:
            self.entries += [(local, entry) for entry in entries]
        for ip in ips:
            self._serve(ip, service.node_port, self.decision.outside)


def _nets(cidr: str) -> tuple[str, ...]:
    """A network as ipset prints it; it knows none of length 0, so that becomes its halves.

    >>> _nets("10.0.0.1/24"), _nets("10.0.0.1/32"), _nets("0.0.0.0/0")
    (('10.0.0.0/24',), ('10.0.0.1',), ('0.0.0.0/1', '128.0.0.0/1'))
    """
    text = network(cidr)
    if text.endswith("/0"):
        return tuple(str(half) for half in ipaddress.ip_network(text).subnets())
    return (text.removesuffix("/128" if ":" in text else "/32"),)


def _guard(ip: str, protocol: str, port: int) -> Rule:
    words = ("-m", "ipvs", "--vproto", str(PROTOCOL_NUMBERS[protocol]), "--vaddr", ip, "--vport", str(port))
    return Rule((Source(f"{ip}/{128 if ':' in ip else 32}"), Words(words)), Drop(),
                "the node itself is in none of loadBalancerSourceRanges")  # fmt: skip


# --- the rules: as many for one Service as for ten thousand

_LOOPBACK = {Family.IPV4: "127.0.0.0/8", Family.IPV6: "::1/128"}
_REJECT = {Family.IPV4: Reject("icmp-port-unreachable"), Family.IPV6: Reject("icmp6-port-unreachable")}
_MASQ = Jump("KUBE-MARK-MASQ")
_BOTH = "dst,dst"


def rules(node: NodeView, full: frozenset[str], guards: tuple[Rule, ...]) -> Ruleset:
    """The iptables part; FULL names the sets that are not empty, GUARDS the rules of KUBE-IPVS-OUT-FILTER."""
    return _Rules(node, full).ruleset(guards)


class _Rules:
    def __init__(self, node: NodeView, full: frozenset[str]) -> None:
        self.node = node
        self.full = full

    def _ask(self, name: str, sides: str, *before: Match, comment: bool = True) -> tuple[Match, ...]:
        note = (Comment(SETS[name].comment),) if comment else ()
        return (*before, *note, MatchSet(set_name(name, self.node.family), sides))

    def _rule(self, name: str, sides: str, action: Action, why: str, *before: Match) -> Iterator[Rule]:
        """A rule that asks a set, as long as there is something in it."""
        if name in self.full:
            yield Rule(self._ask(name, sides, *before), action, why)

    def ruleset(self, guards: tuple[Rule, ...]) -> Ruleset:
        portals = Rule((Comment("kubernetes service portals"),), Jump("KUBE-SERVICES"), "is it for a Service?")
        leaving = Rule((Comment("kubernetes postrouting rules"),), Jump("KUBE-POSTROUTING"), "rewrite its source?")
        nat = [
            Chain("PREROUTING", (portals,), "ACCEPT"), Chain("INPUT", (), "ACCEPT"),
            Chain("OUTPUT", (portals,), "ACCEPT"), Chain("POSTROUTING", (leaving,), "ACCEPT"),
            Chain("KUBE-SERVICES", tuple(self._services())),
            Chain("KUBE-LOAD-BALANCER", tuple(self._load_balancer())),
            Chain("KUBE-NODE-PORT", tuple(self._node_ports())),
            Chain("KUBE-POSTROUTING", tuple(self._postrouting())),
            Chain("KUBE-MARK-MASQ", (Rule((), SetMark(*self._bits()), "rewrite the source when it leaves"),)),
        ]  # fmt: skip
        return Ruleset(self.node.family, {
            "filter": Table("filter", {chain.name: chain for chain in self._filter(guards)}),
            "nat": Table("nat", {chain.name: chain for chain in nat}),
        })  # fmt: skip

    def _bits(self) -> tuple[int, int]:
        return self.node.masquerade_mark, self.node.masquerade_mark

    # nat

    def _services(self) -> Iterator[Rule]:
        loopback = Source(_LOOPBACK[self.node.family])
        yield Rule((loopback,), Return(), "IPVS does not serve node ports on loopback")
        yield from self._rule("LOAD-BALANCER", _BOTH, Jump("KUBE-LOAD-BALANCER"), "traffic to a load balancer's IP")
        yield from self._cluster_ip()
        yield from self._rule("EXTERNAL-IP", _BOTH, _MASQ, "replies must come back through this node")
        for name in ("EXTERNAL-IP", "EXTERNAL-IP-LOCAL"):
            yield from self._external(name)
        yield Rule((AddrType("dst", "LOCAL"),), Jump("KUBE-NODE-PORT"), "for this node itself: perhaps a node port")
        for name in ("CLUSTER-IP", "LOAD-BALANCER"):
            if name in self.full:
                yield Rule(self._ask(name, _BOTH, comment=False), Accept(), "IPVS takes it from here")

    def _cluster_ip(self) -> Iterator[Rule]:
        local = self.node.local_traffic
        outside = "the source is no Pod: replies must come back here"
        match rewritten_inside(self.node, IPVS):
            case Origin.ANYBODY:
                yield from self._rule("CLUSTER-IP", _BOTH, _MASQ, "masqueradeAll: every source is rewritten")
            case Origin.OUTSIDER if isinstance(local, Source):
                yield from self._rule("CLUSTER-IP", _BOTH, _MASQ, outside, Source(local.net, negated=True))
            case Origin.OUTSIDER if isinstance(local, InInterface):
                yield from self._rule("CLUSTER-IP", _BOTH, _MASQ, outside, InInterface(local.name, negated=True))
            case _:
                yield from self._rule("CLUSTER-IP", "src,dst", _MASQ, "the node calls with the ClusterIP as its source")

    def _external(self, name: str) -> Iterator[Rule]:
        if name in self.full:
            asked = self._ask(name, _BOTH)
            outside = (Words(("-m", "physdev", "!", "--physdev-is-in")), AddrType("src", "LOCAL", negated=True))
            yield Rule((*asked, *outside), Accept(), "from outside, for IPVS")
            yield Rule((*asked, AddrType("dst", "LOCAL")), Accept(), "the address is this node's own, for IPVS")

    def _load_balancer(self) -> Iterator[Rule]:
        yield from self._rule("LOAD-BALANCER-LOCAL", _BOTH, Return(), "policy Local: the source is kept")
        yield Rule((), _MASQ, "replies must come back through this node")

    def _node_ports(self) -> Iterator[Rule]:
        for protocol in ("tcp", "udp", "sctp"):
            suffix, sides = ("-HASH", _BOTH) if protocol == "sctp" else ("", "dst")
            kind = f"{protocol.upper()}{suffix}"
            match = Proto(protocol)
            yield from self._rule(f"NODE-PORT-LOCAL-{kind}", sides, Return(), "policy Local: the source is kept", match)
            yield from self._rule(f"NODE-PORT-{kind}", sides, _MASQ, "replies must come back through this node", match)

    def _postrouting(self) -> Iterator[Rule]:
        bit, mask = self._bits()
        hairpin = Masquerade(random_fully=False)
        yield from self._rule("LOOP-BACK", "dst,dst,src", hairpin, "the endpoint calls itself")
        yield Rule((Mark(bit, mask, negated=True),), Return(), "not marked: leave it alone")
        yield Rule((), SetMark(bit, 0), "take the mark off, so that it is rewritten once")
        note = Comment("kubernetes service traffic requiring SNAT")
        yield Rule((note,), Masquerade(), "rewrite the source to this node's")

    # filter

    def _filter(self, guards: tuple[Rule, ...]) -> Iterator[Chain]:
        firewall = Rule((Comment("kube-proxy firewall rules"),), Jump("KUBE-PROXY-FIREWALL"), "source ranges")
        forward = Rule((Comment("kubernetes forwarding rules"),), Jump("KUBE-FORWARD"), "what may be forwarded")
        checks = Rule((Comment("kubernetes health check rules"),), Jump("KUBE-NODE-PORT"), "health check ports")
        access = Comment("kubernetes ipvs access filter")
        inward = Rule((access,), Jump("KUBE-IPVS-FILTER"), "only service ports of service addresses")
        outward = Rule((access,), Jump("KUBE-IPVS-OUT-FILTER"), "source ranges for the node itself")
        yield Chain("INPUT", (inward, firewall, checks), "ACCEPT")
        yield Chain("FORWARD", (firewall, forward), "ACCEPT")
        yield Chain("OUTPUT", (outward,), "ACCEPT")
        yield Chain("KUBE-FORWARD", tuple(self._forward()))
        health = Rule(self._ask("HEALTH-CHECK-NODE-PORT", "dst"), Accept(),
                      "let the load balancer ask which nodes have endpoints")  # fmt: skip
        yield Chain("KUBE-NODE-PORT", (health,))
        yield Chain("KUBE-SOURCE-RANGES-FIREWALL", tuple(self._source_ranges()))
        to_ranges = Jump("KUBE-SOURCE-RANGES-FIREWALL")
        yield Chain("KUBE-PROXY-FIREWALL",
                    tuple(self._rule("LOAD-BALANCER-FW", _BOTH, to_ranges, "only some sources may enter")))  # fmt: skip
        yield Chain("KUBE-IPVS-FILTER", tuple(self._access()))
        yield Chain("KUBE-IPVS-OUT-FILTER", guards)

    def _forward(self) -> Iterator[Rule]:
        note = Comment("kubernetes forwarding rules")
        yield Rule((note, Mark(*self._bits())), Accept(), "marked traffic may be forwarded")
        yield Rule((Comment("kubernetes forwarding conntrack rule"), CtState(("RELATED", "ESTABLISHED"))), Accept(),
                   "so may its replies")  # fmt: skip

    def _source_ranges(self) -> Iterator[Rule]:
        for name in ("LOAD-BALANCER-SOURCE-CIDR", "LOAD-BALANCER-SOURCE-IP"):
            yield from self._rule(name, "dst,dst,src", Return(), "a source range that may enter")
        yield Rule((), Drop(), "the source is in none of loadBalancerSourceRanges")

    def _access(self) -> Iterator[Rule]:
        for name in ("LOAD-BALANCER", "CLUSTER-IP", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL"):
            yield Rule(self._ask(name, _BOTH, comment=False), Return(), "a service port")
        yield Rule(self._ask("HEALTH-CHECK-NODE-PORT", "dst", comment=False), Return(), "a health check port")
        asked = self._ask("IPVS-IPS", "dst", comment=False)
        yield Rule((CtState(("NEW",)), *asked), _REJECT[self.node.family], "a service address has no other ports")


# --- from one snapshot to the next

_Thing = VirtualServer | str | Rule


class IpvsCompiler:
    """Compiles the service ports of one node, remembers each result, and knows what a few changed ones change."""

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self._ledger: Ledger[Part, _Thing] = Ledger(lambda service: service_part(service, node), _things)
        self._sizes: Counter[str] = Counter()

    def whole(self, snapshot: Snapshot) -> Ipvs:
        """Everything, and the next `change` begins here."""
        state = assemble(self._ledger.reset(snapshot), self.node)
        self._sizes = Counter({name: len(found.entries) for name, found in state.sets.items()})
        return state

    def look(self, snapshot: Snapshot) -> Ipvs:
        """Everything, for somebody who only looks."""
        return assemble(self._ledger.look(snapshot), self.node)

    def get_ready(self) -> None:
        """Do now what the next `change` would have to do first."""
        self._ledger.get_ready()

    def change(self, snapshot: Snapshot) -> IpvsPlan | None:
        """What is different since the snapshot before; None when whole states have to be compared.

        A change that empties a set, fills an empty one or touches the rules is left to the comparison, too.
        """
        changes = self._ledger.change(snapshot)
        return None if changes is None else _plan_of(self.node.family, changes, self._sizes)


def _things(part: Part) -> dict[Hashable, _Thing]:
    found: dict[Hashable, _Thing] = {server.key: server for server in reversed(part.servers)}
    found |= {(name, entry): entry for name, entry in part.entries}
    found |= {("address", address): address for address in part.addresses}
    return found | {("guard", (part.owner, at)): rule for at, rule in enumerate(part.guards)}


def _plan_of(family: Family, changes: Iterable[Change[_Thing]], sizes: Counter[str]) -> IpvsPlan | None:
    """The changes as a plan; SIZES tells how many entries each set has, and will."""
    servers: list[VirtualServer] = []
    gone: list[ServerKey] = []
    add: list[tuple[ServerKey, RealServer]] = []
    drop: list[tuple[ServerKey, RealServer]] = []
    entries: dict[str, list[str]] = {}
    lost: dict[str, list[str]] = {}
    for key, old, new in changes:
        if isinstance(key, ServerKey):
            assert old is None or isinstance(old, VirtualServer)
            if not isinstance(new, VirtualServer):
                gone.append(key)
                continue
            if old is None or (old.scheduler, old.persistent_s) != (new.scheduler, new.persistent_s):
                servers.append(new)
            more, less = destination_changes(new, old)
            add += more
            drop += less
            continue
        assert isinstance(key, tuple)
        kind, entry = key
        if kind == "guard":  # each is of one service port: two may want the same
            return None
        name = set_name("IPVS-IPS" if kind == "address" else kind, family)
        (lost if new is None else entries).setdefault(name, []).append(entry)
    for name in {*entries, *lost}:
        was = sizes[name]
        sizes[name] += len(entries.get(name, ())) - len(lost.get(name, ()))
        if not was or not sizes[name]:  # rules ask only sets that are not empty
            return None
    bound = set_name("IPVS-IPS", family)
    return IpvsPlan(
        family, entries={name: tuple(found) for name, found in entries.items()},
        removed_entries={name: tuple(found) for name, found in lost.items()}, addresses=tuple(entries.get(bound, ())),
        removed_addresses=tuple(lost.get(bound, ())), servers=tuple(servers), removed_servers=tuple(gone),
        destinations=tuple(add), removed_destinations=tuple(drop),
    )  # fmt: skip
