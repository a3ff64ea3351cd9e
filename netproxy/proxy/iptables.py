"""Snapshot → the iptables Ruleset that kube-proxy writes for it, and what changes from one to the next.

Source: kubernetes 1.30 pkg/proxy/iptables/proxier.go (behaviour and texts; recorded states in tests/cases).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netproxy.proxy import chains, iptables_shared
from netproxy.proxy.iptables_service import ServiceRules, service_rules
from netproxy.proxy.ledger import Ledger
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.ruleset.diff import Plan
from netproxy.ruleset.ir import Chain, Ruleset

LARGE_CLUSTER = 1000
"""Above this many endpoints kube-proxy leaves out the comments of endpoint rules and lets stale chains linger."""

PER_SERVICE = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")
"""Chains that belong to one service port: stale ones are removed."""


def compile_iptables(snapshot: Snapshot, node: NodeView) -> Ruleset:
    """The rules that make NODE serve SNAPSHOT, in one address family."""
    return IptablesCompiler(node).whole(snapshot)


class IptablesCompiler:
    """Compiles the service ports of one node, remembers each result, and knows what a few changed ones change."""

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self._comments = True
        self._ledger: Ledger[ServiceRules, chains.Thing] = Ledger(self._compiled, chains.things, private=True)
        self._last: tuple[Snapshot, Ruleset] | None = None

    def _compiled(self, service: ServicePort) -> ServiceRules:
        return service_rules(service, self.node, comments=self._comments)

    def whole(self, snapshot: Snapshot) -> Ruleset:
        """Everything, and the next `change` begins here."""
        if self._last is None or self._last[0] is not snapshot:
            self._heed_size(snapshot)
            self._last = snapshot, iptables_shared.assemble(self._ledger.reset(snapshot), self.node)
        return self._last[1]

    def look(self, snapshot: Snapshot) -> Ruleset:
        """Everything, for somebody who only looks."""
        if self._last is not None and self._last[0] is snapshot:
            return self._last[1]
        if _has_comments(snapshot) is not self._comments:
            return compile_iptables(snapshot, self.node)
        return iptables_shared.assemble(self._ledger.look(snapshot), self.node)

    def fresh(self, snapshot: Snapshot) -> Iterator[tuple[str, Iterable[Chain]]]:
        """The tables of a whole snapshot, compiled while they are read: each chain after those that it jumps to.

        The next `change` begins here, when all has been read.
        """
        parts: list[ServiceRules] = []
        self._heed_size(snapshot)
        self._last = None
        yield "mangle", iptables_shared.mangle_chains()
        yield "nat", self._fresh_nat(snapshot, parts)
        yield "filter", iptables_shared.in_order(iptables_shared.filter_chains(parts, self.node))

    def _fresh_nat(self, snapshot: Snapshot, parts: list[ServiceRules]) -> Iterator[Chain]:
        mark = iptables_shared.mark_masq(self.node)
        yield mark
        for part in self._ledger.stream(snapshot):
            parts.append(part)
            yield from part.chains
        shared = iptables_shared.nat_chains(parts, self.node, own=())
        yield from iptables_shared.in_order(chain for chain in shared if chain.name != mark.name)

    def change(self, snapshot: Snapshot) -> Plan | None:
        """What is different since the snapshot before; None when whole rulesets have to be compared."""
        if _has_comments(snapshot) is not self._comments:
            return None
        before = self._ledger.parts
        changes = self._ledger.change(snapshot)
        if changes is None:
            return None
        self._last = None
        return chains.plan_of(
            changes, self.node.family, before=before, after=self._ledger.parts,
            shared=lambda slot, parts: iptables_shared.shared_chain(slot, parts, self.node),
        )  # fmt: skip

    def get_ready(self) -> None:
        """Do now what the next `change` would have to do first."""
        self._ledger.get_ready()

    def _heed_size(self, snapshot: Snapshot) -> None:
        """A cluster that has become large has no comments any more, and the other way round."""
        if _has_comments(snapshot) is not self._comments:
            self._comments = not self._comments
            self._ledger.forget()


def _has_comments(snapshot: Snapshot) -> bool:
    return snapshot.endpoint_count <= LARGE_CLUSTER
