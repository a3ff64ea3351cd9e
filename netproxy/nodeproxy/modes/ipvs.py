"""IPVS mode: virtual servers, sets and service addresses, and a few iptables rules that ask the sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from netproxy.core.net import Family
from netproxy.nodeproxy.modes.iptables import IptablesPart
from netproxy.nodeproxy.modes.port import Host, Line, Pending, Wanted
from netproxy.proxy.ipvs import IpvsCompiler, service_part
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.rules import ipvs_lines
from netproxy.ruleset.ipvs import Ipvs, IpvsPlan, RealServer, plan, render_plan


class IpvsMode:
    """As many rules for ten thousand Services as for one."""

    name = "ipvs"

    def __init__(self, view: NodeView, host: Host) -> None:
        self.view = view
        self.host = host
        self.kernel = host.virtual_servers(view.family)
        self.part = IptablesPart(host)
        self.compiler = IpvsCompiler(view)
        self._applied: Ipvs | None = None

    def sync(self, snapshot: Snapshot, *, check: bool) -> int:
        """Make the kernel right; how many things changed. Connections of destinations that go are let end first."""
        if self._applied is not None and not check:
            change = self.compiler.change(snapshot)
            if change is not None:
                return self._write(change)
        self._applied = None
        self.kernel.ensure_device()
        state = self.compiler.whole(snapshot)
        present = self.kernel.read() if check else self.kernel.present()
        size = self._write(plan(state, present))
        assert state.rules is not None
        size += self.part.sync(state.rules, check=check)
        gone = [name for name in present.sets if name not in state.sets]
        if gone:
            self.kernel.drop_sets(gone)
        return size

    def _write(self, change: IpvsPlan) -> int:
        """Write; a TCP destination that still has connections gets weight 0 instead of going at once.

        Source: kubernetes 1.30 pkg/proxy/ipvs/graceful_termination.go.
        """
        gone, quiet = [], []
        for key, real in change.removed_destinations:
            ends = key.protocol == "tcp" and key not in change.removed_servers
            if ends and self.kernel.connections(key).get((real.address, real.port)):
                quiet += [(key, RealServer(real.address, real.port, 0))] if real.weight else []
            else:
                gone.append((key, real))
        change = replace(
            change, removed_destinations=tuple(gone), destinations=(*change.destinations, *quiet),
            removed_sets=(),
        )  # fmt: skip
        self._applied = None
        if change:
            self.kernel.write(change)
        self._applied = self.kernel.present()
        return change.size

    def pending(self, snapshot: Snapshot) -> Pending:
        """What is different in the kernel; destinations that are let end are no difference."""
        state = self.compiler.look(snapshot)
        change = plan(state, self.kernel.read())
        change = replace(change, removed_destinations=tuple(d for d in change.removed_destinations if d[1].weight))
        assert state.rules is not None
        rules = self.part.pending(state.rules)
        return Pending(change.size + rules.changes, render_plan(change) + rules.text)

    def lines(self, snapshot: Snapshot, wanted: Wanted) -> Iterator[tuple[ServicePort, Iterable[Line]]]:
        """The virtual servers and set entries of some service ports, with what they have carried."""
        present, counters = self.kernel.read(), self.kernel.counters()
        for service in filter(wanted, snapshot.services):
            yield service, ipvs_lines(service_part(service, self.view), self.view, present, counters)

    def remove(self, *, successor: str) -> bool:
        """Take everything away, but for virtual servers whose connections have not ended: then False."""
        if successor == "nftables":
            self.part.clear()
        present = self.kernel.read()
        busy = {key for key in present.servers if key.protocol == "tcp" and any(self.kernel.connections(key).values())}
        self.kernel.write(IpvsPlan(
            self.view.family, removed_servers=tuple(key for key in present.servers if key not in busy),
            removed_addresses=tuple(present.addresses - {key.address for key in busy}),
        ))  # fmt: skip
        self.kernel.drop_sets(present.sets)
        if busy:
            return False
        if not self._other_family_is_there():
            self.kernel.drop_device()
        self.close()
        return True

    def drop_everything(self) -> None:
        """Take away what `remove` has left for the sake of connections."""
        present = self.kernel.read()
        self.kernel.write(IpvsPlan(
            self.view.family, removed_servers=tuple(present.servers), removed_addresses=tuple(present.addresses)
        ))  # fmt: skip
        if not self._other_family_is_there():
            self.kernel.drop_device()

    def _other_family_is_there(self) -> bool:
        other = Family.IPV4 if self.view.family is Family.IPV6 else Family.IPV6
        return bool(self.host.virtual_servers(other).read().addresses)

    def close(self) -> None:
        """Close the sockets."""
        self.kernel.close()
