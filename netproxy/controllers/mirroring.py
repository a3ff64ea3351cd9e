"""Endpoints that somebody wrote by hand → EndpointSlices, which are all that proxies and DNS look at.

Of a Service without a selector only; Endpoints with the label `skip-mirror` or a leader's record are left alone.
Source: kubernetes 1.36 pkg/controller/endpointslicemirroring, pkg/api/v1/endpoints/util.go (RepackSubsets).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from netproxy.controllers.ownership import in_namespace_of, is_leaving, owner_reference, short_name
from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.core.net import family_of, is_address
from netproxy.objects.change import Change, Create, Delete, Event, Identity, IndexedView, Update
from netproxy.objects.kinds import ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, SERVICES
from netproxy.objects.meta import (
    MANAGED_BY,
    SERVICE_NAME,
    Object,
    annotations_of,
    is_deleting,
    key,
    labels,
    metadata,
    name,
    namespace,
    spec,
    uid,
)

CONTROLLER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
MAX_ADDRESSES = 1000
"""Of one subset so many addresses are mirrored, so that each subset is one slice of a family."""

_NOT_COPIED = ("endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration")

Port = tuple[str, int, str, str]  # name, number, protocol, appProtocol
Group = tuple[str, tuple[Port, ...]]
"""Family and ports: each is one slice."""
Endpoint = dict[str, Any]


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Bring the mirrored slices of one Service to what its Endpoints say; without a reason to mirror they go."""
    mine = sorted((item for item in view.by_service(ENDPOINT_SLICES, at) if _is_ours(item)), key=key)
    endpoints, service = view.find(ENDPOINTS, at), view.find(SERVICES, at)
    if endpoints is None or service is None:
        absent = Identity(ENDPOINTS if endpoints is None else SERVICES, at)
        return Outcome(tuple(map(_delete, mine)), absent=(absent,)) if mine else NOTHING
    if not _is_mirrored(endpoints) or spec(service).get("selector"):
        return Outcome(tuple(map(_delete, mine)))
    return Outcome(tuple(_changes(view, endpoints, _wanted(endpoints), mine)))


def _is_ours(item: Object) -> bool:
    return labels(item).get(MANAGED_BY) == CONTROLLER and not is_deleting(item)


def _is_mirrored(endpoints: Object) -> bool:
    return labels(endpoints).get(SKIP) != "true" and LEADER not in annotations_of(endpoints)


def _delete(item: Object) -> Delete:
    return Delete(ENDPOINT_SLICES, key(item), uid(item))


# --- what there should be


def _wanted(endpoints: Object) -> dict[Group, list[Endpoint]]:
    """The endpoints of each slice, sorted by address."""
    result: dict[Group, dict[tuple[str, ...], Endpoint]] = {}
    for ports, addresses in _repacked(endpoints.get("subsets") or ()):
        for address, is_ready in addresses[:MAX_ADDRESSES]:
            endpoint = _endpoint(address, is_ready=is_ready)
            group = result.setdefault((family_of(endpoint["addresses"][0]).value, ports), {})
            group[_identity(endpoint)] = endpoint
    return {group: list(found.values()) for group, found in result.items()}


def _repacked(subsets: Iterable[Object]) -> list[tuple[tuple[Port, ...], list[tuple[Object, bool]]]]:
    """Ports with the addresses that have exactly these: ready ones first, each address once, not ready if it is so anywhere."""
    known: dict[tuple[str, str], Object] = {}
    by_port: dict[Port | None, dict[tuple[str, str], bool]] = {}
    for subset in subsets:
        ports: list[Port | None] = [*map(_port, subset.get("ports") or ())] or [None]
        for address, is_ready in _addresses(subset):
            who = address["ip"], str((address.get("targetRef") or {}).get("uid") or "")
            known.setdefault(who, address)
            for port in ports:
                there = by_port.setdefault(port, {})
                there[who] = there.get(who, True) and is_ready
    packed: dict[tuple[tuple[tuple[str, str], bool], ...], list[Port]] = {}
    for offered, there in by_port.items():
        packed.setdefault(tuple(sorted(there.items())), []).extend([offered] if offered else [])
    return [
        (row, [(known[who], is_ready) for who, is_ready in sorted(there, key=lambda one: not one[1])])
        for there, ports in packed.items()
        for row in _rows(ports)
    ]


def _rows(ports: list[Port]) -> list[tuple[Port, ...]]:
    """The ports of one slice, or of several where two have one name, which no slice may have; without ports one empty row."""
    rows: list[dict[str, Port]] = [{}]
    for port in sorted(ports):
        row = next((row for row in rows if port[0] not in row), None)
        if row is None:
            rows.append(row := {})
        row[port[0]] = port
    return [tuple(row.values()) for row in rows]


