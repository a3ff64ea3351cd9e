"""nftables mode: one table of our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netproxy.nodeproxy.modes.port import Host, Line, Pending, Wanted
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.nftables import NftCompiler, service_part
from netproxy.proxy.nftables_table import TABLE
from netproxy.proxy.rules import nftables_lines
from netproxy.ruleset.nft_plan import NftPlan, plan, removal, render_plan


class NftablesMode:
    """Verdict maps, and a chain for every service port and endpoint (layout kube-proxy) or none (layout flat)."""

    name = "nftables"

    def __init__(self, view: NodeView, host: Host, *, layout: str = "kube-proxy") -> None:
        self.view = view
        self.layout = layout
        self.kernel = host.nft_table(TABLE)
        self.compiler = NftCompiler(view, layout=layout)
        self._is_applied = False
        self._strangers: int | None = None

    def sync(self, snapshot: Snapshot, *, check: bool) -> int:
        """Make the kernel right; how many parts changed. The table is read only when somebody else wrote anything."""
        if self._is_applied and (not check or self._is_ours_alone()):
            change = self.compiler.change(snapshot)
            if change is not None:
                return self._write_one(change)
        self._is_applied = False
        self._strangers = self.kernel.strangers()
        present = self.kernel.read()
        if present is None:
            return self._write(self.compiler.fresh(snapshot))
        change = plan(self.compiler.whole(snapshot), present)
        return self._write_one(change)

    def _is_ours_alone(self) -> bool:
        """Whether nobody else has changed any nftables rules since the table was read, as far as can be told now.

        While our other family is in the middle of a transaction it cannot be told; the next check will see.
        """
        return self._strangers is not None and self.kernel.strangers() in (None, self._strangers)

    def _write_one(self, change: NftPlan) -> int:
        self._is_applied = False
        if change:
            self.kernel.write(change)
        self._is_applied = True
        return change.size

    def _write(self, changes: Iterable[NftPlan]) -> int:
        size = 0

        def counted() -> Iterator[NftPlan]:
            nonlocal size
            for change in changes:
                size += change.size
                yield change

        self._is_applied = False
        self.kernel.write_all(counted())
        self._is_applied = True
        return size

    def pending(self, snapshot: Snapshot) -> Pending:
        """What is different in the kernel."""
        change = plan(self.compiler.look(snapshot), self.kernel.read())
        return Pending(change.size, render_plan(change) if change else "")

    def lines(self, snapshot: Snapshot, wanted: Wanted) -> Iterator[tuple[ServicePort, Iterable[Line]]]:
        """The elements, chains and rules of some service ports."""
        present = self.kernel.read()
        for service in filter(wanted, snapshot.services):
            yield service, nftables_lines(service_part(service, self.view, layout=self.layout), self.view, present)

    def remove(self, *, successor: str) -> bool:
        """Take the table away; connections keep their translation, which conntrack remembers."""
        if self.kernel.read() is not None:
            self.kernel.write(removal(self.view.family, TABLE))
        self.close()
        return True

    def close(self) -> None:
        """Close the library's socket."""
        self.kernel.close()
