"""What is refused about a ServiceCIDR and an IPAddress.

Source: kubernetes pkg/apis/networking/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.net import family_of, sloppy_network
from netproxy.objects.meta import Object, spec
from netproxy.objects.validation.addresses import canonical_address, canonical_cidr
from netproxy.objects.validation.names import dns_subdomain, path_segment
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import IMMUTABLE, Problems, invalid, invalids, required, unchanged

_PATH = "spec.cidrs"
_REFERENCE = {"Group": "group", "Resource": "resource", "Namespace": "namespace", "Name": "name"}


def _ranges(cidrs: list[str]) -> Problems:
    if not cidrs:
        yield required(_PATH, "at least one CIDR required")
        return
    if len(cidrs) > 2:
        yield invalid(_PATH, {"CIDRs": cidrs}, "may only hold up to 2 values")
        return
    for index, text in enumerate(cidrs):
        yield from invalids(f"{_PATH}[{index}]", text, canonical_cidr(text))
    families = [family_of(text) for text in map(sloppy_network, cidrs) if text]
    if len(families) == 2 and families[0] is families[1]:
        why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        yield invalid(_PATH, cidrs, why)


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _ranges(spec(obj).get("cidrs") or [])


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    now, before = spec(new).get("cidrs") or [], spec(old).get("cidrs") or []
    if len(now) == len(before):
        for index, (text, was) in enumerate(zip(now, before, strict=True)):
            if text != was:
                yield invalid(f"{_PATH}[{index}]", text, IMMUTABLE)
    elif len(before) == 1 and len(now) == 2:
        if now[0] != before[0]:
            yield invalid(f"{_PATH}[0]", now[0], IMMUTABLE)
        yield from _ranges(now)
    else:
        yield invalid(_PATH, now or None, IMMUTABLE)


def _address(obj: Object, meta: Found) -> Problems:
    yield from meta
    parent: Mapping[str, Any] | None = spec(obj).get("parentRef")
    path = "spec.parentRef"
    if parent is None:
        yield required(path)
        return
    if group := parent.get("group"):
        yield from invalids(f"{path}.group", group, dns_subdomain(group))
    for field in ("resource", "name"):
        if text := parent.get(field):
            yield from invalids(f"{path}.{field}", text, path_segment(text))
        else:
            yield required(f"{path}.{field}")
    if namespace := parent.get("namespace"):
        yield from invalids(f"{path}.namespace", namespace, path_segment(namespace))


def _address_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _address(new, meta.whole)
    yield from meta.change
    yield from unchanged("spec.parentRef", _shown(new), _shown(old))


def _shown(obj: Object) -> dict[str, Any] | None:
    parent = spec(obj).get("parentRef")
    return None if parent is None else {go: parent.get(field) or "" for go, field in _REFERENCE.items()}


SERVICE_CIDR = Rules(create=_create, update=_update)
IP_ADDRESS = Rules(create=_address, update=_address_update, name=canonical_address)
