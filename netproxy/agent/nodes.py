"""The node proxies of a cluster: made on this kernel, put into a mode, asked how they are."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from netproxy.agent.begin import API_PORT
from netproxy.agent.paths import Paths
from netproxy.client.cache import Cache
from netproxy.client.port import Api
from netproxy.client.recorder import Recorder
from netproxy.core.clock import Clock, timestamp
from netproxy.core.errors import KernelError, NotFoundError
from netproxy.core.net import Family, join_host_port
from netproxy.linux import netns
from netproxy.linux.host import KernelHost
from netproxy.linux.nftables import Generations
from netproxy.nodeproxy.announce import Announcer
from netproxy.nodeproxy.choice import checked_choice
from netproxy.nodeproxy.healthports import HealthPorts
from netproxy.nodeproxy.http import bound
from netproxy.nodeproxy.modes import missing_for
from netproxy.nodeproxy.node import NodeProxy
from netproxy.objects.choices import LAYOUT_ANNOTATION, MODE_ANNOTATION, VERSION_ANNOTATION
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.kinds import NODES
from netproxy.objects.meta import Object, annotations_of, name
from netproxy.registry.registry import Registry

log = logging.getLogger(__name__)

Keep = Callable[[str, Callable[[], Any]], None]
"""Run a long-lived loop under supervision: its name, and what makes it."""


def make_proxies(
    cluster: ClusterSpec, paths: Paths, known: Cache, config: Mapping[str, Any], clock: Clock, new: set[str]
) -> dict[str, NodeProxy]:
    """The proxy of each node, by its name. NEW are the namespaces that nobody has written into yet."""
    result = {}
    for node in cluster.nodes:
        where = paths.namespace_of(node.name)
        generations = Generations(where)
        hosts = [
            KernelHost(where, family, generations=generations, flavour=cluster.iptables, lock_file=str(paths.lock_file),
                       is_new=where in new)
            for family in _kernel_families()
        ]  # fmt: skip
        result[node.name] = NodeProxy(node.name, known, hosts, config, clock, addresses=node.addresses)
    return result


def start_proxy(proxy: NodeProxy, paths: Paths, api: Api, clock: Clock, keep: Keep) -> None:
    """Let a node's rules follow its objects, its health check ports listen, its faults be told."""
    proxy.start()
    ports = HealthPorts(proxy, functools.partial(_open_in_node, paths.namespace_of(proxy.name)))
    keep(f"health check ports of {proxy.name}", ports.run)
    announcer = Announcer(proxy, api, Recorder(api, clock, "kube-proxy", host=proxy.name), clock)
    keep(f"announcements of {proxy.name}", announcer.run)


def _kernel_families() -> list[Family]:
    """kube-proxy programs both families; a kernel without IPv6 has only one."""
    return [family for family in Family if family is Family.IPV4 or Path("/proc/net/if_inet6").exists()]


def _open_in_node(namespace: str, address: str, port: int) -> socket.socket:
    with netns.visiting(namespace):
        return bound(address, port)


def api_sockets(cluster: ClusterSpec, paths: Paths) -> list[socket.socket]:
    """Sockets at which the API is called from inside of the cluster: those of the first node. One that is taken is left out."""
    first = cluster.nodes[0]
    result = []
    for address in first.addresses:
        try:
            sock = _open_in_node(paths.namespace_of(first.name), address, API_PORT)
        except OSError as error:
            log.error("the API is not served at %s: %s", join_host_port(address, API_PORT), error.strerror)
        else:
            sock.listen(128)
            result.append(sock)
    return result


def choose(registry: Registry, mode: str, layout: str, version: str = "", node: str = "") -> list[str]:
    """Put nodes (all, or the one named) into a mode, and give them another kube-proxy's rules; empty leaves it. Their names.

    Raises ManifestError for an unknown mode, layout or version, KernelError when the host cannot do it, NotFoundError.
    """
    checked_choice(mode, layout, version)
    lacking = missing_for(mode)
    if lacking:
        raise KernelError(f"{mode} mode is not possible here: {lacking}")
    nodes = [obj for obj in registry.store.list(NODES) if node in ("", name(obj))]
    if not nodes:
        there = ", ".join(item.name for item in registry.cluster.nodes)
        raise NotFoundError(f'nodes "{node}" not found; there are {there}')
    with registry.transaction():
        for obj in nodes:
            chosen = {MODE_ANNOTATION: mode, LAYOUT_ANNOTATION: layout} if mode else {}
            _annotate(registry, obj, chosen | ({VERSION_ANNOTATION: version} if version else {}))
    return [name(obj) for obj in nodes]


MODE_CHOICES, VERSION_CHOICES = (MODE_ANNOTATION, LAYOUT_ANNOTATION), (VERSION_ANNOTATION,)


def forget_choices(registry: Registry, annotations: Iterable[str] = MODE_CHOICES) -> None:
    """What a configuration says now is newer than what was chosen for single nodes."""
    annotations = tuple(annotations)
    with registry.transaction() as change:
        for obj in list(change.all(NODES)):
            if set(annotations) & set(annotations_of(obj)):
                _annotate(registry, obj, dict.fromkeys(annotations, ""))


def _annotate(registry: Registry, obj: Object, values: Mapping[str, str]) -> None:
    notes = {**annotations_of(obj), **values}
    kept = {key: value for key, value in notes.items() if value}
    registry.replace({**obj, "metadata": {**obj["metadata"], "annotations": kept}})


def faults(proxies: Mapping[str, NodeProxy]) -> list[dict[str, str]]:
    """Everything that keeps rules from being as they should be, for each node and family."""
    return [
        {"node": proxy.name, "family": family.value if family else "", "what": fault.what, "message": fault.message,
         "since": timestamp(fault.since)}
        for proxy in proxies.values() for family, fault in proxy.faults
    ]  # fmt: skip


async def all_settled(proxies: Mapping[str, NodeProxy]) -> None:
    """Wait until every node's rules follow everything that was heard."""
    await asyncio.gather(*(proxy.settled() for proxy in proxies.values()))
