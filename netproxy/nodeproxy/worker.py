"""The one thread that owns a node's proxy in one address family: opens, uses and closes everything that belongs to it.

It is told messages by a queue and publishes Reports; nobody else touches its state, so there is no lock.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from netproxy.core.clock import Clock
from netproxy.core.errors import KernelError, NetproxyError
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.messages import (
    Asked,
    Batch,
    Checked,
    Configured,
    Ended,
    Fault,
    Heard,
    LastPass,
    LeftOut,
    Message,
    Observed,
    Periods,
    Report,
)
from netproxy.nodeproxy.modes import missing_for
from netproxy.objects.kinds import ENDPOINT_SLICES, SERVICES
from netproxy.objects.meta import Object, annotations_of, describe
from netproxy.proxy.health import health_addresses
from netproxy.proxy.model import Snapshot

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
"""After a failure the next pass comes after the first of these; each further one waits twice as long, up to the last."""

LEFT_OUT, OTHERS = "left out:", "other rules"
"""What a fault is about that is no error of ours: a Service that the kernel refuses, rules of others in our way."""

TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

T = TypeVar("T")
PeriodsOf = Callable[[FamilyProxy], Periods]


class Worker:
    """One family's thread. `tell` and `ask` never wait; PUBLISH is called in the thread with each new Report."""

    def __init__(
        self, proxy: FamilyProxy, periods: PeriodsOf, clock: Clock, publish: Callable[[Report], None]
    ) -> None:  # fmt: skip
        self.report = Report(proxy.node, proxy.view.family, proxy.choice)
        self._proxy = proxy
        self._periods = periods
        self._clock = clock
        self._publish = publish
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._faults: dict[str, Fault] = {}
        self._counted: Snapshot | None = None
        self._heard = 0
        self._changes = Heard()
        self._triggers: list[float] = []
        self._begun = clock.now()
        self._over = False
        now = clock.monotonic()
        self._due: float | None = now
        self._check_at = now + periods(proxy).sync_s
        self._passed_at = self._failed_at = -LAST_RETRY_S
        self._retry_s = FIRST_RETRY_S
        self._name = f"{proxy.node} {proxy.view.family}"
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    # --- from any thread

    def start(self) -> None:
        """Begin; what was told before is the first pass."""
        self._thread.start()

    def tell(self, message: Message) -> None:
        """Put a message behind all others."""
        self._inbox.put(message)

    def ask(self, question: Callable[[FamilyProxy], T]) -> Future[T]:
        """Have QUESTION asked in the thread, after everything that was told before."""
        answer: Future[T] = Future()
        self._inbox.put(Asked(question, answer))
        return answer

    def join(self, timeout_s: float) -> bool:
        """Wait until the thread has ended, which it does after Ended; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- in the thread

    def _run(self) -> None:
        while not self._over:
            try:
                self._turn()
            except Exception as error:  # whatever it is: this thread is all that this node has
                self._failed(error)
        try:
            self._proxy.close()
        except Exception:
            log.exception("%s: closing", self._name)

    def _turn(self) -> None:
        for message in self._next():
            self._hear(message)
        if self._due is None and self._check_at <= self._clock.monotonic():
            self._want_pass()
        if not self._over and self._due is not None and self._due <= self._clock.monotonic():
            self._pass()

    def _next(self) -> list[Message]:
        """All messages that are there, at least one unless something is due before one comes."""
        at = self._check_at if self._due is None else self._due
        wait_s = max(0.0, at - self._clock.monotonic())
        found: list[Message] = []
        try:
            found.append(self._inbox.get(timeout=wait_s) if wait_s else self._inbox.get_nowait())
            while True:
                found.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return found

    def _hear(self, message: Message) -> None:
        match message:
            case Batch(number, changes):
                for change in changes:
                    self._observe(change)
                self._count(changes)
                self._heard = number
                self._want_pass()
            case Configured(number):
                has_changed = self._configure(message)
                self._heard = number
                if has_changed:
                    self._want_pass()
                elif self._due is None:
                    self._tell(replace(self.report, seen=number))
            case Checked(number):
                self._heard = number
                self._check_at = self._clock.monotonic()
                self._want_pass()
            case Asked(question, answer):
                self._answer(question, answer)
            case Ended():
                self._over = True

    def _observe(self, change: Observed) -> None:
        """Whatever is wrong with one object stays with it, and is known until it is changed."""
        try:
            self._proxy.observe(change.obj, old=change.old, deleted=change.deleted, kind=change.kind)
        except Exception as error:
            what = f"{change.kind} {change.obj.get('metadata')}"
            log.exception("%s: %s cannot be understood", self._name, what)
            self._note(describe(change.obj), error)
        else:
            if self._faults:
                self._faults.pop(describe(change.obj), None)

    def _count(self, changes: tuple[Observed, ...]) -> None:
        kinds = [change.kind for change in changes]
        slices = kinds.count(ENDPOINT_SLICES.kind)
        self._changes = Heard(self._changes.services + kinds.count(SERVICES.kind), self._changes.slices + slices)
        if slices:
            found = (trigger_time(change.obj) for change in changes if change.kind == ENDPOINT_SLICES.kind)
            self._triggers += [at for at in found if at is not None and at >= self._begun]

    def _configure(self, message: Configured) -> bool:
        """Whether there is anything to do; a Node changes often without that."""
        has_changed = False
        try:
            choice = message.choice
            lacking = "" if choice.mode == self._proxy.choice.mode else missing_for(choice.mode)
            if lacking:
                choice = self._proxy.choice
            has_changed = self._proxy.reconfigure(message.node, message.config, choice)
            if lacking:
                raise KernelError(f"stays in {choice.mode} mode: {lacking}")
        except Exception as error:
            log.error("%s: %s", self._name, error, exc_info=not isinstance(error, NetproxyError))
            self._note("configuration", error)
        else:
            self._faults.pop("configuration", None)
        return has_changed

    def _answer(self, question: Callable[[FamilyProxy], Any], answer: Future[Any]) -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            found = question(self._proxy)
            if self._proxy.obstacles != self.report.obstacles:
                self._tell(self.report)
            answer.set_result(found)
        except Exception as error:
            if not isinstance(error, NetproxyError):
                log.exception("%s: a question", self._name)
            answer.set_exception(error)

    # --- passes

    def _want_pass(self) -> None:
        """As soon as it may be: not too soon after the pass before, nor after a failure."""
        at = max(
            self._clock.monotonic(), self._passed_at + self._periods(self._proxy).least_s,
            self._failed_at + FIRST_RETRY_S,
        )  # fmt: skip
        self._due = at if self._due is None else min(self._due, at)

    def _pass(self) -> None:
        begun = self._clock.monotonic()
        failed_before = "rules" in self._faults
        check = self._check_at <= begun or failed_before
        heard, changes = self._heard, self._changes
        try:
            done = self._proxy.sync(check=check)
        except Exception as error:
            self._failed(error)
            return
        now = self._clock.monotonic()
        if check:
            self._check_at = now + self._periods(self._proxy).sync_s
            if done.repaired:
                log.warning("%s: rules had been changed from outside: %d repaired", self._name, done.repaired)
        self._due, self._passed_at, self._retry_s = None, now, FIRST_RETRY_S
        if self._faults.pop("rules", None):
            log.info("%s: the rules are written", self._name)
        synced_at = self._clock.now()
        last = LastPass(done.changed, check or not self.report.passes, now - begun, done.forgotten_flows, done.flows_s,
                        tuple(synced_at - at for at in self._triggers))  # fmt: skip
        self._triggers = []
        self._tell(replace(
            self.report, seen=heard, passes=self.report.passes + 1, last=last, heard=changes, synced_at=synced_at
        ))  # fmt: skip

    def _failed(self, error: Exception) -> None:
        if isinstance(error, NetproxyError):
            log.error("%s: %s", self._name, error)
        else:
            log.error("%s: unexpected failure", self._name, exc_info=error)
        self._note("rules", error)
        self._failed_at = self._clock.monotonic()
        self._due = self._failed_at + self._retry_s
        self._check_at = self._failed_at + self._periods(self._proxy).sync_s
        self._retry_s = min(LAST_RETRY_S, 2 * self._retry_s)
        self._tell(replace(self.report, failures=self.report.failures + 1))

    def _note(self, what: str, error: Exception) -> None:
        known = self._faults.get(what)
        self._faults[what] = Fault(what, _words(error), known.since if known else self._clock.now())

    def _tell(self, report: Report) -> None:
        """Publish what is known now."""
        proxy = self._proxy
        snapshot = proxy.snapshot()
        if snapshot is not self._counted:
            self._counted = snapshot
            report = replace(
                report, checks=proxy.health_checks(), services=len(snapshot.services), endpoints=snapshot.endpoint_count
            )
        left_out = tuple(_left_out(proxy))
        self._note_others(left_out, proxy.obstacles)
        self.report = replace(
            report,
            choice=proxy.choice,
            obstacles=proxy.obstacles,
            check_addresses=health_addresses(proxy.view),
            left_out=left_out,
            faults=tuple(self._faults.values()),
        )
        self._publish(self.report)

    def _note_others(self, left_out: tuple[LeftOut, ...], obstacles: tuple[str, ...]) -> None:
        """Services that are left out, and what is in the way, are faults as long as that is so."""
        now = {f"{LEFT_OUT} {item.namespace}/{item.service}": item.message for item in left_out}
        now |= {OTHERS: "; ".join(obstacles)} if obstacles else {}
        for what in [what for what in self._faults if what.startswith((LEFT_OUT, OTHERS)) and what not in now]:
            del self._faults[what]
        for what, message in now.items():
            if what not in self._faults or self._faults[what].message != message:
                log.warning("%s: %s: %s", self._name, what, message)
                self._faults[what] = Fault(what, message, self._clock.now())


def _left_out(proxy: FamilyProxy) -> Iterator[LeftOut]:
    for blame in proxy.blamed:
        service = blame.service
        yield LeftOut(service.namespace, service.service, service.name, _words(blame.error))
    for (namespace, service_name), error in proxy.tracker.faults.items():
        yield LeftOut(namespace, service_name, f"{namespace}/{service_name}", _words(error))


def trigger_time(item: Object) -> float | None:
    """When the change of Pods was that an EndpointSlice comes from, in seconds since the epoch; None when it does not say.

    Source: kubernetes pkg/proxy/endpointschangetracker.go, getLastChangeTriggerTime.
    """
    text = annotations_of(item).get(TRIGGER_TIME)
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, NetproxyError) else f"{type(error).__name__}: {error}"
