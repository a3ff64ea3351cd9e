"""One object in the groups and versions that it is served in; it is kept in one of them.

Source: kubernetes pkg/apis/events/v1/conversion.go, pkg/apis/autoscaling/v1/conversion.go (behaviour).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from netproxy.objects.canonical import canonical
from netproxy.objects.kinds import (
    EVENTS,
    EVENTS_V1,
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    Resource,
    resource_of,
    stored_resource,
)
from netproxy.objects.meta import Object, annotations_of, metadata, spec, status

Conversion = Callable[[Object], Object]


def in_version(obj: Object, resource: Resource) -> Object:
    """The object as RESOURCE shows it; the object itself when it is of that group and version.

    >>> in_version({"apiVersion": "v1", "kind": "Event", "message": "x"}, EVENTS_V1)["note"]
    'x'
    """
    given = resource_of(obj)
    if given is resource or given is None:
        return obj
    return canonical({**_CONVERSIONS[given, resource](obj), "apiVersion": resource.api_version})


def as_stored(obj: Object, resource: Resource) -> Object:
    """The object of RESOURCE in the group and version in which it is kept."""
    return in_version(obj, stored_resource(resource))


# --- Event: the same fields under other names

_EVENT_FIELDS = {
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource", "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController",
}  # fmt: skip


def _renamed(fields: dict[str, str]) -> Conversion:
    return lambda obj: {fields.get(field, field): value for field, value in obj.items()}


# --- HorizontalPodAutoscaler: what version 1 has no field for is in annotations

_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def _hpa_to_v1(obj: Object) -> Object:
    wanted, seen = dict(spec(obj)), dict(status(obj))
    notes = dict(annotations_of(obj))
    metrics, current = wanted.pop("metrics", None) or [], seen.pop("currentMetrics", None) or []
    cpu = _cpu_percent(metrics, "target")
    if cpu is not None:
        wanted["targetCPUUtilizationPercentage"] = cpu
    seen_cpu = _cpu_percent(current, "current")
    if seen_cpu is not None:
        seen["currentCPUUtilizationPercentage"] = seen_cpu
    rest = [item for item in metrics if _cpu_percent([item], "target") is None]
    for note, value in (
        (_METRICS, rest), (_CURRENT, current), (_CONDITIONS, seen.pop("conditions", None)),
        (_BEHAVIOR, wanted.pop("behavior", None)),
    ):  # fmt: skip
        if value:
            notes[note] = json.dumps(value, separators=(",", ":"))
    return _with(obj, wanted, seen, notes)


def _hpa_to_v2(obj: Object) -> Object:
    wanted, seen = dict(spec(obj)), dict(status(obj))
    notes = dict(annotations_of(obj))
    metrics = _noted(notes, _METRICS, list)
    cpu = wanted.pop("targetCPUUtilizationPercentage", None)
    if cpu is not None:
        target = {"type": "Utilization", "averageUtilization": cpu}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *metrics]
    if metrics:
        wanted["metrics"] = metrics
    current = _noted(notes, _CURRENT, list)
    seen_cpu = seen.pop("currentCPUUtilizationPercentage", None)
    if seen_cpu is not None and not current:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": seen_cpu}}}]
    for place, field, value in (
        (seen, "currentMetrics", current), (seen, "conditions", _noted(notes, _CONDITIONS, list)),
        (wanted, "behavior", _noted(notes, _BEHAVIOR, dict)),
    ):  # fmt: skip
        if value:
            place[field] = value
    return _with(obj, wanted, seen, notes)


def _cpu_percent(metrics: list[Any], side: str) -> int | None:
    """The utilization of the CPU among the metrics, which version 1 has a field for."""
    for item in metrics:
        resource = _dict(_dict(item).get("resource"))
        percent = _dict(resource.get(side)).get("averageUtilization")
        if resource.get("name") == "cpu" and isinstance(percent, int):
            return percent
    return None


def _dict(value: Any) -> dict[str, Any]:
    """What an annotation holds may be anything."""
    return value if isinstance(value, dict) else {}


def _noted(notes: dict[str, str], note: str, wanted: type) -> Any:
    """What an annotation holds, taken out; empty when it is not there, or not what it should be."""
    try:
        value = json.loads(notes.pop(note, "null"))
    except ValueError:
        value = None
    return value if isinstance(value, wanted) else wanted()


def _with(obj: Object, wanted: Object, seen: Object, notes: dict[str, str]) -> Object:
    meta = {field: value for field, value in metadata(obj).items() if field != "annotations"}
    if notes:
        meta["annotations"] = notes
    result = {**obj, "metadata": meta, "spec": wanted}
    return {**result, "status": seen} if "status" in obj or seen else result


_CONVERSIONS: dict[tuple[Resource, Resource], Conversion] = {
    (EVENTS, EVENTS_V1): _renamed(_EVENT_FIELDS),
    (EVENTS_V1, EVENTS): _renamed({new: old for old, new in _EVENT_FIELDS.items()}),
    (HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1): _hpa_to_v1,
    (HORIZONTAL_POD_AUTOSCALERS_V1, HORIZONTAL_POD_AUTOSCALERS): _hpa_to_v2,
}
