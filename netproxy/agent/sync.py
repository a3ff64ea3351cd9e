"""One pass of a node's proxy: objects → rules → plan → kernel, for both address families."""

from __future__ import annotations

import contextlib
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
from netproxy.linux.iptables import IptablesKernel
from netproxy.objects.meta import Object
from netproxy.proxy.config import BE_LIBERAL, node_view, sysctls
from netproxy.proxy.conntrack import stale_flows, udp_targets
from netproxy.proxy.health import HealthCheck, health_checks
from netproxy.proxy.iptables import LARGE_CLUSTER, PER_SERVICE, Compiler
from netproxy.proxy.model import Snapshot
from netproxy.proxy.tracker import Tracker
from netproxy.ruleset.diff import Plan, owned_by_prefix, plan
from netproxy.ruleset.ir import Ruleset

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


class FamilyProxy:
    """The proxy of one node in one address family."""

    def __init__(
        self,
        node: Object,
        config: Mapping[str, Any],
        family: Family,
        kernel: IptablesKernel,
        *,
        addresses: tuple[str, ...] = (),
    ) -> None:
        self.view = node_view(node, config, family, addresses=addresses)
        self.kernel = kernel
        self._addresses = addresses
        self.tracker = Tracker(self.view)
        self.compiler = Compiler(self.view)
        self._config = config
        self._targets: frozenset[tuple[str, int]] = frozenset()
        self._flows_checked: Snapshot | None = None
        self._sysctls_written = False
        self.lock = threading.Lock()

    @property
    def node(self) -> str:
        """The node's name."""
        return self.view.name

    def reconfigure(self, node: Object, config: Mapping[str, Any]) -> bool:
        """Take another Node or configuration; true when that changes anything, and all objects must come again."""
        view = node_view(node, config, self.view.family, addresses=self._addresses)
        if view == self.view and dict(config) == dict(self._config):
            return False
        with self.lock:
            self.view, self._config, self._sysctls_written = view, config, False
            self.tracker, self.compiler = Tracker(view), Compiler(view)
        return True

    def observe(self, obj: Object, *, old: Object | None = None, deleted: bool = False) -> None:
        """A Service or an EndpointSlice was added, changed or deleted."""
        if obj["kind"] == "Service":
            self.tracker.set_service(obj, deleted=deleted)
        elif obj["kind"] == "EndpointSlice":
            self.tracker.set_slice(obj, old=old, deleted=deleted)

    def snapshot(self) -> Snapshot:
        """What the rules are to be made of, at this moment (call it where objects change)."""
        with _no_collections():
            return self.tracker.snapshot()

    def change(self, snapshot: Snapshot, present: Ruleset, *, clean: bool = True) -> Plan:
        """What a pass would change; without CLEAN, stale chains of a large cluster may stay a while."""
        keep = snapshot.endpoint_count > LARGE_CLUSTER and not clean
        return plan(self.compiler.ruleset(snapshot), present, owned=owned_by_prefix(PER_SERVICE), keep_stale=keep)

    def sync(self, snapshot: Snapshot, *, check: bool = False) -> Pass:
        """Make the kernel right. CHECK reads it first, so that what others changed comes back.

        Raises KernelError when the kernel refuses twice: once for the small change, once after reading everything.
        """
        with self.lock, _no_collections():
            self._write_sysctls()
            try:
                changed = self._sync(snapshot, check=check)
            except KernelError:
                change = self.change(snapshot, self.kernel.read())
                self._write(change)
                changed = change.size
            return Pass(self.node, self.view.family, changed, self._forget_stale_flows(snapshot))

    def _sync(self, snapshot: Snapshot, *, check: bool) -> int:
        present = self.kernel.read() if check else self.kernel.present()
        if self.kernel.is_blank and len(snapshot.services) <= self.kernel.largest_fresh:
            self.kernel.write_fresh(self.compiler.fresh(snapshot))
            self.kernel.settle(lambda: self.compiler.ruleset(snapshot))
            return 1 + len(snapshot.services)
        change = self.change(snapshot, present, clean=check)
        self._write(change)
        return change.size

    def pending(self, snapshot: Snapshot) -> Plan:
        """What is different in the kernel from what should be there; changes nothing."""
        with self.lock:
            return self.change(snapshot, self.kernel.read())

    def _write(self, change: Plan) -> None:
        if change:
            self.kernel.write(change)

    def _write_sysctls(self) -> None:
        if self._sysctls_written:
            return
        with netns.visiting(self.kernel.namespace):
            wanted = sysctls(self._config, self.view)
            if self.view.family is Family.IPV6:
                wanted.pop(BE_LIBERAL, None)
            netns.write_sysctls(
                (path, value) for path, value in wanted.items() if netns.read_sysctl(path) not in ("", value)
            )
        self._sysctls_written = True

    def _forget_stale_flows(self, snapshot: Snapshot) -> int:
        targets = udp_targets(snapshot)
        if snapshot is self._flows_checked or not (targets or self._targets):
            self._flows_checked = snapshot
            return 0
        flows = ConntrackKernel(self.kernel.namespace, _AF[self.view.family])
        with contextlib.suppress(KernelError):  # no conntrack table yet: nothing to forget
            stale = stale_flows(flows.flows("udp"), snapshot, former=self._targets)
            forgotten = flows.forget(stale)
            self._targets, self._flows_checked = targets, snapshot
            return forgotten
        return 0

    def health_checks(self) -> tuple[HealthCheck, ...]:
        """The health check node ports that this node answers."""
        return health_checks(self.tracker.snapshot())
