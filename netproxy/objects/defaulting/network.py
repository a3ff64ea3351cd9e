"""What is filled into namespaces and into the kinds that say where traffic goes.

Source: kubernetes pkg/apis/{core,discovery,networking}/v1/defaults.go (behaviour).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from netproxy.objects.meta import Object

Part = dict[str, Any]


def _namespace(obj: Object) -> Object:
    if not (obj.get("status") or {}).get("phase"):
        obj = {**obj, "status": {**(obj.get("status") or {}), "phase": "Active"}}
    meta = obj.get("metadata") or {}
    name = meta.get("name")
    if not name or (meta.get("labels") or {}).get("kubernetes.io/metadata.name") == name:
        return obj
    return {**obj, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": name}}}


def _service(obj: Object) -> Object:
    spec: Part = dict(obj.get("spec") or {})
    kind = spec["type"] = spec.get("type") or "ClusterIP"
    affinity = spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP" and _timeout(spec) is None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    if spec.get("ports"):
        spec["ports"] = [_service_port(port) for port in spec["ports"]]
    exposed = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if exposed and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec.get("internalTrafficPolicy") is None and kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec["internalTrafficPolicy"] = "Cluster"
    if kind == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        obj = _balanced(obj)
    return {**obj, "spec": spec}


def _timeout(spec: Part) -> Any:
    return ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")


def _service_port(port: Part) -> Part:
    filled = {**port, "protocol": port.get("protocol") or "TCP"}
    if filled.get("targetPort") in (None, 0, ""):
        filled["targetPort"] = filled.get("port") or 0
    return filled


def _balanced(obj: Object) -> Object:
    """With how each address of its load balancer is used."""
    status = obj.get("status") or {}
    balancer = status.get("loadBalancer") or {}
    if all(item.get("ipMode") or not item.get("ip") for item in balancer.get("ingress") or ()):
        return obj
    ingress = [
        {**item, "ipMode": "VIP"} if item.get("ip") and not item.get("ipMode") else item for item in balancer["ingress"]
    ]
    return {**obj, "status": {**status, "loadBalancer": {**balancer, "ingress": ingress}}}


def _endpoint_slice(obj: Object) -> Object:
    ports = obj.get("ports")
    if not ports:
        return obj
    filled = [
        {
            **port,
            "name": port.get("name") or "",
            "protocol": "TCP" if port.get("protocol") is None else port["protocol"],
        }
        for port in ports
    ]
    return {**obj, "ports": filled}


def _endpoints(obj: Object) -> Object:
    subsets = obj.get("subsets")
    if not subsets:
        return obj
    return {**obj, "subsets": [_subset(subset) for subset in subsets]}


def _subset(subset: Part) -> Part:
    if not subset.get("ports"):
        return subset
    return {**subset, "ports": [{**port, "protocol": port.get("protocol") or "TCP"} for port in subset["ports"]]}


def _network_policy(obj: Object) -> Object:
    spec: Part = dict(obj.get("spec") or {})
    for way in ("ingress", "egress"):
        if spec.get(way):
            spec[way] = [_rule(rule) for rule in spec[way]]
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return {**obj, "spec": spec}


def _rule(rule: Part) -> Part:
    if not rule.get("ports"):
        return rule
    return {
        **rule,
        "ports": [{**port, "protocol": "TCP"} if port.get("protocol") is None else port for port in rule["ports"]],
    }


def _ingress_class(obj: Object) -> Object:
    spec = obj.get("spec") or {}
    parameters = spec.get("parameters")
    if parameters is None or parameters.get("scope") is not None:
        return obj
    return {**obj, "spec": {**spec, "parameters": {**parameters, "scope": "Cluster"}}}


def _secret(obj: Object) -> Object:
    """What is given as text is kept in base64, as everything else."""
    given = {key: b64encode(str(value).encode()).decode() for key, value in (obj.get("stringData") or {}).items()}
    kept = {field: value for field, value in obj.items() if field != "stringData"}
    data = {**(obj.get("data") or {}), **given}
    return {**kept, "type": obj.get("type") or "Opaque", **({"data": data} if data else {})}


FILLERS: dict[str, Callable[[Object], Object]] = {
    "Namespace": _namespace,
    "Secret": _secret,
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "NetworkPolicy": _network_policy,
    "IngressClass": _ingress_class,
}
