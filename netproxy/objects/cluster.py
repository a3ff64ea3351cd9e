"""The emulated cluster itself: its nodes and ranges, from a `netproxy.dev/v1alpha1 Cluster` and from Nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ManifestError
from netproxy.core.net import Family, family_of, is_address, sloppy_address
from netproxy.objects.choices import MODE_ANNOTATION, SCOPES
from netproxy.objects.meta import Object, annotations_of, labels, metadata, name, spec, status
from netproxy.objects.places import addresses_in, place_problems, ranges_in
from netproxy.objects.quantity import bytes_of
from netproxy.objects.ranges import DEFAULT_RANGES, too_small

ZONE_LABEL = "topology.kubernetes.io/zone"
HOSTNAME_LABEL = "kubernetes.io/hostname"
DEFAULT_NODES = 2


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node: its addresses on the LAN and the ranges of its Pods, one for each family."""

    name: str
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()
    proxy_mode: str = ""
    """Its own proxy mode; empty for that of the cluster."""


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Everything that is decided before the first namespace is made."""

    name: str = "default"
    scope: str = SCOPES[0]
    nodes: tuple[NodeSpec, ...] = ()
    families: tuple[Family, ...] = (Family.IPV4,)
    pod_cidrs: tuple[str, ...] = ("10.244.0.0/16",)
    service_cidrs: tuple[str, ...] = ("10.96.0.0/16",)
    node_cidrs: tuple[str, ...] = ("172.18.0.0/24",)
    client_addresses: tuple[str, ...] = ("172.18.0.254",)
    dns_domain: str = "cluster.local"
    dns_pods_mode: str = "insecure"
    proxy_mode: str = "iptables"
    kube_proxy_version: str = ""
    """Whose rules the nodes have; empty for the newest."""
    iptables: str = "nft"
    node_ports: tuple[int, int] = (30000, 32767)
    dns_addresses: tuple[str, ...] = ("10.96.0.10",)
    """ClusterIPs of kube-dns."""
    log_size: str = "10Mi"
    """How large a file of a container's log may become; and how many of them are kept."""
    log_files: int = 5

    @property
    def log_bytes(self) -> int:
        """`log_size` in bytes."""
        return bytes_of(self.log_size) or 10 << 20

    def cidr_of(self, family: Family) -> str | None:
        """The Service range of a family."""
        return next((cidr for cidr in self.service_cidrs if family_of(cidr) is family), None)


def cluster_spec(objects: Iterable[Object] = (), *, cluster_name: str = "default") -> ClusterSpec:
    """Fill in everything that the Cluster object (if any) leaves open, from the other objects and from defaults.

    Ranges that are not given are the defaults, or what covers the Services, Nodes and ServiceCIDRs of a real cluster.
    Raises ManifestError for ranges without room for all nodes.
    """
    by_kind: dict[str, list[Object]] = {}
    for obj in objects:
        by_kind.setdefault(obj["kind"], []).append(obj)
    wanted = _with_found(spec(next(iter(by_kind.get("Cluster", ())), {})), by_kind)
    families = _families(wanted)
    pods, services, lan = (_ranges(wanted, field, families) for field in ("podCIDRs", "serviceCIDRs", "nodeCIDRs"))
    drafts = _drafts(wanted, by_kind.get("Node", ()))
    _check_room({"podCIDRs": pods, "serviceCIDRs": services, "nodeCIDRs": lan}, len(drafts))
    clients = tuple(_client(cidr) for cidr in lan)
    made = _nodes(drafts, pods, lan, families, clients)
    wrong = place_problems(
        {n.name: n.addresses for n in made}, {n.name: n.pod_cidrs for n in made}, lan=lan, services=services, client=clients
    )  # fmt: skip
    if wrong:
        raise ManifestError(wrong)
    return ClusterSpec(
        name=cluster_name,
        scope=str(wanted.get("scope") or SCOPES[0]),
        nodes=made,
        families=families,
        pod_cidrs=pods,
        service_cidrs=services,
        node_cidrs=lan,
        client_addresses=clients,
        dns_domain=str(wanted.get("dnsDomain") or "cluster.local").rstrip("."),
        dns_pods_mode=str(wanted.get("dnsPodsMode") or "insecure"),
        proxy_mode=str(wanted.get("proxyMode") or "iptables"),
        kube_proxy_version=str(wanted.get("kubeProxyVersion") or ""),
        iptables=str(wanted.get("iptables") or "nft"),
        node_ports=_node_ports(wanted),
        dns_addresses=tuple(wanted.get("dnsAddresses") or _dns_addresses(services, by_kind.get("Service", ()))),
        log_size=str(wanted.get("containerLogMaxSize") or "10Mi"),
        log_files=files if isinstance(files := wanted.get("containerLogMaxFiles"), int) else 5,
    )


def _node_ports(wanted: Mapping[str, Any]) -> tuple[int, int]:
    first, _, last = str(wanted.get("nodePortRange") or "30000-32767").partition("-")
    return int(first), int(last)


