"""Tracked UDP flows that no endpoint explains: they would lead to a dead endpoint, or past a Service that is new.

Level, not edge: whatever happened before, the flows that are wrong now are found. TCP and SCTP end by themselves.
Source: kubernetes pkg/proxy/conntrack/cleanup.go, as 1.37 has it: Services without endpoints and deleted ones are not
passed over. Flows to a node port are ours only at an address of this node that takes node ports: what is under way to
another machine's port of the same number is left alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from netproxy.proxy.decisions import USERSPACE, fronts, node_port_addresses
from netproxy.proxy.model import NodeView, Snapshot


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
    return frozenset(_serving(snapshot))


def stale_flows(
    flows: Iterable[F],
    snapshot: Snapshot,
    node: NodeView,
    *,
    mode: str,
    former: frozenset[Target] = frozenset(),
) -> list[F]:
    """The UDP flows to forget: to a UDP service port of NODE, but answered by something that is no endpoint of it.

    That is so when they lead to an endpoint that is gone, and when they began before the Service had rules here (the
    answer then comes from the service address itself, or never). FORMER are the targets of the pass before: what was
    translated for a Service that is gone is stale, too. In userspace MODE a process takes the flows and chooses endpoints
    itself, so a translated flow is right as long as its Service is there.
    """
    serving = _serving(snapshot)
    known = {*serving, *former}
    own = {
        str(ipaddress.ip_address(address)) for address in node_port_addresses(node, mode)
    }  # as conntrack prints them
    result = []
    for flow in flows:
        target: Target = (flow.destination, flow.port)
        if target not in known:
            target = ("", flow.port)
            if target not in known or flow.destination not in own:
                continue
        if _is_stale(flow, serving.get(target), by_process=mode == USERSPACE):
            result.append(flow)
    return result


def _is_stale(flow: Tracked, endpoints: set[Target] | None, *, by_process: bool) -> bool:
    """Whether a flow to a Service with ENDPOINTS (None: it is gone) is answered by somebody else."""
    answer = (flow.reply_source, flow.reply_port)
    is_translated = answer != (flow.destination, flow.port)
    if endpoints is None:
        return is_translated
    return answer not in endpoints and not (by_process and is_translated)


def _serving(snapshot: Snapshot) -> Mapping[Target, set[Target]]:
    """For each target the endpoints that may go on answering: policies, hints and draining do not end a flow."""
    result: dict[Target, set[Target]] = {}
    for service in snapshot.services:
        if service.protocol != "udp":
            continue
        endpoints = {(e.address, e.port) for e in service.endpoints if e.ready or e.serving}
        for _, address, port in fronts(service):
            result.setdefault((address, port), set()).update(endpoints)
    return result
