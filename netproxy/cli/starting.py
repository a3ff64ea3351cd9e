"""One start of a cluster's agent: the lock, the checks before anything is made, the process, and the way back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from netproxy.agent.begin import hosts, listening
from netproxy.agent.lock import ClusterLock, holder, wait_a_tick
from netproxy.agent.paths import DEFAULT, Paths, Scope
from netproxy.agent.process import AgentProcess
from netproxy.agent.sweep import sweep
from netproxy.cli.client import Agent, answers, progress, shim_pid
from netproxy.cli.down import take_down
from netproxy.cli.files import read_manifests
from netproxy.cli.options import checked_paths
from netproxy.cli.pods import tell_of_pods
from netproxy.cli.wait import wait_and_tell
from netproxy.cli.wish import Wish, check_running, checked, is_default_name, is_rootless_start, wanted_scope
from netproxy.core.errors import KernelError, ManifestError, Problem
from netproxy.core.net import split_host_port
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.manifest import Loaded
from netproxy.objects.messages import ApplyAnswer, ApplyItem, ApplyRequest, ListenAnswer, Nothing, StatusAnswer

SILENT_S = 0.5
"""Whoever has the cluster is named when that takes longer."""
LOOPBACK = ("127.0.0.1", 0)
LOCK_LIMIT_S = 60
"""How long somebody else may take to start the cluster, or to take it down."""


def bring_up(agent: AgentProcess, wish: Wish, wait_s: float, *, foreground: bool, begun: float) -> int:
    """`up` from the manifests on: its exit status. Raises NetproxyError."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    loaded = read_manifests(wish.files) if wish.files else []
    for item in loaded:
        if item.obj["kind"] == "Cluster" and not is_default_name(item, agent.where):
            agent.drop()
            agent.where = checked_paths(item.obj["metadata"]["name"])
    starting = Starting(agent)
    try:
        if not starting.take():
            check_running(agent.where, wish)
            tell_of_pods(loaded, first=False, rootless=agent.where.is_rootless)
            return _apply(agent.where, loaded, wait_s)
        starting.start(loaded, wish)
        starting.make_certificates()
        if agent.where.scope is Scope.CLUSTER:
            tell_of_pods(loaded, first=starting.is_fresh, rootless=is_rootless_start())
        starting.wait()
        Agent(agent.where).order("listen", Nothing(), ListenAnswer)
        failed = _report(agent.where, wait_s, begun)
        if foreground:
            progress("in front: Ctrl-C takes the cluster down")
            starting.wait_for_end()
        return failed
    except KeyboardInterrupt:
        starting.interrupted(foreground=foreground)
        sys.exit(130)
    finally:
        starting.close()


def _report(where: Paths, wait_s: float, begun: float) -> int:
    """Wait, and say how it is; the exit status."""
    agent = Agent(where)
    failed = wait_and_tell(agent, wait_s)
    status = agent.look("status", Nothing(), StatusAnswer)
    nodes = len(status.nodes)
    took = f"in {time.monotonic() - begun:.2f} s"
    if status.scope == Scope.CLUSTER:
        progress(
            f"cluster {where.cluster}: {nodes} node{'s' * (nodes != 1)}, {status.pods.ready}/{status.pods.total} Pods ready, "
            f"{status.services} Service{'s' * (status.services != 1)}, {status.mode} mode, {took}"
        )
    else:
        alone = "a Kubernetes API" + " and its controllers" * (status.scope == Scope.CONTROL_PLANE)
        progress(f"cluster {where.cluster}: {alone}, no machines, {took}")
    name = "" if where.cluster == DEFAULT else f" --cluster {where.cluster}"
    progress(f"kubectl works after: export KUBECONFIG=$(netproxy kubeconfig{name})")
    return failed


def _apply(where: Paths, loaded: list[Loaded], wait_s: float) -> int:
    begun = time.monotonic()
    agent = Agent(where)
    agent.order("apply", ApplyRequest(tuple(ApplyItem(item.obj, item.source) for item in loaded)), ApplyAnswer)
    return _report(where, wait_s, begun)