def _check_room(ranges: Mapping[str, tuple[str, ...]], nodes: int) -> None:
    wrong = [
        problem
        for field, cidrs in ranges.items()
        for index, cidr in enumerate(cidrs)
        for problem in too_small(f"spec.{field}[{index}]", ipaddress.ip_network(cidr), nodes)
    ]
    if wrong:
        raise ManifestError(wrong)


def _nodes(
    drafts: list[NodeSpec], pods: tuple[str, ...], lan: tuple[str, ...], families: tuple[Family, ...],
    clients: tuple[str, ...],
) -> tuple[NodeSpec, ...]:  # fmt: skip
    """The nodes with the addresses and Pod ranges that they do not bring with them; CLIENTS are not free."""
    taken = [*clients, *(address for draft in drafts for address in draft.addresses)]
    addresses = zip(
        *(addresses_in(cidr, [_of_family(d.addresses, cidr) for d in drafts], taken) for cidr in lan), strict=True
    )
    ranges = zip(*(ranges_in(cidr, [_of_family(d.pod_cidrs, cidr) for d in drafts]) for cidr in pods), strict=True)
    made = []
    for draft, at, own in zip(drafts, addresses, ranges, strict=True):
        extra = tuple(a for a in draft.addresses if a not in at and family_of(a) in families)
        made.append(NodeSpec(draft.name, (*at, *extra), own, draft.labels, draft.proxy_mode))
    return tuple(made)


def _of_family(given: Iterable[str], cidr: str) -> str:
    """The first that is of the family of a range; empty for none."""
    return next((one for one in given if family_of(one) is family_of(cidr)), "")


def _dns_addresses(cidrs: Iterable[str], services: Iterable[Object]) -> list[str]:
    """The tenth address of each Service range, or the next one that no Service asks for."""
    taken = {ip for service in services for ip in _cluster_ips(service)}
    nets = [ipaddress.ip_network(cidr) for cidr in cidrs]
    spans = [range(10, min(net.num_addresses, 256)) or range(1, 2) for net in nets]
    return [
        next((str(net[at]) for at in span if str(net[at]) not in taken), str(net[1]))
        for net, span in zip(nets, spans, strict=True)
    ]


def _with_found(wanted: Mapping[str, Any], by_kind: Mapping[str, list[Object]]) -> dict[str, Any]:
    """The Cluster's spec with the ranges, and the name server's address, that the other objects show."""
    result = dict(wanted)
    services = by_kind.get("Service", ())
    ips = [ip for s in services for ip in _cluster_ips(s)]
    cidrs = [c for s in by_kind.get("ServiceCIDR", ()) for c in spec(s).get("cidrs") or ()]
    pods = [
        c for n in by_kind.get("Node", ()) for c in spec(n).get("podCIDRs") or filter(None, (spec(n).get("podCIDR"),))
    ]
    for field, found in (("serviceCIDRs", cidrs or ips), ("podCIDRs", pods)):
        if not result.get(field) and found:
            result[field] = [
                covering(DEFAULT_RANGES[field], [f for f in found if family_of(f) is family])
                for family in _order(found)
            ]
    for service in services:
        if (
            metadata(service).get("namespace") == "kube-system"
            and name(service) == "kube-dns"
            and _cluster_ips(service)
        ):
            result.setdefault("dnsAddresses", _cluster_ips(service))
    return result


def _cluster_ips(service: Object) -> list[str]:
    ips = spec(service).get("clusterIPs") or [spec(service).get("clusterIP")]
    return [ip for ip in ips if is_address(ip)]


def _order(found: Iterable[str]) -> list[Family]:
    return sorted({family_of(item) for item in found})


def covering(defaults: Iterable[str], found: list[str]) -> str:
    """The default range when it holds everything FOUND, else the smallest one that does (at least a /16, or a /112).

    >>> covering(["10.96.0.0/16"], ["10.96.0.1"]), covering(["10.96.0.0/16"], ["10.43.0.1", "10.43.7.9"])
    ('10.96.0.0/16', '10.43.0.0/16')
    """
    nets = [ipaddress.ip_network(item, strict=False) for item in found]
    first = nets[0]
    for text in defaults:
        default = ipaddress.ip_network(text)
        if default.version == first.version and all(default.supernet_of(net) for net in nets):  # type: ignore[arg-type]
            return text
    length = min(16 if first.version == 4 else 112, *(net.prefixlen for net in nets))
    while True:
        cover = ipaddress.ip_network(f"{first.network_address}/{length}", strict=False)
        if all(cover.supernet_of(net) for net in nets):  # type: ignore[arg-type]
            return str(cover)
        length -= 1


def _client(cidr: str) -> str:
    net = ipaddress.ip_network(cidr)
    return str(net[min(net.num_addresses, 256) - 2])


def _families(wanted: Mapping[str, Any]) -> tuple[Family, ...]:
    if wanted.get("ipFamilies"):
        return tuple(dict.fromkeys(Family(f) for f in wanted["ipFamilies"]))
    cidrs = wanted.get("podCIDRs") or wanted.get("serviceCIDRs") or ("10.0.0.0/8",)
    return tuple(dict.fromkeys(family_of(cidr) for cidr in cidrs))


