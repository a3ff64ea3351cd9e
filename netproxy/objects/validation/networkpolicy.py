"""What is refused about a NetworkPolicy.

Source: kubernetes pkg/apis/networking/validation/validation.go, pkg/registry/networking/networkpolicy/strategy.go (behaviour).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterator, Mapping
from typing import Any

from netproxy.core.net import sloppy_network
from netproxy.objects.meta import Object, spec
from netproxy.objects.validation.addresses import cidr_problems, cidr_warnings
from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.names import port_name
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import (
    Problems,
    forbidden,
    invalid,
    invalids,
    required,
    unsupported,
)
from netproxy.objects.validation.words import port as port_number

_WAYS = (("ingress", "from"), ("egress", "to"))
_TYPES = ("Ingress", "Egress")

Part = Mapping[str, Any]


def _problems(obj: Object, known: Container[str]) -> Problems:
    given = spec(obj)
    yield from selector_problems(given.get("podSelector"), "spec.podSelector")
    for way, peers in _WAYS:
        for index, rule in enumerate(given.get(way) or ()):
            path = f"spec.{way}[{index}]"
            for at, item in enumerate(rule.get("ports") or ()):
                yield from _port(item, f"{path}.ports[{at}]")
            for at, item in enumerate(rule.get(peers) or ()):
                yield from _peer(item, f"{path}.{peers}[{at}]", known)
    types = given.get("policyTypes") or ()
    if len(types) > len(_TYPES):
        yield invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for index, kind in enumerate(types):
        if kind not in _TYPES:
            yield unsupported(f"spec.policyTypes[{index}]", kind, _TYPES)


def _port(item: Part, path: str) -> Problems:
    protocol, number, end = item.get("protocol"), item.get("port"), item.get("endPort")
    if protocol is not None and protocol not in ("TCP", "UDP", "SCTP"):
        yield unsupported(f"{path}.protocol", protocol, ("TCP", "UDP", "SCTP"))
    if isinstance(number, str):
        if end is not None:
            yield invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
        yield from invalids(f"{path}.port", number, port_name(number))
    elif number is not None:
        yield from port_number(f"{path}.port", number)
        if end is not None:
            if end < number:
                yield invalid(f"{path}.endPort", number, "must be greater than or equal to `port`")
            yield from port_number(f"{path}.endPort", end)
    elif end is not None:
        yield invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")


def _peer(item: Part, path: str, known: Container[str]) -> Problems:
    found = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if item.get(field) is not None]
    for field in found:
        if field == "ipBlock":
            yield from _block(item[field], f"{path}.ipBlock", known)
        else:
            yield from selector_problems(item[field], f"{path}.{field}")
    if not found:
        yield required(path, "must specify a peer")
    elif len(found) > 1 and "ipBlock" in found:
        yield forbidden(path, "may not specify both ipBlock and another peer")


def _block(block: Part, path: str, known: Container[str]) -> Problems:
    text = block.get("cidr")
    if not text:
        yield required(f"{path}.cidr")
        return
    yield from cidr_problems(f"{path}.cidr", text, known)
    read = sloppy_network(text)
    if not read:
        return
    whole = ipaddress.ip_network(read)
    for index, item in enumerate(block.get("except") or ()):
        place = f"{path}.except[{index}]"
        yield from cidr_problems(place, item, known)
        part = ipaddress.ip_network(sloppy_network(item) or whole)
        if sloppy_network(item) and not (
            part.network_address in whole and whole.prefixlen < part.prefixlen
        ):  # fmt: skip
            yield invalid(place, item, "must be a strict subset of `cidr`")


def _blocks(obj: Object) -> Iterator[tuple[str, Part]]:
    """The address blocks with their paths."""
    for way, peers in _WAYS:
        for index, rule in enumerate(spec(obj).get(way) or ()):
            for at, item in enumerate(rule.get(peers) or ()):
                if item.get("ipBlock"):
                    yield f"spec.{way}[{index}].{peers}[{at}].ipBlock", item["ipBlock"]


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _problems(obj, ())


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    known = {text for _, block in _blocks(old) for text in (block.get("cidr") or "", *(block.get("except") or ()))}
    yield from _problems(new, known)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    for path, block in _blocks(new):
        yield from cidr_warnings(f"{path}.cidr", block.get("cidr") or "")
        for index, text in enumerate(block.get("except") or ()):
            yield from cidr_warnings(f"{path}.except[{index}]", text)


RULES = Rules(create=_create, update=_update, warnings=_warnings)
