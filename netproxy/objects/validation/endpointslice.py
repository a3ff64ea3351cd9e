"""What is refused about an EndpointSlice.

Source: kubernetes pkg/apis/discovery/validation/validation.go (behaviour, not code).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_label
from netproxy.core.net import sloppy_address
from netproxy.objects.meta import Object
from netproxy.objects.validation.words import PROTOCOLS, Problems, invalid, one_of, required
from netproxy.objects.validation.words import port as port_number


def endpoint_slice_problems(obj: Object) -> Problems:
    kind = obj.get("addressType")
    if not kind:
        yield required("addressType")
    yield from one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"))
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
        yield from one_of(f"ports[{index}].protocol", port.get("protocol"), PROTOCOLS)
        if port.get("port") is not None:
            yield from port_number(f"ports[{index}].port", port["port"])


def _endpoint(path: str, endpoint: Mapping[str, Any], kind: str) -> Problems:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        yield required(f"{path}.addresses", "must contain at least 1 address")
    sign = _SIGNS.get(kind)
    for at, address in enumerate(addresses):
        if sign and not (sloppy_address(address or "") and sign in address):
            yield invalid(f"{path}.addresses[{at}]", address, f"must be an {kind} address")
    hostname = endpoint.get("hostname")
    if hostname is not None and not is_dns_label(hostname):
        yield invalid(f"{path}.hostname", hostname, "must be a lowercase RFC 1123 label")


_SIGNS = {"IPv4": ".", "IPv6": ":"}
"""What an address of a family has, and one of the other has not."""