class Starting:
    """One start of an agent: everything that it makes, it can take away again."""

    def __init__(self, agent: AgentProcess) -> None:
        """AGENT has no orders yet; it may have begun to read its modules."""
        self._where = agent.where
        self._agent = agent
        self._lock: ClusterLock | None = None
        self._fresh = False
        self._cluster: ClusterSpec | None = None
        self._host = ""

    @property
    def is_fresh(self) -> bool:
        """Whether there was no such cluster before."""
        return self._fresh

    def take(self) -> bool:
        """Take the cluster's lock; false when its agent runs and answers. Waits while somebody starts or ends it.

        Raises KernelError naming the process that holds the lock when that takes too long.
        """
        begun = time.monotonic()
        where, end, is_said = self._where, begun + LOCK_LIMIT_S, False
        while True:
            with _uninterrupted():
                self._lock = ClusterLock.take(where, "netproxy up")
                self._fresh = self._lock is not None and not where.was_up
            if self._lock or answers(where):
                return self._lock is not None
            if time.monotonic() > end:
                raise KernelError(
                    f"cluster {where.cluster} is held by {holder(where) or 'another process'}: it neither answers nor ends; "
                    f"`netproxy down --cluster {where.cluster}` may end it"
                )
            if not is_said and time.monotonic() > begun + SILENT_S:
                is_said = True
                progress(f"waiting for cluster {where.cluster}: {holder(where) or 'another process'} has it")
            wait_a_tick(where)

    def start(self, loaded: list[Loaded], wish: Wish) -> None:
        """Start the agent and hand the lock over to it; an interrupt waits until that is done.

        Raises ManifestError or KernelError for what the agent would refuse, before anything is made.
        """
        scope = wanted_scope(self._where, wish)
        self._cluster = checked(loaded, scope, fresh=self._fresh, where=self._where)
        with _uninterrupted():
            if not self._agent.pid:  # whoever had the lock before may have taken it for one of theirs
                self._agent.begin()
            if self._fresh:
                sweep(self._where, spared=[self._agent.pid])  # the rest of a start that was killed
            self._start(loaded, scope, wish.api_address)

    def _start(self, loaded: list[Loaded], scope: Scope, api_address: str) -> None:
        assert self._lock is not None
        where, rootless = self._where, scope is Scope.CLUSTER and is_rootless_start()
        where.state.mkdir(exist_ok=True, mode=0o700)
        sock = listening(where, *_address(where, api_address))
        self._host = sock.getsockname()[0]
        where.scope_file.write_text(scope)
        if rootless:
            where.rootless_file.touch()
        where.incoming.write_text(json.dumps([{"obj": item.obj, "source": item.source} for item in loaded]))
        orders = {"cluster": where.cluster, "state": str(where.state), "scope": scope, "rootless": rootless,
                  "joins": shim_pid(where) if rootless else 0}  # fmt: skip
        log = os.open(where.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._agent.order(orders, lock=self._lock.fd, log=log, listening=sock.fileno())
        except OSError as error:
            raise KernelError(f"the agent ended before it had its orders: {error}") from error
        finally:
            os.close(log)
            sock.close()

    def make_certificates(self) -> None:
        """Make what a control plane alone needs to serve its API over HTTPS; meanwhile it starts. One that was up before has it."""
        if self._cluster and self._where.scope is not Scope.CLUSTER:
            from netproxy.serve.certificates import certificates

            certificates(self._where.tls, hosts(self._cluster, self._host), now=time.time())

    def wait(self) -> None:
        """Wait until the agent is ready. Raises its error."""
        last = self._agent.last_report()
        if last.get("ready"):
            self._let_go()
            return
        self.wait_for_end()
        if last.get("problems"):
            raise ManifestError([Problem("", text) for text in last["problems"]])
        said = last.get("said") or _tail(self._where)
        raise KernelError(last.get("error") or f"the agent ended while starting; its log: {said}")

    def wait_for_end(self) -> None:
        """Wait until the agent has ended."""
        self._agent.wait()

    def interrupted(self, *, foreground: bool) -> None:
        """A cluster that was up before stays; a new one is taken away, and so is one that runs in front."""
        if not self._agent.is_ordered:
            return
        if not (self._fresh or foreground):
            self._let_go()
            return
        self._fresh = True
        self._agent.ask_to_end()
        if self._agent.wait(LOCK_LIMIT_S) and self._lock is None:
            take_down(self._where)

    def _let_go(self) -> None:
        """The agent alone has the lock now."""
        lock, self._lock = self._lock, None
        if lock:
            lock.release()

    def close(self) -> None:
        """Let go of the cluster; what a start that did not come to its end has made is taken away."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self._agent.drop()
        lock, self._lock = self._lock, None
        if lock is None or not lock.is_current:
            return
        if self._agent.is_ordered:
            lock.sign("netproxy up")
        if self._fresh:
            sweep(self._where)
            lock.remove()
        else:
            self._where.incoming.unlink(missing_ok=True)
            lock.release()


def _address(where: Paths, given: str) -> tuple[str, int]:
    """Where the API is to listen: where it is told to now, or was told to once, or anywhere on loopback."""
    kept = where.state / "api-address"
    if given:
        kept.write_text(given + "\n")
    text = given or (kept.read_text().strip() if kept.exists() else "")
    return split_host_port(text) or LOOPBACK


def interrupt(*_: Any) -> None:
    """Once is enough: what is cleaned up then is not to be interrupted again."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep an interrupt until the end of the block."""
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda number, _: waiting.append(number))
              for number in (signal.SIGINT, signal.SIGTERM)}  # fmt: skip
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if waiting:
        interrupt(waiting[0], None)


def _tail(where: Paths) -> str:
    try:
        return "\n".join(where.log.read_text().splitlines()[-15:])
    except OSError:
        return "(none)"
