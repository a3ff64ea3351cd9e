"""Service + Pods → EndpointSlices, at most 100 endpoints each, one address family each.

Source: kubernetes pkg/controller/endpointslice (labels, conditions, names, limits) and KEP-4444, KEP-3015 (hints).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.controllers.ownership import controls, in_namespace_of, is_leaving, owner_reference, short_name
from netproxy.controllers.port import NOTHING, Controller, Outcome, itself
from netproxy.controllers.selection import selected, selecting, terms_of
from netproxy.core.names import NamespacedName
from netproxy.core.net import family_of
from netproxy.objects.change import Change, Create, Delete, Event, IndexedView, Update
from netproxy.objects.cluster import ZONE_LABEL
from netproxy.objects.kinds import ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICES
from netproxy.objects.meta import (
    MANAGED_BY,
    SERVICE_NAME,
    Object,
    is_deleting,
    is_ready,
    key,
    labels,
    metadata,
    name,
    namespace,
    spec,
    status,
    uid,
)

CONTROLLER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
MAX_ENDPOINTS = 100

Ports = tuple[tuple[str, int, str, str], ...]  # name, number, protocol, appProtocol
Endpoint = dict[str, Any]
Groups = dict[Ports, dict[str, Endpoint]]
"""Resolved ports → endpoints by Pod name: a named port may be another number in another Pod."""


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Bring the slices that this controller made for a Service to what its Pods are now."""
    service = view.find(SERVICES, at)
    if service is None or is_leaving(view, service) or not _is_selecting(service):
        return NOTHING  # the slices of a Service that is gone are its dependents: the garbage collector's
    mine = sorted((item for item in view.by_service(ENDPOINT_SLICES, at) if _is_ours(service, item)), key=key)
    groups = _groups(view, service)
    changes: list[Change] = []
    for family in _families(service):
        of_family = [item for item in mine if item.get("addressType") == family]
        changes += _reconcile_family(service, family, groups.get(family, {}), of_family)
    wanted = set(_families(service))
    changes += [_delete(item) for item in mine if item.get("addressType") not in wanted]
    return Outcome(tuple(changes))


def _is_selecting(service: Object) -> bool:
    """Whether this controller makes slices for a Service."""
    return bool(spec(service).get("selector")) and spec(service).get("type") != "ExternalName"


def _is_ours(service: Object, item: Object) -> bool:
    return labels(item).get(MANAGED_BY) == CONTROLLER and controls(service, item) and not is_deleting(item)


def _families(service: Object) -> list[str]:
    return spec(service).get("ipFamilies") or ["IPv4"]


def _delete(item: Object) -> Delete:
    return Delete(ENDPOINT_SLICES, key(item), uid(item))


def _groups(view: IndexedView, service: Object) -> dict[str, Groups]:
    result: dict[str, Groups] = {}
    zones = _Zones(view)
    for pod in selected(view, PODS, namespace(service), terms_of(service)):
        if status(pod).get("phase") in ("Succeeded", "Failed"):
            continue
        ports = _ports(service, pod)
        for ip in [item["ip"] for item in status(pod).get("podIPs") or ()]:
            endpoint = _endpoint(service, pod, ip, zones)
            result.setdefault(family_of(ip).value, {}).setdefault(ports, {})[name(pod)] = endpoint
    return result


def _ports(service: Object, pod: Object) -> Ports:
    result = []
    for port in spec(service).get("ports") or ():
        target = port.get("targetPort") or port["port"]
        number = _named_port(pod, target, port["protocol"]) if isinstance(target, str) else int(target)
        if number:
            result.append((port.get("name") or "", number, port["protocol"], port.get("appProtocol") or ""))
    return tuple(result)


def _named_port(pod: Object, wanted: str, protocol: str) -> int:
    for container in spec(pod).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == wanted and (port.get("protocol") or "TCP") == protocol:
                return int(port["containerPort"])
    return 0


class _Zones(dict[str, str]):
    """The zone of each node that is asked for; empty for one that has none or is not known."""

    def __init__(self, view: IndexedView) -> None:
        super().__init__()
        self._view = view

    def __missing__(self, node: str) -> str:
        found = self._view.find(NODES, NamespacedName("", node))
        zone = self[node] = str(labels(found or {}).get(ZONE_LABEL, ""))
        return zone


def _endpoint(service: Object, pod: Object, ip: str, zones: Mapping[str, str]) -> Endpoint:
    ready, ending = is_ready(pod), is_deleting(pod)
    node = str(spec(pod).get("nodeName") or "")
    zone = zones[node]
    endpoint: Endpoint = {
        "addresses": [ip],
        "conditions": {
            "ready": (ready and not ending) or bool(spec(service).get("publishNotReadyAddresses")),
            "serving": ready,
            "terminating": ending,
        },
        "nodeName": node,
        "targetRef": {"kind": "Pod", "name": name(pod), "namespace": namespace(pod), "uid": uid(pod)},
    }
    if zone:
        endpoint["zone"] = zone
    subdomain = spec(pod).get("subdomain")
    if spec(pod).get("hostname") and subdomain == name(service):
        endpoint["hostname"] = spec(pod)["hostname"]
    hints = _hints(service, node, zone, usable=endpoint["conditions"]["ready"])
    return {**endpoint, "hints": hints} if hints else endpoint


