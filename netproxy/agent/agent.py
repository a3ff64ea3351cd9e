"""The agent of one cluster: builds everything, the only place that picks drivers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from netproxy.agent import machines, moving, nodes, secure
from netproxy.agent.boot import api_objects, name_server_settings, proxy_configuration
from netproxy.agent.journal import note
from netproxy.agent.paths import Paths
from netproxy.agent.plane import ControlPlane
from netproxy.agent.reach import OwnNodes
from netproxy.agent.settle import settle
from netproxy.agent.sweep import sweep
from netproxy.apiserver.tokens import requested
from netproxy.client.local import LocalApi
from netproxy.client.recorder import Recorder
from netproxy.core.names import NamespacedName
from netproxy.kubelet.loop import Kubelet
from netproxy.kubelet.objects import ApiObjects
from netproxy.kubelet.ports import Place
from netproxy.kubelet.resolv import nameservers
from netproxy.kubelet.runtime import Runtime
from netproxy.linux.host import resolv_conf
from netproxy.nodeproxy.modes import check_modes
from netproxy.nodeproxy.node import PROXIED, NodeProxy
from netproxy.objects.change import Event
from netproxy.objects.cluster import cluster_object
from netproxy.objects.kinds import IMAGES, KUBE_PROXY_CONFIGURATIONS, NODES, PODS, SERVICE_ACCOUNTS
from netproxy.objects.live import live_cluster, live_nodes
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, describe, name, spec
from netproxy.serve import http
from netproxy.serve.certificates import Certificates

log = logging.getLogger(__name__)

WORKERS = 4


class Agent(ControlPlane):
    """One cluster, alive."""

    def __init__(
        self, paths: Paths, incoming: list[Loaded], new_shim: Callable[[], Awaitable[None]], *,
        sock: socket.socket | None,
    ) -> None:  # fmt: skip
        """NEW_SHIM starts the parent of all containers again; SOCK as in ControlPlane."""
        super().__init__(paths, incoming, sock=sock)
        self.recorder = Recorder(LocalApi(self.registry, "kubelet"), self.clock, "kubelet")
        self.runtime = Runtime(str(paths.shim_socket), new_shim)
        self.kubelet: Kubelet
        self.proxies: dict[str, NodeProxy] = {}
        """The proxy of each node, by its name."""
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="kernel")

    # --- life

    async def start(self, extra: http.Extra) -> None:
        """Bring everything up; whatever is there already is taken over. EXTRA answers below /netproxy/. Raises NetproxyError."""
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(self._executor, machines.create, self.cluster, self.paths)
        vouching = loop.run_in_executor(self._executor, self._vouch)
        await self.runtime.connect()
        new = await making
        machines.write_client_files(self.cluster, self.paths)
        made = await vouching
        self.publish(made.authority.certificate.decode())
        await self.put_first()
        await self.follow()
        doors = nodes.api_sockets(self.cluster, self.paths)
        objects = ApiObjects(LocalApi(self.registry, "kubelet"), self.known, self._new_token)
        self.kubelet = Kubelet(
            objects, self.cluster, self._place(), self.runtime, self.clock, self._executor, self._tell
        )
        config = proxy_configuration(self.registry)
        self.proxies = nodes.make_proxies(self.cluster, self.paths, self.known, config, self.clock, new)
        self.known.subscribe(self._observe)
        self.kubelet.start(fresh=not self.restored)
        moving.control(self)
        moving.keep_always(self, api_objects(self.registry, self.cluster.nodes[0].addresses))
        for proxy in self.proxies.values():
            nodes.start_proxy(proxy, self.paths, LocalApi(self.registry, "kube-proxy"), self.clock, self.keep)
        reached = OwnNodes(self.kubelet, self.cluster, self.clock, self.paths.namespace_of)
        runner = await self.listen(extra, reached, reached)
        await secure.serve_inside(runner, doors, made)

    def _vouch(self) -> Certificates:
        """The cluster's certificates and the key of its tokens, made if they are not there. It takes some time."""
        assert self.incoming_socket is not None
        self.signer.prepare()
        return secure.vouch(self.paths.tls, self.cluster, self.incoming_socket, now=self.clock.now())

    async def _new_token(self, at: NamespacedName, asked: Object) -> Object:
        account = self.store.get(SERVICE_ACCOUNTS, at)
        now, uid = self.clock.now(), self.store.new_uid()
        return requested(account, asked, self.store, self.signer, now=now, uid=uid)

    def _place(self) -> Place:
        text = resolv_conf()
        (self.paths.state / "logs").mkdir(exist_ok=True)
        dns = name_server_settings(self.cluster, str(self.paths.socket), nameservers(text))
        return Place(
            self.paths.state, self.paths.namespace_of, self.paths.pod_namespace, text,
            lambda namespace: note(self.paths, namespace), tuple(dns.items()),
        )  # fmt: skip

    async def end(self, *, take_down: bool) -> None:
        """End the agent; with TAKE_DOWN also everything that it made."""
        self.rest()
        if hasattr(self, "kubelet"):
            self.kubelet.close()
        await asyncio.gather(*(proxy.close() for proxy in self.proxies.values()))
        if take_down:
            await self.runtime.quit()
        else:
            await self.runtime.close()
        await self.close()
        self._executor.shutdown(wait=True)
        if take_down:
            sweep(self.paths)

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
