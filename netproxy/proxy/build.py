"""Objects → Snapshot: Services joined with their EndpointSlices, as kube-proxy's change trackers join them.

Source: kubernetes 1.30 pkg/proxy/serviceport.go, endpointslicecache.go, util/utils.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.core.net import Family, family_of, network, sloppy_address, sloppy_network
from netproxy.objects.meta import SERVICE_NAME, Object
from netproxy.proxy.model import Endpoint, NodeView, ServicePort, Snapshot

PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"
HINTS_ANNOTATIONS = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
"""The deprecated one wins. 1.30 asks for them, with its gate ServiceTrafficDistribution off; later versions do not."""

_NOTHING_COMMON: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int, bool, bool, int, str] = (
    (), (), (), 0, False, False, 0, "",
)  # fmt: skip
_Target = tuple[str, str]  # port name, protocol in lower case
_NONE: Mapping[str, Any] = {}


def build(
    services: Iterable[Object], slices: Iterable[Object], node: NodeView, *, cidrs: Iterable[Object] = ()
) -> Snapshot:
    """Join SERVICES with SLICES for one node and family; what kube-proxy ignores is left out. CIDRS are ServiceCIDRs."""
    grouped: dict[tuple[str, str], list[Object]] = {}
    for item in slices:
        key = slice_key(item)
        if key:
            grouped.setdefault(key, []).append(item)
    ports: list[ServicePort] = []
    for service in services:
        meta = service["metadata"]
        ports += service_ports(service, grouped.get((meta.get("namespace") or "default", meta["name"]), ()), node)
    ports.sort(key=_order)
    return Snapshot(tuple(ports), service_cidrs((item.get("spec") or {}).get("cidrs") or () for item in cidrs))


def service_cidrs(listed: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """All ranges, each once, in order."""
    return tuple(sorted({network(cidr) for cidrs in listed for cidr in cidrs}))


def _order(port: ServicePort) -> tuple[str, str, str, str]:
    return port.namespace, port.service, port.port_name, port.protocol


def slice_key(item: Object) -> tuple[str, str] | None:
    """Namespace and name of the Service that an EndpointSlice belongs to; None when it belongs to none."""
    meta = item["metadata"]
    service = (meta.get("labels") or _NONE).get(SERVICE_NAME)
    return (meta.get("namespace") or "default", service) if service else None


def _is_followed(item: Object, node: NodeView) -> bool:
    """Whether NODE's proxy looks at this EndpointSlice at all."""
    if item.get("addressType") != node.family.value:
        return False
    labels = item["metadata"]["labels"]
    return HEADLESS not in labels and not (PROXY_NAME in labels and node.version.labels_on_both)


def is_proxied(service: Object, node: NodeView) -> bool:
    """Whether NODE's proxy makes rules for this Service at all."""
    spec = service.get("spec") or _NONE
    labels = service["metadata"].get("labels") or _NONE
    if spec.get("type") == "ExternalName" or PROXY_NAME in labels:
        return False
    if HEADLESS in labels and node.version.labels_on_both:
        return False
    ip = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
    return ip not in ("", "None")


def service_ports(service: Object, slices: Iterable[Object], node: NodeView) -> tuple[ServicePort, ...]:
    """The service ports of one Service in the node's family, with their endpoints."""
    if not is_proxied(service, node):
        return ()
    spec = service["spec"]
    cluster_ip = _cluster_ip(spec, node.family)
    if not cluster_ip:
        return ()
    meta = service["metadata"]
    common = _common(service, spec, node)
    endpoints = _endpoints(slices, node)
    result = []
    for port in spec.get("ports") or ():
        protocol = (port.get("protocol") or "TCP").lower()
        name = port.get("name") or ""
        result.append(
            ServicePort(
                meta.get("namespace") or "default",
                meta["name"],
                name,
                protocol,
                cluster_ip,
                port["port"],
                port.get("nodePort") or 0,
                *common,
                endpoints.get((name, protocol), ()),
            )
        )
    return tuple(result)


def _cluster_ip(spec: Mapping[str, Any], family: Family) -> str:
    for ip in spec.get("clusterIPs") or (spec.get("clusterIP"),):
        if ip and (":" in ip) is (family is Family.IPV6):
            return sloppy_address(ip)
    return ""


def _of_family(addresses: Iterable[str], family: Family) -> tuple[str, ...]:
    """Those that are addresses of this family, as the kernel prints them."""
    return tuple([ip for ip in map(sloppy_address, addresses) if ip and family_of(ip) is family])


