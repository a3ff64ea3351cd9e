"""Pods ↔ namespaces: plugs each bound Pod in, runs its containers and probes, writes its status, takes it down.

Source: kubernetes pkg/kubelet (order of starts, restarts, probes, graceful termination).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import shlex
import shutil
import signal
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from netproxy.core import programs
from netproxy.core.clock import Clock
from netproxy.core.errors import ConflictError, KernelError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.core.net import contains, family_of
from netproxy.kubelet import image, probe, resolv
from netproxy.kubelet.container import (
    BACKOFF_RESET_S,
    ContainerState,
    backoff_s,
    command_of,
    environment,
    pod_status,
    should_restart,
    terminated,
)
from netproxy.kubelet.logs import run_file
from netproxy.kubelet.runtime import Runtime
from netproxy.linux import netns
from netproxy.linux.command import find, run
from netproxy.linux.links import NodePort, PodLink
from netproxy.objects.cluster import ClusterSpec, NodeSpec
from netproxy.objects.kinds import IMAGES, PODS, SERVICES
from netproxy.objects.meta import Object, is_deleting, key, name, namespace, spec, status, uid
from netproxy.registry.allocate import pod_address
from netproxy.registry.registry import Registry

Background = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster's things are on this machine."""

    state: Path
    namespace_of: Callable[[str], str]
    """Node or `client` → name of its namespace."""
    pod_namespace: Callable[[NamespacedName], str]
    host_resolv_conf: str = ""
    journal: Callable[[str], None] = lambda _: None
    """Remembers the name of a namespace before it is made."""
    dns: tuple[tuple[str, Any], ...] = ()
    """What the name server is started with."""