def _hints(service: Object, node: str, zone: str, *, usable: bool) -> dict[str, Any]:
    wish = spec(service).get("trafficDistribution")
    if not usable or not wish:
        return {}
    hints: dict[str, Any] = {}
    if zone:
        hints["forZones"] = [{"name": zone}]
    if wish == "PreferSameNode" and node:
        hints["forNodes"] = [{"name": node}]
    return hints


def _reconcile_family(service: Object, family: str, groups: Groups, existing: list[Object]) -> list[Change]:
    """Slices by the ports that they have; without any endpoint one empty slice says so."""
    taken = {name(item) for item in existing}
    by_ports: dict[Ports, list[Object]] = {}
    for item in existing:
        by_ports.setdefault(_ports_of(item), []).append(item)
    if not groups:
        groups = {_ports_of(existing[0]) if existing else (): {}}
    changes: list[Change] = []
    for ports, endpoints in sorted(groups.items()):
        kept, rest = _placed(endpoints, by_ports.pop(ports, []))
        changes += _kept_changes(service, kept)
        parts = [rest[at : at + MAX_ENDPOINTS] for at in range(0, len(rest), MAX_ENDPOINTS)]
        if not kept and not parts:
            parts = [[]]
        changes += [Create(_slice(service, family, ports, part, taken)) for part in parts]
    changes += [_delete(item) for items in by_ports.values() for item in items]
    return changes


def _placed(
    endpoints: dict[str, Endpoint], slices: list[Object]
) -> tuple[list[tuple[Object, list[Endpoint]]], list[Endpoint]]:
    """What each slice is to have, and what finds no room: endpoints stay where they are, new ones fill gaps."""
    waiting = dict(endpoints)
    kept = [
        (item, [waiting.pop(pod) for pod in map(_pod_of, item.get("endpoints") or ()) if pod in waiting])
        for item in slices
    ]
    rest = list(waiting.values())
    for _, stay in kept:
        room = MAX_ENDPOINTS - len(stay)
        stay += rest[:room]
        rest = rest[room:]
    return kept, rest


def _kept_changes(service: Object, kept: list[tuple[Object, list[Endpoint]]]) -> list[Change]:
    """Slices that differ are brought up to date; empty ones go, but for the last."""
    changes: list[Change] = []
    is_used = any(stay for _, stay in kept)
    for number, (item, stay) in enumerate(kept):
        if not stay and (is_used or number):
            changes.append(_delete(item))
        elif stay != (item.get("endpoints") or []) or labels(item) != _labels(service):
            meta = {**metadata(item), "labels": _labels(service)}
            changes.append(Update({**item, "metadata": meta, "endpoints": stay}))
    return changes


def _pod_of(endpoint: Endpoint) -> str:
    return str((endpoint.get("targetRef") or {}).get("name") or "")


def _ports_of(item: Object) -> Ports:
    return tuple(
        (p.get("name") or "", p["port"], p["protocol"], p.get("appProtocol") or "") for p in item.get("ports") or ()
    )


def _labels(service: Object) -> dict[str, str]:
    own = {k: v for k, v in labels(service).items() if k != SERVICE_NAME}
    marks = {SERVICE_NAME: name(service), MANAGED_BY: CONTROLLER}
    if spec(service).get("clusterIP") == "None":
        marks[HEADLESS] = ""
    return {**own, **marks}


def _slice(service: Object, family: str, ports: Ports, endpoints: list[Endpoint], taken: set[str]) -> Object:
    number = 0
    while (made := f"{name(service)}-{short_name(f'{uid(service)}/{family}/{ports}/{number}', 5)}") in taken:
        number += 1
    taken.add(made)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": made, "generateName": f"{name(service)}-", "namespace": namespace(service),
            "labels": _labels(service), "ownerReferences": [owner_reference(service)],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [
            {"name": n, "port": number, "protocol": protocol, **({"appProtocol": app} if app else {})}
            for n, number, protocol, app in ports
        ],
    }  # fmt: skip


def _of_pod(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The Services that have the Pod, or had it."""
    if event.type == "MODIFIED" and event.old is not None and _shown(event.old) == _shown(event.obj):
        return ()
    return sorted({key(service) for pod in event.states for service in selecting(view, SERVICES, pod)})


def _shown(pod: Object) -> tuple[object, ...]:
    """All of a Pod that makes a difference to an endpoint."""
    seen = {k: v for k, v in spec(pod).items() if k in ("nodeName", "hostname", "subdomain", "containers")}
    state = status(pod)
    return labels(pod), seen, is_ready(pod), is_deleting(pod), state.get("podIPs"), state.get("phase")


def _of_node(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """When a node's zone is another one: the Services of its Pods."""
    zones = [labels(node).get(ZONE_LABEL, "") for node in event.states]
    if event.type == "MODIFIED" and len(set(zones)) == 1:
        return ()
    pods = view.by_node(name(event.obj))
    return sorted({key(service) for pod in pods for service in selecting(view, SERVICES, pod)})


def _of_slice(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The Service that the slice says it belongs to, and the one that it said before."""
    named = [(namespace(item), labels(item).get(SERVICE_NAME)) for item in event.states]
    return sorted({NamespacedName(at, service) for at, service in named if service})


ENDPOINT_SLICE_CONTROLLER = Controller(
    "endpointslice",
    {
        SERVICES: itself,
        PODS: _of_pod,
        NODES: _of_node,
        ENDPOINT_SLICES: _of_slice,
        NAMESPACES: in_namespace_of(SERVICES),
    },
    reconcile,
)
