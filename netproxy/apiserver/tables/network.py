"""The tables of what routes traffic.

Source: kubernetes 1.36 pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.apiserver.tables.words import (
    NONE,
    UNKNOWN,
    UNSET,
    Cells,
    Printer,
    age_of,
    columns,
    count,
    labels_text,
    listed,
    part,
    selector_cell,
    text,
)
from netproxy.objects.meta import Object, annotations_of, name, spec, status

_MOST = 3
"""Endpoints, ports and hosts that are shown of many."""
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def _service(obj: Object, now: float) -> Cells:
    service = spec(obj)
    addresses = service.get("clusterIPs") or ()
    ports = ",".join(map(_service_port, service.get("ports") or ()))
    return [
        name(obj), text(service, "type"), addresses[0] if addresses else NONE, _external(obj), ports or NONE,
        age_of(obj, now), labels_text(service.get("selector")),
    ]  # fmt: skip


def _external(obj: Object) -> str:
    service = spec(obj)
    given = list(service.get("externalIPs") or ())
    match service.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            return ",".join([*_ingress_points(obj), *given]) or "<pending>"
        case "ExternalName":
            return text(service, "externalName")
        case _:
            return UNKNOWN


def _ingress_points(obj: Object) -> list[str]:
    """The addresses or names of a load balancer, each once."""
    found = part(status(obj), "loadBalancer").get("ingress") or ()
    return sorted({text(point, "ip") or text(point, "hostname") for point in found} - {""})


def _service_port(port: Mapping[str, Any]) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{text(port, 'protocol')}"


# --- endpoints


def _endpoints(obj: Object, now: float) -> Cells:
    subsets = obj.get("subsets") or ()
    found = [address for subset in subsets for address in _addresses(subset)]
    return [name(obj), listed(found, _MOST) if subsets else NONE, age_of(obj, now)]


def _addresses(subset: Mapping[str, Any]) -> Iterator[str]:
    addresses = [text(address, "ip") for address in subset.get("addresses") or ()]
    for port in subset.get("ports") or ():
        yield from (f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}" for ip in addresses)
    if not subset.get("ports"):
        yield from addresses


def _slice(obj: Object, now: float) -> Cells:
    ports = [_slice_port(port) for port in obj.get("ports") or ()]
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    shown = [listed(items, _MOST) or UNSET for items in (ports, addresses)]
    return [name(obj), text(obj, "addressType"), *shown, age_of(obj, now)]


def _slice_port(port: Mapping[str, Any]) -> str:
    if port.get("port") is not None:
        return str(port["port"])
    return "*" if port.get("name") is None else str(port["name"])


# --- ingress


def _ingress(obj: Object, now: float) -> Cells:
    ingress = spec(obj)
    return [
        name(obj), text(ingress, "ingressClassName", NONE), _hosts(ingress.get("rules") or ()), ",".join(_ingress_points(obj)),
        "80, 443" if ingress.get("tls") else "80", age_of(obj, now),
    ]  # fmt: skip


def _hosts(rules: Any) -> str:
    """The first hosts; what is not shown is counted in rules, be they with a host or not."""
    shown: list[str] = []
    for rule in rules:
        if len(shown) == _MOST:
            return f"{','.join(shown)} + {len(rules) - _MOST} more..."
        if rule.get("host"):
            shown.append(rule["host"])
    return ",".join(shown) or "*"


def _ingress_class(obj: Object, now: float) -> Cells:
    default = " (default)" if annotations_of(obj).get(_DEFAULT_CLASS) == "true" else ""
    given = part(spec(obj), "parameters")
    group = f".{given['apiGroup']}" if given.get("apiGroup") is not None else ""
    parameters = f"{text(given, 'kind')}{group}/{text(given, 'name')}" if given else NONE
    return [name(obj) + default, text(spec(obj), "controller"), parameters, age_of(obj, now)]


def _policy(obj: Object, now: float) -> Cells:
    return [name(obj), selector_cell(spec(obj).get("podSelector")), age_of(obj, now)]


# --- ranges and addresses


def _cidr(obj: Object, now: float) -> Cells:
    return [name(obj), ",".join(spec(obj).get("cidrs") or ()), age_of(obj, now)]


def _address(obj: Object, now: float) -> Cells:
    """With an age for which there is no column."""
    parent = part(spec(obj), "parentRef")
    resource = ".".join(filter(None, (text(parent, "resource"), text(parent, "group")))).lower()
    shown = "/".join([resource, *filter(None, [text(parent, "namespace")]), text(parent, "name")])
    return [name(obj), shown if parent else NONE, age_of(obj, now)]


# --- scaling


def _autoscaler(obj: Object, now: float) -> Cells:
    wanted, state = spec(obj), status(obj)
    target = part(wanted, "scaleTargetRef")
    least = wanted.get("minReplicas")
    return [
        name(obj), f"{text(target, 'kind')}/{text(target, 'name')}",
        _metrics(wanted.get("metrics") or (), state.get("currentMetrics") or ()), UNSET if least is None else str(least),
        count(wanted, "maxReplicas"), count(state, "currentReplicas"), age_of(obj, now),
    ]  # fmt: skip


def _metrics(wanted: Any, seen: Any) -> str:
    """The first two metrics, each as what it is and what it is to be."""
    shown = [_metric(metric, seen[at] if at < len(seen) else {}) for at, metric in enumerate(wanted)]
    return listed(shown, 2, ", ") if shown else NONE


_SOURCES = {
    "External": "external", "Pods": "pods", "Object": "object", "Resource": "resource",
    "ContainerResource": "containerResource",
}  # fmt: skip


def _metric(metric: Mapping[str, Any], seen: Mapping[str, Any]) -> str:
    kind = str(metric.get("type"))
    source = _SOURCES.get(kind)
    if source is None:
        return "<unknown type>"
    given, current = part(metric, source), part(seen, source, "current")
    target, is_known = part(given, "target"), isinstance(seen.get(source), dict)
    if kind in ("Resource", "ContainerResource"):
        return f"{text(given, 'name')}: {_of_resource(target, current, is_known=is_known)}"
    if kind == "Pods":
        return f"{_value(current, 'averageValue') if is_known else UNKNOWN}/{_value(target, 'averageValue')}"
    if target.get("averageValue") is not None:
        return f"{text(current, 'averageValue', UNKNOWN)}/{target['averageValue']} (avg)"
    return f"{_value(current, 'value') if is_known else UNKNOWN}/{_value(target, 'value')}"


def _of_resource(target: Mapping[str, Any], current: Mapping[str, Any], *, is_known: bool) -> str:
    if target.get("averageValue") is not None:
        return f"{_value(current, 'averageValue') if is_known else UNKNOWN}/{target['averageValue']}"
    now, goal = (values.get("averageUtilization") for values in (current, target))
    return f"{UNKNOWN if now is None else f'{now}%'}/{'<auto>' if goal is None else f'{goal}%'}"


def _value(values: Mapping[str, Any], field: str) -> str:
    """A quantity; the real server prints what is not there so."""
    return text(values, field, "<nil>")


SERVICE = Printer(columns("Name,Type,Cluster-IP,External-IP,Port(s),Age", "Selector"), _service)
ENDPOINTS = Printer(columns("Name,Endpoints,Age"), _endpoints)
ENDPOINT_SLICE = Printer(columns("Name,AddressType,Ports,Endpoints,Age"), _slice)
INGRESS = Printer(columns("Name,Class,Hosts,Address,Ports,Age"), _ingress)
INGRESS_CLASS = Printer(columns("Name,Controller,Parameters,Age"), _ingress_class)
NETWORK_POLICY = Printer(columns("Name,Pod-Selector,Age"), _policy)
SERVICE_CIDR = Printer(columns("Name,CIDRs,Age"), _cidr)
IP_ADDRESS = Printer(columns("Name,ParentRef"), _address)
HORIZONTAL_POD_AUTOSCALER = Printer(columns("Name,Reference,Targets,MinPods,MaxPods,Replicas,Age"), _autoscaler)
