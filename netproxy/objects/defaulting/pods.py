"""What is filled into Pods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netproxy.objects.meta import Object

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


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


FILLERS: dict[str, Callable[[Object], Object]] = {
    "Pod": _pod,
}
