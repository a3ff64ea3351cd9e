"""iptables mode, and the iptables part of the modes that need one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netproxy.nodeproxy.modes.port import Host, Line, Pending, Wanted
from netproxy.proxy.compiler import Compiler
from netproxy.proxy.iptables import LARGE_CLUSTER, PER_SERVICE, IptablesCompiler
from netproxy.proxy.iptables_service import service_rules
from netproxy.proxy.iptables_shared import COUNTERS
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.rules import in_packet_order
from netproxy.ruleset.diff import Plan, owned_by_prefix, plan
from netproxy.ruleset.iptables import render_plan
from netproxy.ruleset.ir import Ruleset

OURS = (
    *PER_SERVICE, "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ",
    "KUBE-FORWARD", "KUBE-FIREWALL", "KUBE-PROXY-FIREWALL", "KUBE-PROXY-CANARY",
    "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-FILTER", "KUBE-IPVS-OUT-FILTER",
    "KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST", "KUBE-NODEPORT-CONTAINER", "KUBE-NODEPORT-HOST",
)  # fmt: skip
"""Chains of all modes, by how their names begin: what one mode left, the next one takes away."""

_owned = owned_by_prefix(OURS)


class IptablesPart:
    """The iptables rules of one family: whatever is ours and not desired goes."""

    def __init__(self, host: Host) -> None:
        self.kernel = host.iptables
        self._is_followed = False
        self._lingers = False
        """Whether a pass has left chains for a later one: no rule leads to them, and only a check takes them away."""

    def follow(
        self, compiler: Compiler[Ruleset, Plan], snapshot: Snapshot, *, check: bool, keep_stale: bool = False
    ) -> int:
        """Make the rules those of SNAPSHOT: by what changed since the pass before, or by comparing all; how many changed."""
        if check and self._is_followed and not self._lingers and self.kernel.is_untouched:
            check = False  # nothing that the pass before left can have changed
        change = compiler.change(snapshot) if self._is_followed and not check else None
        self._is_followed = False
        if change is None:
            size = self.sync(compiler.whole(snapshot), check=check, keep_stale=keep_stale)
        else:
            size = self._write(change, keep_stale=keep_stale)
        self._is_followed = True
        return size

    def followed(self) -> None:
        """Everything is written that the compiler knows: its next change is all that is needed."""
        self._is_followed = True

    def sync(self, desired: Ruleset, *, check: bool, keep_stale: bool = False) -> int:
        """Make the rules those that are desired; how many changed, chains that were left for this pass not among them."""
        present = self.kernel.read() if check else self.kernel.present()
        change = plan(desired, present, owned=_owned)
        if keep_stale or not self._lingers:
            return self._write(change, keep_stale=keep_stale)
        self._write(change)
        self._lingers = False
        return change.without_removals().size

    def _write(self, change: Plan, *, keep_stale: bool = False) -> int:
        if keep_stale:
            self._lingers |= any(table.removed for table in change.tables)
            change = change.without_removals()
        if change:
            self.kernel.write(change)
        return change.size

    def pending(self, desired: Ruleset) -> Pending:
        """What `sync` would change. The next pass compares all, since what is there may be something else than was left."""
        self._is_followed = False
        change = plan(desired, self.kernel.read(), owned=_owned, keep_stale=self._lingers)
        return Pending(change.size, render_plan(change))

    def clear(self) -> int:
        """Take all rules of all modes away, as far as they are known; read only when nothing is."""
        return self.sync(Ruleset(self.kernel.family), check=False)


class IptablesMode:
    """A chain for every service port and endpoint."""

    name = "iptables"

    def __init__(self, view: NodeView, host: Host) -> None:
        self.view = view
        self.part = IptablesPart(host)
        self.kernel = host.iptables
        self.counters = host.packet_counters
        self._can_count = not view.nfacct
        self.compiler = IptablesCompiler(view)

    def sync(self, snapshot: Snapshot, *, check: bool) -> int:
        """Make the kernel right; how many chains and rules changed."""
        if check or not self._can_count:
            self._make_counters()
        if not check:
            self.kernel.present()
            if self.kernel.is_blank and len(snapshot.services) <= self.kernel.largest_fresh:
                self.kernel.write_fresh(self.compiler.fresh(snapshot))
                self.kernel.settle(lambda: self.compiler.look(snapshot))
                self.part.followed()
                return 1 + len(snapshot.services)
        keep = not check and snapshot.endpoint_count > LARGE_CLUSTER
        return self.part.follow(self.compiler, snapshot, check=check, keep_stale=keep)

    def _make_counters(self) -> None:
        if self.view.nfacct:
            self.counters.ensure(COUNTERS)
            self._can_count = True

    def change(self, snapshot: Snapshot, present: Ruleset) -> Plan:
        """What a pass would change of PRESENT, which must be what the pass before left; it then has to be written."""
        change = self.compiler.change(snapshot)
        return plan(self.compiler.whole(snapshot), present, owned=_owned) if change is None else change

    def pending(self, snapshot: Snapshot) -> Pending:
        """What is different in the kernel."""
        return self.part.pending(self.compiler.look(snapshot))

    def lines(self, snapshot: Snapshot, wanted: Wanted) -> Iterator[tuple[ServicePort, Iterable[Line]]]:
        """The rules of some service ports."""
        shared = self.compiler.look(snapshot)
        present, counters = self.kernel.counters()
        comments = snapshot.endpoint_count <= LARGE_CLUSTER
        for service in filter(wanted, snapshot.services):
            rules = service_rules(service, self.view, comments=comments)
            yield service, in_packet_order(rules, shared, present, counters)

    def remove(self, *, successor: str) -> bool:
        """Take the rules away; a successor that writes iptables rules itself has done so."""
        if successor == "nftables":
            self.part.clear()
        self.counters.drop(COUNTERS)
        return True

    def close(self) -> None:
        """Nothing is held."""
