"""What the health check node port of a Service answers to a load balancer.

Source: kubernetes 1.30 pkg/proxy/healthcheck/service_health.go (status, headers and body, to the byte).
"""

from __future__ import annotations

from dataclasses import dataclass

from netproxy.core.net import Family, contains
from netproxy.proxy.model import NodeView, Snapshot


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One Service's health check on one node."""

    port: int
    namespace: str
    service: str
    local_endpoints: int


def health_checks(snapshot: Snapshot) -> tuple[HealthCheck, ...]:
    """All health check node ports of a node, with the number of ready endpoints on it."""
    counted: dict[tuple[int, str, str], set[str]] = {}
    for service in snapshot.services:
        if service.health_check_node_port:
            local = {e.address for e in service.endpoints if e.local and e.ready}
            counted.setdefault((service.health_check_node_port, service.namespace, service.service), set()).update(
                local
            )
    return tuple(HealthCheck(*at, len(ips)) for at, ips in sorted(counted.items()))


def health_addresses(node: NodeView) -> tuple[str, ...]:
    """Where the health check node ports listen: everywhere, or at the addresses that take node ports when those are limited.

    Source: kubernetes 1.36 pkg/proxy/healthcheck/service_health.go, newServiceHealthServer.
    """
    if not node.node_port_addresses:
        return (_EVERYWHERE[node.family],)
    there = dict.fromkeys(node.addresses)
    return tuple(ip for ip in there if any(contains(cidr, ip) for cidr in node.node_port_addresses))


_EVERYWHERE = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}


def health_answer(check: HealthCheck, *, healthy: bool) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer."""
    status = 200 if check.local_endpoints and healthy else 503
    headers = {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "X-Load-Balancing-Endpoint-Weight": str(check.local_endpoints),
    }
    body = (
        '{\n\t"service": {\n'
        f'\t\t"namespace": "{check.namespace}",\n\t\t"name": "{check.service}"\n\t}},\n'
        f'\t"localEndpoints": {check.local_endpoints},\n\t"serviceProxyHealthy": {str(healthy).lower()}\n}}'
    )
    return status, headers, body