def _ranges(wanted: Mapping[str, Any], field: str, families: tuple[Family, ...]) -> tuple[str, ...]:
    """One range for each family: the one given, else the default."""
    given = [*(wanted.get(field) or ()), *DEFAULT_RANGES[field]]
    return tuple(
        next(str(ipaddress.ip_network(c, strict=False)) for c in given if family_of(c) is family) for family in families
    )


def _drafts(wanted: Mapping[str, Any], nodes: Iterable[Object]) -> list[NodeSpec]:
    """Nodes by name: those of the Cluster object, those of Node objects, or the default ones."""
    drafts: dict[str, NodeSpec] = {}
    listed = wanted.get("nodes")
    given = list(nodes)
    if isinstance(listed, int) or (listed is None and not given):
        listed = [{"name": f"node{n + 1}"} for n in range(listed or DEFAULT_NODES)]
    for item in listed or ():
        entry: dict[str, Any] = {"name": item} if isinstance(item, str) else item
        extra = dict(entry.get("labels") or {})
        if entry.get("zone"):
            extra[ZONE_LABEL] = entry["zone"]
        mode = str(entry.get("proxyMode") or "")
        drafts[entry["name"]] = NodeSpec(entry["name"], (), (), tuple(sorted(extra.items())), mode)
    for node in given:
        addresses = tuple(
            address
            for a in status(node).get("addresses") or ()
            if a.get("type") == "InternalIP" and (address := sloppy_address(a.get("address") or ""))
        )
        cidrs = tuple(spec(node).get("podCIDRs") or filter(None, (spec(node).get("podCIDR"),)))
        known = drafts.get(name(node))
        merged = {**dict(known.labels if known else ()), **labels(node)}
        mode = known.proxy_mode if known else ""
        drafts[name(node)] = NodeSpec(name(node), addresses, cidrs, tuple(sorted(merged.items())), mode)
    return list(drafts.values())


def node_object(node: NodeSpec, given: Object | None = None) -> Object:
    """The Node as the API shows it; what a given Node object says beyond that is kept."""
    base = given or {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name}}
    merged = {HOSTNAME_LABEL: node.name, "kubernetes.io/os": "linux", **dict(node.labels)}
    addresses = [{"type": "InternalIP", "address": a} for a in node.addresses]
    chosen = {MODE_ANNOTATION: node.proxy_mode} if node.proxy_mode else {}
    notes = {**chosen, **(base["metadata"].get("annotations") or {})}
    return {
        **base,
        "metadata": {**base["metadata"], "labels": merged, **({"annotations": notes} if notes else {})},
        "spec": {**(base.get("spec") or {}), "podCIDR": node.pod_cidrs[0], "podCIDRs": list(node.pod_cidrs)},
        "status": {
            **(base.get("status") or {}),
            "addresses": [*addresses, {"type": "Hostname", "address": node.name}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def cluster_object(cluster: ClusterSpec) -> Object:
    """The Cluster with everything that was filled in, as it is stored and shown."""
    return {
        "apiVersion": "netproxy.dev/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": cluster.name},
        "spec": {
            **({"scope": cluster.scope} if cluster.scope != SCOPES[0] else {}),
            "nodes": [
                {"name": n.name, "labels": dict(n.labels), **({"proxyMode": n.proxy_mode} if n.proxy_mode else {})}
                for n in cluster.nodes
            ],
            "ipFamilies": [family.value for family in cluster.families],
            "podCIDRs": list(cluster.pod_cidrs),
            "serviceCIDRs": list(cluster.service_cidrs),
            "nodeCIDRs": list(cluster.node_cidrs),
            "dnsDomain": cluster.dns_domain,
            "dnsPodsMode": cluster.dns_pods_mode,
            "proxyMode": cluster.proxy_mode,
            **({"kubeProxyVersion": cluster.kube_proxy_version} if cluster.kube_proxy_version else {}),
            "iptables": cluster.iptables,
            "dnsAddresses": list(cluster.dns_addresses),
            "nodePortRange": f"{cluster.node_ports[0]}-{cluster.node_ports[1]}",
            "containerLogMaxSize": cluster.log_size,
            "containerLogMaxFiles": cluster.log_files,
        },
    }


def modes_asked(obj: Object) -> list[tuple[str, str]]:
    """The proxy modes that an object asks for: (field, mode)."""
    found: list[tuple[str, Any]] = []
    if obj["kind"] == "KubeProxyConfiguration":
        found.append(("mode", obj.get("mode")))
    if obj["kind"] == "Node":
        found.append((f"metadata.annotations[{MODE_ANNOTATION}]", annotations_of(obj).get(MODE_ANNOTATION)))
    if obj["kind"] == "Cluster":
        found.append(("spec.proxyMode", spec(obj).get("proxyMode")))
        nodes = spec(obj).get("nodes")
        for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
            found.append((f"spec.nodes[{index}].proxyMode", node.get("proxyMode") if isinstance(node, dict) else None))
    return [(field, str(mode)) for field, mode in found if mode]
