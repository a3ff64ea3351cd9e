"""What the API server refuses of Endpoints.

Source: kubernetes 1.36 pkg/apis/core/validation/validation.go (validateEndpointSubsets).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from netproxy.core.names import is_dns_label, is_dns_subdomain
from netproxy.core.net import is_address
from netproxy.objects.meta import Object
from netproxy.objects.validation.words import PROTOCOLS, Problems, invalid, one_of, port, required


def endpoints_problems(obj: Object) -> Problems:
    """Everything that is wrong with the subsets of Endpoints."""
    for index, subset in enumerate(obj.get("subsets") or ()):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for at, address in enumerate(subset.get(field) or ()):
                yield from _endpoint_address(f"{path}.{field}[{at}]", address)
        ports = subset.get("ports") or ()
        for at, item in enumerate(ports):
            place = f"{path}.ports[{at}]"
            if item.get("name") and not is_dns_label(item["name"]):
                yield invalid(f"{place}.name", item["name"], "must be a lowercase RFC 1123 label")
            elif not item.get("name") and len(ports) > 1:
                yield required(f"{place}.name")
            yield from port(f"{place}.port", item.get("port"))
            yield from one_of(f"{place}.protocol", item.get("protocol") or None, PROTOCOLS)


def _endpoint_address(path: str, address: Mapping[str, Any]) -> Problems:
    ip = address.get("ip")
    if not is_address(ip):
        yield invalid(f"{path}.ip", ip or "", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    else:
        yield from _endpoint_ip(f"{path}.ip", str(ip))
    if address.get("hostname") and not is_dns_label(address["hostname"]):
        yield invalid(f"{path}.hostname", address["hostname"], "must be a lowercase RFC 1123 label")
    if address.get("nodeName") is not None and not is_dns_subdomain(address["nodeName"]):
        yield invalid(f"{path}.nodeName", address["nodeName"], "must be a lowercase RFC 1123 subdomain")


def _endpoint_ip(path: str, ip: str) -> Problems:
    """Addresses that no endpoint can have."""
    address = ipaddress.ip_address(ip)
    if address.is_unspecified:
        yield invalid(path, ip, f"may not be unspecified ({ip})")
    elif address.is_loopback:
        yield invalid(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    elif address.is_link_local:
        yield invalid(path, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    elif any(address in ipaddress.ip_network(net) for net in _LINK_LOCAL_MULTICAST[address.version]):
        yield invalid(path, ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


_LINK_LOCAL_MULTICAST = {4: ("224.0.0.0/24",), 6: ("ff02::/16",)}