def _common(
    service: Object, spec: Mapping[str, Any], node: NodeView
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int, bool, bool, int, str]:
    """The fields of ServicePort from `external_ips` to `hints_annotation`, which all ports of a Service share."""
    kind = spec.get("type") or "ClusterIP"
    if kind == "ClusterIP" and _is_plain(service, spec):
        return _NOTHING_COMMON
    external = _of_family(spec.get("externalIPs") or (), node.family)
    ingress = ((service.get("status") or _NONE).get("loadBalancer") or _NONE).get("ingress") or ()
    vips = _of_family([i["ip"] for i in ingress if i.get("ip") and i.get("ipMode") != "Proxy"], node.family)
    ranges = _ranges(spec.get("loadBalancerSourceRanges") or (), node)
    exposed = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))
    local = exposed and spec.get("externalTrafficPolicy") == "Local"
    check = spec.get("healthCheckNodePort") or 0 if kind == "LoadBalancer" and local else 0
    affinity = 0
    if spec.get("sessionAffinity") == "ClientIP":
        affinity = ((spec.get("sessionAffinityConfig") or _NONE).get("clientIP") or _NONE).get(
            "timeoutSeconds"
        ) or 10800
    annotations = service["metadata"].get("annotations") or _NONE
    hints = next((annotations[a] for a in HINTS_ANNOTATIONS if a in annotations), "")
    return external, vips, ranges, check, spec.get("internalTrafficPolicy") == "Local", local, affinity, hints


def _ranges(given: Iterable[str], node: NodeView) -> tuple[str, ...]:
    """Who may enter through a load balancer's IP, in the node's family; nobody is named where everybody may."""
    found = tuple([cidr for cidr in map(sloppy_network, given) if cidr and family_of(cidr) is node.family])
    open_to_all = node.version.zero_range_is_none and any(cidr.endswith("/0") for cidr in found)
    return () if open_to_all else found


def _is_plain(service: Object, spec: Mapping[str, Any]) -> bool:
    """Whether a Service has only its ClusterIP and ports, as nearly all of a cluster have."""
    return (
        not spec.get("externalIPs")
        and not spec.get("loadBalancerSourceRanges")
        and spec.get("internalTrafficPolicy") != "Local"
        and spec.get("sessionAffinity") != "ClientIP"
        and not service["metadata"].get("annotations")
        and not ((service.get("status") or _NONE).get("loadBalancer") or _NONE).get("ingress")
    )


def _endpoints(slices: Iterable[Object], node: NodeView) -> dict[_Target, tuple[Endpoint, ...]]:
    """Endpoints by port name and protocol: without duplicates, sorted as text, which is kube-proxy's order.

    Which of two endpoints with one address stays depends on the version; slices are taken as they come.
    """
    found: dict[_Target, dict[str, Endpoint]] = {}
    for item in slices:
        if not _is_followed(item, node):
            continue
        ports = [
            (found.setdefault((port.get("name") or "", (port.get("protocol") or "TCP").lower()), {}), port["port"])
            for port in item.get("ports") or ()
            if port.get("port")
        ]
        endpoints = [e for e in item.get("endpoints") or () if e.get("addresses")]
        if node.version.endpoints_by_addresses:
            endpoints.sort(key=_joined_addresses)
        for endpoint in endpoints:
            _add(ports, endpoint, node)
    return {target: tuple([by_text[text] for text in sorted(by_text)]) for target, by_text in found.items()}


def _joined_addresses(endpoint: Mapping[str, Any]) -> str:
    return ",".join(endpoint["addresses"])


def _add(ports: list[tuple[dict[str, Endpoint], int]], endpoint: Mapping[str, Any], node: NodeView) -> None:
    given = endpoint["addresses"][0]
    address = sloppy_address(given)
    if not address:
        return
    conditions = endpoint.get("conditions") or _NONE
    ready = conditions.get("ready") is not False
    terminating = conditions.get("terminating") is True
    hints = endpoint.get("hints") or _NONE
    local = bool(node.name) and endpoint.get("nodeName") == node.name
    replaces = not terminating if node.version.running_duplicate_wins else local
    written = given if given != address and node.version.endpoints_as_written else ""
    zones = tuple([item.get("name") or "" for item in hints.get("forZones") or ()]) if hints else ()
    nodes = tuple([item.get("name") or "" for item in hints.get("forNodes") or ()]) if hints else ()
    for by_text, port in ports:
        made = Endpoint(
            address, port, ready, conditions.get("serving") is not False, terminating, local, zones, nodes, written
        )
        text = made.label
        if replaces or text not in by_text:
            by_text[text] = made
