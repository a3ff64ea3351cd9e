"""One Pod's life: the one task that works on it. It asks for the plan, does it, and asks again.

What others tell (a container ended, a probe answered, the object changed) lies in its inbox until the task takes it, so
nobody else changes what is known of the Pod. A round that fails is logged with the Pod's name and tried again, later
each time; it harms no other Pod.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import signal
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, assert_never

from netproxy.core.clock import Clock
from netproxy.core.errors import ConflictError, KernelError, NotFoundError
from netproxy.kubelet import plan, probe, tokens, verdict
from netproxy.kubelet.launch import Launch
from netproxy.kubelet.ports import Objects, Place, Tell
from netproxy.kubelet.runtime import Runtime, ShimLostError
from netproxy.kubelet.security import IMAGE, NOT_MOUNTED, HeldError
from netproxy.kubelet.state import ContainerState, Seen, ended, lost, terminated
from netproxy.linux import netns
from netproxy.linux.files import remove_tree
from netproxy.objects.meta import Object, key, name, spec, uid

log = logging.getLogger(__name__)

STALE_S = 0.02
FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 30.0
HELD_S = 2.0
"""How soon it is tried again to start what lacks something, as a ConfigMap."""
NOT_FOUND = 127
"""The exit status of a container whose program did not begin, as a shell tells it."""


@dataclass(frozen=True, slots=True)
class Room:
    """What all workers share."""

    objects: Objects
    runtime: Runtime
    launch: Launch
    place: Place
    clock: Clock
    executor: Executor
    tell: Tell
    plug: Callable[[Object, tuple[str, ...]], None]
    """Make the Pod's namespace and link (in the executor). Raises KernelError."""
    addresses: Callable[[Object], tuple[str, ...]]
    """Choose a Pod's addresses, taking none that another Pod has. Raises ConflictError."""
    host_ip: Callable[[str], str]
    """A node's address."""
    warn: Callable[[Object], None] = lambda _: None
    """Tell which fields of a Pod do nothing here, unless that was told."""