@dataclass(slots=True)
class _Running:
    """What this kubelet knows of one Pod."""

    ips: tuple[str, ...] = ()
    plugged: bool = False
    states: dict[str, ContainerState] = field(default_factory=dict)
    init: dict[str, ContainerState] = field(default_factory=dict)
    probes: dict[str, list[asyncio.Task[None]]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    gone: bool = False


@cache
def _applets() -> frozenset[str]:
    """The commands that this machine's busybox can be; none without it."""
    return frozenset(run(["busybox", "--list"]).split()) if find("busybox") else frozenset()


class Kubelet:
    """All nodes' kubelets of one cluster."""

    def __init__(
        self, registry: Registry, cluster: ClusterSpec, place: Place, runtime: Runtime, clock: Clock, executor: Executor,
        background: Background, event: Callable[[Object, str, str, str], None],
    ) -> None:  # fmt: skip
        self._registry = registry
        self._store = registry.store
        self._cluster = cluster
        self._place = place
        self._runtime = runtime
        self._clock = clock
        self._executor = executor
        self._background = background
        self._event = event
        self._pods: dict[str, _Running] = {}
        self._nodes = {node.name: node for node in cluster.nodes}
        self._ports = {
            node.name: NodePort(place.namespace_of(node.name), ipv6=any(":" in a for a in node.addresses))
            for node in cluster.nodes
        }
        self._exec_number = 0

    # --- entry points

    async def sync(self, at: NamespacedName) -> None:
        """Bring one Pod to what the store says."""
        pod = self._store.find(PODS, at)
        if pod is None or spec(pod).get("nodeName") not in self._nodes:
            if pod is not None and is_deleting(pod):
                self._registry.finish(PODS, at, uid(pod))
            return
        running = self._pods.setdefault(uid(pod), _Running())
        async with running.lock:
            pod = self._store.find(PODS, at)
            if pod is None or running.gone:
                return
            if is_deleting(pod):
                await self._terminate(pod, running)
                return
            if status(pod).get("phase") in ("Succeeded", "Failed"):
                return
            await self._start(pod, running)
            self._write_status(pod, running)

    async def removed(self, pod: Object) -> None:
        """A Pod went without waiting for its node: end what it left here."""
        running = self._pods.get(uid(pod))
        if running is not None:
            async with running.lock:
                if not running.gone:
                    await self._terminate(
                        {**pod, "metadata": {**pod["metadata"], "deletionGracePeriodSeconds": 0}}, running
                    )

    def exited(self, container: str, code: int) -> None:
        """The shim says that a container ended."""
        pod_uid, _, rest = container.partition("/")
        running = self._pods.get(pod_uid)
        if running is None or rest.startswith("exec/"):
            return
        group = running.init if rest in running.init else running.states
        state = group.get(rest)
        if state is None:
            return
        now = self._clock.now()
        ended = replace(state, phase="terminated", exit_code=code, finished_at=now, ready=False, started=False, pid=0)
        group[rest] = ended
        for task in running.probes.pop(rest, []):
            task.cancel()
        pod = next((p for p in self._store.all(PODS) if uid(p) == pod_uid), None)
        if pod is None or is_deleting(pod):
            return
        if group is running.states and should_restart(spec(pod).get("restartPolicy", "Always"), code):
            self._restart_later(pod, running, ended)
        self._write_status(pod, running)
        self._background(self.sync(key(pod)))

    def adopt(self, pods: list[Object]) -> None:
        """After a restart of the agent: take over the Pods whose namespaces and processes are still there."""
        for pod in pods:
            if spec(pod).get("nodeName") not in self._nodes or not status(pod).get("podIPs"):
                continue
            running = self._pods.setdefault(uid(pod), _Running())
            running.ips = tuple(item["ip"] for item in status(pod)["podIPs"])
            running.plugged = self._on_host_network(pod) or netns.exists(self._place.pod_namespace(key(pod)))
            statuses = {s["name"]: s for s in status(pod).get("containerStatuses") or ()}
            for container in spec(pod).get("containers") or ():
                known = statuses.get(container["name"])
                pid = self._runtime.running.get(f"{uid(pod)}/{container['name']}")
                if known and pid and running.plugged:
                    running.states[container["name"]] = ContainerState(
                        container["name"], container["image"], "running", "", "", pid, known["restartCount"],
                        started_at=self._clock.now(), ready=known["ready"], started=known.get("started", False),
                    )  # fmt: skip
                    self._start_probes(pod, running, container)
            for container in spec(pod).get("initContainers") or ():
                running.init[container["name"]] = ContainerState(container["name"], container["image"], "terminated")

    def forget_waiting(self, pod: Object) -> None:
        """Let containers that wait for an image be tried again."""
        running = self._pods.get(uid(pod))
        if running:
            for at in [at for at, state in running.states.items() if state.reason == "ImagePullBackOff"]:
                del running.states[at]

    # --- starting

    async def _start(self, pod: Object, running: _Running) -> None:
        node = self._nodes[spec(pod)["nodeName"]]
        if not running.plugged:
            running.ips = running.ips or self._allocate(pod, node)
            if not self._on_host_network(pod):
                await self._plug(pod, running, node)
            running.plugged = True
            self._write_etc(pod, running)
        if not await self._run_init(pod, running):
            return
        for container in spec(pod).get("containers") or ():
            state = running.states.get(container["name"])
            if state is None:
                running.states[container["name"]] = ContainerState(container["name"], container["image"])
                await self._run(pod, running, running.states, container)

    def _on_host_network(self, pod: Object) -> bool:
        return bool(spec(pod).get("hostNetwork"))

    def _allocate(self, pod: Object, node: NodeSpec) -> tuple[str, ...]:
        if self._on_host_network(pod):
            return node.addresses
        known = tuple(item["ip"] for item in status(pod).get("podIPs") or ())
        taken = {ip for other in self._pods.values() for ip in other.ips}
        taken |= {
            item["ip"]
            for other in self._store.all(PODS)
            for item in status(other).get("podIPs") or ()
            if uid(other) != uid(pod)
        }
        mine = all(any(contains(cidr, ip) for cidr in node.pod_cidrs) for ip in known)
        if known and mine and not taken & set(known):
            return known
        return tuple(pod_address(cidr, taken) for cidr in node.pod_cidrs)

    async def _plug(self, pod: Object, running: _Running, node: NodeSpec) -> None:
        where = self._place.pod_namespace(key(pod))
        if netns.exists(where):  # a half-made one of an agent that was killed
            netns.delete(where)
        self._place.journal(where)
        gateways = {family_of(cidr): _gateway(cidr) for cidr in node.pod_cidrs}
        link = PodLink(
            where, "veth" + sha256(uid(pod).encode()).hexdigest()[:8], _link_index(running.ips[0], node.pod_cidrs[0]),
            tuple((ip, gateways[family_of(ip)]) for ip in running.ips),
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._ports[node.name].plug, [link])

    def _etc(self, pod: Object) -> Path:
        return self._place.state / "pods" / uid(pod) / "etc"

    def _write_etc(self, pod: Object, running: _Running) -> None:
        folder = self._etc(pod)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(resolv.resolv_conf(pod, self._cluster, self._place.host_resolv_conf))
        (folder / "hosts").write_text(resolv.hosts(pod, running.ips, self._cluster))
        (folder / "hostname").write_text(resolv.pod_hostname(pod) + "\n")

    async def _run_init(self, pod: Object, running: _Running) -> bool:
        """Run init containers one after the other; True when all have succeeded."""
        for container in spec(pod).get("initContainers") or ():
            state = running.init.get(container["name"])
            if state is None or (
                state.phase == "terminated" and state.exit_code and spec(pod).get("restartPolicy") != "Never"
            ):
                count = 0 if state is None else state.restarts + 1
                if count:
                    await asyncio.sleep(min(backoff_s(count - 1), 10))
                running.init[container["name"]] = ContainerState(container["name"], container["image"], restarts=count)
                await self._run(pod, running, running.init, container)
                return False
            if state.phase != "terminated" or state.exit_code:
                return False
        return True

    async def _run(
        self, pod: Object, running: _Running, group: dict[str, ContainerState], container: Mapping[str, Any]
    ) -> None:
        at = container["name"]
        env = self._environment(pod, running, container)
        command, args = command_of(container, env)
        loaded = image.loaded_images(list(self._store.all(IMAGES)))
        what = image.resolve(
            container["image"], command, args, loaded=loaded, installed=lambda program: bool(find(program))
        )
        if isinstance(what, image.Unknown):
            group[at] = replace(group[at], phase="waiting", reason="ImagePullBackOff", message=what.why)
            self._event(pod, "Warning", "Failed", what.why)
            return
        message = self._message(pod, container, env, what, group[at].restarts)
        try:
            await self._runtime.start(
                f"{uid(pod)}/{at}", message, lambda pid: self._started(pod, running, group, container, pid)
            )
        except KernelError as error:
            why = f"{shlex.join(message['argv'])}: {error}"
            self._event(pod, "Warning", "Failed", why)
            failed = replace(group[at], phase="terminated", exit_code=127, message=why, started_at=self._clock.now(),
                             finished_at=self._clock.now())  # fmt: skip
            group[at] = failed
            if group is running.states and should_restart(spec(pod).get("restartPolicy", "Always"), 127):
                self._restart_later(pod, running, failed)

    def _started(
        self, pod: Object, running: _Running, group: dict[str, ContainerState], container: Mapping[str, Any], pid: int
    ) -> None:
        at = container["name"]
        unprobed = not container.get("readinessProbe") and not container.get("startupProbe")
        group[at] = replace(
            group[at], phase="running", reason="", message="", pid=pid, started_at=self._clock.now(),
            started=not container.get("startupProbe"), ready=unprobed,
        )  # fmt: skip
        self._event(pod, "Normal", "Started", f"Started container {at}")
        if group is running.states:
            self._start_probes(pod, running, container)

    def _environment(self, pod: Object, running: _Running, container: Mapping[str, Any]) -> dict[str, str]:
        base = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME": resolv.pod_hostname(pod),
            "HOME": os.environ.get("HOME", "/"),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }
        return environment(
            pod, container, ips=running.ips, services=list(self._store.list(SERVICES, namespace(pod))),
            find=self._store.find, base=base,
        )  # fmt: skip

    def _message(
        self, pod: Object, container: Mapping[str, Any], env: Mapping[str, str], what: image.Run, restarts: int = 0
    ) -> dict[str, Any]:
        argv, builtin = list(what.argv), what.builtin
        if builtin == "nginx":
            argv, builtin = self._nginx(pod), ""
        elif not builtin and find(argv[0]) is None and argv[0] in _applets():
            argv = ["busybox", *argv]
        return {
            "namespace": self._network_of(pod),
            "hostname": self._nodes[spec(pod)["nodeName"]].name if self._on_host_network(pod) else resolv.pod_hostname(pod),
            "etc": str(self._etc(pod)), "argv": argv, "builtin": builtin, "flags": list(what.flags), "env": dict(env),
            "cwd": container.get("workingDir") or "/", "log": self._log(pod, container["name"], restarts),
            **({"entry": programs.NAME_SERVER, "dns": dict(self._place.dns)} if builtin == "dns" else {}),
        }  # fmt: skip

    def _nginx(self, pod: Object) -> list[str]:
        """nginx with a configuration of its own, so that every Pod has one and this machine's stays untouched."""
        folder = self._place.state / "pods" / uid(pod) / "nginx"
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / "index.html"
        index.write_text("<!DOCTYPE html>\n<title>Welcome to nginx!</title>\n<h1>Welcome to nginx!</h1>\n")
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr; worker_processes 1;\n"
            f"events {{ worker_connections 256; }}\n"
            f"http {{ access_log /dev/stdout; default_type text/html;\n  client_body_temp_path {folder}; proxy_temp_path {folder};"
            f" fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
            f"  server {{ listen 80; root {folder}; }} }}\n"
        )
        return ["nginx", "-c", str(config), "-p", str(folder)]

    def _network_of(self, pod: Object) -> str:
        if self._on_host_network(pod):
            return self._place.namespace_of(spec(pod)["nodeName"])
        return self._place.pod_namespace(key(pod))

    def _log(self, pod: Object, container: str, restarts: int) -> dict[str, Any]:
        path = run_file(self.log_folder(pod, container), restarts)
        return {"path": str(path), "maxBytes": self._cluster.log_bytes, "maxFiles": self._cluster.log_files}

    def log_folder(self, pod: Object, container: str) -> Path:
        """Where a container's output goes."""
        return self._place.state / "logs" / f"{namespace(pod)}_{name(pod)}_{uid(pod)}" / container

    def entry(self, at: NamespacedName, container: str | None) -> dict[str, Any]:
        """What `exec` needs to enter a Pod: namespace, host name, files, environment. Raises NotFoundError."""
        pod = self._store.get(PODS, at)
        running = self._pods.get(uid(pod))
        listed = spec(pod).get("containers") or [{}]
        chosen = next((c for c in listed if c.get("name") == container), None) if container else listed[0]
        if chosen is None:
            names = ", ".join(c["name"] for c in listed)
            raise NotFoundError(f"container {container} not found in pod {at.name}; it has {names}")
        if running is None or not running.plugged:
            raise NotFoundError(f"pod {at.name} has not started yet")
        return {
            "namespace": self._network_of(pod), "hostname": resolv.pod_hostname(pod), "etc": str(self._etc(pod)),
            "env": self._environment(pod, running, chosen), "cwd": chosen.get("workingDir") or "/",
        }  # fmt: skip

    # --- running

    def _restart_later(self, pod: Object, running: _Running, ended: ContainerState) -> None:
        restarts = ended.restarts
        if ended.finished_at - ended.started_at > BACKOFF_RESET_S:
            restarts = 0
        wait_s = backoff_s(restarts)
        last = tuple(terminated(ended).items())
        if wait_s:
            why = f"back-off {wait_s}s restarting failed container={ended.name} pod={name(pod)}"
            running.states[ended.name] = replace(
                ended, phase="waiting", reason="CrashLoopBackOff", message=why, last=last
            )
            self._event(pod, "Warning", "BackOff", why)
        self._background(self._restart(pod, running, replace(ended, last=last), wait_s))

    async def _restart(self, pod: Object, running: _Running, ended: ContainerState, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        async with running.lock:
            current = self._store.find(PODS, key(pod))
            if current is None or is_deleting(current) or running.gone or uid(current) != uid(pod):
                return
            container = next(c for c in spec(current)["containers"] if c["name"] == ended.name)
            running.states[ended.name] = ContainerState(
                ended.name, ended.image, restarts=ended.restarts + 1, last=ended.last
            )
            await self._run(current, running, running.states, container)
            self._write_status(current, running)

    def _start_probes(self, pod: Object, running: _Running, container: Mapping[str, Any]) -> None:
        at = container["name"]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if container.get(kind):
                task = asyncio.ensure_future(self._probe(pod, running, container, kind))
                running.probes.setdefault(at, []).append(task)

    async def _probe(self, pod: Object, running: _Running, container: Mapping[str, Any], kind: str) -> None:
        at, settings = container["name"], container[kind]
        adopted = running.states[at].started_at == 0
        await asyncio.sleep(0 if adopted else float(settings.get("initialDelaySeconds", 0)))
        tally = probe.Tally(
            kind == "livenessProbe", settings.get("successThreshold", 1), settings.get("failureThreshold", 3)
        )
        period_s = float(settings.get("periodSeconds", 10))
        node = self._place.namespace_of(spec(pod)["nodeName"])
        early = 0.05  # a server needs some milliseconds to listen: ask again soon before the first success
        while True:
            if running.states[at].running and (kind == "startupProbe" or running.states[at].started):
                success, why = await probe.attempt(
                    settings, container, node, running.ips[0], self._executor_of(pod, container)
                )
                decided = tally.count(success)
                if not success:
                    self._event(
                        pod, "Warning", "Unhealthy", f"{kind.removesuffix('Probe').title()} probe failed: {why}"
                    )
                if decided and self._judged(pod, running, at, kind, passing=tally.passing):
                    return
                if success or early > 1:
                    early = period_s
            await asyncio.sleep(min(early, period_s))
            early = min(early * 2, period_s)

    def _judged(self, pod: Object, running: _Running, at: str, kind: str, *, passing: bool) -> bool:
        """Act on a verdict; True when the probe is over."""
        state = running.states[at]
        if kind == "startupProbe" and passing:
            container = next(c for c in spec(pod)["containers"] if c["name"] == at)
            running.states[at] = replace(state, started=True, ready=not container.get("readinessProbe"))
        elif kind == "readinessProbe":
            if state.ready is passing:
                return False
            running.states[at] = replace(state, ready=passing)
        elif not passing:
            self._event(pod, "Normal", "Killing", f"Container {at} failed its {kind}, will be restarted")
            self._runtime.kill(f"{uid(pod)}/{at}", signal.SIGKILL)
            return True
        else:
            return False
        current = self._store.find(PODS, key(pod))
        if current is not None:
            self._write_status(current, running)
        return kind == "startupProbe"

    def _executor_of(
        self, pod: Object, container: Mapping[str, Any]
    ) -> Callable[[list[str], float], Coroutine[Any, Any, int]]:
        async def execute(argv: list[str], limit_s: float) -> int:
            self._exec_number += 1
            env = self._environment(pod, self._pods[uid(pod)], container)
            message = self._message(pod, container, env, image.Run(tuple(argv)))
            return await self._runtime.execute(
                f"{uid(pod)}/exec/{self._exec_number}",
                {**message, "log": None, "inside": f"{uid(pod)}/{container['name']}"},
                limit_s,
            )

        return execute

    # --- status and end

    def _write_status(self, pod: Object, running: _Running) -> None:
        current = self._store.find(PODS, key(pod))
        if current is None or uid(current) != uid(pod):
            return
        order = [c["name"] for c in spec(current).get("containers") or ()]
        states = [running.states.get(n) or ContainerState(n, "") for n in order]
        node = self._nodes[spec(current)["nodeName"]]
        new = pod_status(
            current, states, list(running.init.values()), running.ips, node.addresses[0], self._clock.now()
        )
        try:
            self._registry.replace_status({**current, "status": new})
        except (ConflictError, NotFoundError):
            return

    async def _terminate(self, pod: Object, running: _Running) -> None:
        """SIGTERM, the grace period, SIGKILL; then namespace, files and object go."""
        grace_s = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        for tasks in running.probes.values():
            for task in tasks:
                task.cancel()
        names = [f"{uid(pod)}/{at}" for at in (*running.states, *running.init)]
        for at in names:
            self._runtime.kill(at, signal.SIGTERM if grace_s else signal.SIGKILL)
        for at in names:
            if not await self._runtime.ended(at, grace_s):
                self._runtime.kill(at, signal.SIGKILL)
                await self._runtime.ended(at, 5)
        running.gone = True
        if not self._on_host_network(pod):
            netns.delete(self._place.pod_namespace(key(pod)))
        shutil.rmtree(self._place.state / "pods" / uid(pod), ignore_errors=True)
        shutil.rmtree(self.log_folder(pod, ""), ignore_errors=True)
        self._pods.pop(uid(pod), None)
        self._registry.finish(PODS, key(pod), uid(pod))


def _gateway(cidr: str) -> str:
    """The node's end of a Pod's link: the first address of the range, fe80::1 for IPv6."""
    return "fe80::1" if ":" in cidr else str(ipaddress.ip_network(cidr)[1])


def _link_index(address: str, cidr: str) -> int:
    """The node-side link's index: chosen by us, one for each address of the range."""
    return 1000 + int(ipaddress.ip_address(address)) - int(ipaddress.ip_network(cidr).network_address)
