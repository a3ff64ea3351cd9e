"""One pass of a node's proxy: objects → rules → plan → kernel, for both address families."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.conntrack import ConntrackKernel
from netproxy.nodeproxy.modes import Host, Mode, Pending, make_mode, may_be_left
from netproxy.objects.meta import Object
from netproxy.objects.validate import PROXY_MODES
from netproxy.proxy.config import BE_LIBERAL, node_view, sysctls
from netproxy.proxy.conntrack import stale_flows, udp_targets
from netproxy.proxy.health import HealthCheck, health_checks
from netproxy.proxy.model import Snapshot
from netproxy.proxy.tracker import Tracker

_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    node: str
    family: Family
    changed: int
    forgotten_flows: int = 0


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep the garbage collector still while a million small values are made that all live."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mode a node is in, and the layout of nftables mode."""

    mode: str = "iptables"
    layout: str = "kube-proxy"


class FamilyProxy:
    """The proxy of one node in one address family, whatever its mode."""

    def __init__(
        self,
        node: Object,
        config: Mapping[str, Any],
        host: Host,
        *,
        choice: Choice = Choice(),  # frozen
        addresses: tuple[str, ...] = (),
    ) -> None:
        self.host = host
        self.choice = choice
        self.view = node_view(node, config, host.family, addresses=addresses, mode=choice.mode)
        self._addresses = addresses
        self.tracker = Tracker(self.view)
        self.mode = make_mode(choice.mode, self.view, host, layout=choice.layout)
        self._retired: list[Mode] = [] if host.is_new else self._others()
        self._config = config
        self._targets: frozenset[tuple[str, int]] = frozenset()
        self._flows_checked: tuple[object, int] | None = None
        self._sysctls_written = False
        self.lock = threading.Lock()

    def _others(self) -> list[Mode]:
        """The other modes, of which something may be left by an agent before us."""
        names = [name for name in PROXY_MODES if name != self.choice.mode and may_be_left(name)]
        return [make_mode(name, self.view, self.host) for name in names]

    @property
    def node(self) -> str:
        """The node's name."""
        return self.view.name

    def reconfigure(self, node: Object, config: Mapping[str, Any], choice: Choice) -> bool:
        """Take another Node, configuration or mode; true when that changes anything, and all objects must come again."""
        view = node_view(node, config, self.view.family, addresses=self._addresses, mode=choice.mode)
        if (view, dict(config), choice) == (self.view, dict(self._config), self.choice):
            return False
        with self.lock:
            self.view, self._config, self._sysctls_written = view, config, False
            self.tracker = Tracker(view)
            if self.mode.name != choice.mode:
                self._retired.append(self.mode)
                self.host.iptables.forget()
            else:
                self.mode.close()
            self.mode = make_mode(choice.mode, view, self.host, layout=choice.layout)
            self.choice = choice
        return True

    def observe(self, obj: Object, *, old: Object | None = None, deleted: bool = False) -> None:
        """A Service, an EndpointSlice or a ServiceCIDR was added, changed or deleted."""
        if obj["kind"] == "Service":
            self.tracker.set_service(obj, deleted=deleted)
        elif obj["kind"] == "EndpointSlice":
            self.tracker.set_slice(obj, old=old, deleted=deleted)
        elif obj["kind"] == "ServiceCIDR":
            self.tracker.set_service_cidr(obj, deleted=deleted)

    def snapshot(self) -> Snapshot:
        """What the rules are to be made of, at this moment (call it where objects change)."""
        with _no_collections():
            return self.tracker.snapshot()

    def sync(self, snapshot: Snapshot, *, check: bool = False) -> Pass:
        """Make the kernel right. CHECK looks at it first, so that what others changed comes back.

        A mode that is left goes when the new one's rules are there. Raises KernelError when the kernel refuses twice:
        once for the small change, once after reading everything.
        """
        with self.lock, _no_collections():
            self._write_sysctls()
            try:
                changed = self.mode.sync(snapshot, check=check)
            except KernelError:
                changed = self.mode.sync(snapshot, check=True)
            self._retired = [mode for mode in self._retired if not self._is_gone(mode)]
            return Pass(self.node, self.view.family, changed, self._forget_stale_flows(snapshot))

    def _is_gone(self, mode: Mode) -> bool:
        return mode.name == self.choice.mode or mode.remove(successor=self.choice.mode)

    def pending(self, snapshot: Snapshot) -> Pending:
        """What is different in the kernel from what should be there; changes nothing."""
        with self.lock:
            return self.mode.pending(snapshot)

    def close(self) -> None:
        """Give sockets and processes back."""
        for mode in (self.mode, *self._retired):
            mode.close()
        self.host.close()

    def _write_sysctls(self) -> None:
        if self._sysctls_written:
            return
        with netns.visiting(self.host.namespace):
            wanted = sysctls(self._config, self.view, mode=self.choice.mode)
            if self.view.family is Family.IPV6:
                wanted.pop(BE_LIBERAL, None)
            netns.write_sysctls(
                (path, value) for path, value in wanted.items() if netns.read_sysctl(path) not in ("", value)
            )
        self._sysctls_written = True

    def _forget_stale_flows(self, snapshot: Snapshot) -> int:
        checked = (snapshot.step.of, snapshot.step.udp) if snapshot.step else None
        if checked is not None and checked == self._flows_checked:
            return 0
        targets = udp_targets(snapshot)
        forgotten = 0
        if targets or self._targets:
            flows = ConntrackKernel(self.host.namespace, _AF[self.view.family])
            try:
                stale = stale_flows(
                    flows.flows("udp"), snapshot, self.view, former=self._targets,
                    by_process=self.choice.mode == "userspace",
                )  # fmt: skip
                forgotten = flows.forget(stale)
            except KernelError:  # no conntrack table yet: nothing to forget
                return 0
        self._targets, self._flows_checked = targets, checked
        return forgotten

    def health_checks(self) -> tuple[HealthCheck, ...]:
        """The health check node ports that this node answers."""
        return health_checks(self.tracker.snapshot())