class Worker:
    """Works on one Pod until nothing of it is left."""

    def __init__(self, room: Room, pod: Object, seen: Seen) -> None:
        self._room = room
        self._pod = pod
        """As it was read last."""
        self.seen = seen
        self._at = key(pod)
        self._uid = uid(pod)
        self._inbox: list[Callable[[], None]] = []
        self._news = asyncio.Event()
        self._probes: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._commands = 0
        self._finished = False
        self.has_looked = False
        """Whether it has done, once, what there was to do: the Pod's status is its own word since."""

    # --- what others tell

    def look(self) -> None:
        """The object may have changed: look at it."""
        self._news.set()

    def exited(self, container: str, code: int) -> None:
        """A container ended."""
        self._take(lambda: self._change(container, lambda state: ended(state, code, self._room.clock.now())))

    def all_lost(self) -> None:
        """Every container ended, nobody knows how."""
        self._take(self._lose)

    def image_is_known(self) -> None:
        """Containers that wait for an image may be tried again."""
        self._take(self._forget_waiting)

    def _take(self, news: Callable[[], None]) -> None:
        self._inbox.append(news)
        self._news.set()

    # --- the task

    async def run(self) -> None:
        """Work until the Pod has gone."""
        retry_s = FIRST_RETRY_S
        try:
            while not self._finished:
                self._news.clear()
                try:
                    again_at = await self._round()
                    retry_s = FIRST_RETRY_S
                except HeldError:  # it has said what it lacks
                    again_at = self._room.clock.now() + HELD_S
                except (ConflictError, NotFoundError):  # what we know of the Pod is old: the news is on its way
                    again_at = self._room.clock.now() + STALE_S
                except Exception:
                    log.exception("Pod %s: tried again in %.1f s", self._at, retry_s)
                    again_at = self._room.clock.now() + retry_s
                    retry_s = min(2 * retry_s, LONGEST_RETRY_S)
                self.has_looked = True
                if not self._finished:
                    await self._wait_until(again_at)
        finally:
            for task in self._probes.values():
                task.cancel()

    async def _wait_until(self, again_at: float | None) -> None:
        left = None if again_at is None else max(0.0, again_at - self._room.clock.now())
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._news.wait()

    async def _round(self) -> float | None:
        """Do what the plan says until it says nothing more; when to look again."""
        while not self._finished:
            inbox, self._inbox = self._inbox, []
            for news in inbox:
                news()
            found = self._room.objects.pod(self._at)
            if found is None or uid(found) != self._uid:
                await self._clean_up()
                self._finished = True
                return None
            self._pod = found
            host_ip = self._room.host_ip(spec(found)["nodeName"])
            todo = plan.plan(found, self.seen, host_ip, self._room.clock.now())
            for action in todo.actions:
                await self._do(action)
            if not todo.actions and not self._inbox:
                return todo.again_at
        return None

    async def _do(self, action: plan.Action) -> None:
        match action:
            case plan.Plug():
                await self._plug()
            case plan.Renew():
                await self._renew()
            case plan.Start():
                await self._start(action)
            case plan.RestartLater():
                self._restart_later(action)
            case plan.Probe():
                self._begin_probe(action)
            case plan.Stop():
                self._stop(action)
            case plan.Kill():
                self._signal(action.container, signal.SIGKILL)
                self._change(action.container, lambda state: replace(state, killed=True))
            case plan.WriteStatus():
                await self._room.objects.write_status({**self._pod, "status": dict(action.status)})
            case plan.Finish():
                await self._clean_up()
                await self._room.objects.delete_finished(self._pod)
                self._finished = True
            case _:
                assert_never(action)

    # --- what is known

    def _change(self, container: str, change: Callable[[ContainerState], ContainerState]) -> None:
        state = self.seen.find(container)
        if state:
            self.seen = self.seen.put(change(state))

    def _lose(self) -> None:
        running = [state for state in self.seen.all() if state.running]
        for state in running:
            self.seen = self.seen.put(lost(state, self._room.clock.now()))
        if running:
            self._event("Warning", "ContainersLost", "The process that holds this machine's containers was killed; "
                        f"restarting {', '.join(state.name for state in running)}")  # fmt: skip

    def _forget_waiting(self) -> None:
        self.seen = replace(self.seen, init=_started(self.seen.init), containers=_started(self.seen.containers))

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._room.tell(self._pod, kind, reason, message)

    # --- actions

    async def _plug(self) -> None:
        try:
            ips = self._room.addresses(self._pod)
            self.seen = replace(self.seen, ips=ips)  # before anything is waited for: no other Pod takes them
            self._room.launch.write_files(self._pod, ips, await tokens.fetched(self._pod, self._room.objects.token))
            if not spec(self._pod).get("hostNetwork"):
                await asyncio.get_running_loop().run_in_executor(self._room.executor, self._room.plug, self._pod, ips)
        except HeldError as error:
            self._event("Warning", error.reason, str(error))
            raise
        except (ConflictError, KernelError, OSError) as error:
            why = f"Failed to create pod sandbox: {error}"
            self._event("Warning", "FailedCreatePodSandBox", why)
            raise KernelError(why) from error
        self.seen = replace(self.seen, plugged=True, renew_at=tokens.renewed_at(self._pod, self._room.clock.now()))
        self._room.warn(self._pod)

    async def _renew(self) -> None:
        room = self._room
        again_at, why = await tokens.renewed(self._pod, room.objects.token, room.launch.renew, room.clock.now())
        if why:
            self._event("Warning", NOT_MOUNTED, why)
        self.seen = replace(self.seen, renew_at=again_at)

    async def _start(self, action: plan.Start) -> None:
        container = _container_of(self._pod, action.container)
        before = self.seen.find(action.container)
        state = _to_begin(container, action, before)
        now = self._room.clock.now()
        try:
            message = self._room.launch.start(self._pod, container, self.seen.ips, action.restarts)
        except HeldError as error:
            state = _held(state, error, now)
            if before is None or (before.reason, before.message) != (state.reason, state.message):
                self._event("Warning", "Failed", f"{'' if error.reason == IMAGE else 'Error: '}{error}")
        else:
            note = {"ips": list(self.seen.ips), "restarts": action.restarts, "startedAt": now}
            try:
                pid = await self._room.runtime.start(f"{self._uid}/{action.container}", {**message, "note": note})
                state = verdict.begun(state, container, pid, now)
                self._event("Normal", "Started", f"Started container {action.container}")
            except ShimLostError:
                state = lost(replace(state, started_at=now), self._room.clock.now())
            except KernelError as error:
                why = f"{shlex.join(message['argv'])}: {error}"
                state = replace(ended(replace(state, started_at=now), NOT_FOUND, self._room.clock.now()), message=why)
                self._event("Warning", "Failed", why)
        self.seen = self.seen.put(state, init=action.init)

    def _restart_later(self, action: plan.RestartLater) -> None:
        at = self._room.clock.now() + action.wait_s
        self._change(action.container, lambda state: replace(state, restart_at=at, wait_s=action.wait_s))
        if action.wait_s:
            self._event("Warning", "BackOff", f"back-off {action.wait_s}s restarting failed container={action.container}"
                        f" pod={name(self._pod)}")  # fmt: skip

    def _stop(self, action: plan.Stop) -> None:
        now = self._room.clock.now()
        self._signal(action.container, signal.SIGTERM if action.grace_s > 0 else signal.SIGKILL)
        self._change(action.container, lambda state: replace(state, stopping_since=now, killed=action.grace_s <= 0))
        if action.why:
            self._event("Normal", "Killing", action.why)

    def _signal(self, container: str, number: signal.Signals) -> None:
        self._room.runtime.kill(f"{self._uid}/{container}", number)

    async def _clean_up(self) -> None:
        """Nothing of the Pod stays: what still runs is killed, its namespace, its files and its logs go."""
        for state in self.seen.all():
            self._signal(state.name, signal.SIGKILL)
        if not spec(self._pod).get("hostNetwork"):
            namespace = self._room.place.pod_namespace(self._at)
            netns.end_processes(namespace)  # what `exec` has left behind there
            netns.delete(namespace)
        folders = (self._room.launch.folder(self._pod), self._room.launch.log_folder(self._pod))
        await asyncio.get_running_loop().run_in_executor(self._room.executor, remove_tree, *folders)
        self._room.runtime.forget(f"{self._uid}/")

    # --- probes

    def _begin_probe(self, action: plan.Probe) -> None:
        self._change(action.container, lambda state: verdict.asking(state, action.kind))
        container = _container_of(self._pod, action.container)
        state = self.seen.find(action.container)
        task = asyncio.ensure_future(self._ask(container, action.kind, state.restarts if state else 0))
        self._probes[action.container, action.kind] = task

    async def _ask(self, container: Mapping[str, Any], kind: str, run: int) -> None:
        """One attempt; its result goes to the inbox."""
        node = self._room.place.namespace_of(spec(self._pod)["nodeName"])
        asked = probe.attempt(container[kind], container, node, self.seen.ips[0], self._executor(container))
        success, why = await _heard(asked, f"Pod {self._at}: {kind} of {container['name']}")
        if not success and not verdict.is_early(self.seen.find(container["name"]), container, kind):
            self._event("Warning", "Unhealthy", f"{kind.removesuffix('Probe').title()} probe failed: {why}")
        self._take(lambda: self._answered(container, kind, run, success=success))

    def _answered(self, container: Mapping[str, Any], kind: str, run: int, *, success: bool) -> None:
        state = self.seen.find(container["name"])
        if state and state.running and state.restarts == run:
            now = self._room.clock.now()
            self.seen = self.seen.put(verdict.answered(state, container, kind, success=success, now=now))

    def _executor(self, container: Mapping[str, Any]) -> Callable[[list[str], float], Coroutine[Any, Any, int]]:
        async def execute(argv: list[str], limit_s: float) -> int:
            self._commands += 1
            message = self._room.launch.command(self._pod, container, self.seen.ips, argv)
            return await self._room.runtime.execute(f"{self._uid}/exec/{self._commands}", message, limit_s)

        return execute


