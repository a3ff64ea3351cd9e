"""A control plane: the objects, the API that serves them and, unless nothing is to happen by itself, the controllers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any

from aiohttp import web

from netproxy.agent.boot import put_first
from netproxy.agent.paths import Paths, Scope
from netproxy.apiserver.metrics import Meter
from netproxy.apiserver.routes import Api
from netproxy.client.cache import Cache
from netproxy.client.local import LocalApi
from netproxy.client.port import EVERYTHING
from netproxy.client.supervise import Backoff, supervised
from netproxy.linux.clock import SystemClock
from netproxy.objects.cluster import ClusterSpec, cluster_spec
from netproxy.objects.kinds import CLUSTERS, NODES, RESOURCES, stored_resource
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import name, spec
from netproxy.registry.registry import Registry
from netproxy.serve import http
from netproxy.serve.jwt import KeySigner
from netproxy.serve.nodes import Nodes
from netproxy.store.sqlite import SqliteBacking
from netproxy.store.store import Store

log = logging.getLogger(__name__)

CACHED = tuple(resource for resource in RESOURCES if stored_resource(resource) is resource)


FIRST_VERSION = 1000
"""Of a new cluster; a version from elsewhere, like 1, is too old for a watch, as it is of a cluster that has been there."""


class ControlPlane:
    """The objects of one cluster and whoever serves and moves them."""

    def __init__(
        self, paths: Paths, incoming: list[Loaded], *, scope: Scope = Scope.CLUSTER, sock: socket.socket | None = None
    ) -> None:  # fmt: skip
        """SOCK listens where the API is going to be served over HTTPS (`listen_https`), beside its Unix socket."""
        self.paths = paths
        self.incoming_socket = sock
        self.scope = scope
        self.clock = SystemClock()
        self.random = Random()
        self._backing = SqliteBacking(str(paths.database))
        self.store = Store(self.clock, lambda: str(uuid.uuid4()), self._backing, begins=FIRST_VERSION)
        self.restored = bool(self.store.count(CLUSTERS))
        self.registry = Registry(self.store, self._cluster(incoming), gives_accounts=scope is Scope.CLUSTER)
        self.client = LocalApi(self.registry)
        self.known = Cache(self.client, dict.fromkeys(CACHED, EVERYTHING), clock=self.clock, random=self.random)
        self.authority = ""
        """The certificate, as PEM, that vouches for the API; empty until it is known."""
        self.signer = KeySigner(paths.tls / "service-accounts.key", self.clock.now)
        self.started = self.clock.now()
        self.over = asyncio.Event()
        self._incoming = incoming
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

    async def put_first(self) -> None:
        """Admit what every cluster begins with and what its user gave. Raises ManifestError."""
        whole = self.scope is Scope.CLUSTER
        put_first(self.registry, self._incoming, restored=self.restored, runs_pods=whole, authority=self.authority)

    async def follow(self) -> None:
        """Keep the cache true from now on."""
        self.keep("the cache", self.known.run)
        await self.known.synced()

    async def listen(
        self, extra: http.Extra, nodes: Nodes | None = None, meter: Meter | None = None
    ) -> web.AppRunner:  # fmt: skip
        """Serve the API on the Unix socket. EXTRA answers below /netproxy/; NODES are those that can be reached, METER measures them."""
        with suppress(FileNotFoundError):
            self.paths.socket.unlink()
        api = Api(self.registry, self.clock, self.signer, meter)
        token_user = api.access.token_user
        self._runner = await http.serve(
            self.paths.socket, api, self.store, self.clock, extra, token_user=token_user, nodes=nodes
        )
        return self._runner

    async def listen_https(self) -> str:
        """Serve the API on the socket that was handed in, and write a kubeconfig that leads there; its path, or empty."""
        from netproxy.agent.secure import serve_https  # TLS takes time, and only this needs it

        sock, self.incoming_socket = self.incoming_socket, None
        if sock is not None and self._runner:
            certificate = await serve_https(self._runner, sock, self.paths, self.cluster, now=self.clock.now())
            self.publish(certificate)
        return str(self.paths.kubeconfig) if self.paths.kubeconfig.exists() else ""

    def publish(self, certificate: str) -> None:
        """Let every namespace have the certificate that vouches for the API, from now on. Twice is once."""
        if self.scope is not Scope.API and not self.authority:
            from netproxy.agent import moving

            moving.publish(self, certificate)
        self.authority = certificate

    def rest(self) -> None:
        """End every loop."""
        for task in tuple(self._tasks):
            task.cancel()

    async def close(self) -> None:
        """End every loop, and what is served."""
        self.rest()
        if self._runner:
            await self._runner.cleanup()
        self._backing.close()

    def keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a loop that others live on, for ever: when it fails, it begins again."""
        self.background(supervised(what, work, clock=self.clock, backoff=Backoff(self.random)))

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside everything else; its failure is logged, not lost."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("unexpected failure", exc_info=task.exception())

    def remove_cluster(self) -> None:
        """Ask for the end: everything goes."""
        self.over.set()


def write_state(paths: Paths) -> None:
    """Put down who the agent is, for the command line."""
    (paths.state / "agent.json").write_text(json.dumps({"pid": os.getpid(), "cluster": paths.cluster}))
