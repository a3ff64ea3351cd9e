"""Tracked UDP flows that no endpoint explains: they would lead to a dead endpoint, or past a Service that is new.

Level, not edge: whatever happened before, the flows that are wrong now are found. TCP and SCTP end by themselves.
Source: kubernetes pkg/proxy/conntrack/cleanup.go (since 1.33).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from netproxy.proxy.model import Snapshot


class Tracked(Protocol):
    """What is read of a conntrack entry."""

    @property
    def destination(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def reply_source(self) -> str: ...
    @property
    def reply_port(self) -> int: ...


F = TypeVar("F", bound=Tracked)
Target = tuple[str, int]


def udp_targets(snapshot: Snapshot) -> frozenset[Target]:
    """Addresses and ports of all UDP service ports; a node port has an empty address."""
    result: set[Target] = set()
    for service in snapshot.services:
        if service.protocol == "udp":
            result |= {
                (ip, service.port) for ip in (service.cluster_ip, *service.external_ips, *service.load_balancer_ips)
            }
            if service.node_port:
                result.add(("", service.node_port))
    return frozenset(result)


def stale_flows(flows: Iterable[F], snapshot: Snapshot, *, former: frozenset[Target] = frozenset()) -> list[F]:
    """The flows to forget: to a UDP service port, but answered by something that is no usable endpoint of it.

    FORMER are the targets of the pass before: flows to a Service that is gone are stale too.
    """
    usable: dict[Target, set[Target]] = {target: set() for target in former}
    for service in snapshot.services:
        if service.protocol != "udp":
            continue
        endpoints = {(e.address, e.port) for e in service.endpoints if e.ready or (e.serving and e.terminating)}
        for ip in (service.cluster_ip, *service.external_ips, *service.load_balancer_ips):
            usable.setdefault((ip, service.port), set()).update(endpoints)
        if service.node_port:
            usable.setdefault(("", service.node_port), set()).update(endpoints)
    current = udp_targets(snapshot)
    result = []
    for flow in flows:
        translated = (flow.reply_source, flow.reply_port) != (flow.destination, flow.port)
        target: Target = (flow.destination, flow.port)
        if target not in usable:
            target = ("", flow.port)
            if not translated:
                continue
        if (
            target in usable
            and (flow.reply_source, flow.reply_port) not in usable[target]
            and (translated or (target in current and usable[target]))
        ):
            result.append(flow)
    return result
