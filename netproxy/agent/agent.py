"""The agent of one cluster: builds everything, the only place that picks drivers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import Any

from aiohttp import web

from netproxy.agent import machines, nodes
from netproxy.agent.boot import name_server_settings, proxy_configuration, put_first
from netproxy.agent.paths import Paths
from netproxy.agent.settle import settle
from netproxy.agent.sweep import sweep
from netproxy.apiserver.routes import Api
from netproxy.client.cache import Cache
from netproxy.client.local import LocalApi
from netproxy.client.port import EVERYTHING
from netproxy.client.recorder import Recorder
from netproxy.client.supervise import Backoff, supervised
from netproxy.controllers import ALL
from netproxy.kubelet.loop import Kubelet
from netproxy.kubelet.objects import ApiObjects
from netproxy.kubelet.ports import Place
from netproxy.kubelet.resolv import nameservers
from netproxy.kubelet.runtime import Runtime
from netproxy.linux.clock import SystemClock
from netproxy.linux.host import resolv_conf
from netproxy.manager.manager import Manager
from netproxy.nodeproxy.modes import check_modes
from netproxy.nodeproxy.node import PROXIED, NodeProxy
from netproxy.objects.change import Event
from netproxy.objects.cluster import ClusterSpec, cluster_object, cluster_spec
from netproxy.objects.kinds import CLUSTERS, IMAGES, KUBE_PROXY_CONFIGURATIONS, NODES, PODS, RESOURCES, stored_resource
from netproxy.objects.live import live_cluster, live_nodes
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, describe, name, spec
from netproxy.registry.registry import Registry
from netproxy.serve import http
from netproxy.store.sqlite import SqliteBacking
from netproxy.store.store import Store

log = logging.getLogger(__name__)

WORKERS = 4
CACHED = tuple(resource for resource in RESOURCES if stored_resource(resource) is resource)


class Agent:
    """One cluster, alive."""

    def __init__(
        self, paths: Paths, incoming: list[Loaded], new_shim: Callable[[], Awaitable[None]], *,
        api_address: tuple[str, int] | None = None,
    ) -> None:  # fmt: skip
        """API_ADDRESS is where the API listens over HTTPS beside its Unix socket; None is nowhere."""
        self.paths = paths
        self.clock = SystemClock()
        self._random = Random()
        self._backing = SqliteBacking(str(paths.database))
        self.store = Store(self.clock, lambda: str(uuid.uuid4()), self._backing)
        self.restored = bool(self.store.count(CLUSTERS))
        self.registry = Registry(self.store, self._cluster(incoming))
        self.client = LocalApi(self.registry)
        self.known = Cache(self.client, dict.fromkeys(CACHED, EVERYTHING), clock=self.clock, random=self._random)
        self.recorder = Recorder(LocalApi(self.registry, "kubelet"), self.clock, "kubelet")
        self.manager = Manager(LocalApi(self.registry, "kube-controller-manager"), self.known, ALL, self.clock)
        self.runtime = Runtime(str(paths.shim_socket), new_shim)
        self.started = self.clock.now()
        self.over = asyncio.Event()
        self.kubelet: Kubelet
        self.proxies: dict[str, NodeProxy] = {}
        """The proxy of each node, by its name."""
        self._incoming = incoming
        self._api_address = api_address
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="kernel")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    @property
    def cluster(self) -> ClusterSpec:
        """What kind of cluster it is."""
        return self.registry.cluster

    def _cluster(self, incoming: list[Loaded]) -> ClusterSpec:
        """What was stored, else what is incoming. Nodes that joined by the API have a machine of their own somewhere."""
        stored = next(iter(self.store.all(CLUSTERS)), None)
        if stored is None:
            return cluster_spec([item.obj for item in incoming], cluster_name=self.paths.cluster)
        ours = {node["name"] for node in spec(stored)["nodes"]}
        nodes = [node for node in self.store.all(NODES) if name(node) in ours]
        return cluster_spec([stored, *nodes], cluster_name=self.paths.cluster)

    # --- life

    async def start(self, extra: http.Extra) -> None:
        """Bring everything up; whatever is there already is taken over. EXTRA answers below /netproxy/. Raises NetproxyError."""
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(self._executor, machines.create, self.cluster, self.paths)
        await self.runtime.connect()
        new = await making
        machines.write_client_files(self.cluster, self.paths)
        put_first(self.registry, self._incoming, restored=self.restored)
        self.keep("the cache", self.known.run)
        await self.known.synced()
        objects = ApiObjects(LocalApi(self.registry, "kubelet"), self.known)
        self.kubelet = Kubelet(
            objects, self.cluster, self._place(), self.runtime, self.clock, self._executor, self._tell
        )
        config = proxy_configuration(self.registry)
        self.proxies = nodes.make_proxies(self.cluster, self.paths, self.known, config, self.clock, new)
        self.known.subscribe(self._observe)
        self.kubelet.start(fresh=not self.restored)
        self.keep("the controllers", self.manager.run)
        for proxy in self.proxies.values():
            nodes.start_proxy(proxy, self.paths, LocalApi(self.registry, "kube-proxy"), self.clock, self.keep)
        with suppress(FileNotFoundError):
            self.paths.socket.unlink()
        api = Api(self.registry, self.clock)
        self._runner = await http.serve(self.paths.socket, api, self.store, self.clock, extra)
        if self._api_address:
            from netproxy.agent.secure import serve_https  # takes time, and few clusters need it

            await serve_https(self._runner, self._api_address, self.paths.tls, self.cluster, self.clock)

    def _place(self) -> Place:
        text = resolv_conf()
        (self.paths.state / "logs").mkdir(exist_ok=True)
        dns = name_server_settings(self.cluster, str(self.paths.socket), nameservers(text))
        return Place(
            self.paths.state, self.paths.namespace_of, self.paths.pod_namespace, text,
            lambda namespace: machines.note(self.paths, namespace), tuple(dns.items()),
        )  # fmt: skip

    async def close(self, *, take_down: bool) -> None:
        """End the agent; with TAKE_DOWN also everything that it made."""
        for task in tuple(self._tasks):
            task.cancel()
        if hasattr(self, "kubelet"):
            self.kubelet.close()
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

    def keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a loop that others live on, for ever: when it fails, it begins again."""
        self.background(supervised(what, work, clock=self.clock, backoff=Backoff(self._random)))

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside everything else; its failure is logged, not lost."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("unexpected failure", exc_info=task.exception())

    # --- what happens

    def _tell(self, about: Object, kind: str, reason: str, message: str) -> None:
        self.background(self.recorder.event(about, kind, reason, message))

    def _observe(self, event: Event) -> None:
        if event.resource is PODS and event.type == "DELETED":
            self.kubelet.gone(event.obj)
        elif event.resource is PODS and spec(event.obj).get("nodeName"):
            self.kubelet.observe(event.obj, event.old)
        elif event.resource is IMAGES:
            self.kubelet.image_is_known()
        elif event.resource is KUBE_PROXY_CONFIGURATIONS:
            if event.old and event.old.get("mode") != event.obj.get("mode"):
                nodes.forget_choices(self.registry)
            self._configure()

    def _configure(self) -> None:
        """The proxies' settings may have changed."""
        config = proxy_configuration(self.registry)
        for proxy in self.proxies.values():
            proxy.configure(config)

    # --- what is beside the Kubernetes API

    def apply(self, items: list[Loaded]) -> list[str]:
        """Create or update objects, all or none. Raises ManifestError."""
        kept = [
            *live_nodes(items, {name(obj): obj for obj in self.store.all(NODES)}),
            *(i for i in items if i.obj["kind"] not in ("Cluster", "Node")),
        ]
        wanted = live_cluster(items, self.cluster)
        check_modes(items)
        with self.registry.transaction():
            made = self.registry.apply(kept)
            if wanted != self.cluster:
                self.registry.apply([Loaded(cluster_object(wanted), "netproxy")])
                if wanted.proxy_mode != self.cluster.proxy_mode:
                    nodes.forget_choices(self.registry)
                if wanted.kube_proxy_version != self.cluster.kube_proxy_version:
                    nodes.forget_choices(self.registry, nodes.VERSION_CHOICES)
                made = [cluster_object(wanted), *made]
        if wanted != self.cluster:
            self.registry.cluster = wanted
            self._configure()
        return [describe(obj) for obj in made]

    async def settle(self, limit_s: float) -> tuple[bool, list[Object]]:
        """Wait until Pods are ready (or cannot become so soon) and all rules are written.

        Returns whether that came about, and the Pods that are not ready.
        """
        return await settle(self.store, self.clock, limit_s, self.rules_settled, lambda: self.kubelet.has_looked)

    async def rules_settled(self) -> None:
        """Wait until every node's rules follow everything that is stored now."""
        for resource in (NODES, KUBE_PROXY_CONFIGURATIONS, *PROXIED):
            await self.known.reached(resource, self.store.latest(resource))
        await nodes.all_settled(self.proxies)

    def choose(self, mode: str, layout: str, version: str = "", node: str = "") -> list[str]:
        """Put nodes into a mode: see `nodes.choose`."""
        return nodes.choose(self.registry, mode, layout, version, node)

    def rule_errors(self) -> list[dict[str, str]]:
        """Everything that keeps rules from being as they should be, for each node and family."""
        return nodes.faults(self.proxies)

    def remove_cluster(self) -> None:
        """Ask for the end: everything goes."""
        self.over.set()


def write_state(paths: Paths) -> None:
    """Put down who the agent is, for the command line."""
    (paths.state / "agent.json").write_text(json.dumps({"pid": os.getpid(), "cluster": paths.cluster}))
