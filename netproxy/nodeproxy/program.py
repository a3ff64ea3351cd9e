"""`netproxy proxy`: the service proxy of the node that this process runs on, for any Kubernetes API server.

The same NodeProxy that `up` runs for each emulated node; here it is fed over HTTP and works in the process's own namespace.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from netproxy.client.cache import Cache
from netproxy.client.http import HttpApi
from netproxy.client.kubeconfig import Connection
from netproxy.client.kubeconfig import load as load_connection
from netproxy.client.port import Api, Selector
from netproxy.client.recorder import Recorder
from netproxy.client.supervise import Backoff, supervised
from netproxy.core.clock import Clock
from netproxy.core.errors import KernelError
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.clock import SystemClock
from netproxy.linux.host import KernelHost
from netproxy.linux.iptables import back_end_in_use, back_ends
from netproxy.linux.iptables_read import legacy_tables
from netproxy.linux.nftables import Generations
from netproxy.linux.ports import Host
from netproxy.nodeproxy.announce import Announcer
from netproxy.nodeproxy.choice import Choice, checked_choice
from netproxy.nodeproxy.healthports import HealthPorts
from netproxy.nodeproxy.http import bound
from netproxy.nodeproxy.lean import Lean
from netproxy.nodeproxy.modes import clear, missing_for
from netproxy.nodeproxy.node import NodeProxy
from netproxy.nodeproxy.options import Settings
from netproxy.nodeproxy.pages import Pages, servers
from netproxy.objects.kinds import ENDPOINT_SLICES, NODES, SERVICE_CIDRS, SERVICES, Resource
from netproxy.objects.meta import Object
from netproxy.proxy.build import HEADLESS, PROXY_NAME
from netproxy.proxy.config import node_ips

log = logging.getLogger(__name__)

NODE_S = 30.0
"""As long as kube-proxy waits for its Node's addresses."""


def wanted(node: str, choice: Choice) -> dict[Resource, Selector]:
    """What is asked of the API: as little as the kube-proxy of the version that is chosen asks by labels."""
    on_services, on_slices = f"!{PROXY_NAME}", f"!{HEADLESS}"
    if choice.version.labels_on_both:
        on_services = on_slices = f"{on_slices},{on_services}"
    found = {
        SERVICES: Selector(labels=on_services), ENDPOINT_SLICES: Selector(labels=on_slices),
        NODES: Selector(fields=f"metadata.name={node}"),
    }  # fmt: skip
    return {**found, SERVICE_CIDRS: Selector()} if choice.mode == "nftables" else found


