"""What is refused about a Service.

Source: kubernetes pkg/apis/core/validation/validation.go (validateService and what it calls; behaviour).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.objects.meta import Object, annotations_of, spec
from netproxy.objects.validation.addresses import address, address_problems, cidr_problems, endpoint
from netproxy.objects.validation.metadata import label_problems
from netproxy.objects.validation.names import dns_label, dns_subdomain, qualified
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.serviceips import family_changes, ip_changes, ip_problems, is_headless
from netproxy.objects.validation.servicestatus import load_balancer_problems, service_warnings, status_warnings
from netproxy.objects.validation.words import (
    PROTOCOLS,
    Problems,
    Typed,
    duplicate,
    forbidden,
    invalid,
    invalids,
    one_of,
    port_or_name,
    required,
    unsupported,
)
from netproxy.objects.validation.words import port as port_number

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_LB = "may only be used when `type` is 'LoadBalancer'"
_EXTERNAL = "may not be set for ExternalName services"
_NO_PORT = {"Name": "", "Protocol": "", "AppProtocol": None, "Port": 0, "TargetPort": 0, "NodePort": 0}

Spec = Mapping[str, Any]
_NONE: Spec = {}


def service_problems(obj: Object, old: Object | None = None) -> Problems:
    """What is wrong with a Service, as a new state of OLD if there is one."""
    service, before, annotations = spec(obj), spec(old) if old else _NONE, annotations_of(obj)
    hints, mode = annotations.get(_HINTS), annotations.get(_MODE)
    if hints is not None and mode is not None and hints != mode:
        why = f"must match annotations[{_HINTS}] when both are specified"
        yield invalid(f"metadata.annotations[{_MODE}]", mode, why)
    yield from _type(service)
    yield from _ports(service)
    if selector := service.get("selector"):
        yield from label_problems(selector, "spec.selector")
    yield from _affinity(service)
    yield from ip_problems(service, before)
    yield from _external_ips(service, before)
    yield from _type_name(service)
    yield from _port_pairs(service)
    yield from _source_ranges(service, before, annotations, annotations_of(old) if old else _NONE)
    yield from _load_balancer(service)
    yield from _class(service)
    yield from _policies(service)


def _type(service: Spec) -> Problems:
    kind, headless = service.get("type"), is_headless(service)
    if not service.get("ports") and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and headless:
        yield invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if service.get(field):
                yield forbidden(f"spec.{field}", _EXTERNAL)
        target = (service.get("externalName") or "").removesuffix(".")
        if target:
            yield from invalids("spec.externalName", target, dns_subdomain(target))
        else:
            yield required("spec.externalName")


def _ports(service: Spec) -> Problems:
    ports = service.get("ports") or ()
    names: set[str] = set()
    for index, item in enumerate(ports):
        path, name = f"spec.ports[{index}]", item.get("name")
        if name:
            yield from invalids(f"{path}.name", name, dns_label(name))
            if name in names:
                yield duplicate(f"{path}.name", name)
            names.add(name)
        elif len(ports) > 1:
            yield required(f"{path}.name")
        yield from port_number(f"{path}.port", item.get("port") or 0)
        yield from one_of(f"{path}.protocol", item.get("protocol"), PROTOCOLS)
        yield from port_or_name(f"{path}.targetPort", item.get("targetPort"))
        if (protocol := item.get("appProtocol")) is not None:
            yield from invalids(f"{path}.appProtocol", protocol, qualified(protocol))


def _affinity(service: Spec) -> Problems:
    affinity, config = service.get("sessionAffinity"), service.get("sessionAffinityConfig")
    path = "spec.sessionAffinityConfig"
    if affinity == "ClientIP":
        timeout_s = ((config or {}).get("clientIP") or {}).get("timeoutSeconds") or 0
        if not 0 < timeout_s <= 86400:
            why = "must be greater than 0 and less than 86400"
            yield invalid(f"{path}.clientIP.timeoutSeconds", timeout_s, why)
    elif affinity == "None":
        if config is not None:
            yield forbidden(path, "must not be set when session affinity is None")
    else:
        yield unsupported("spec.sessionAffinity", affinity or "", ("ClientIP", "None"))


def _external_ips(service: Spec, old: Spec) -> Problems:
    known = old.get("externalIPs") or ()
    for index, ip in enumerate(service.get("externalIPs") or ()):
        path = f"spec.externalIPs[{index}]"
        if ip not in known and address(ip):
            yield from address_problems(path, ip)
        else:
            yield from invalids(path, ip, endpoint(ip))


def _type_name(service: Spec) -> Problems:
    yield from one_of("spec.type", service.get("type"), _TYPES)
    if service.get("type") == "ClusterIP":
        for index, item in enumerate(service.get("ports") or ()):
            if item.get("nodePort"):
                yield forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")


def _port_pairs(service: Spec) -> Problems:
    """Node ports, and then ports, are there once for each protocol."""
    ports = service.get("ports") or ()
    seen: set[tuple[Any, Any]] = set()
    for index, item in enumerate(ports):
        pair = (item.get("protocol"), item.get("nodePort"))
        if pair[1] and pair in seen:
            yield duplicate(f"spec.ports[{index}].nodePort", pair[1])
        seen.add(pair)
    seen = set()
    for index, item in enumerate(ports):
        pair = (item.get("protocol"), item.get("port"))
        if pair in seen:
            yield duplicate(f"spec.ports[{index}]", {**_NO_PORT, "Protocol": pair[0], "Port": pair[1]})
        seen.add(pair)


def _source_ranges(service: Spec, old: Spec, annotations: Spec, old_annotations: Spec) -> Problems:
    path, ranges = "spec.LoadBalancerSourceRanges", service.get("loadBalancerSourceRanges")
    if ranges:
        known = [item.strip() for item in old.get("loadBalancerSourceRanges") or ()]
    elif (said := annotations.get(_RANGES)) is not None:
        path, known = f"metadata.annotations[{_RANGES}]", []
        unchanged = bool(old) and old_annotations.get(_RANGES) == said
        ranges = said.split(",") if said.strip() and not unchanged else ()
    else:
        return
    if service.get("type") != "LoadBalancer":
        yield forbidden(path, _ONLY_LB)
    for index, item in enumerate(ranges):
        at = f"{path}[{index}]" if path.startswith("spec") else path
        yield from cidr_problems(at, item.strip(), known)


def _load_balancer(service: Spec) -> Problems:
    if service.get("allocateLoadBalancerNodePorts") is not None and service.get("type") != "LoadBalancer":
        yield forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LB)


def _class(service: Spec) -> Problems:
    name, path = service.get("loadBalancerClass"), "spec.loadBalancerClass"
    if name is None:
        return
    if service.get("type") == "LoadBalancer":
        yield from invalids(path, name, qualified(name))
    else:
        yield forbidden(path, _ONLY_LB)


def _policies(service: Spec) -> Problems:
    policy = service.get("externalTrafficPolicy")
    if is_exposed(service):
        yield from one_of("spec.externalTrafficPolicy", policy, ("Cluster", "Local"))
    elif policy:
        yield invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services")
    check, path = service.get("healthCheckNodePort") or 0, "spec.healthCheckNodePort"
    if needs_health_check(service):
        yield from port_number(path, check) if check else iter((required(path),))
    elif check:
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid(path, check, why)
    yield from one_of("spec.internalTrafficPolicy", service.get("internalTrafficPolicy"), ("Cluster", "Local"))
    choices = ("PreferClose", "PreferSameZone", "PreferSameNode")
    distribution = service.get("trafficDistribution")
    if distribution is not None and distribution not in choices:
        yield unsupported("spec.trafficDistribution", distribution, choices, plain=True)


def is_exposed(service: Spec) -> bool:
    """Whether it can be reached from outside of the cluster."""
    kind = service.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(service.get("externalIPs")))


def needs_health_check(service: Spec) -> bool:
    """Whether load balancers ask each node whether it has endpoints."""
    return service.get("type") == "LoadBalancer" and service.get("externalTrafficPolicy") == "Local"


def _changes(new: Spec, old: Spec) -> Iterator[Any]:
    yield from ip_changes(new, old)
    yield from family_changes(new, old)
    field = "loadBalancerClass"
    if new.get("type") == old.get("type") == "LoadBalancer" and new.get(field) != old.get(field):
        value = new.get(field)
        yield invalid(f"spec.{field}", value if value is None else Typed(value), "may not change once set")
    yield from _class(new)
    field = "healthCheckNodePort"
    if needs_health_check(old) and needs_health_check(new) and new.get(field) != old.get(field):
        yield forbidden(f"spec.{field}", "field is immutable")


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from service_problems(obj)


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _changes(spec(new), spec(old))
    yield from service_problems(new, old)


def _status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from load_balancer_problems(new, old)


RULES = Rules(
    create=_create, update=_update, status=_status, name=dns_label,
    warnings=service_warnings, status_warnings=status_warnings,
)  # fmt: skip
