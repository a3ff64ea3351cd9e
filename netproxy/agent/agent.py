"""The agent of one cluster: builds everything, the only place that picks drivers."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web

from netproxy.agent import machines
from netproxy.agent.paths import Paths
from netproxy.agent.pods import StoredObjects
from netproxy.agent.sweep import sweep
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.core.clock import timestamp
from netproxy.core.errors import ConflictError, KernelError, NetproxyError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.kubelet.loop import Kubelet
from netproxy.kubelet.ports import Place
from netproxy.kubelet.resolv import nameservers
from netproxy.kubelet.runtime import Runtime
from netproxy.linux import netns
from netproxy.linux.host import KernelHost
from netproxy.linux.nftables import Generations
from netproxy.manager.manager import Controllers
from netproxy.nodeproxy.choice import checked_choice
from netproxy.nodeproxy.healthports import HealthPorts
from netproxy.nodeproxy.http import bound
from netproxy.nodeproxy.modes import check_modes, missing_for
from netproxy.nodeproxy.node import NodeProxy
from netproxy.objects.cluster import ClusterSpec, cluster_object, cluster_spec, node_object
from netproxy.objects.kinds import (
    CLUSTERS,
    DEPLOYMENTS,
    EVENTS,
    KUBE_PROXY_CONFIGURATIONS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Resource,
    resource_of,
)
from netproxy.objects.live import live_cluster, live_nodes
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import (
    Object,
    annotations_of,
    describe,
    is_ready,
    key,
    name,
    namespace,
    spec,
    status,
    uid,
)
from netproxy.objects.validate import LAYOUT_ANNOTATION, MODE_ANNOTATION
from netproxy.registry.registry import Registry
from netproxy.serve import http
from netproxy.store.sqlite import SqliteBacking
from netproxy.store.store import Event, Store

log = logging.getLogger(__name__)

DNS_LABELS = {"k8s-app": "kube-dns"}
WORKERS = 4


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class Agent:
    """One cluster, alive."""

    def __init__(self, paths: Paths, incoming: list[Loaded], new_shim: Callable[[], Awaitable[None]]) -> None:
        self.paths = paths
        self.clock = SystemClock()
        backing = SqliteBacking(str(paths.database))
        self._backing = backing
        self.store = Store(self.clock, lambda: str(uuid.uuid4()), backing)
        self.restored = bool(self.store.count(CLUSTERS))
        self.cluster = self._cluster(incoming)
        self.registry = Registry(self.store, self.cluster)
        self._incoming = incoming
        self.api = Api(self.registry, self.clock)
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="kernel")
        self.runtime = Runtime(str(paths.shim_socket), new_shim)
        self.controllers = Controllers(self.registry, self.clock, self._wake_controllers)
        self._work = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self.started = self.clock.now()
        self.over = asyncio.Event()
        self.kubelet: Kubelet
        self.proxies: dict[str, NodeProxy] = {}
        """The proxy of each node, by its name."""

    def _cluster(self, incoming: list[Loaded]) -> ClusterSpec:
        stored = list(self.store.all(CLUSTERS))
        objects = stored + list(self.store.all(NODES)) if stored else [item.obj for item in incoming]
        return cluster_spec(objects, cluster_name=self.paths.cluster)

    # --- life

    async def start(self) -> None:
        """Bring everything up; whatever is there already is taken over. Raises NetproxyError."""
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(self._executor, machines.create, self.cluster, self.paths)
        await self.runtime.connect()
        new = await making
        config = self._apply_first()
        self.kubelet = Kubelet(
            self.store,
            self.cluster,
            self._place(),
            self.runtime,
            self.clock,
            self._executor,
            self.background,
            self.event,
        )
        self.proxies = self._make_proxies(config, new)
        self.kubelet.adopt(list(self.store.all(PODS)))
        for kind in (DEPLOYMENTS, REPLICA_SETS, SERVICES, PODS):
            for obj in self.store.all(kind):
                self.controllers.observe(Event("ADDED", obj, 0, kind))
        self.store.subscribe(self._observe)
        self.kubelet.start(fresh=not self.restored)
        self.controllers.run()
        for pod in list(self.store.all(PODS)):
            self.background(self.kubelet.sync(key(pod)))
        for proxy in self.proxies.values():
            proxy.start()
            self.background(HealthPorts(proxy, functools.partial(self._open_in_node, proxy.name)).run())
        self.background(self._run_controllers())
        with suppress(FileNotFoundError):
            self.paths.socket.unlink()
        self._runner = await http.serve(self.paths.socket, self.api, self.store, self.clock, self.extra)

    def _apply_first(self) -> Mapping[str, Any]:
        """The objects that every cluster has, then those of the user; all in one transaction."""
        with self.registry.transaction() as change:
            if not self.restored:
                base = [cluster_object(self.cluster), *_namespaces("default", "kube-system")]
                if not any(item.obj["kind"] == "ServiceCIDR" for item in self._incoming):
                    base.append(_service_cidr(self.cluster))
                self.registry.apply([Loaded(obj, "netproxy") for obj in base])
            given = {name(item.obj): item.obj for item in self._incoming if item.obj["kind"] == "Node"}
            for node in self.cluster.nodes:
                known = given.get(node.name) or change.find(NODES, NamespacedName("", node.name))
                self._put(node_object(node, known))
            rest = [item for item in self._incoming if item.obj["kind"] not in ("Cluster", "Node")]
            wanted = {namespace(item.obj) for item in rest} - {""}
            there = {name(obj) for obj in change.all(NAMESPACES)}
            there |= {name(item.obj) for item in rest if item.obj["kind"] == "Namespace"}
            self.registry.apply([Loaded(obj, "netproxy") for obj in _namespaces(*sorted(wanted - there))])
            self.registry.apply(rest)
            for obj in self._dns_objects():
                if change.find(_resource(obj), key(obj)) is None:
                    self.registry.create(obj)
        return self._configuration()

    def _put(self, obj: Object) -> None:
        self.registry.apply([Loaded(obj, "netproxy")])

    def _configuration(self) -> Mapping[str, Any]:
        given = next(iter(self.store.all(KUBE_PROXY_CONFIGURATIONS)), None)
        own = {"clusterCIDR": ",".join(self.cluster.pod_cidrs), "mode": self.cluster.proxy_mode}
        if given is None:
            return own
        return {**own, **{k: v for k, v in given.items() if k not in ("hostnameOverride", "clusterCIDR") or v}}

    def _dns_objects(self) -> list[Object]:
        meta = {"name": "kube-dns", "namespace": "kube-system", "labels": DNS_LABELS}
        ports = [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
        ]
        addresses = list(self.cluster.dns_addresses)
        families = [family.value for family in self.cluster.families][: len(addresses)]
        policy = "SingleStack" if len(addresses) == 1 else "RequireDualStack"
        container = {
            "name": "coredns",
            "image": "netproxy-dns",
            "ports": [{"containerPort": 53, "protocol": "UDP", "name": "dns"}],
            "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 60, "timeoutSeconds": 5,
                              "failureThreshold": 5},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
        }  # fmt: skip
        return [
            {"apiVersion": "v1", "kind": "Service", "metadata": meta,
             "spec": {"clusterIP": addresses[0], "clusterIPs": addresses, "ipFamilies": families, "ipFamilyPolicy": policy,
                      "selector": DNS_LABELS, "ports": ports}},
            {"apiVersion": "apps/v1", "kind": "Deployment",
             "metadata": {"name": "coredns", "namespace": "kube-system", "labels": DNS_LABELS},
             "spec": {"replicas": 1, "selector": {"matchLabels": DNS_LABELS},
                      "template": {"metadata": {"labels": DNS_LABELS},
                                   "spec": {"dnsPolicy": "Default", "terminationGracePeriodSeconds": 0, "containers": [container]}}}},
        ]  # fmt: skip

    def _place(self) -> Place:
        resolv = Path("/etc/resolv.conf")
        text = resolv.read_text() if resolv.exists() else ""
        dns = {
            "socket": str(self.paths.socket), "domain": self.cluster.dns_domain, "pods": self.cluster.dns_pods_mode,
            "cidrs": [*self.cluster.pod_cidrs, *self.cluster.service_cidrs], "upstreams": nameservers(text),
            "addresses": ["0.0.0.0", *(["::"] if len(self.cluster.families) > 1 or self.cluster.families[0] is Family.IPV6 else [])],
        }  # fmt: skip
        (self.paths.state / "logs").mkdir(exist_ok=True)
        return Place(
            self.paths.state, self.paths.namespace_of, self.paths.pod_namespace, text,
            lambda namespace: machines.note(self.paths, namespace), tuple(dns.items()),
        )  # fmt: skip

    def _make_proxies(self, config: Mapping[str, Any], new: set[str]) -> dict[str, NodeProxy]:
        result = {}
        for node in self.cluster.nodes:
            where = self.paths.namespace_of(node.name)
            generations = Generations(where)
            hosts = [
                KernelHost(where, family, generations=generations, flavour=self.cluster.iptables,
                           lock_file=str(self.paths.lock_file), is_new=where in new)
                for family in self._kernel_families()
            ]  # fmt: skip
            result[node.name] = NodeProxy(
                node.name, self.store, hosts, config, self.clock, addresses=node.addresses
            )  # fmt: skip
        return result

    @staticmethod
    def _kernel_families() -> list[Family]:
        """kube-proxy programs both families; a kernel without IPv6 has only one."""
        return [family for family in Family if family is Family.IPV4 or Path("/proc/net/if_inet6").exists()]

    async def close(self, *, take_down: bool) -> None:
        """End the agent; with TAKE_DOWN also everything that it made."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*(proxy.close() for proxy in self.proxies.values()))
        if take_down:
            await self.runtime.quit()
        else:
            await self.runtime.close()
        if self._runner:
            await self._runner.cleanup()
        self._executor.shutdown(wait=True)
        self._backing.close()
        if take_down:
            sweep(self.paths)

    # --- what happens

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside everything else; its failure is logged, not lost."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("unexpected failure", exc_info=task.exception())

    def _wake_controllers(self) -> None:
        self._work.set()

    async def _run_controllers(self) -> None:
        while True:
            self.controllers.run()
            self._work.clear()
            due = self.controllers.queue.next_at()
            wait_s = None if due is None else max(0.001, due - self.clock.monotonic())
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._work.wait()

    def _observe(self, event: Event) -> None:
        self.controllers.observe(event)
        if event.obj["kind"] == "Pod" and event.type != "DELETED":
            old = event.old
            bound = spec(event.obj).get("nodeName")
            if bound and (
                old is None or not spec(old).get("nodeName") or (is_deleting(event.obj) and not is_deleting(old))
            ):
                self.background(self.kubelet.sync(key(event.obj)))
        if (
            event.obj["kind"] == "KubeProxyConfiguration"
            and event.old
            and event.old.get("mode") != event.obj.get("mode")
        ):
            self._forget_choices()
        if event.obj["kind"] == "KubeProxyConfiguration":
            self._reconfigure()
        if event.obj["kind"] == "Image":
            self._try_images_again()

    def _reconfigure(self) -> None:
        """The proxies' settings changed."""
        config = self._configuration()
        for proxy in self.proxies.values():
            proxy.configure(config)

    def choose(self, mode: str, layout: str, node: str = "") -> list[str]:
        """Put nodes (all, or the one named) into a mode; their names.

        Raises ManifestError for an unknown one, KernelError when the host cannot do it.
        """
        checked_choice(mode, layout)
        lacking = missing_for(mode)
        if lacking:
            raise KernelError(f"{mode} mode is not possible here: {lacking}")
        nodes = [obj for obj in self.store.all(NODES) if node in ("", name(obj))]
        if not nodes:
            there = ", ".join(item.name for item in self.cluster.nodes)
            raise NotFoundError(f'nodes "{node}" not found; there are {there}')
        for obj in nodes:
            self._annotate(obj, {MODE_ANNOTATION: mode, LAYOUT_ANNOTATION: layout})
        return [name(obj) for obj in nodes]

    def _forget_choices(self) -> None:
        """What a configuration says now is newer than what was chosen for single nodes."""
        for obj in list(self.store.all(NODES)):
            if MODE_ANNOTATION in annotations_of(obj):
                self._annotate(obj, {MODE_ANNOTATION: "", LAYOUT_ANNOTATION: ""})

    def _annotate(self, obj: Object, values: Mapping[str, str]) -> None:
        notes = {**annotations_of(obj), **values}
        kept = {key: value for key, value in notes.items() if value}
        self.registry.replace({**obj, "metadata": {**obj["metadata"], "annotations": kept}})

    def _open_in_node(self, node: str, family: Family, port: int) -> socket.socket:
        with netns.visiting(self.paths.namespace_of(node)):
            return bound("::" if family is Family.IPV6 else "0.0.0.0", port)

    def event(self, about: Object, kind: str, reason: str, message: str) -> None:
        """Write a core/v1 Event; the same one again only counts."""
        at = namespace(about) or "default"
        event_name = f"{name(about)}.{sha256(f'{uid(about)}{reason}{message}'.encode()).hexdigest()[:16]}"
        now = timestamp(self.clock.now())
        known = self.store.find(EVENTS, NamespacedName(at, event_name))
        if known:
            with suppress(ConflictError):
                self.registry.replace({**known, "count": known.get("count", 1) + 1, "lastTimestamp": now})
            return
        new = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": event_name, "namespace": at},
            "involvedObject": {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": name(about),
                               "namespace": at, "uid": uid(about)},
            "type": kind, "reason": reason, "message": message, "count": 1, "firstTimestamp": now, "lastTimestamp": now,
            "source": {"component": "netproxy"},
        }  # fmt: skip
        with suppress(NetproxyError):  # a namespace on its way out takes no events
            self.registry.create(new)

    # --- what is beside the Kubernetes API

    async def extra(self, request: Request) -> Response:
        """Answer below /netproxy/."""
        from netproxy.agent.extra import answer

        return await answer(self, request)

    def apply(self, items: list[Loaded]) -> list[str]:
        """Create or update objects, all or none. Raises ManifestError."""
        known = {name(obj) for obj in self.store.all(NAMESPACES)}
        listed = {name(item.obj) for item in items if item.obj["kind"] == "Namespace"}
        missing = {namespace(item.obj) for item in items} - known - listed - {""}
        kept = [
            *live_nodes(items, {name(obj): obj for obj in self.store.all(NODES)}),
            *(i for i in items if i.obj["kind"] not in ("Cluster", "Node")),
        ]
        wanted = live_cluster(items, self.cluster)
        check_modes(items)
        with self.registry.transaction():
            made = self.registry.apply([*(Loaded(o, "netproxy") for o in _namespaces(*sorted(missing))), *kept])
            if wanted != self.cluster:
                self.cluster = wanted
                self._put(cluster_object(wanted))
                self._forget_choices()
                self._reconfigure()
                made = [cluster_object(wanted), *made]
        return [describe(obj) for obj in made]

    async def settle(self, limit_s: float) -> tuple[bool, list[Object]]:
        """Wait until Pods are ready (or cannot become so soon) and all rules are written.

        Returns whether that came about, and the Pods that are not ready.
        """
        deadline = self.clock.monotonic() + limit_s
        changed = asyncio.Event()
        end = self.store.subscribe(lambda _: changed.set())
        try:
            while True:
                changed.clear()
                waiting = [pod for pod in self.store.all(PODS) if not _settled(pod)]
                short = any(self.store.all(DEPLOYMENTS)) and any(
                    status(d).get("replicas", 0) < spec(d).get("replicas", 1) for d in self.store.all(DEPLOYMENTS)
                )
                left = deadline - self.clock.monotonic()
                settled = not (waiting or short)
                if settled or left <= 0:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await changed.wait()
        finally:
            end()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(1.0, deadline - self.clock.monotonic())):
                await self.rules_settled()
        ended = ("Succeeded",)
        return settled, [p for p in self.store.list(PODS) if not is_ready(p) and status(p).get("phase") not in ended]

    async def rules_settled(self) -> None:
        """Wait until every node's rules follow everything that was heard."""
        await asyncio.gather(*(proxy.settled() for proxy in self.proxies.values()))

    def rule_errors(self) -> list[dict[str, str]]:
        """Everything that keeps rules from being as they should be, for each node and family."""
        return [
            {"node": proxy.name, "family": family.value if family else "", "what": fault.what, "message": fault.message,
             "since": timestamp(fault.since)}
            for proxy in self.proxies.values() for family, fault in proxy.faults
        ]  # fmt: skip

    def remove_cluster(self) -> None:
        """Ask for the end: everything goes."""
        self.over.set()


def _settled(pod: Object) -> bool:
    if is_ready(pod) or status(pod).get("phase") in ("Succeeded", "Failed"):
        return True
    if (status(pod).get("conditions") or [{}])[0].get("reason") == "Unschedulable":
        return True
    waits = [
        ((s.get("state") or {}).get("waiting") or {}).get("reason") for s in status(pod).get("containerStatuses") or ()
    ]
    return any(reason in ("ImagePullBackOff", "CrashLoopBackOff") for reason in waits)


def _service_cidr(cluster: ClusterSpec) -> Object:
    """The object that every cluster has for its Service ranges."""
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": list(cluster.service_cidrs)}}  # fmt: skip


def _resource(obj: Object) -> Resource:
    found = resource_of(obj)
    assert found is not None
    return found


def _namespaces(*names: str) -> list[Object]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": item}} for item in names]


def write_state(paths: Paths) -> None:
    """Put down who the agent is, for the command line."""
    (paths.state / "agent.json").write_text(json.dumps({"pid": os.getpid(), "cluster": paths.cluster}))
