"""What is refused about a Cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_label, is_dns_subdomain
from netproxy.core.numbers import whole
from netproxy.objects.choices import KUBE_PROXY_VERSIONS, PROXY_MODES, SCOPES
from netproxy.objects.labels import label_value_problems
from netproxy.objects.meta import Object
from netproxy.objects.quantity import bytes_of
from netproxy.objects.ranges import range_problems
from netproxy.objects.validation.metadata import label_problems
from netproxy.objects.validation.words import Problems, invalid, one_of, required

SMALLEST_LOG_BYTES = 64 << 10
MOST_LOG_FILES = 1000
MOST_NODES = 100
NODE_FIELDS = ("name", "zone", "labels", "proxyMode")
"""Of a node in a Cluster's list."""


def cluster_problems(obj: Object) -> Problems:
    spec = obj.get("spec") or {}
    yield from one_of("spec.scope", spec.get("scope"), SCOPES)
    nodes = list(_cluster_nodes(spec.get("nodes"), may_be_none=spec.get("scope") not in (None, SCOPES[0])))
    yield from nodes
    if not nodes:
        yield from range_problems(spec)
    domain = spec.get("dnsDomain")
    if domain and not _is_domain(domain):
        why = "must be a lowercase RFC 1123 subdomain (e.g. cluster.local), with at most 63 characters between dots"
        yield invalid("spec.dnsDomain", domain, why)
    yield from one_of("spec.proxyMode", spec.get("proxyMode"), PROXY_MODES)
    yield from one_of("spec.kubeProxyVersion", spec.get("kubeProxyVersion"), KUBE_PROXY_VERSIONS)
    yield from one_of("spec.iptables", spec.get("iptables"), ("nft", "legacy"))
    yield from one_of("spec.dnsPodsMode", spec.get("dnsPodsMode"), ("disabled", "insecure", "verified"))
    families = spec.get("ipFamilies") or ()
    for index, family in enumerate(families):
        yield from one_of(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"))
        if family in families[:index]:
            yield Problem(f"spec.ipFamilies[{index}]", f'Duplicate value: "{family}"', reason="FieldValueDuplicate")
    ports = spec.get("nodePortRange")
    if ports is not None and not _is_port_range(ports):
        yield invalid("spec.nodePortRange", ports, "must be FIRST-LAST, both between 1 and 65535")
    yield from _cluster_logs(spec)


def _cluster_logs(spec: Mapping[str, Any]) -> Problems:
    """The kubelet's own limits, and a size that leaves room for lines."""
    size, files = spec.get("containerLogMaxSize"), spec.get("containerLogMaxFiles")
    if size is not None and (bytes_of(size) or 0) < SMALLEST_LOG_BYTES:
        yield invalid("spec.containerLogMaxSize", size, "must be a quantity of at least 64Ki (e.g. 10Mi)")
    if files is not None and not (isinstance(files, int) and 1 < files <= MOST_LOG_FILES):
        yield invalid("spec.containerLogMaxFiles", files, f"must be greater than 1 and at most {MOST_LOG_FILES}")


def _cluster_nodes(nodes: Any, *, may_be_none: bool) -> Problems:
    if isinstance(nodes, list):
        names: list[Any] = []
        for index, node in enumerate(nodes):
            yield from _cluster_node(f"spec.nodes[{index}]", node, names)
        if not nodes and not may_be_none:
            yield required("spec.nodes", "at least one node")
        if len(nodes) > MOST_NODES:
            yield Problem(
                "spec.nodes",
                f"Too many: {len(nodes)}: must have at most {MOST_NODES} items",
                reason="FieldValueTooMany",
            )
    elif nodes is not None and not (type(nodes) is int and 1 <= nodes <= MOST_NODES):
        yield invalid("spec.nodes", nodes, f"must be a list of nodes or a number between 1 and {MOST_NODES}")


def _cluster_node(path: str, node: Any, names: list[Any]) -> Problems:
    """What is wrong with one node of a list; NAMES are those before it, and then its own, too."""
    name = node.get("name") if isinstance(node, dict) else node
    if not isinstance(name, str) or not is_dns_label(name) or name in ("client", "lan"):
        yield invalid(
            f"{path}.name",
            name,
            'must be a DNS label, and not "client" or "lan", which are the outside machine and the switch',
        )
    elif name in names:
        yield Problem(f"{path}.name", f'Duplicate value: "{name}"', reason="FieldValueDuplicate")
    names.append(name)
    if not isinstance(node, dict):
        return
    yield from one_of(f"{path}.proxyMode", node.get("proxyMode") or None, PROXY_MODES)
    for field in node.keys() - set(NODE_FIELDS):
        why = f"unknown field; a node of a Cluster has {', '.join(NODE_FIELDS)}: write a Node object for the rest"
        yield Problem(f"{path}.{field}", why, reason="FieldValueUnknown")
    if not isinstance(node.get("zone"), str | None):
        yield invalid(f"{path}.zone", node["zone"], "must be of type string; put it into quotes")
    else:
        for why in label_value_problems(node.get("zone") or ""):
            yield invalid(f"{path}.zone", node["zone"], why)
    given = node.get("labels") or {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        yield invalid(f"{path}.labels", given, "must be an object of strings; put numbers into quotes")
    else:
        yield from label_problems(given, f"{path}.labels")


def _is_domain(text: str) -> bool:
    bare = text.removesuffix(".")
    return is_dns_subdomain(bare) and all(is_dns_label(label) for label in bare.split("."))


def _is_port_range(text: Any) -> bool:
    first, dash, last = str(text).partition("-")
    return bool(dash) and _is_port(first) and _is_port(last) and whole(first) <= whole(last)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= whole(text) <= 65535
