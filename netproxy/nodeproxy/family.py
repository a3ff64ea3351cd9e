"""One pass of a node's proxy in one address family: objects → rules → plan → kernel.

Plain methods without threads: a worker calls them from one thread, a test from wherever it is.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux.ports import Host
from netproxy.nodeproxy.choice import Choice
from netproxy.nodeproxy.modes import Line, Mode, Pending, Wanted, make_mode, may_be_left
from netproxy.nodeproxy.settings import write_sysctls
from netproxy.objects.meta import Object
from netproxy.objects.proxyconfig import PROXY_MODES
from netproxy.proxy.blame import Blame, culprits, without
from netproxy.proxy.config import node_view
from netproxy.proxy.conntrack import stale_flows, udp_targets
from netproxy.proxy.health import HealthCheck, health_checks
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.tracker import Tracker

log = logging.getLogger(__name__)

__all__ = ["Choice", "FamilyProxy", "Pass"]


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    node: str
    family: Family
    changed: int
    forgotten_flows: int = 0
    flows_s: float = 0.0
    """How long it took to look at tracked connections; 0 when that was not needed."""
    repaired: int = 0
    """How much of what changed was right once: somebody else has changed it since."""


class _Asked(NamedTuple):
    """What rules are made of."""

    snapshot: Snapshot
    mode: Mode
    left_out: tuple[ServicePort, ...]

    def is_still(self, now: _Asked) -> bool:
        """Whether nothing has changed."""
        return self.snapshot is now.snapshot and self.mode is now.mode and self.left_out == now.left_out


USUAL = Choice()


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
    """The proxy of one node in one address family, whatever its mode."""

    def __init__(
        self,
        node: Object,
        config: Mapping[str, Any],
        host: Host,
        *,
        choice: Choice = USUAL,
        addresses: tuple[str, ...] | None = (),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """ADDRESSES are those of the node's interfaces: none are the Node's own, None asks the kernel, again at each check."""
        self._asks_for_addresses = addresses is None
        addresses = addresses or ()
        self.host = host
        self.choice = choice
        self._counts: bool | None = None
        """Whether rules can count packets here; None when nobody has asked yet."""
        self.view = self._view(node, config, choice, addresses)
        self.tracker = Tracker(self.view)
        self.mode = make_mode(choice.mode, self.view, host, layout=choice.layout)
        self.blamed: tuple[Blame[Exception], ...] = ()
        """The service ports that are left out, since the kernel does not take them."""
        self._retired: list[Mode] = [] if host.is_new else self._others()
        self._timer = timer
        self._node = node
        self.config = config
        self._addresses = addresses
        self._targets: frozenset[tuple[str, int]] = frozenset()
        self._flows_checked: tuple[object, int] | None = None
        self._sysctls_written = False
        self._followed: _Asked | None = None

    def _view(self, node: Object, config: Mapping[str, Any], choice: Choice, addresses: tuple[str, ...]) -> NodeView:
        return node_view(
            node, config, self.host.family, addresses=addresses, mode=choice.mode, version=choice.version,
            nfacct=bool(self._counts) and choice.mode == "iptables",
        )  # fmt: skip

    def _others(self) -> list[Mode]:
        """The other modes, of which something may be left by a proxy before us."""
        names = [name for name in PROXY_MODES if name != self.choice.mode and may_be_left(name)]
        return [make_mode(name, self.view, self.host) for name in names]

    @property
    def node(self) -> str:
        """The node's name."""
        return self.view.name

    def reconfigure(
        self, node: Object, config: Mapping[str, Any], choice: Choice, *, addresses: tuple[str, ...] | None = None
    ) -> bool:
        """Take another Node, configuration, mode or other addresses; true when that changes anything."""
        addresses = self._addresses if addresses is None else addresses
        view = self._view(node, config, choice, addresses)
        self._node, self._addresses = node, addresses
        if (view, dict(config), choice) == (self.view, dict(self.config), self.choice):
            return False
        made = make_mode(choice.mode, view, self.host, layout=choice.layout)
        self.view, self.config, self._sysctls_written = view, config, False
        self.tracker = self.tracker.again_for(view)
        if self.mode.name != choice.mode:
            self._retired.append(self.mode)
            self.host.iptables.forget()
        else:
            self.mode.close()
        self.mode, self.choice = made, choice
        return True

    def move_to(self, addresses: tuple[str, ...]) -> bool:
        """The interfaces have other addresses now; true when that changes anything."""
        return self.reconfigure(self._node, self.config, self.choice, addresses=addresses)

    def observe(self, obj: Object, *, old: Object | None = None, deleted: bool = False, kind: str = "") -> None:
        """A Service, an EndpointSlice or a ServiceCIDR was added, changed or deleted; KIND where the object does not say."""
        match kind or obj["kind"]:
            case "Service":
                self.tracker.set_service(obj, deleted=deleted)
            case "EndpointSlice":
                self.tracker.set_slice(obj, old=old, deleted=deleted)
            case "ServiceCIDR":
                self.tracker.set_service_cidr(obj, deleted=deleted)

    def snapshot(self) -> Snapshot:
        """What the objects ask for at this moment."""
        with _no_collections():
            return self.tracker.snapshot()

    def served(self) -> Snapshot:
        """The same without what the kernel refuses."""
        return without(self.snapshot(), self.blamed) if self.blamed else self.snapshot()

    def sync(self, *, check: bool = False) -> Pass:
        """Make the kernel right. CHECK looks at it first, so that what others changed comes back.

        A service port for which the kernel refuses a transaction is found, left out and noted in `blamed`, until it is
        changed or a check finds that the kernel takes it. A mode that is left goes when the new one's rules are there.
        Raises KernelError when the kernel refuses whatever it is.
        """
        with _no_collections():
            if self._asks_for_addresses and (check or not self._addresses):
                self.move_to(self.host.addresses())
            self._learn_to_count()
            view, mode = self.view, self.choice.mode
            refused = None if self._sysctls_written else write_sysctls(self.host, self.config, view, mode)
            self._sysctls_written = refused is None
            if check:
                self._pardon()
            if self._retired:
                self.host.iptables.present()  # now: iptables' tools read nftables mode's chains, too, however many
            changed, repaired = self._followed_objects(check=check)
            if refused:
                raise refused
            self._retired = [mode for mode in self._retired if not self._is_gone(mode)]
            begun = self._timer()
            forgotten = self._forget_stale_flows(self.served())
            took_s = 0.0 if forgotten is None else self._timer() - begun
            return Pass(self.node, self.view.family, changed, forgotten or 0, took_s, repaired)

    def _followed_objects(self, *, check: bool) -> tuple[int, int]:
        """How much changed, and how much of that was right once: what objects changed comes first, not to be counted."""
        known, self._followed = self._followed, None
        is_behind = known is not None and not known.is_still(_asked(self))
        changed = self._write(check=False) if is_behind or not check else 0
        found = self._write(check=True) if check else 0
        self._followed = _asked(self)
        return changed + found, found if known else 0

    def _is_gone(self, mode: Mode) -> bool:
        return mode.name == self.choice.mode or mode.remove(successor=self.choice.mode)

    # --- what the kernel refuses

    def _write(self, *, check: bool) -> int:
        self._forget_changed()
        snapshot = self.served()
        try:
            try:
                return self.mode.sync(snapshot, check=check)
            except KernelError:
                return self.mode.sync(snapshot, check=True)  # once more, after reading everything
        except Exception:
            self.host.iptables.forget()
            if self._forgets_to_count():
                return self.mode.sync(self.served(), check=True)
            blamed = self._culprits(snapshot)
            if not blamed:
                raise
            self.blamed = (*self.blamed, *blamed)
            return self.mode.sync(self.served(), check=True)

    def _learn_to_count(self) -> None:
        """Find out once whether rules can count packets, when a version is asked for that does."""
        if self._counts is None and self.choice.mode == "iptables" and self.choice.version.counts_packets:
            why = self.host.why_not_counted()
            self._counts = not why
            log.info("%s: rules %s", self.node, f"do not count packets: {why}" if why else "count packets (nfacct)")
            self.reconfigure(self._node, self.config, self.choice)

    def _forgets_to_count(self) -> bool:
        """Whether the kernel refuses rules that count, though it could when it was asked; they do without from now on."""
        refusal = self._refusal(Snapshot()) if self.view.nfacct else None
        if refusal is None:
            return False
        log.warning("%s: rules do not count packets any more, the kernel refuses it: %s", self.node, refusal)
        self._counts = False
        self.reconfigure(self._node, self.config, self.choice)
        return True

    def _culprits(self, snapshot: Snapshot) -> tuple[Blame[Exception], ...]:
        try:
            return culprits(snapshot, self._refusal)
        except KernelError as error:
            log.warning("%s: rules cannot be tried out: %s", self.node, error)
            return ()

    def _refusal(self, snapshot: Snapshot) -> Exception | None:
        """Try a snapshot out where nobody lives; what is wrong with it."""
        host = self.host.trial()
        mode = make_mode(self.choice.mode, self.view, host, layout=self.choice.layout)
        try:
            mode.sync(snapshot, check=False)
        except Exception as error:  # of whatever type: a Service that breaks us is to blame, too
            return error
        finally:
            mode.close()
            host.close()
        return None

    def _forget_changed(self) -> None:
        """Who is not what it was, or is gone, is not to blame any more."""
        if self.blamed:
            there = set(self.snapshot().services)
            self.blamed = tuple(blame for blame in self.blamed if blame.service in there)

    def _pardon(self) -> None:
        """Who is taken by now is not to blame any more."""
        if self.blamed:
            self.blamed = tuple(blame for blame in self.blamed if self._refusal(Snapshot((blame.service,))))

    # --- questions

    def pending(self) -> Pending:
        """What is different in the kernel from what should be there; changes nothing."""
        return self.mode.pending(self.served())

    def lines(self, wanted: Wanted) -> Iterable[tuple[ServicePort, Iterable[Line]]]:
        """What the rules of the WANTED service ports are, with what they have seen."""
        return self.mode.lines(self.served(), wanted)

    def health_checks(self) -> tuple[HealthCheck, ...]:
        """The health check node ports that this node answers."""
        return health_checks(self.tracker.snapshot())

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What of other people was in the way of our rules at the last check, in words."""
        return () if self.mode.name == "nftables" else self.host.iptables.obstacles

    # --- ends

    def close(self) -> None:
        """Give sockets and processes back; the rules stay."""
        for mode in (self.mode, *self._retired):
            mode.close()
        self.host.close()

    # --- beside the rules

    def _forget_stale_flows(self, snapshot: Snapshot) -> int | None:
        """How many; None when there was no need to look."""
        checked = (snapshot.step.of, snapshot.step.udp) if snapshot.step else None
        if checked is not None and checked == self._flows_checked:
            return None
        targets = udp_targets(snapshot)
        forgotten = None
        if targets or self._targets:
            flows = self.host.flows
            try:
                stale = stale_flows(
                    flows.flows("udp"), snapshot, self.view, former=self._targets,
                    mode=self.choice.mode,
                )  # fmt: skip
                forgotten = flows.forget(stale)
            except KernelError:  # no conntrack table yet: nothing to forget
                return 0
        self._targets, self._flows_checked = targets, checked
        return forgotten


def _asked(proxy: FamilyProxy) -> _Asked:
    return _Asked(proxy.snapshot(), proxy.mode, tuple(blame.service for blame in proxy.blamed))
