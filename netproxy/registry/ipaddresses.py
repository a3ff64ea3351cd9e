"""The IPAddress of each address that a Service has: made and removed with it.

Source: kubernetes pkg/registry/core/service/ipallocator/ipallocator.go (createIPAddress, serviceToRef; behaviour).
"""

from __future__ import annotations

from netproxy.core.net import family_of, sloppy_address
from netproxy.objects.meta import Object, name, namespace, spec

MANAGER = "kube-apiserver"
"""Who writes them."""


def addresses_of(service: Object | None) -> dict[str, Object]:
    """The IPAddresses that a Service has, by their names; none without a Service."""
    ips = spec(service or {}).get("clusterIPs") or ()
    read = [sloppy_address(ip) for ip in ips if ip and ip != "None"]
    return {ip: _address(ip, service or {}) for ip in read}


def _address(ip: str, service: Object) -> Object:
    labels = {
        "ipaddress.kubernetes.io/ip-family": family_of(ip).value,
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    parent = {"resource": "services", "namespace": namespace(service), "name": name(service)}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": ip, "labels": labels},
        "spec": {"parentRef": parent},
    }  # fmt: skip