class Program:
    """One run: `serve` until it is told to stop."""

    def __init__(
        self, settings: Settings, api: Api, hosts: list[Host], clock: Clock, random: Random, *, node_s: float = NODE_S
    ) -> None:  # fmt: skip
        """NODE_S: so long a Node without addresses is waited for."""
        self.settings = settings
        self.stopping = asyncio.Event()
        self.has_ended = True
        """Whether no thread of ours is at work any more, after `serve`."""
        self.choice = checked_choice(settings.config.get("mode") or "", settings.layout, settings.version)
        self._api = api
        self._node_s = node_s
        self._hosts = hosts
        self._clock = clock
        self._random = random
        asked = wanted(settings.node, self.choice)
        self._cache = Cache(api, asked, clock=clock, random=random, kept=Lean())
        self._failed: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._proxy: NodeProxy | None = None

    @property
    def has_written(self) -> bool:
        """Whether some pass came to its end, so that rules are there."""
        return self._proxy is not None and any(report.passes for report in self._proxy.reports.values())

    async def serve(self) -> None:
        """Keep the rules right until `stopping`; they stay afterwards. Raises NetproxyError when it cannot begin."""
        lacking = missing_for(self.choice.mode)
        if lacking:
            raise KernelError(f"{self.choice.mode} mode is not possible here: {lacking}")
        config = self.settings.config
        pages = Pages(config, self._clock, api_error=self._api_error)
        for server in servers(pages, config):
            self._background(server)
        self._background(self._supervised("objects", self._cache.run))
        self._background(self._proxying(pages))
        try:
            await self.stopping.wait()
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._proxy:
                self.has_ended = await self._proxy.close()
        if self._failed:
            raise self._failed

    def _api_error(self) -> str:
        """Why the API tells nothing of something that is followed; empty when it tells all."""
        states = ((resource, self._cache.state(resource)) for resource in wanted("", self.choice))
        return next((f"{resource.plural}: {state.last_error}" for resource, state in states if state.last_error), "")

    def _supervised(self, name: str, work: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        return supervised(name, work, clock=self._clock, backoff=Backoff(self._random))

    def _background(self, work: Awaitable[None]) -> None:
        """Run something beside everything else; what it raises ends the program."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failed = self._failed or (error if isinstance(error, Exception) else None)
            self.stopping.set()

    async def _proxying(self, pages: Pages) -> None:
        """As soon as everything has been seen once, and the Node has addresses, begin."""
        await self._cache.synced()
        await self._node_has_addresses()
        settings = self.settings
        proxy = self._proxy = NodeProxy(
            settings.node, self._cache, self._hosts, settings.config, self._clock, addresses=None,
            resources=tuple(r for r in (SERVICE_CIDRS, SERVICES, ENDPOINT_SLICES) if r in wanted("", self.choice)),
            choose=self._choose,
        )  # fmt: skip
        pages.show(proxy)
        recorder = Recorder(self._api, self._clock, "netproxy", host=settings.node)
        ports = HealthPorts(proxy, bound)
        announcer = Announcer(proxy, self._api, recorder, self._clock)
        self._background(self._supervised("health check node ports", ports.run))
        self._background(self._supervised("announcements", announcer.run))
        proxy.start()
        families, version = ", ".join(proxy.reports), self.choice.version.name
        log.info("%s: %s mode, %s, as kube-proxy %s", settings.node, self.choice.mode, families, version)

    def _choose(self, node: Object, config: Mapping[str, Any]) -> Choice:
        """The mode is the configuration's; nobody who may write Nodes has a say in it."""
        return self.choice

    async def _node_has_addresses(self) -> None:
        """Wait for the Node, but not for ever: a proxy without it is better than none."""
        seen = asyncio.Event()

        def look(_: object = None) -> None:
            node = self._cache.find(NODES, NamespacedName("", self.settings.node))
            if node and node_ips(node):
                seen.set()

        end = self._cache.subscribe(look)
        look()
        if not seen.is_set():
            log.warning(
                "there is no Node %s with addresses yet; waiting for it, %.0f s at most",
                self.settings.node,
                self._node_s,
            )
        try:
            async with asyncio.timeout(self._node_s):
                await seen.wait()
        except TimeoutError:
            log.warning(
                "there is no Node %s with addresses after %.0f s; going on without", self.settings.node, self._node_s
            )
        finally:
            end()


def connection(settings: Settings) -> Connection:
    """How the API server is reached. Raises ManifestError."""
    if settings.master and settings.kubeconfig is None:
        return Connection(settings.master.rstrip("/"), source="--master")
    found = load_connection(settings.kubeconfig)
    return replace(found, server=settings.master.rstrip("/")) if settings.master else found


def families() -> list[Family]:
    """Those that this kernel has."""
    has_ipv6 = Path("/proc/net/if_inet6").exists() and netns.read_sysctl("net/ipv6/conf/all/disable_ipv6") != "1"
    return [family for family in Family if family is Family.IPV4 or has_ipv6]


def own_hosts(back_end: str) -> list[Host]:
    """The kernel of the namespace that this process is in, for each family."""
    flavour = back_end_in_use(None) if back_end == "auto" else back_end
    generations = Generations(None)
    return [KernelHost(None, family, generations=generations, flavour=flavour) for family in families()]


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the exit status. Raises NetproxyError when it cannot begin."""
    program = asyncio.run(_serve(settings, connection(settings)))
    log.info("%s: ended; %s", settings.node, "the rules stay" if program.has_written else "no rules were written")
    if not program.has_ended:
        logging.shutdown()
        os._exit(os.EX_OK)  # a thread waits for the kernel: so would the interpreter
    return os.EX_OK


async def _serve(settings: Settings, where: Connection) -> Program:
    clock, random = SystemClock(), Random()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(settings.config["oomScoreAdj"]))
    api = HttpApi.of(where, clock=clock, random=random)
    program = Program(settings, api, own_hosts(settings.back_end), clock, random)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, program.stopping.set)
    try:
        await program.serve()
    finally:
        await api.close()
    return program


def clean_up() -> None:
    """Take away what any mode of any proxy has left in this namespace, by both back ends of iptables. Raises KernelError."""
    for flavour in back_ends():
        for family in families():
            if flavour == "legacy" and not legacy_tables(None, family):
                continue
            host = KernelHost(None, family, flavour=flavour)
            try:
                clear(host)
            finally:
                host.close()
