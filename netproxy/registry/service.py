"""Services: what they leave open is handed out, and kept as long as they live.

Source: kubernetes pkg/registry/core/service/storage/{alloc,storage}.go, pkg/registry/core/service/strategy.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netproxy.core.errors import ConflictError
from netproxy.core.net import sloppy_address
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.kinds import SERVICES
from netproxy.objects.meta import Object, key, name, spec, status
from netproxy.objects.validation.service import is_exposed, needs_health_check
from netproxy.registry.allocate import Holdings, Wish, full
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.serviceips import with_addresses
from netproxy.registry.serviceports import with_ports
from netproxy.registry.strategy import Strategy

Spec = dict[str, Any]
_IP_FIELDS = ("clusterIP", "clusterIPs")


class ServiceStrategy(Strategy):
    """ClusterIPs and node ports come from the cluster's ranges."""

    status_is_given = True  # no load balancer lives here: its address is what the manifest says

    def __init__(self, cluster: Callable[[], ClusterSpec], holdings: Holdings) -> None:
        super().__init__(SERVICES)
        self._cluster = cluster
        self._holdings = holdings

    def first_status(self) -> Object:
        """No load balancer yet."""
        return {"loadBalancer": {}}

    def settled(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> Object:
        """With addresses and ports. Raises ManifestError or ApiError when one cannot be had."""
        service, before = dict(spec(new)), dict(spec(old)) if old else None
        who = str(key(new)) if old else ""
        if options.tolerant:
            _spell(service)
        if before is not None:
            _keep(service, before)
        _join(service, before)
        wish = Wish(name(new), who, self._cluster(), self._holdings, options.dry_run)
        try:
            with_addresses(service, before, wish)
        except ConflictError as error:
            raise full(f'failed to allocate a serviceIP for Service "{name(new)}"') from error
        with_ports(service, before, wish)
        settled = {**new, "spec": service}
        if before is not None:
            _drop(service, before)
            if service.get("type") == "ExternalName":
                _forget(service, "internalTrafficPolicy")
            if service.get("type") != "LoadBalancer" and status(new).get("loadBalancer"):
                settled["status"] = {**status(new), "loadBalancer": {}}
        return settled


def _spell(service: Spec) -> None:
    """Write its addresses in the one way there is."""
    if service.get("clusterIP"):
        service["clusterIP"] = sloppy_address(service["clusterIP"]) or service["clusterIP"]
    if service.get("clusterIPs"):
        service["clusterIP"] = service.get("clusterIP") or sloppy_address(service["clusterIPs"][0])
        service["clusterIPs"] = [sloppy_address(ip) or ip for ip in service["clusterIPs"]]


def _keep(service: Spec, old: Spec) -> None:
    """What was handed out and is left out now stays."""
    if _has_ips(service) and _has_ips(old):
        for field in _IP_FIELDS:
            if not service.get(field) and old.get(field):
                service[field] = old[field]
    if _has_node_ports(service) and _has_node_ports(old):
        service["ports"] = _with_node_ports(service.get("ports") or [], old.get("ports") or [])
    check = "healthCheckNodePort"
    if needs_health_check(service) and needs_health_check(old) and not service.get(check) and old.get(check):
        service[check] = old[check]


def _with_node_ports(ports: Sequence[Spec], old: Sequence[Spec]) -> list[Spec]:
    """Ports with the node ports that those of their names had, unless others have them now."""
    held = {item.get("name") or "": item.get("nodePort") or 0 for item in old}
    used = {item.get("nodePort") for item in ports} & set(held.values())
    result = []
    for item in ports:
        had = held.get(item.get("name") or "", 0)
        if not item.get("nodePort") and had and had not in used:
            item = {**item, "nodePort": had}
        result.append(item)
    return result


def _join(service: Spec, old: Spec | None) -> None:
    """Let `clusterIPs` follow `clusterIP` where only that was said or changed."""
    first, ips = service.get("clusterIP") or "", service.get("clusterIPs") or []
    if old is None:
        if first and not ips:
            service["clusterIPs"] = [first]
        return
    had = old.get("clusterIP") or ""
    if first != had and ips == (old.get("clusterIPs") or []):
        if first:
            service["clusterIPs"] = [first]
        else:
            service.pop("clusterIPs", None)


def _drop(service: Spec, old: Spec) -> None:
    """What the new type has not, and was not changed together with it, goes."""
    if _has_ips(old) and not _has_ips(service):
        if all(_same(service, old, field) for field in _IP_FIELDS):
            _forget(service, *_IP_FIELDS)
        for field in ("ipFamilies", "ipFamilyPolicy"):
            if _same(service, old, field):
                _forget(service, field)
    if _is_on_nodes(old) and not _is_on_nodes(service) and _node_ports(service) <= _node_ports(old):
        service["ports"] = [
            {field: value for field, value in item.items() if field != "nodePort"}
            for item in service.get("ports") or ()
        ]
    balanced, was_balanced = service.get("type") == "LoadBalancer", old.get("type") == "LoadBalancer"
    for field, has, had in (
        ("healthCheckNodePort", needs_health_check(service), needs_health_check(old)),
        ("allocateLoadBalancerNodePorts", balanced, was_balanced),
        ("loadBalancerClass", balanced, was_balanced),
        ("externalTrafficPolicy", is_exposed(service), is_exposed(old)),
    ):
        if had and not has and _same(service, old, field):
            _forget(service, field)


def _same(service: Spec, old: Spec, field: str) -> bool:
    return (service.get(field) or None) == (old.get(field) or None)


def _forget(service: Spec, *fields: str) -> None:
    for field in fields:
        service.pop(field, None)


def _has_ips(service: Spec) -> bool:
    return service.get("type") != "ExternalName"


def _is_on_nodes(service: Spec) -> bool:
    return service.get("type") in ("NodePort", "LoadBalancer")


def _has_node_ports(service: Spec) -> bool:
    if service.get("type") == "LoadBalancer":
        return service.get("allocateLoadBalancerNodePorts") is not False
    return service.get("type") == "NodePort"


def _node_ports(service: Spec) -> set[int]:
    return {item["nodePort"] for item in service.get("ports") or () if item.get("nodePort")}
