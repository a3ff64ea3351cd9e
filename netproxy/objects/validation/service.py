"""What is refused about a Service.

Source: kubernetes pkg/apis/core/validation/validation.go (behaviour, not code).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_label, is_dns_subdomain
from netproxy.core.net import sloppy_address, sloppy_network
from netproxy.objects.labels import label_problems
from netproxy.objects.meta import Object
from netproxy.objects.validation.words import PROTOCOLS, Problems, invalid, one_of, port_or_name, required
from netproxy.objects.validation.words import port as port_number

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def service_problems(obj: Object) -> Problems:
    spec = obj.get("spec") or {}
    yield from one_of("spec.type", spec.get("type"), _TYPES)
    yield from label_problems("spec.selector", spec.get("selector"))
    yield from _service_ports(spec)
    yield from _service_ips(spec)
    yield from _service_ingress(obj.get("status") or {})
    yield from _service_policies(spec)
    if spec.get("type") == "ExternalName":
        target = spec.get("externalName")
        if not target:
            yield required("spec.externalName")
        elif not is_dns_subdomain(target.rstrip(".").lower()):
            yield invalid("spec.externalName", target, "must be a lowercase RFC 1123 subdomain")


def _service_ports(spec: Mapping[str, Any]) -> Problems:
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and spec.get("type") != "ExternalName" and not headless:
        yield required("spec.ports")
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
        yield required(f"{path}.name", "a Service with more than one port names them all")
    if name and not is_dns_label(name):
        yield invalid(f"{path}.name", name, "must be a lowercase RFC 1123 label")
    if port.get("port") is None:
        yield required(f"{path}.port")
    else:
        yield from port_number(f"{path}.port", port["port"])
    yield from one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    if port.get("targetPort") not in (None, 0, ""):
        yield from port_or_name(f"{path}.targetPort", port["targetPort"])
    if port.get("nodePort"):
        yield from port_number(f"{path}.nodePort", port["nodePort"])


def _service_ips(spec: Mapping[str, Any]) -> Problems:
    ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    kind = spec.get("type") or "ClusterIP"
    if spec.get("clusterIP") and spec.get("clusterIPs") and spec["clusterIPs"][0] != spec["clusterIP"]:
        yield invalid("spec.clusterIPs", spec["clusterIPs"], "first value must match `clusterIP`")
    for index, ip in enumerate(ips):
        path = "spec.clusterIP" if not spec.get("clusterIPs") else f"spec.clusterIPs[{index}]"
        if ip == "None":
            if kind in ("NodePort", "LoadBalancer"):
                yield invalid(path, ip, f"may not be set to 'None' for {kind} services")
        elif ip and not sloppy_address(ip):
            yield invalid(path, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    yield from _service_outside(spec, kind)


def _service_ingress(status: Mapping[str, Any]) -> Problems:
    for index, item in enumerate((status.get("loadBalancer") or {}).get("ingress") or ()):
        if item.get("ip") and not sloppy_address(item["ip"]):
            yield invalid(f"status.loadBalancer.ingress[{index}].ip", item["ip"], "must be a valid IP address")


def _service_outside(spec: Mapping[str, Any], kind: str) -> Problems:
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        path = f"spec.externalIPs[{index}]"
        read = sloppy_address(ip)
        if not read:
            yield invalid(path, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
        elif ipaddress.ip_address(read).is_loopback or ipaddress.ip_address(read).is_unspecified:
            yield invalid(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128) or unspecified")
    for index, cidr in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        if not sloppy_network(cidr):
            yield invalid(
                f"spec.loadBalancerSourceRanges[{index}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24)"
            )
    if spec.get("loadBalancerSourceRanges") and kind != "LoadBalancer":
        yield Problem(
            "spec.loadBalancerSourceRanges",
            "Forbidden: may only be used when `type` is 'LoadBalancer'",
            reason="FieldValueForbidden",
        )
    families = spec.get("ipFamilies") or ()
    for index, family in enumerate(families):
        yield from one_of(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"))
        if family in families[:index]:
            yield Problem(f"spec.ipFamilies[{index}]", f'Duplicate value: "{family}"', reason="FieldValueDuplicate")
    yield from one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"),
                       ("SingleStack", "PreferDualStack", "RequireDualStack"))  # fmt: skip


def _service_policies(spec: Mapping[str, Any]) -> Problems:
    yield from one_of("spec.externalTrafficPolicy", spec.get("externalTrafficPolicy") or None, ("Cluster", "Local"))
    yield from one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"))
    yield from one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    yield from one_of("spec.trafficDistribution", spec.get("trafficDistribution"),
                       ("PreferClose", "PreferSameZone", "PreferSameNode"))  # fmt: skip
    client = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if client is not None and not 1 <= client <= 86400:
        yield invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds", client, "must be greater than 0 and less than 86400"
        )
    check = spec.get("healthCheckNodePort")
    if check:
        yield from port_number("spec.healthCheckNodePort", check)
