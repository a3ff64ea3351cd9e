"""userspace mode: rules that lead to a process of ours, which copies bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from netproxy.nodeproxy.modes.iptables import IptablesPart
from netproxy.nodeproxy.modes.port import Host, Line, Pending, Wanted
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.rules import userspace_lines
from netproxy.proxy.userspace import Forward, UserspaceCompiler, forward_name, forwards


class UserspaceMode:
    """What kube-proxy did before it left the work to the kernel."""

    name = "userspace"

    def __init__(self, view: NodeView, host: Host) -> None:
        self.view = view
        self.part = IptablesPart(host)
        self.compiler = UserspaceCompiler(view)
        self._process = host.forwarder
        self._told: tuple[Forward, ...] = ()
        self._ports: dict[str, int] = {}

    def sync(self, snapshot: Snapshot, *, check: bool) -> int:
        """Tell the process, then make the rules right; how many rules changed."""
        self._tell(snapshot)
        return self.part.follow(self.compiler, snapshot, check=check)

    def _tell(self, snapshot: Snapshot) -> None:
        wanted = forwards(snapshot)
        if wanted == self._told and (self._process.is_running or not wanted):
            return
        self._told = ()
        self._ports = self._ask(wanted)["ports"]
        self.compiler.listen(self._ports)
        self._told = wanted

    def _ask(self, wanted: tuple[Forward, ...]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._process.ask(json.dumps({"forwards": wanted})))
        return answer

    def pending(self, snapshot: Snapshot) -> Pending:
        """What is different in the kernel."""
        return self.part.pending(self.compiler.look(snapshot))

    def lines(self, snapshot: Snapshot, wanted: Wanted) -> Iterator[tuple[ServicePort, Iterable[Line]]]:
        """The rules of some service ports."""
        present, counters = self.part.kernel.counters()
        for service in filter(wanted, snapshot.services):
            port = self._ports.get(forward_name(service))
            yield service, userspace_lines(service, self.view, port, present, counters)

    def remove(self, *, successor: str) -> bool:
        """Take the rules away, and end the process when it has no connections any more; False until then."""
        if successor == "nftables":
            self.part.clear()
        if self._process.is_running and self._ask(())["connections"]:
            return False
        self._process.close()
        return True

    def close(self) -> None:
        """Nothing of its own to give back: the process is the host's."""
