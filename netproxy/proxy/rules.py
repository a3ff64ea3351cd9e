"""The rules of one Service, in the order in which a packet meets them, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netproxy.proxy.decisions import ready_endpoints
from netproxy.proxy.iptables_service import ServiceRules
from netproxy.proxy.ipvs import SETS, set_name
from netproxy.proxy.ipvs import Part as IpvsPart
from netproxy.proxy.model import NodeView, ServicePort
from netproxy.proxy.nftables_service import Part as NftPart
from netproxy.proxy.nftables_table import assemble, guards
from netproxy.proxy.userspace import node_port_rule, portals
from netproxy.ruleset.iptables import rule_words
from netproxy.ruleset.ipvs import Counters as IpvsCounters
from netproxy.ruleset.ipvs import Ipvs, ServerKey, render_servers
from netproxy.ruleset.ir import Counters, Rule, Ruleset
from netproxy.ruleset.nft import Chain as NftChain
from netproxy.ruleset.nft import Table
from netproxy.ruleset.nftables import element_list, rule_text


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as it is shown: where it is, what it says, why, and what it has seen."""

    table: str
    chain: str
    number: int
    text: str
    why: str
    packets: int | None
    bytes: int | None
    present: bool


def in_packet_order(rules: ServiceRules, shared: Ruleset, present: Ruleset, counters: Counters) -> Iterator[Line]:
    """The lines of one service port: what is blocked, what leads in, its chains from entry to endpoint, the way out."""
    entries = [
        ("filter", "KUBE-PROXY-FIREWALL", rules.firewall), ("filter", "KUBE-SERVICES", rules.filter_services),
        ("filter", "KUBE-EXTERNAL-SERVICES", rules.filter_external), ("filter", "KUBE-NODEPORTS", rules.filter_node_ports),
        ("nat", "KUBE-SERVICES", rules.services), ("nat", "KUBE-NODEPORTS", rules.node_ports),
    ]  # fmt: skip
    for table, chain, lines in entries:
        for rule in lines:
            yield _line(table, chain, rule, present, counters)
    entry = ("KUBE-FW-", "KUBE-EXT-", "KUBE-SVL-", "KUBE-SVC-", "KUBE-SEP-")
    for prefix in entry:
        for own in rules.chains:
            if own.name.startswith(prefix):
                for rule in own.rules:
                    yield _line("nat", own.name, rule, present, counters)
    if rules.chains:
        for rule in shared.tables["nat"].chains["KUBE-POSTROUTING"].rules:
            yield _line("nat", "KUBE-POSTROUTING", rule, present, counters)


def _line(table: str, chain: str, rule: Rule, present: Ruleset, counters: Counters) -> Line:
    there = present.tables[table].chains.get(chain) if table in present.tables else None
    number = there.rules.index(rule) + 1 if there and rule in there.rules else 0
    packets, size = counters[table, chain][number - 1] if number else (0, 0)
    return Line(table, chain, number, f"-A {chain}{rule_words(rule)}", rule.why, packets, size, bool(number))


def nftables_lines(part: NftPart, node: NodeView, present: Table | None) -> Iterator[Line]:
    """The same for nftables: the elements that lead in, then chains from entry to endpoint, then the way out.

    Rules have no counters there, as kube-proxy writes them.
    """
    layout = "flat" if present is not None and "hairpins" in present.sets else "kube-proxy"
    for name, key, element in part.elements:
        there = present is not None and present.elements.get(name, {}).get(key) == element
        text = f"{name} {element_list({key: element})}"
        yield Line("kube-proxy", name, 0, text, _WHY.get(name, "an endpoint of the service"), None, None, there)
    if part.chains:
        yield from _nft_rules(NftChain("services", tuple(guards(node, layout))), present)
    prefixes = ("firewall-", "external-", "nodeport-", "local-", "service-", "cluster-ip-", "endpoint-")
    for prefix in prefixes:
        for chain in part.chains:
            if chain.name.startswith(prefix):
                yield from _nft_rules(chain, present)
    if part.chains and present is not None and "masquerading" in present.chains:
        yield from _nft_rules(assemble((), node, layout=layout).chains["masquerading"], present)


_WHY = {
    "cluster-ips": "other ports of this address are refused",
    "service-ips": "traffic to the service's address and port",
    "service-nodeports": "traffic to the node port",
    "no-endpoint-services": "nobody is there to answer",
    "no-endpoint-nodeports": "nobody is there to answer",
    "firewall-ips": "only some sources may enter",
    "hairpins": "an endpoint that calls itself",
    "hairpin-connections": "an endpoint that calls itself",
}


def _nft_rules(chain: NftChain, present: Table | None) -> Iterator[Line]:
    there = present.chains.get(chain.name) if present else None
    for number, rule in enumerate(chain.rules, 1):
        same = there is not None and number <= len(there.rules) and there.rules[number - 1] == rule
        yield Line("kube-proxy", chain.name, number if same else 0, rule_text(rule), rule.why, None, None, same)


def ipvs_lines(part: IpvsPart, node: NodeView, present: Ipvs, counters: IpvsCounters) -> Iterator[Line]:
    """The same for IPVS: virtual servers with their destinations, then what the sets know of the service port."""
    for server in part.servers:
        there = present.servers.get(server.key)
        text = render_servers([server]).splitlines()
        yield _ipvs_line("virtual server", text[0], "spreads connections over its destinations", counters,
                         (server.key, "", 0), present=there is not None)  # fmt: skip
        held = {(real.address, real.port) for real in there.destinations} if there else set()
        for real, line in zip(server.destinations, text[1:], strict=True):
            at = (real.address, real.port)
            yield _ipvs_line("destination", line, "takes its share of the connections", counters, (server.key, *at),
                             present=at in held)  # fmt: skip
    for address in part.addresses:
        yield Line("ipvs", "kube-ipvs0", 0, address, "the address is this node's own, so that packets stay here",
                   None, None, address in present.addresses)  # fmt: skip
    for short, entry in part.entries:
        name = set_name(short, node.family)
        item = present.sets.get(name)
        yield Line("ipset", name, 0, f"add {name} {entry}", SETS[short].comment, None, None,
                   item is not None and entry in item.entries)  # fmt: skip
    for rule in part.guards:
        yield Line("filter", "KUBE-IPVS-OUT-FILTER", 0, f"-A KUBE-IPVS-OUT-FILTER{rule_words(rule)}", rule.why,
                   None, None, present=True)  # fmt: skip


def _ipvs_line(
    chain: str, text: str, why: str, counters: IpvsCounters, at: tuple[ServerKey, str, int], *, present: bool
) -> Line:
    packets, size = counters.get(at, (0, 0))
    return Line("ipvs", chain, 0, text, why, packets, size, present)


def userspace_lines(
    service: ServicePort, node: NodeView, port: int | None, present: Ruleset, counters: Counters
) -> Iterator[Line]:
    """The same for userspace mode: what leads to the process, and the endpoints between which it chooses."""
    if port is None:
        return
    for kind, on_host in (("CONTAINER", False), ("HOST", True)):
        for rule in portals(service, node, port, on_host=on_host):
            yield _line("nat", f"KUBE-PORTALS-{kind}", rule, present, counters)
        if service.node_port:
            rule = node_port_rule(service, node, port, on_host=on_host)
            yield _line("nat", f"KUBE-NODEPORT-{kind}", rule, present, counters)
    for endpoint in ready_endpoints(service):
        yield Line("process", f"port {port}", 0, f"connect to {endpoint.target}", "one of the endpoints, in turn",
                   None, None, present=True)  # fmt: skip
