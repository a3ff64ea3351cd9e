"""What is refused about an EndpointSlice.

Source: kubernetes pkg/apis/discovery/validation/validation.go, pkg/registry/discovery/endpointslice/strategy.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netproxy.objects.meta import MANAGED_BY, Object, labels
from netproxy.objects.validation.addresses import (
    address,
    address_warnings,
    canonical_address,
    endpoint,
    is_ipv6,
)
from netproxy.objects.validation.metadata import label_problems
from netproxy.objects.validation.names import Rule, dns_label, dns_subdomain, label_value, qualified
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import (
    PROTOCOLS,
    Problems,
    duplicate,
    invalid,
    invalids,
    one_of,
    required,
    too_many,
    unchanged_typed,
)
from netproxy.objects.validation.words import port as port_number

_MOST_ENDPOINTS, _MOST_ADDRESSES, _MOST_PORTS, _MOST_HINTS, _MOST_TOPOLOGY = 1000, 100, 20000, 8, 16
_CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
_RULES = {"IPv4": address, "IPv6": canonical_address}

Endpoint = Mapping[str, Any]


def endpoint_slice_problems(obj: Object) -> Problems:
    """What is wrong with its type, ports and endpoints."""
    yield from _type_and_ports(obj)
    yield from _endpoints(obj)


def port_range_problems(obj: Object) -> Problems:
    """Which ports no packet can go to, though the API server takes them."""
    for index, item in enumerate(obj.get("ports") or ()):
        if item.get("port") is not None:
            yield from port_number(f"ports[{index}].port", item["port"])


def _type_and_ports(obj: Object) -> Problems:
    kind = obj.get("addressType")
    if kind:
        yield from one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"))
    else:
        yield required("addressType")
    ports = obj.get("ports") or ()
    if len(ports) > _MOST_PORTS:
        yield too_many("ports", len(ports), _MOST_PORTS)
        return
    names: set[str] = set()
    for index, item in enumerate(ports):
        path, name = f"ports[{index}]", item.get("name") or ""
        if name:
            yield from invalids(f"{path}.name", name, dns_label(name))
        if name in names:
            yield duplicate(f"{path}.name", name)
        names.add(name)
        yield from one_of(f"{path}.protocol", item.get("protocol"), PROTOCOLS)
        if (protocol := item.get("appProtocol")) is not None:
            yield from invalids(f"{path}.appProtocol", protocol, qualified(protocol))


def _endpoints(obj: Object) -> Problems:
    kind, endpoints = obj.get("addressType") or "", obj.get("endpoints") or ()
    if len(endpoints) > _MOST_ENDPOINTS:
        yield too_many("endpoints", len(endpoints), _MOST_ENDPOINTS)
        return
    for index, item in enumerate(endpoints):
        yield from _endpoint(f"endpoints[{index}]", item, kind)


def _endpoint(path: str, item: Endpoint, kind: str) -> Problems:
    yield from _addresses(f"{path}.addresses", item.get("addresses") or (), kind)
    if (node := item.get("nodeName")) is not None:
        yield from invalids(f"{path}.nodeName", node, dns_subdomain(node))
    if topology := item.get("deprecatedTopology"):
        if len(topology) > _MOST_TOPOLOGY:
            yield too_many(f"{path}.deprecatedTopology", len(topology), _MOST_TOPOLOGY)
        yield from label_problems(topology, f"{path}.deprecatedTopology")
    if (host := item.get("hostname")) is not None:
        yield from invalids(f"{path}.hostname", host, dns_label(host))
    if hints := item.get("hints"):
        wrong = list(_hints(f"{path}.hints.forZones", hints.get("forZones") or (), label_value))
        yield from wrong
        if not any(problem.reason == "FieldValueTooMany" for problem in wrong):
            yield from _hints(f"{path}.hints.forNodes", hints.get("forNodes") or (), dns_subdomain)


def _addresses(path: str, addresses: Sequence[str], kind: str) -> Problems:
    if not addresses:
        yield required(path, "must contain at least 1 address")
    elif len(addresses) > _MOST_ADDRESSES:
        yield too_many(path, len(addresses), _MOST_ADDRESSES)
    for at, text in enumerate(addresses):
        place = f"{path}[{at}]"
        if kind == "FQDN":
            yield from _domain(place, text)
        elif kind in _RULES:
            reasons = _RULES[kind](text)
            if reasons:
                yield from invalids(place, text, reasons)
                continue
            if is_ipv6(text) != (kind == "IPv6"):
                yield invalid(path, text, f"must be an {kind} address")
            yield from invalids(place, text, endpoint(text))


def _domain(path: str, text: str) -> Problems:
    """Whether a text is a domain of two labels or more, with a dot at its end or without."""
    if not text:
        yield required(path)
        return
    text = text.removesuffix(".")
    if reasons := dns_subdomain(text):
        yield invalid(path, text, ",".join(reasons))
    elif "." not in text:
        yield invalid(path, text, "should be a domain with at least two segments separated by dots")
    else:
        wrong = next((label for label in text.split(".") if dns_label(label)), None)
        if wrong is not None:
            yield invalid(path, wrong, ",".join(dns_label(wrong)))


def _hints(path: str, hints: Sequence[Mapping[str, Any]], rule: Rule) -> Problems:
    if len(hints) > _MOST_HINTS:
        yield too_many(path, len(hints), _MOST_HINTS)
        return
    names: set[str] = set()
    for index, item in enumerate(hints):
        place, name = f"{path}[{index}].name", item.get("name") or ""
        if name in names:
            yield duplicate(place, name)
        names.add(name)
        yield from invalids(place, name, rule(name))


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from endpoint_slice_problems(obj)


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.whole
    yield from _type_and_ports(new)
    if new.get("endpoints") != old.get("endpoints"):
        yield from _endpoints(new)
    yield from unchanged_typed("addressType", new.get("addressType"), old.get("addressType"))


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    if old is None and new.get("addressType") == "FQDN":
        yield "spec.addressType: FQDN endpoints are deprecated"
    if labels(new).get(MANAGED_BY) in _CONTROLLERS:
        return
    for index, item in enumerate(new.get("endpoints") or ()):
        for at, text in enumerate(item.get("addresses") or ()):
            yield from address_warnings(f"endpoints[{index}].addresses[{at}]", text)


RULES = Rules(create=_create, update=_update, warnings=_warnings)
