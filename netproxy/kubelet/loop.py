"""All nodes' kubelets of one cluster: which Pods there are to work on, and who is told what.

Source: kubernetes pkg/kubelet/pod_workers.go (one worker a Pod).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from netproxy.core.clock import Clock
from netproxy.core.errors import KernelError, NotFoundError
from netproxy.core.names import NamespacedName, quoted
from netproxy.kubelet.addresses import pod_addresses, pod_link
from netproxy.kubelet.attach import INTERACTIVE_S, Attached
from netproxy.kubelet.commands import Command, Commands
from netproxy.kubelet.extract import Wanted, extract
from netproxy.kubelet.fields import ignored
from netproxy.kubelet.launch import Launch
from netproxy.kubelet.logs import parts
from netproxy.kubelet.plan import STATUSES, Alive, Dead, Found, taken_over_pod
from netproxy.kubelet.ports import Objects, Place, Tell
from netproxy.kubelet.runtime import Runtime
from netproxy.kubelet.state import Seen
from netproxy.kubelet.usage import Meter, Used
from netproxy.kubelet.worker import Room, Worker
from netproxy.linux import netns
from netproxy.linux.links import NodePort
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.meta import Object, is_deleting, key, spec, status, uid

log = logging.getLogger(__name__)


class Kubelet:
    """Has a worker for each Pod that is bound to one of the cluster's nodes."""

    def __init__(
        self, objects: Objects, cluster: ClusterSpec, place: Place, runtime: Runtime, clock: Clock, executor: Executor,
        tell: Tell,
    ) -> None:  # fmt: skip
        self._objects = objects
        self._nodes = {node.name: node for node in cluster.nodes}
        self._place = place
        self._runtime = runtime
        self._clock = clock
        self._launch = Launch(objects, cluster, place)
        self._commands = Commands(runtime, place.state)
        self._meter = Meter(place.state / "cgroup", time.monotonic)
        self._links = {
            node.name: NodePort(place.namespace_of(node.name), ipv6=any(":" in a for a in node.addresses))
            for node in cluster.nodes
        }
        self._room = Room(
            objects, runtime, self._launch, place, clock, executor, tell, plug=self._plug, addresses=self._addresses,
            host_ip=lambda node: self._nodes[node].addresses[0], warn=self._warn,
        )  # fmt: skip
        self._workers: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._warned: set[tuple[str, str]] = set()
        """Of whom (a Pod, or who made it) which field is known to do nothing."""
        self._named: dict[NamespacedName, asyncio.Task[None]] = {}
        """The work on the Pod that last had a name."""

    # --- life

    def start(self, *, fresh: bool) -> None:
        """Take over what an earlier agent left (nothing in a FRESH cluster), and work on every Pod that there is."""
        found = self._found()
        for pod in list(self._objects.pods()):
            if self._is_ours(pod):
                there = bool(spec(pod).get("hostNetwork")) or netns.exists(self._place.pod_namespace(key(pod)))
                mine = found.get(uid(pod), {})
                seen = Seen(_ips(pod)) if fresh else taken_over_pod(pod, mine, is_there=there, now=self._clock.now())
                self._end_strangers(uid(pod), mine, seen)
                self._work_on(pod, seen)
        for pod_uid in found.keys() - self._workers.keys():
            self._end_strangers(pod_uid, found[pod_uid], Seen())
            self._runtime.forget(f"{pod_uid}/")
        self._runtime.listen(self)

    @property
    def has_looked(self) -> bool:
        """Whether every Pod's status is of this kubelet."""
        return all(worker.has_looked for worker in self._workers.values())

    def close(self) -> None:
        """Work on nothing any more; what runs goes on."""
        for task in self._tasks:
            task.cancel()

    def _found(self) -> dict[str, dict[str, Found]]:
        """What the shim told: Pod's uid → container → how it is."""
        found: dict[str, dict[str, Found]] = {}
        for at, ended in self._runtime.dead.items():
            pod_uid, _, container = at.partition("/")
            restarts = (ended.get("note") or {}).get("restarts")
            found.setdefault(pod_uid, {})[container] = Dead(ended["code"], ended["at"], restarts)
        for at, pid in self._runtime.running.items():
            pod_uid, _, container = at.partition("/")
            note = self._runtime.notes.get(at) or {}
            found.setdefault(pod_uid, {})[container] = Alive(
                pid, int(note.get("restarts", 0)), float(note.get("startedAt", 0.0)), tuple(note.get("ips") or ())
            )
        return found

    def _end_strangers(self, pod_uid: str, found: dict[str, Found], seen: Seen) -> None:
        """What runs and is not taken over: of a Pod that has gone, in a namespace that has gone, a command."""
        for container in found:
            state = seen.find(container)
            if state is None or not state.running:
                self._runtime.kill(f"{pod_uid}/{container}", signal.SIGKILL)

    # --- what others tell

    def observe(self, pod: Object, old: Object | None) -> None:
        """A Pod is new, has changed or has gone; a change of its status alone is our own."""
        worker = self._workers.get(uid(pod))
        if worker:
            if (
                old is None
                or spec(old) != spec(pod)
                or is_deleting(old) != is_deleting(pod)
                or _grace(old) != _grace(pod)
            ):
                worker.look()
        elif self._is_ours(pod):
            self._work_on(pod, Seen(_ips(pod)))
        elif is_deleting(pod):  # bound to a node that there is not: nothing of it runs
            self._keep(self._objects.delete_finished(pod))

    def gone(self, pod: Object) -> None:
        """A Pod's object was removed."""
        if worker := self._workers.get(uid(pod)):
            worker.look()

    def image_is_known(self) -> None:
        """Some image was made known."""
        for worker in self._workers.values():
            worker.image_is_known()

    def exited(self, name: str, code: int) -> None:
        """The shim says that a container ended."""
        pod_uid, _, container = name.partition("/")
        if worker := self._workers.get(pod_uid):
            worker.exited(container, code)

    def all_lost(self) -> None:
        """The shim has gone, and every container with it."""
        for worker in self._workers.values():
            worker.all_lost()

    # --- what others ask

    def entry(self, at: NamespacedName, container: str | None) -> dict[str, Any]:
        """What `exec` needs to enter a container that runs: see `Launch.entry`; and its process. Raises NotFoundError."""
        pod = self._objects.pod(at)
        if pod is None:
            raise NotFoundError(f'pods "{at.name}" not found')
        listed = spec(pod).get("containers") or [{}]
        chosen = next((c for c in listed if c.get("name") == container), None) if container else listed[0]
        if chosen is None:
            names = ", ".join(c["name"] for c in listed)
            raise NotFoundError(f"container {container} not found in pod {at.name}; it has {names}")
        worker = self._workers.get(uid(pod))
        if worker is None or not worker.seen.plugged:
            raise NotFoundError(f"pod {at.name} has not started yet")
        pid = self._runtime.running.get(f"{uid(pod)}/{chosen['name']}")
        if pid is None:
            raise NotFoundError(f"container {chosen['name']} of pod {at.name} is not running")
        return {**self._launch.entry(pod, chosen, worker.seen.ips), "pid": pid}

    def check_runs(self, pod: Object, container: str) -> None:
        """Raises KernelError when a container does not run."""
        if f"{uid(pod)}/{container}" not in self._runtime.running:
            raise KernelError(f"container not found ({quoted(container)})")

    def attach(self, pod: Object, container: str, *, stdin: bool) -> Attached:
        """What a container writes and reads from now on."""
        log = self.log(pod, container, Wanted(follow=True, tail=0, pause_s=INTERACTIVE_S), previous=False)
        return Attached(self._runtime, f"{uid(pod)}/{container}", _container(pod, container), log, stdin=stdin)

    def usage(self) -> tuple[float, dict[NamespacedName, dict[str, Used]]]:
        """What each container of each Pod uses now, and over how many seconds that was measured."""
        window_s, used = self._meter.read({at: pid for at, pid in self._runtime.running.items() if at.count("/") == 1})
        by_uid: dict[str, dict[str, Used]] = {}
        for at, each in used.items():
            pod_uid, _, container = at.partition("/")
            by_uid.setdefault(pod_uid, {})[container] = each
        return window_s, {key(pod): by_uid[uid(pod)] for pod in self._objects.pods() if uid(pod) in by_uid}

    def network(self, pod: Object) -> str:
        """The name of the network namespace of a Pod that has one. Raises KernelError."""
        worker = self._workers.get(uid(pod))
        if worker is None or not worker.seen.plugged:
            raise KernelError(
                f"unable to forward port because pod is not running. Current status={status(pod).get('phase')}"
            )
        return self._launch.network(pod)

    async def run(self, pod: Object, container: str, argv: list[str], *, tty: bool) -> Command:
        """Run a command in a container. Raises KernelError."""
        self.check_runs(pod, container)
        chosen = _container(pod, container)
        worker = self._workers.get(uid(pod))
        message = self._launch.command(pod, chosen, worker.seen.ips if worker else (), argv)
        if tty:
            message["env"] = {"TERM": "xterm", **message["env"]}
        return await self._commands.begin(uid(pod), message, tty=tty)

    def log_folder(self, pod: Object, container: str) -> Path:
        """Where a container's output is."""
        return self._launch.log_folder(pod, container)

    def log(self, pod: Object, container: str, wanted: Wanted, *, previous: bool) -> AsyncIterator[bytes]:
        """A part of the log of a container's last run, or of the one before it."""
        folder, at = self.log_folder(pod, container), f"{uid(pod)}/{container}"
        known = sorted({part.run for part in parts(folder)}) or [0]
        worker = self._workers.get(uid(pod))
        state = worker.seen.find(container) if worker else None
        is_over = state is None or state.phase == "waiting"
        run = known[-1] if is_over or not previous else known[max(-2, -len(known))]
        pid = self._runtime.running.get(at)
        return extract(folder, run, wanted, lambda: pid is not None and self._runtime.running.get(at) == pid)

    # --- workers

    def _is_ours(self, pod: Object) -> bool:
        return spec(pod).get("nodeName") in self._nodes

    def _work_on(self, pod: Object, seen: Seen) -> None:
        worker = self._workers[uid(pod)] = Worker(self._room, pod, seen)
        before = self._named.get(key(pod))

        async def work() -> None:
            if before is not None:  # its namespace has the name that this Pod's will have
                await asyncio.wait([before])
            await worker.run()
            del self._workers[uid(pod)]

        mine = self._named[key(pod)] = self._keep(work())
        mine.add_done_callback(lambda _: self._named.pop(key(pod)) if self._named.get(key(pod)) is mine else None)

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("unexpected failure", exc_info=task.exception())

    # --- what workers ask

    def _addresses(self, pod: Object) -> tuple[str, ...]:
        node = self._nodes[spec(pod)["nodeName"]]
        if spec(pod).get("hostNetwork"):
            return node.addresses
        me = self._workers.get(uid(pod))
        known = me.seen.ips if me else ()
        taken = {ip for worker in self._workers.values() if worker is not me for ip in worker.seen.ips}
        return pod_addresses(node, known, taken | _told(self._objects.pods(), besides=uid(pod)))

    def _warn(self, pod: Object) -> None:
        """Once for each field of a Pod that nobody made, or of all Pods that somebody made."""
        owners = pod["metadata"].get("ownerReferences") or ()
        whose = str(owners[0].get("uid")) if owners else uid(pod)
        for field in ignored(pod):
            if (whose, field) not in self._warned:
                self._warned.add((whose, field))
                self._room.tell(pod, "Warning", "FieldIgnored", f"{field} does nothing here")

    def _plug(self, pod: Object, ips: tuple[str, ...]) -> None:
        where = self._place.pod_namespace(key(pod))
        if netns.exists(where):  # a half-made one of an agent that was killed
            netns.delete(where)
        self._place.journal(where)
        node = self._nodes[spec(pod)["nodeName"]]
        self._links[node.name].plug([pod_link(where, uid(pod), ips, node)])


def _told(pods: Iterable[Object], *, besides: str) -> set[str]:
    return {ip for pod in pods if uid(pod) != besides for ip in _ips(pod)}


def _ips(pod: Object) -> tuple[str, ...]:
    return tuple(item["ip"] for item in status(pod).get("podIPs") or ())


def _grace(pod: Object) -> Any:
    return pod["metadata"].get("deletionGracePeriodSeconds")


def _container(pod: Object, wanted: str) -> Mapping[str, Any]:
    return next(each for kind in STATUSES for each in spec(pod).get(kind) or () if each["name"] == wanted)
