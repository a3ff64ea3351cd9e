"""What the API server fills in before it stores an object.

Source: kubernetes pkg/apis/core/v1/defaults.go, apps/v1/defaults.go, discovery/v1/defaults.go (behaviour).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from netproxy.objects.meta import Object

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def with_defaults(obj: Object) -> Object:
    """A copy of the object with the unset fields filled; what was set stays as it is."""
    fill = _FILLERS.get(obj.get("kind", ""))
    return fill(obj) if fill else obj


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


def _pod(obj: Object) -> Object:
    return {**obj, "spec": pod_spec(obj.get("spec") or {})}


def pod_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Fill a Pod's spec, or the spec inside a template."""
    filled = {
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler", "enableServiceLinks": True, "securityContext": {}, **spec,
    }  # fmt: skip
    for group in ("containers", "initContainers"):
        if spec.get(group):
            filled[group] = [_container(container) for container in spec[group]]
    return filled


def _container(container: dict[str, Any]) -> dict[str, Any]:
    image = str(container.get("image") or "")
    latest = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
    filled = {
        "imagePullPolicy": "Always" if latest else "IfNotPresent", "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", **container,
    }  # fmt: skip
    if container.get("ports"):
        filled["ports"] = [{"protocol": "TCP", **port} for port in container["ports"]]
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(probe):
            filled[probe] = {**_PROBE, **container[probe]}
    return filled


def _workload(obj: Object) -> Object:
    spec = dict(obj.get("spec") or {})
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    template = dict(spec.get("template") or {})
    template["spec"] = pod_spec(template.get("spec") or {})
    spec["template"] = template
    if obj.get("kind") == "Deployment":
        spec.setdefault(
            "strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
        )
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
    return {**obj, "spec": spec}


def _namespace(obj: Object) -> Object:
    name = (obj.get("metadata") or {}).get("name", "")
    labels = {"kubernetes.io/metadata.name": name, **((obj.get("metadata") or {}).get("labels") or {})}
    return {
        **obj,
        "metadata": {**(obj.get("metadata") or {}), "labels": labels},
        "spec": {"finalizers": ["kubernetes"], **(obj.get("spec") or {})},
        "status": {"phase": "Active", **(obj.get("status") or {})},
    }


def _secret(obj: Object) -> Object:
    """What is given as text is kept in base64, as everything else."""
    given = {key: b64encode(str(value).encode()).decode() for key, value in (obj.get("stringData") or {}).items()}
    kept = {field: value for field, value in obj.items() if field != "stringData"}
    data = {**(obj.get("data") or {}), **given}
    return {**kept, "type": obj.get("type") or "Opaque", **({"data": data} if data else {})}


_FILLERS: dict[str, Callable[[Object], Object]] = {
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "Pod": _pod,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "Namespace": _namespace,
    "Secret": _secret,
}
