"""Service + Pods → EndpointSlices, at most 100 endpoints each, one address family each.

Source: kubernetes pkg/controller/endpointslice (labels, conditions, names, limits) and KEP-4444, KEP-3015 (hints).
"""

from __future__ import annotations

from typing import Any

from netproxy.controllers.workload import owner_reference, short_name
from netproxy.core.names import NamespacedName
from netproxy.core.net import family_of
from netproxy.objects.change import Change, Create, Delete, Update, View
from netproxy.objects.cluster import ZONE_LABEL
from netproxy.objects.kinds import ENDPOINT_SLICES, NODES, PODS, SERVICES
from netproxy.objects.meta import (
    Object,
    controller_of,
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
from netproxy.objects.selector import selects

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
MAX_ENDPOINTS = 100

Ports = tuple[tuple[str, int, str, str], ...]  # name, number, protocol, appProtocol


def reconcile_service(view: View, at: NamespacedName) -> list[Change]:
    """Bring the slices that this controller made for a Service to what its Pods are now."""
    service = view.find(SERVICES, at)
    if service is not None and not is_deleting(service) and not _is_selecting(service):
        return []
    mine = [
        item for item in view.list(ENDPOINT_SLICES, at.namespace)
        if labels(item).get(SERVICE_NAME) == at.name and labels(item).get(MANAGED_BY) == CONTROLLER
    ]  # fmt: skip
    if service is None or is_deleting(service):
        return [Delete(ENDPOINT_SLICES, key(item)) for item in mine if controller_of(item)]
    mine = [item for item in mine if controller_of(item).get("uid") == uid(service)]
    changes: list[Change] = []
    groups = _groups(view, service)
    for family in _families(service):
        of_family = [item for item in mine if item.get("addressType") == family]
        changes += _reconcile_family(service, family, groups.get(family, {}), of_family)
    wanted = set(_families(service))
    changes += [Delete(ENDPOINT_SLICES, key(item)) for item in mine if item.get("addressType") not in wanted]
    return changes


def _is_selecting(service: Object) -> bool:
    """Whether this controller makes slices for a Service."""
    return bool(spec(service).get("selector")) and spec(service).get("type") != "ExternalName"


def _families(service: Object) -> list[str]:
    return spec(service).get("ipFamilies") or ["IPv4"]


def _groups(view: View, service: Object) -> dict[str, dict[Ports, dict[str, dict[str, Any]]]]:
    """Family → resolved ports → endpoints by Pod name: a named port may be another number in another Pod."""
    zones = {name(node): labels(node).get(ZONE_LABEL, "") for node in view.all(NODES)}
    result: dict[str, dict[Ports, dict[str, dict[str, Any]]]] = {}
    for pod in view.list(PODS, namespace(service)):
        if not selects(spec(service).get("selector"), labels(pod)) or status(pod).get("phase") in (
            "Succeeded",
            "Failed",
        ):
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


def _endpoint(service: Object, pod: Object, ip: str, zones: dict[str, str]) -> dict[str, Any]:
    ready, ending = is_ready(pod), is_deleting(pod)
    node = spec(pod).get("nodeName") or ""
    endpoint: dict[str, Any] = {
        "addresses": [ip],
        "conditions": {
            "ready": (ready and not ending) or bool(spec(service).get("publishNotReadyAddresses")),
            "serving": ready,
            "terminating": ending,
        },
        "nodeName": node,
        "targetRef": {"kind": "Pod", "name": name(pod), "namespace": namespace(pod), "uid": uid(pod)},
    }
    if zones.get(node):
        endpoint["zone"] = zones[node]
    subdomain = spec(pod).get("subdomain")
    if spec(pod).get("hostname") and subdomain == name(service):
        endpoint["hostname"] = spec(pod)["hostname"]
    hints = _hints(service, node, zones.get(node, ""), usable=endpoint["conditions"]["ready"])
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


def _reconcile_family(
    service: Object, family: str, groups: dict[Ports, dict[str, dict[str, Any]]], existing: list[Object]
) -> list[Change]:
    """Endpoints stay in the slice that they are in; what is left over fills gaps, then new slices."""
    changes: list[Change] = []
    taken = {name(item) for item in existing}
    by_ports: dict[Ports, list[Object]] = {}
    for item in existing:
        by_ports.setdefault(_ports_of(item), []).append(item)
    if not groups and existing:
        groups = {_ports_of(existing[0]): {}}
    elif not groups:
        groups = {(): {}}
    for ports, endpoints in sorted(groups.items()):
        slices = by_ports.pop(ports, [])
        changes += _fill(service, family, ports, dict(endpoints), slices, taken)
    changes += [Delete(ENDPOINT_SLICES, key(item)) for items in by_ports.values() for item in items]
    return changes


def _fill(
    service: Object,
    family: str,
    ports: Ports,
    waiting: dict[str, dict[str, Any]],
    slices: list[Object],
    taken: set[str],
) -> list[Change]:
    kept: list[tuple[Object, list[dict[str, Any]]]] = []
    for item in slices:
        stay = [waiting.pop(pod) for pod in (_pod_of(e) for e in item.get("endpoints") or ()) if pod in waiting]
        kept.append((item, stay))
    for _, stay in kept:
        while waiting and len(stay) < MAX_ENDPOINTS:
            stay.append(waiting.pop(next(iter(waiting))))
    changes: list[Change] = []
    used = sum(1 for _, stay in kept if stay)
    for item, stay in kept:
        if not stay and (used or item is not kept[0][0]):
            changes.append(Delete(ENDPOINT_SLICES, key(item)))
        elif stay != (item.get("endpoints") or []) or labels(item) != _labels(service):
            meta = {**metadata(item), "labels": _labels(service)}
            changes.append(Update({**item, "metadata": meta, "endpoints": stay}))
    rest = list(waiting.values())
    while rest or (not kept and not changes):
        changes.append(Create(_slice(service, family, ports, rest[:MAX_ENDPOINTS], taken)))
        rest = rest[MAX_ENDPOINTS:]
    return changes


def _pod_of(endpoint: dict[str, Any]) -> str:
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


def _slice(service: Object, family: str, ports: Ports, endpoints: list[dict[str, Any]], taken: set[str]) -> Object:
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
