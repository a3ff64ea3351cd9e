"""The rules of one Service, in the order in which a packet meets them, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netproxy.proxy.iptables import ServiceRules
from netproxy.ruleset.iptables import rule_words
from netproxy.ruleset.ir import Counters, Rule, Ruleset


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as it is shown: where it is, what it says, why, and what it has seen."""

    table: str
    chain: str
    number: int
    text: str
    why: str
    packets: int
    bytes: int
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
