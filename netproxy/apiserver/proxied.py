"""The `proxy` part of Pods, Services and Nodes: a path to whom a request is to be passed on.

Source: kubernetes 1.36 pkg/registry/core/{pod,node}/strategy.go and service/storage/storage.go (ResourceLocation),
apimachinery pkg/util/net/port_split.go, pkg/util/proxy/upgradeaware.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from netproxy.apiserver.connect import kubelet
from netproxy.apiserver.paths import Target
from netproxy.apiserver.request import Request
from netproxy.apiserver.status import bad_request, not_allowed
from netproxy.core.errors import ApiError, NotFoundError
from netproxy.core.names import NamespacedName, quoted
from netproxy.core.numbers import whole
from netproxy.objects.kinds import ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES
from netproxy.objects.meta import Object, labels, spec, status
from netproxy.store.store import Store

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Proxied:
    """To whom a request is to be passed on."""

    scheme: str
    addresses: tuple[tuple[str, str], ...]
    """Hosts and ports, any of which will do; a port may be empty (the scheme's usual one) or no number (nobody answers there)."""
    segments: int
    """How many parts of the path are this server's own."""


def proxied(request: Request, target: Target, store: Store) -> Proxied:
    """To whom a request below `proxy` goes. Raises NetproxyError."""
    if request.method not in METHODS or not target.name:
        raise not_allowed()
    kind = target.resource.singular
    scheme, name, port = _split(target.name, kind)
    at = NamespacedName(target.key.namespace, name)
    try:
        match target.resource:
            case _ if target.resource is PODS:
                addresses = _of_pod(store.get(PODS, at), port)
            case _ if target.resource is SERVICES:
                addresses = tuple(_of_service(store, at, port, target.name))
            case _:
                scheme, addresses = _of_node(store, at, scheme, port)
    except NotFoundError as error:
        raise error.with_details(**target.resource.details(name)) from error
    return Proxied(scheme or "http", addresses, 8 if target.resource.namespaced else 6)


def _split(text: str, kind: str) -> tuple[str, str, str]:
    """Scheme, name and port of `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`."""
    parts = text.split(":")
    scheme, name, port = {1: ("", parts[0], ""), 2: ("", parts[0], parts[-1]), 3: tuple(parts)}.get(
        len(parts), ("", "", "")
    )
    if not name or scheme not in ("", "http", "https"):
        raise bad_request(f"invalid {kind} request {quoted(text)}")
    return scheme, name, port


def _of_pod(pod: Object, port: str) -> tuple[tuple[str, str], ...]:
    declared = (p["containerPort"] for c in spec(pod)["containers"] for p in c.get("ports") or ())
    ip = next(iter(_ips(pod)), "")
    _check(ip)
    return ((ip, port or str(next(declared, ""))),)


def _of_service(store: Store, at: NamespacedName, port: str, asked: str) -> Iterator[tuple[str, str]]:
    service = store.get(SERVICES, at)
    if port.isascii() and port.isdecimal():
        named = [each for each in spec(service).get("ports") or () if each["port"] == whole(port)]
        if not named:
            raise _unavailable(f"no service port {port} found for service {quoted(at.name)}")
        port = named[0].get("name") or ""
    found = list(dict.fromkeys(_endpoints(store, at, port)))
    if not found:
        raise _unavailable(f"no endpoints available for service {quoted(asked)}")
    for host, _ in found:
        _check(host)
    yield from found


def _endpoints(store: Store, at: NamespacedName, port: str) -> Iterator[tuple[str, str]]:
    """The endpoints that are Pods, by the Endpoints of the Service's name or else its slices."""
    written = store.find(ENDPOINTS, at)
    if written is not None:
        for subset in written.get("subsets") or ():
            ports = [str(each["port"]) for each in subset.get("ports") or () if (each.get("name") or "") == port]
            for each in subset.get("addresses") or ():
                if ports and _is_pod(store, at, each.get("targetRef") or {}, each["ip"]):
                    yield each["ip"], ports[0]
        return
    for part in store.list(ENDPOINT_SLICES, at.namespace):
        if labels(part).get("kubernetes.io/service-name") == at.name:
            ports = [str(each["port"]) for each in part.get("ports") or () if (each.get("name") or "") == port]
            for each in part.get("endpoints") or ():
                ready = (each.get("conditions") or {}).get("ready") is not False
                if ports and ready and _is_pod(store, at, each.get("targetRef") or {}, each["addresses"][0]):
                    yield each["addresses"][0], ports[0]


def _is_pod(store: Store, at: NamespacedName, reference: Object, ip: str) -> bool:
    """Nothing else is passed anything."""
    if reference.get("namespace") != at.namespace:
        return False
    pod = store.find(PODS, NamespacedName(at.namespace, reference.get("name") or ""))
    return pod is not None and ip in _ips(pod)


def _of_node(store: Store, at: NamespacedName, scheme: str, port: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    place = kubelet(store, at.name)
    internal = [each["address"] for each in status(store.get(NODES, at))["addresses"] if each["type"] == "InternalIP"]
    host = place.host if _is_address(place.host) or not internal else internal[0]  # nobody here resolves names
    _check(host)
    if port in ("", str(place.port)):
        return "https", ((host, str(place.port)),)
    return scheme, ((host, port),)


def _check(host: str) -> None:
    """Nobody is led to this machine itself."""
    if not _is_address(host):
        raise bad_request("address not allowed")
    found = ipaddress.ip_address(host)
    ip = (found.ipv4_mapped if found.version == 6 else None) or found
    if ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_link_local:
        raise bad_request("address not allowed")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ips(pod: Object) -> list[str]:
    return [each["ip"] for each in status(pod).get("podIPs") or () if each.get("ip")]


def _unavailable(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", why)
