"""What the API server refuses, with its field paths and in its words.

Source: kubernetes pkg/apis/core/validation, pkg/apis/discovery/validation (behaviour, not code).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_label, is_dns_subdomain
from netproxy.core.net import is_address, is_cidr, sloppy_address, sloppy_network
from netproxy.objects.endpoints import problems as _endpoints
from netproxy.objects.labels import annotation_problems, bad_value, label_problems, selector_problems
from netproxy.objects.meta import Object, metadata
from netproxy.objects.podspec import data_problems, env_problems, mount_problems, user_problems, volume_problems
from netproxy.objects.proxyconfig import PROXY_MODES, configuration_problems
from netproxy.objects.quantity import bytes_of
from netproxy.objects.ranges import node_range_problems, range_problems
from netproxy.objects.refusal import PROTOCOLS as _PROTOCOLS
from netproxy.objects.refusal import Problems
from netproxy.objects.refusal import invalid as _invalid
from netproxy.objects.refusal import one_of as _one_of
from netproxy.objects.refusal import port as _port
from netproxy.objects.refusal import required as _required
from netproxy.objects.selector import label_selector, matches

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*\Z")
MODE_ANNOTATION = "netproxy.dev/proxy-mode"
"""On a Node: its own proxy mode, which comes before the cluster's."""

LAYOUT_ANNOTATION = "netproxy.dev/nftables-layout"
"""On a Node: how its nftables rules are laid out."""

VERSION_ANNOTATION = "netproxy.dev/kube-proxy-version"
"""On a Node: the kube-proxy whose rules it has, before the cluster's."""

SMALLEST_LOG_BYTES = 64 << 10
MOST_LOG_FILES = 1000
MOST_NODES = 100
NODE_FIELDS = ("name", "zone", "labels", "proxyMode")
"""Of a node in a Cluster's list."""
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def problems(obj: Object) -> list[Problem]:
    """List everything that is wrong with the values of one object (types: see `schema`)."""
    check = _CHECKS.get(obj.get("kind", ""))
    try:
        return [*_metadata(obj), *(check(obj) if check else ())]
    except (TypeError, AttributeError, KeyError) as error:  # a wrong type, which `schema` names better
        return [Problem("", f"Invalid value: {error}")]


