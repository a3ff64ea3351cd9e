"""What is filled into HorizontalPodAutoscalers of version 2, in which they are kept.

Source: kubernetes pkg/apis/autoscaling/v2/defaults.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.objects.meta import Object

_CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def _autoscaler(obj: Object) -> Object:
    spec = {"minReplicas": 1, "metrics": [_CPU], **(obj.get("spec") or {})}
    behavior = spec.get("behavior")
    if behavior is not None:
        spec["behavior"] = {
            **behavior,
            "scaleUp": {**_UP, **(behavior.get("scaleUp") or {})},
            "scaleDown": {**_DOWN, **(behavior.get("scaleDown") or {})},
        }
    return {**obj, "spec": spec}


FILLERS: dict[str, Callable[[Object], Object]] = {"HorizontalPodAutoscaler": _autoscaler}
