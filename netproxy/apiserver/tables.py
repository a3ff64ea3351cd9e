"""kubectl's columns, printed by the server.

Source: kubernetes pkg/printers/internalversion/printers.go (columns and texts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from netproxy.objects.cluster import ZONE_LABEL
from netproxy.objects.meta import Object, condition, is_deleting, labels, metadata, name, spec, status

Cells = list[Any]
Columns = tuple[tuple[str, int], ...]  # header, priority (1 only with -o wide)
_NONE = "<none>"


def table(kind: str, objects: Iterable[Object], now: float, version: int) -> Object:
    """A `meta.k8s.io/v1 Table` of objects of one kind."""
    columns, cells = _PRINTERS.get(kind, _DEFAULT)
    definitions = [
        {
            "name": header,
            "type": "string",
            "format": "name" if header == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for header, priority in columns
    ]
    rows = [
        {"cells": cells(obj, now), "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                                              "metadata": dict(metadata(obj))}}
        for obj in objects
    ]  # fmt: skip
    return {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": str(version)},
        "columnDefinitions": definitions, "rows": rows,
    }  # fmt: skip


def age(since: str, now: float) -> str:
    """How long ago, as kubectl writes it.

    >>> age("1970-01-01T00:00:00Z", 90), age("1970-01-01T00:00:00Z", 7300), age("", 1), age("yesterday", 1)
    ('90s', '121m', '<unknown>', '<unknown>')
    """
    try:
        seconds = int(now - datetime.fromisoformat(since).timestamp())
    except (ValueError, OverflowError):  # not every resource's times are checked
        return "<unknown>"
    for limit, unit, text in ((120, 1, "s"), (180 * 60, 60, "m"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{max(0, seconds) // unit}{text}"
    return f"{seconds // 86400}d"


def _age(obj: Object, now: float) -> str:
    return age(metadata(obj).get("creationTimestamp", ""), now)


def _pod(obj: Object, now: float) -> Cells:
    containers = spec(obj).get("containers") or ()
    statuses = status(obj).get("containerStatuses") or ()
    ready = sum(1 for s in statuses if s.get("ready"))
    restarts = sum(s.get("restartCount", 0) for s in statuses)
    return [
        name(obj), f"{ready}/{len(containers)}", pod_reason(obj), str(restarts), _age(obj, now),
        ",".join(ip.get("ip") or "" for ip in (status(obj).get("podIPs") or ())[:1]) or _NONE, spec(obj).get("nodeName") or _NONE,
    ]  # fmt: skip


def pod_reason(obj: Object) -> str:
    """The STATUS column: the phase, or what a container waits for."""
    if is_deleting(obj):
        return "Terminating"
    reason = str(status(obj).get("phase") or "Pending")
    for item in reversed(status(obj).get("containerStatuses") or ()):
        state = item.get("state") or {}
        if state.get("waiting", {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif state.get("terminated") and reason not in ("Succeeded",):
            reason = state["terminated"].get("reason") or reason
    return "Completed" if reason == "Succeeded" else reason


def _service(obj: Object, now: float) -> Cells:
    service = spec(obj)
    kind = service.get("type", "ClusterIP")
    ingress = (status(obj).get("loadBalancer") or {}).get("ingress") or ()
    external = [*(service.get("externalIPs") or ()), *(i.get("ip") or i.get("hostname") or "" for i in ingress)]
    shown = ",".join(external) or ("<pending>" if kind == "LoadBalancer" else _NONE)
    if kind == "ExternalName":
        shown = service.get("externalName", "")
    ports = ",".join(
        f"{p['port']}:{p['nodePort']}/{p.get('protocol', 'TCP')}"
        if p.get("nodePort")
        else f"{p['port']}/{p.get('protocol', 'TCP')}"
        for p in service.get("ports") or ()
    )
    selector = ",".join(f"{k}={v}" for k, v in sorted((service.get("selector") or {}).items()))
    return [
        name(obj),
        kind,
        service.get("clusterIP") or _NONE,
        shown,
        ports or _NONE,
        _age(obj, now),
        selector or _NONE,
    ]


def _endpoints(obj: Object, now: float) -> Cells:
    found = [
        f"[{a['ip']}]:{port}" if port and ":" in a["ip"] else f"{a['ip']}:{port}" if port else a["ip"]
        for subset in obj.get("subsets") or ()
        for port in [p["port"] for p in subset.get("ports") or ()] or [0]
        for a in subset.get("addresses") or ()
    ]
    shown = ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")
    return [name(obj), shown or _NONE, _age(obj, now)]


def _slice(obj: Object, now: float) -> Cells:
    ports = ",".join(str(p.get("port", "*")) for p in obj.get("ports") or ()) or "<unset>"
    addresses = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    shown = ",".join(addresses[:3]) + (f" + {len(addresses) - 3} more..." if len(addresses) > 3 else "")
    return [name(obj), obj.get("addressType", ""), ports, shown or "<unset>", _age(obj, now)]


def _node(obj: Object, now: float) -> Cells:
    internal = next(
        (a.get("address") or "" for a in status(obj).get("addresses") or () if a.get("type") == "InternalIP"), _NONE
    )
    cidrs = ",".join(spec(obj).get("podCIDRs") or ()) or _NONE
    return [
        name(obj),
        node_status(obj),
        _NONE,
        _age(obj, now),
        "netproxy",
        internal,
        labels(obj).get(ZONE_LABEL, _NONE),
        cidrs,
    ]


def node_status(obj: Object) -> str:
    """The STATUS column: whether it is ready, and why not when the rules of its Services cannot be written."""
    network = condition(obj, "NetworkUnavailable")
    if network.get("status") == "True":
        return f"NotReady,{network.get('reason') or 'NetworkUnavailable'}"
    return "Ready" if condition(obj, "Ready").get("status") == "True" else "NotReady"


def _deployment(obj: Object, now: float) -> Cells:
    state, wanted = status(obj), spec(obj).get("replicas", 1)
    containers = ((spec(obj).get("template") or {}).get("spec") or {}).get("containers") or ()
    return [
        name(obj), f"{state.get('readyReplicas', 0)}/{wanted}", str(state.get("updatedReplicas", 0)),
        str(state.get("availableReplicas", 0)), _age(obj, now), ",".join(c["name"] for c in containers),
        ",".join(c.get("image", "") for c in containers),
    ]  # fmt: skip


def _replica_set(obj: Object, now: float) -> Cells:
    state = status(obj)
    return [
        name(obj),
        str(spec(obj).get("replicas", 0)),
        str(state.get("replicas", 0)),
        str(state.get("readyReplicas", 0)),
        _age(obj, now),
    ]


def _namespace(obj: Object, now: float) -> Cells:
    return [name(obj), status(obj).get("phase", "Active"), _age(obj, now)]


def _event(obj: Object, now: float) -> Cells:
    given = obj.get("involvedObject")
    about = given if isinstance(given, dict) else {}  # written by way of events.k8s.io, it is an unknown field
    return [
        age(obj.get("lastTimestamp") or "", now), obj.get("type", ""), obj.get("reason", ""),
        f"{about.get('kind') or ''}/{about.get('name') or ''}".lower(), obj.get("message", ""),
    ]  # fmt: skip


def _image(obj: Object, now: float) -> Cells:
    return [str(spec(obj).get("image")), " ".join(spec(obj).get("command") or ()), _age(obj, now)]


def _plain(obj: Object, now: float) -> Cells:
    return [name(obj), _age(obj, now)]


def _columns(text: str, wide: str = "") -> Columns:
    return (*((c, 0) for c in text.split(",")), *((c, 1) for c in wide.split(",") if c))


Printer = tuple[Columns, Callable[[Object, float], Cells]]
_DEFAULT: Printer = (_columns("Name,Age"), _plain)
_PRINTERS: dict[str, Printer] = {
    "Pod": (_columns("Name,Ready,Status,Restarts,Age", "IP,Node"), _pod),
    "Service": (_columns("Name,Type,Cluster-IP,External-IP,Port(s),Age", "Selector"), _service),
    "EndpointSlice": (_columns("Name,AddressType,Ports,Endpoints,Age"), _slice),
    "Endpoints": (_columns("Name,Endpoints,Age"), _endpoints),
    "Node": (_columns("Name,Status,Roles,Age,Version", "Internal-IP,Zone,Pod-CIDRs"), _node),
    "Deployment": (_columns("Name,Ready,Up-to-date,Available,Age", "Containers,Images"), _deployment),
    "ReplicaSet": (_columns("Name,Desired,Current,Ready,Age"), _replica_set),
    "Namespace": (_columns("Name,Status,Age"), _namespace),
    "Event": (_columns("Last Seen,Type,Reason,Object,Message"), _event),
    "Image": (_columns("Image,Command,Age"), _image),
}
