"""What is filled into the kinds that make Pods."""

from __future__ import annotations

from collections.abc import Callable

from netproxy.objects.defaulting.pods import pod_spec
from netproxy.objects.meta import Object


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


FILLERS: dict[str, Callable[[Object], Object]] = {
    "Deployment": _workload,
    "ReplicaSet": _workload,
}
