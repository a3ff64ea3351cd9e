"""What is filled into namespaces and into the kinds that say where traffic goes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from netproxy.objects.meta import Object


def _namespace(obj: Object) -> Object:
    meta = obj.get("metadata") or {}
    if not meta.get("name"):
        return obj
    return {
        **obj,
        "metadata": {**meta, "labels": {"kubernetes.io/metadata.name": meta["name"], **(meta.get("labels") or {})}},
    }


def _service(obj: Object) -> Object:
    spec: dict[str, Any] = dict(obj.get("spec") or {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    if spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        if spec["type"] in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
    if "ports" in spec:
        spec["ports"] = [_service_port(port) for port in spec["ports"] or ()]
    return {**obj, "spec": spec}


def _service_port(port: dict[str, Any]) -> dict[str, Any]:
    filled = {"protocol": "TCP", **{k: v for k, v in port.items() if not (k == "protocol" and not v)}}
    if filled.get("targetPort") in (None, 0, ""):
        filled["targetPort"] = filled.get("port")
    return filled


def _endpoint_slice(obj: Object) -> Object:
    ports = [
        {"name": "", "protocol": "TCP", **{k: v for k, v in port.items() if v is not None}}
        for port in obj.get("ports") or ()
    ]
    return {**obj, "endpoints": obj.get("endpoints") or [], "ports": ports}


def _endpoints(obj: Object) -> Object:
    subsets = [
        {**subset, "ports": [{**port, "protocol": port.get("protocol") or "TCP"} for port in subset["ports"]]}
        if subset.get("ports")
        else subset
        for subset in obj.get("subsets") or ()
    ]
    return {**obj, "subsets": subsets} if subsets else obj


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
}