async def _heard(asked: Coroutine[Any, Any, tuple[bool, str]], what: str) -> tuple[bool, str]:
    """What a probe says; one that cannot be asked has failed."""
    try:
        return await asked
    except KernelError as error:
        return False, str(error)
    except Exception as error:
        log.exception("%s", what)
        return False, f"{type(error).__name__}: {error}"


def _started(states: Mapping[str, ContainerState]) -> dict[str, ContainerState]:
    return {at: state for at, state in states.items() if state.phase != "waiting"}


def _to_begin(container: Mapping[str, Any], action: plan.Start, before: ContainerState | None) -> ContainerState:
    """A container that is about to start; what it remembers of the run BEFORE."""
    last = () if before is None else before.last
    if before and before.phase == "terminated":
        last = tuple(terminated(before).items())
    return ContainerState(action.container, container["image"], restarts=action.restarts, last=last)


def _held(state: ContainerState, error: HeldError, now: float) -> ContainerState:
    """It waits: until something about its image is known, or for a while when it lacks something else."""
    again_at = None if error.reason == IMAGE else now + HELD_S
    return replace(state, reason=error.reason, message=str(error), restart_at=again_at)


def _container_of(pod: Object, at: str) -> Mapping[str, Any]:
    listed = (container for group in plan.STATUSES for container in spec(pod).get(group) or ())
    return dict(next(container for container in listed if container["name"] == at))