def _addresses(subset: Object) -> Iterator[tuple[Object, bool]]:
    """The addresses of a subset with whether they are ready; what is no address is passed over."""
    for field, is_ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(field) or ():
            if is_address(address.get("ip")):
                yield address, is_ready


def _port(port: Object) -> Port:
    return port.get("name") or "", port["port"], port.get("protocol") or "TCP", port.get("appProtocol") or ""


def _endpoint(address: Object, *, is_ready: bool) -> Endpoint:
    """One endpoint; of its readiness Endpoints say no more than this."""
    given = {field: address[field] for field in ("hostname", "nodeName", "targetRef") if address.get(field)}
    return {"addresses": [str(ipaddress.ip_address(address["ip"]))], "conditions": {"ready": is_ready}, **given}


def _identity(endpoint: Endpoint) -> tuple[str, ...]:
    of = endpoint.get("targetRef") or {}
    return (
        *endpoint["addresses"],
        endpoint.get("hostname") or "",
        str(of.get("namespace") or ""),
        str(of.get("name") or ""),
    )


# --- how to get there


def _changes(
    view: IndexedView, endpoints: Object, wanted: dict[Group, list[Endpoint]], mine: list[Object]
) -> Iterator[Change]:
    """One slice for each group: the one that has it, else one of the family that is not needed, else a new one."""
    by_group: dict[Group, list[Object]] = {}
    for item in mine:
        by_group.setdefault(_group_of(item), []).append(item)
    placed = {group: by_group[group].pop(0) for group in wanted if group in by_group}
    spare = [item for items in by_group.values() for item in items]
    for group, found in sorted(wanted.items(), key=lambda one: one[0]):
        taken = placed.get(group) or _taken(spare, group[0])
        if taken is not None:
            new = _slice(endpoints, group, found, dict(metadata(taken)))
            if not _is_same(taken, new):
                yield Update(new)
        elif not is_leaving(view, endpoints):
            yield Create(_slice(endpoints, group, found, _new_metadata(view, endpoints, group)))
    yield from map(_delete, spare)


def _taken(spare: list[Object], family: str) -> Object | None:
    """One of the spare slices that is of the family; it is spare no more."""
    at = next((at for at, item in enumerate(spare) if item.get("addressType") == family), None)
    return None if at is None else spare.pop(at)


def _group_of(item: Object) -> Group:
    return str(item.get("addressType")), tuple(sorted(_port(port) for port in item.get("ports") or ()))


def _slice(endpoints: Object, group: Group, found: list[Endpoint], meta: dict[str, Any]) -> Object:
    family, ports = group
    notes = {note: value for note, value in annotations_of(endpoints).items() if note not in _NOT_COPIED}
    marks = {SERVICE_NAME: name(endpoints), MANAGED_BY: CONTROLLER}
    meta = {**meta, "labels": {**labels(endpoints), **marks}, "ownerReferences": [owner_reference(endpoints)]}
    meta.pop("annotations", None)
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": {**meta, "annotations": notes} if notes else meta,
        "addressType": family,
        "endpoints": found,
        "ports": [
            {"name": n, "port": number, "protocol": protocol, **({"appProtocol": app} if app else {})}
            for n, number, protocol, app in ports
        ],
    }


def _new_metadata(view: IndexedView, endpoints: Object, group: Group) -> dict[str, Any]:
    """A name that no slice has."""
    at, number = namespace(endpoints), 0
    while True:
        made = f"{name(endpoints)}-{short_name(f'{uid(endpoints)}/{group}/{number}', 5)}"
        if view.find(ENDPOINT_SLICES, NamespacedName(at, made)) is None:
            return {"name": made, "generateName": f"{name(endpoints)}-", "namespace": at}
        number += 1


def _is_same(item: Object, new: Object) -> bool:
    """Whether a slice says what it should; the order of its endpoints says nothing."""
    if metadata(item) != metadata(new) or _group_of(item) != _group_of(new):
        return False
    there, should = ({_identity(one): one for one in each.get("endpoints") or ()} for each in (item, new))
    return there == should and len(there) == len(item.get("endpoints") or ())


# --- who has to look


def _of_its_name(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """Endpoints and Services belong together by their name, also when one of them goes."""
    return (key(event.obj),)


def _of_slice(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The Services that a mirrored slice belongs to, and belonged to before."""
    ours = [item for item in event.states if labels(item).get(MANAGED_BY) == CONTROLLER]
    named = [(namespace(item), labels(item).get(SERVICE_NAME)) for item in (event.states if ours else ())]
    return sorted({NamespacedName(at, service) for at, service in named if service})


MIRRORING_CONTROLLER = Controller(
    "endpointslicemirroring",
    {
        ENDPOINTS: _of_its_name,
        SERVICES: _of_its_name,
        ENDPOINT_SLICES: _of_slice,
        NAMESPACES: in_namespace_of(ENDPOINTS),
    },
    reconcile,
)
