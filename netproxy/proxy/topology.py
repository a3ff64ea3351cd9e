"""Which endpoints may serve which traffic: traffic policies, readiness, topology hints.

Source: kubernetes pkg/proxy/topology.go, CategorizeEndpoints; 1.30, and current behaviour where the gates are on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from netproxy.proxy.model import Endpoint, NodeView, ServicePort

Predicate = Callable[[Endpoint], bool]


class Categories(NamedTuple):
    """Four answers about the endpoints of one service port on one node."""

    cluster: tuple[Endpoint, ...]
    """For traffic with policy Cluster."""
    local: tuple[Endpoint, ...]
    """For traffic with policy Local."""
    reachable: tuple[Endpoint, ...]
    """All that some traffic on this node may get."""
    exist_anywhere: bool
    """Whether any endpoint in the cluster could serve: it decides between reject and drop."""


def _is_draining(endpoint: Endpoint) -> bool:
    return endpoint.serving and endpoint.terminating


def categorize(service: ServicePort, node: NodeView) -> Categories:
    """Sort the endpoints of SERVICE as NODE may use them."""
    endpoints = service.endpoints
    cluster: tuple[Endpoint, ...] = ()
    available: Predicate | None = None
    if service.uses_cluster_endpoints:
        available = topology_filter(service, node)
        cluster = tuple([e for e in endpoints if e.ready and (available is None or available(e))])
        if not cluster:
            cluster = tuple(filter(_is_draining, endpoints))
        if not service.uses_local_endpoints:
            return Categories(cluster, (), cluster, bool(cluster))
    exist = bool(cluster) or any(e.ready or _is_draining(e) for e in endpoints)
    local = tuple(e for e in endpoints if e.local and e.ready)
    draining = not local
    if draining:
        local = tuple(e for e in endpoints if e.local and _is_draining(e))
    if not service.uses_cluster_endpoints:
        return Categories((), local, local, exist)
    if available is None and not (draining and local):
        return Categories(cluster, local, cluster, exist)
    either = {*cluster, *local}
    return Categories(cluster, local, tuple(e for e in endpoints if e in either), exist)


def topology_filter(service: ServicePort, node: NodeView) -> Predicate | None:
    """The test that hints put on endpoints, or None when hints do not apply.

    Every ready endpoint must carry a hint and one must match; hints for this node come before hints for its zone.
    """
    if not node.hints_without_annotation and service.hints_annotation in ("", "disabled", "Disabled"):
        return None
    ready = tuple([e for e in service.endpoints if e.ready])
    if not any(e.nodes or e.zones for e in ready):
        return None
    if node.node_hints and all(e.nodes for e in ready) and any(node.name in e.nodes for e in ready):
        return lambda endpoint: node.name in endpoint.nodes
    if node.zone and all(e.zones for e in ready) and any(node.zone in e.zones for e in ready):
        return lambda endpoint: node.zone in endpoint.zones
    return None
