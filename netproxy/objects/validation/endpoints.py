"""What is refused about Endpoints.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateEndpoints; behaviour),
pkg/registry/core/endpoint/strategy.go (warnings).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.objects.meta import Object, labels
from netproxy.objects.validation.addresses import address_problems, address_warnings, endpoint
from netproxy.objects.validation.names import dns_label, dns_subdomain, qualified
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import PROTOCOLS, Problems, invalids, one_of, port, required

_LISTS = ("addresses", "notReadyAddresses")


def endpoints_problems(obj: Object) -> Problems:
    """What is wrong with the subsets."""
    for index, subset in enumerate(obj.get("subsets") or ()):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in _LISTS:
            for at, item in enumerate(subset.get(field) or ()):
                yield from _address(f"{path}.{field}[{at}]", item)
        ports = subset.get("ports") or ()
        for at, item in enumerate(ports):
            yield from _port(f"{path}.ports[{at}]", item, many=len(ports) > 1)


def _address(path: str, item: Mapping[str, Any]) -> Problems:
    ip, host, node = item.get("ip") or "", item.get("hostname"), item.get("nodeName")
    yield from address_problems(f"{path}.ip", ip)
    if host:
        yield from invalids(f"{path}.hostname", host, dns_label(host))
    if node is not None:
        yield from invalids(f"{path}.nodeName", node, dns_subdomain(node))
    yield from invalids(f"{path}.ip", ip, endpoint(ip))


def _port(path: str, item: Mapping[str, Any], *, many: bool) -> Problems:
    if name := item.get("name"):
        yield from invalids(f"{path}.name", name, dns_label(name))
    elif many:
        yield required(f"{path}.name")
    yield from port(f"{path}.port", item.get("port") or 0)
    yield from one_of(f"{path}.protocol", item.get("protocol"), PROTOCOLS)
    if (protocol := item.get("appProtocol")) is not None:
        yield from invalids(f"{path}.appProtocol", protocol, qualified(protocol))


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from endpoints_problems(obj)


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from meta.whole
    if new.get("subsets") != old.get("subsets"):
        yield from endpoints_problems(new)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    if labels(new).get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
        return
    for index, subset in enumerate(new.get("subsets") or ()):
        for field in _LISTS:
            for at, item in enumerate(subset.get(field) or ()):
                yield from address_warnings(f"subsets[{index}].{field}[{at}].ip", item.get("ip") or "")


RULES = Rules(create=_create, update=_update, warnings=_warnings)