def _metadata(obj: Object) -> Problems:
    meta = metadata(obj)
    yield from label_problems("metadata.labels", meta.get("labels"))
    yield from annotation_problems("metadata.annotations", meta.get("annotations"))
    for index, owner in enumerate(meta.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield _required(f"metadata.ownerReferences[{index}].{field}", "must not be empty")
    name = meta.get("name")
    if not name and not meta.get("generateName"):
        if obj.get("kind") not in ("KubeProxyConfiguration", "Cluster"):
            yield _required("metadata.name", "name or generateName is required")
        return
    label = obj.get("kind") in ("Service", "Namespace")
    if name and not (is_dns_label(name) if label else is_dns_subdomain(name)):
        rule = "label" if label else "subdomain"
        yield _invalid(
            "metadata.name",
            name,
            f"a lowercase RFC 1123 {rule} must consist of lower case alphanumeric "
            "characters or '-'"
            + ("" if label else " or '.'")
            + ", and must start and end with an alphanumeric character",
        )
    namespace = meta.get("namespace")
    if namespace and not is_dns_label(namespace):
        yield _invalid("metadata.namespace", namespace, "must be a lowercase RFC 1123 label")


def _port_or_name(path: str, value: Any) -> Problems:
    if isinstance(value, str):
        if len(value) > 15 or not _PORT_NAME.match(value):
            yield _invalid(
                path, value, "must be no more than 15 characters of a-z, 0-9 and single '-', with at least one letter"
            )
    else:
        yield from _port(path, value)


# --- Service ---------------------------------------------------------------------------------------------------------


def _service(obj: Object) -> Problems:
    spec = obj.get("spec") or {}
    yield from _one_of("spec.type", spec.get("type"), _TYPES)
    yield from label_problems("spec.selector", spec.get("selector"))
    yield from _service_ports(spec)
    yield from _service_ips(spec)
    yield from _service_ingress(obj.get("status") or {})
    yield from _service_policies(spec)
    if spec.get("type") == "ExternalName":
        target = spec.get("externalName")
        if not target:
            yield _required("spec.externalName")
        elif not is_dns_subdomain(target.rstrip(".").lower()):
            yield _invalid("spec.externalName", target, "must be a lowercase RFC 1123 subdomain")


def _service_ports(spec: Mapping[str, Any]) -> Problems:
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and spec.get("type") != "ExternalName" and not headless:
        yield _required("spec.ports")
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    node_ports: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        yield from _service_port(path, port, many=len(ports) > 1)
        name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
        if name and name in names:
            yield Problem(f"{path}.name", f'Duplicate value: "{name}"', reason="FieldValueDuplicate")
        if (port.get("port"), protocol) in numbers:
            yield Problem(path, f"Duplicate value: port {port.get('port')}/{protocol}", reason="FieldValueDuplicate")
        node_port = port.get("nodePort") or 0
        if node_port and (node_port, protocol) in node_ports:
            yield Problem(f"{path}.nodePort", f"Duplicate value: {node_port}", reason="FieldValueDuplicate")
        if node_port and spec.get("type", "ClusterIP") not in ("NodePort", "LoadBalancer"):
            yield Problem(
                f"{path}.nodePort",
                f"Forbidden: may not be used when `type` is '{spec.get('type', 'ClusterIP')}'",
                reason="FieldValueForbidden",
            )
        names.add(name)
        numbers.add((port.get("port"), protocol))
        node_ports.add((node_port, protocol))


def _service_port(path: str, port: Mapping[str, Any], *, many: bool) -> Problems:
    name = port.get("name")
    if many and not name:
        yield _required(f"{path}.name", "a Service with more than one port names them all")
    if name and not is_dns_label(name):
        yield _invalid(f"{path}.name", name, "must be a lowercase RFC 1123 label")
    if port.get("port") is None:
        yield _required(f"{path}.port")
    else:
        yield from _port(f"{path}.port", port["port"])
    yield from _one_of(f"{path}.protocol", port.get("protocol"), _PROTOCOLS)
    if port.get("targetPort") not in (None, 0, ""):
        yield from _port_or_name(f"{path}.targetPort", port["targetPort"])
    if port.get("nodePort"):
        yield from _port(f"{path}.nodePort", port["nodePort"])


def _service_ips(spec: Mapping[str, Any]) -> Problems:
    ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    kind = spec.get("type") or "ClusterIP"
    if spec.get("clusterIP") and spec.get("clusterIPs") and spec["clusterIPs"][0] != spec["clusterIP"]:
        yield _invalid("spec.clusterIPs", spec["clusterIPs"], "first value must match `clusterIP`")
    for index, ip in enumerate(ips):
        path = "spec.clusterIP" if not spec.get("clusterIPs") else f"spec.clusterIPs[{index}]"
        if ip == "None":
            if kind in ("NodePort", "LoadBalancer"):
                yield _invalid(path, ip, f"may not be set to 'None' for {kind} services")
        elif ip and not sloppy_address(ip):
            yield _invalid(path, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    yield from _service_outside(spec, kind)


def _service_ingress(status: Mapping[str, Any]) -> Problems:
    for index, item in enumerate((status.get("loadBalancer") or {}).get("ingress") or ()):
        if item.get("ip") and not sloppy_address(item["ip"]):
            yield _invalid(f"status.loadBalancer.ingress[{index}].ip", item["ip"], "must be a valid IP address")


def _service_outside(spec: Mapping[str, Any], kind: str) -> Problems:
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        path = f"spec.externalIPs[{index}]"
        read = sloppy_address(ip)
        if not read:
            yield _invalid(path, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
        elif ipaddress.ip_address(read).is_loopback or ipaddress.ip_address(read).is_unspecified:
            yield _invalid(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128) or unspecified")
    for index, cidr in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        if not sloppy_network(cidr):
            yield _invalid(
                f"spec.loadBalancerSourceRanges[{index}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24)"
            )
    if spec.get("loadBalancerSourceRanges") and kind != "LoadBalancer":
        yield Problem(
            "spec.loadBalancerSourceRanges",
            "Forbidden: may only be used when `type` is 'LoadBalancer'",
            reason="FieldValueForbidden",
        )
    yield from _families(spec.get("ipFamilies") or ())
    yield from _one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"),
                       ("SingleStack", "PreferDualStack", "RequireDualStack"))  # fmt: skip


def _families(families: Sequence[Any]) -> Problems:
    """Of a Service or a Cluster."""
    for index, family in enumerate(families):
        yield from _one_of(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"))
        if family in families[:index]:
            yield Problem(f"spec.ipFamilies[{index}]", f'Duplicate value: "{family}"', reason="FieldValueDuplicate")


def _service_policies(spec: Mapping[str, Any]) -> Problems:
    yield from _one_of("spec.externalTrafficPolicy", spec.get("externalTrafficPolicy") or None, ("Cluster", "Local"))
    yield from _one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"))
    yield from _one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    yield from _one_of("spec.trafficDistribution", spec.get("trafficDistribution"),
                       ("PreferClose", "PreferSameZone", "PreferSameNode"))  # fmt: skip
    client = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if client is not None and not 1 <= client <= 86400:
        yield _invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds", client, "must be greater than 0 and less than 86400"
        )
    check = spec.get("healthCheckNodePort")
    if check:
        yield from _port("spec.healthCheckNodePort", check)


# --- the other kinds -------------------------------------------------------------------------------------------------


def _endpoint_slice(obj: Object) -> Problems:
    kind = obj.get("addressType")
    if not kind:
        yield _required("addressType")
    yield from _one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"))
    endpoints = obj.get("endpoints") or ()
    if len(endpoints) > 1000:
        yield Problem(
            "endpoints", f"Too many: {len(endpoints)}: must have at most 1000 items", reason="FieldValueTooMany"
        )
    for index, endpoint in enumerate(endpoints):
        yield from _endpoint(f"endpoints[{index}]", endpoint, str(kind))
    names: set[str] = set()
    for index, port in enumerate(obj.get("ports") or ()):
        name = port.get("name") or ""
        if name in names:
            yield Problem(f"ports[{index}].name", f'Duplicate value: "{name}"', reason="FieldValueDuplicate")
        names.add(name)
        yield from _one_of(f"ports[{index}].protocol", port.get("protocol"), _PROTOCOLS)
        if port.get("port") is not None:
            yield from _port(f"ports[{index}].port", port["port"])


def _endpoint(path: str, endpoint: Mapping[str, Any], kind: str) -> Problems:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        yield _required(f"{path}.addresses", "must contain at least 1 address")
    sign = _SIGNS.get(kind)
    for at, address in enumerate(addresses):
        if sign and not (sloppy_address(address or "") and sign in address):
            yield _invalid(f"{path}.addresses[{at}]", address, f"must be an {kind} address")
    hostname = endpoint.get("hostname")
    if hostname is not None and not is_dns_label(hostname):
        yield _invalid(f"{path}.hostname", hostname, "must be a lowercase RFC 1123 label")


_SIGNS = {"IPv4": ".", "IPv6": ":"}
"""What an address of a family has, and one of the other has not."""


def _pod(obj: Object) -> Problems:
    yield from _pod_spec(obj.get("spec") or {}, "spec")
    for index, item in enumerate((obj.get("status") or {}).get("podIPs") or ()):
        if not is_address(item.get("ip")):
            yield _invalid(f"status.podIPs[{index}].ip", item.get("ip") or "", "must be a valid IP address")


def _pod_spec(spec: Mapping[str, Any], path: str) -> Problems:
    containers = spec.get("containers") or ()
    if not containers:
        yield _required(f"{path}.containers")
    yield from label_problems(f"{path}.nodeSelector", spec.get("nodeSelector"))
    names: set[str] = set()
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            place = f"{path}.{group}[{index}]"
            yield from _container(container, place)
            yield from mount_problems(container, spec.get("volumes") or (), place)
            name = container.get("name") or ""
            if name in names:
                yield Problem(f"{place}.name", f'Duplicate value: "{name}"', reason="FieldValueDuplicate")
            names.add(name)
    yield from volume_problems(spec, path)
    yield from user_problems(spec, path)
    yield from _one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    policy = spec.get("dnsPolicy")
    yield from _one_of(f"{path}.dnsPolicy", policy, ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"))
    if policy == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        yield _required(
            f"{path}.dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"
        )
    for field in ("hostname", "subdomain"):
        if spec.get(field) and not is_dns_label(spec[field]):
            yield _invalid(f"{path}.{field}", spec[field], "must be a lowercase RFC 1123 label")


def _container(container: Mapping[str, Any], path: str) -> Problems:
    name = container.get("name")
    if not name:
        yield _required(f"{path}.name")
    elif not is_dns_label(name):
        yield _invalid(f"{path}.name", name, "must be a lowercase RFC 1123 label")
    if not container.get("image"):
        yield _required(f"{path}.image")
    yield from env_problems(container, path)
    yield from user_problems(container, path)
    for index, port in enumerate(container.get("ports") or ()):
        yield from _port(f"{path}.ports[{index}].containerPort", port.get("containerPort"))
        yield from _one_of(f"{path}.ports[{index}].protocol", port.get("protocol"), _PROTOCOLS)
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(probe):
            yield from _probe(container[probe], f"{path}.{probe}")


def _probe(probe: Mapping[str, Any], path: str) -> Problems:
    handlers = [kind for kind in ("httpGet", "tcpSocket", "exec", "grpc") if probe.get(kind)]
    if not handlers:
        yield _required(path, "must specify a handler type")
    for kind in ("httpGet", "tcpSocket"):
        if kind in handlers:
            yield from _port_or_name(f"{path}.{kind}.port", probe[kind].get("port"))
    for field in ("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"):
        if probe.get(field) is not None and probe[field] < 1:
            yield _invalid(f"{path}.{field}", probe[field], "must be greater than 0")


def _workload(obj: Object) -> Problems:
    spec = obj.get("spec") or {}
    template = spec.get("template")
    selector = list(selector_problems("spec.selector", spec.get("selector")))
    yield from selector
    if not spec.get("selector"):
        yield _required("spec.selector")
    if not template:
        yield _required("spec.template")
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    yield from label_problems("spec.template.metadata.labels", labels)
    if spec.get("selector") and not selector and not matches(label_selector(spec["selector"]), labels):
        yield _invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if (spec.get("replicas") or 0) < 0:
        yield _invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    yield from _pod_spec(template.get("spec") or {}, "spec.template.spec")


def _service_cidr(obj: Object) -> Problems:
    for index, cidr in enumerate((obj.get("spec") or {}).get("cidrs") or ()):
        if not is_cidr(cidr):
            yield _invalid(f"spec.cidrs[{index}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24)")


def _node(obj: Object) -> Problems:
    annotations = metadata(obj).get("annotations") or {}
    for key, choices in (
        (MODE_ANNOTATION, PROXY_MODES), (LAYOUT_ANNOTATION, NFTABLES_LAYOUTS), (VERSION_ANNOTATION, KUBE_PROXY_VERSIONS),
    ):  # fmt: skip
        yield from _one_of(f"metadata.annotations[{key}]", annotations.get(key) or None, choices)
    yield from node_range_problems(obj.get("spec") or {})


KUBE_PROXY_VERSIONS = ("1.36", "1.30")
NFTABLES_LAYOUTS = ("kube-proxy", "flat")


def _cluster(obj: Object) -> Problems:
    spec = obj.get("spec") or {}
    nodes = list(_cluster_nodes(spec.get("nodes")))
    yield from nodes
    if not nodes:
        yield from range_problems(spec)
    domain = spec.get("dnsDomain")
    if domain and not _is_domain(domain):
        why = "must be a lowercase RFC 1123 subdomain (e.g. cluster.local), with at most 63 characters between dots"
        yield _invalid("spec.dnsDomain", domain, why)
    yield from _one_of("spec.proxyMode", spec.get("proxyMode"), PROXY_MODES)
    yield from _one_of("spec.kubeProxyVersion", spec.get("kubeProxyVersion"), KUBE_PROXY_VERSIONS)
    yield from _one_of("spec.iptables", spec.get("iptables"), ("nft", "legacy"))
    yield from _one_of("spec.dnsPodsMode", spec.get("dnsPodsMode"), ("disabled", "insecure", "verified"))
    yield from _families(spec.get("ipFamilies") or ())
    ports = spec.get("nodePortRange")
    if ports is not None and not _is_port_range(ports):
        yield _invalid("spec.nodePortRange", ports, "must be FIRST-LAST, both between 1 and 65535")
    yield from _cluster_logs(spec)


def _cluster_logs(spec: Mapping[str, Any]) -> Problems:
    """The kubelet's own limits, and a size that leaves room for lines."""
    size, files = spec.get("containerLogMaxSize"), spec.get("containerLogMaxFiles")
    if size is not None and (bytes_of(size) or 0) < SMALLEST_LOG_BYTES:
        yield _invalid("spec.containerLogMaxSize", size, "must be a quantity of at least 64Ki (e.g. 10Mi)")
    if files is not None and not (isinstance(files, int) and 1 < files <= MOST_LOG_FILES):
        yield _invalid("spec.containerLogMaxFiles", files, f"must be greater than 1 and at most {MOST_LOG_FILES}")


def _cluster_nodes(nodes: Any) -> Problems:
    if isinstance(nodes, list):
        names: list[Any] = []
        for index, node in enumerate(nodes):
            yield from _cluster_node(f"spec.nodes[{index}]", node, names)
        if not nodes:
            yield _required("spec.nodes", "at least one node")
        if len(nodes) > MOST_NODES:
            yield Problem(
                "spec.nodes",
                f"Too many: {len(nodes)}: must have at most {MOST_NODES} items",
                reason="FieldValueTooMany",
            )
    elif nodes is not None and not (type(nodes) is int and 1 <= nodes <= MOST_NODES):
        yield _invalid("spec.nodes", nodes, f"must be a list of nodes or a number between 1 and {MOST_NODES}")


def _cluster_node(path: str, node: Any, names: list[Any]) -> Problems:
    """What is wrong with one node of a list; NAMES are those before it, and then its own, too."""
    name = node.get("name") if isinstance(node, dict) else node
    if not isinstance(name, str) or not is_dns_label(name) or name in ("client", "lan"):
        yield _invalid(
            f"{path}.name",
            name,
            'must be a DNS label, and not "client" or "lan", which are the outside machine and the switch',
        )
    elif name in names:
        yield Problem(f"{path}.name", f'Duplicate value: "{name}"', reason="FieldValueDuplicate")
    names.append(name)
    if not isinstance(node, dict):
        return
    yield from _one_of(f"{path}.proxyMode", node.get("proxyMode") or None, PROXY_MODES)
    for field in node.keys() - set(NODE_FIELDS):
        why = f"unknown field; a node of a Cluster has {', '.join(NODE_FIELDS)}: write a Node object for the rest"
        yield Problem(f"{path}.{field}", why, reason="FieldValueUnknown")
    if not isinstance(node.get("zone"), str | None):
        yield _invalid(f"{path}.zone", node["zone"], "must be of type string; put it into quotes")
    elif why := bad_value(node.get("zone") or ""):
        yield _invalid(f"{path}.zone", node["zone"], why)
    given = node.get("labels") or {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        yield _invalid(f"{path}.labels", given, "must be an object of strings; put numbers into quotes")
    else:
        yield from label_problems(f"{path}.labels", given)


def _is_domain(text: str) -> bool:
    bare = text.removesuffix(".")
    return is_dns_subdomain(bare) and all(is_dns_label(label) for label in bare.split("."))


def _is_port_range(text: Any) -> bool:
    first, dash, last = str(text).partition("-")
    return bool(dash) and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= 65535


_CHECKS: dict[str, Callable[[Object], Problems]] = {
    "Node": _node,
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "Pod": _pod,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "ConfigMap": data_problems,
    "Secret": data_problems,
    "ServiceCIDR": _service_cidr,
    "KubeProxyConfiguration": configuration_problems,
    "Cluster": _cluster,
}
