"""What is refused about the status of a Service, and what is said about one that is accepted.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateLoadBalancerStatus), pkg/api/service/warnings.go,
pkg/registry/core/service/strategy.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.core.net import sloppy_address
from netproxy.objects.meta import Object, annotations_of, spec, status
from netproxy.objects.validation.addresses import address_problems, address_warnings, cidr_warnings
from netproxy.objects.validation.names import dns_subdomain
from netproxy.objects.validation.words import Problems, forbidden, invalid, invalids, one_of, required

_HINTS = "service.kubernetes.io/topology-aware-hints"
_PATH = "status.loadBalancer.ingress"


def load_balancer_problems(new: Object, old: Object) -> Problems:
    """What is wrong with the addresses of its load balancer."""
    ingress = _ingress(new)
    if ingress and spec(new).get("type") != "LoadBalancer":
        yield forbidden(_PATH, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    known = [item.get("ip") or "" for item in _ingress(old)]
    for index, item in enumerate(ingress):
        path, ip, mode = f"{_PATH}[{index}]", item.get("ip"), item.get("ipMode")
        if ip:
            yield from address_problems(f"{path}.ip", ip, known)
            if mode is None:
                yield required(f"{path}.ipMode", "must be specified when `ip` is set")
            yield from one_of(f"{path}.ipMode", mode, ("Proxy", "VIP"))
        elif mode is not None:
            yield forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set")
        yield from host_problems(f"{path}.hostname", item.get("hostname"))


def host_problems(path: str, host: str | None) -> Problems:
    """Whether a load balancer's name is a name."""
    if host:
        yield from invalids(path, host, dns_subdomain(host))
        if sloppy_address(host):
            yield invalid(path, host, "must be a DNS name, not an IP address")


def status_warnings(new: Object, old: Object | None) -> Iterator[str]:
    """What is said about a new status."""
    for index, item in enumerate(_ingress(new)):
        if item.get("ip"):
            yield from address_warnings(f"{_PATH}[{index}]", item["ip"])


def service_warnings(new: Object, old: Object | None) -> Iterator[str]:
    """What is said about a new state."""
    service = spec(new)
    kind = service.get("type")
    if _HINTS in annotations_of(new):
        mode = "service.kubernetes.io/topology-mode"
        yield f"annotation {_HINTS} is deprecated, please use {mode} instead"
    headless = service.get("clusterIP") == "None"
    if service.get("clusterIP") and not headless:
        for index, ip in enumerate(service.get("clusterIPs") or ()):
            yield from address_warnings(f"spec.clusterIPs[{index}]", ip)
    headless = headless and kind == "ClusterIP"
    if headless:
        yield from _headless(service)
    yield from _outside(service, headless=headless)
    for index, item in enumerate(service.get("loadBalancerSourceRanges") or ()):
        yield from cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", item)
    if kind == "ExternalName" and service.get("externalIPs"):
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if kind != "ExternalName" and service.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if service.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def _outside(service: Mapping[str, Any], *, headless: bool) -> Iterator[str]:
    for index, ip in enumerate(service.get("externalIPs") or ()):
        yield from address_warnings(f"spec.externalIPs[{index}]", ip)
    if service.get("externalIPs") and not headless and service.get("type") != "ExternalName":
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if service.get("loadBalancerIP"):
        yield from address_warnings("spec.loadBalancerIP", service["loadBalancerIP"])


def _headless(service: Mapping[str, Any]) -> Iterator[str]:
    for field in ("loadBalancerIP", "externalIPs"):
        if service.get(field):
            yield f"spec.{field} is ignored for headless services"
    if service.get("sessionAffinity") != "None":
        yield "spec.SessionAffinity is ignored for headless services"


def _ingress(obj: Object) -> list[dict[str, Any]]:
    return (status(obj).get("loadBalancer") or {}).get("ingress") or []
