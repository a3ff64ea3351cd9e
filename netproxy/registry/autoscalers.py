"""HorizontalPodAutoscalers of autoscaling/v2 as v1 shows them, and back: what v1 has no field for is JSON in annotations.

Source: kubernetes 1.36 pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.objects.meta import Object, annotations_of, metadata, spec, status

_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_TOLERANCES = (
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
)
_OURS = (_METRICS, _CURRENT, _CONDITIONS, _BEHAVIOR, *_TOLERANCES)
_DEFAULT_CPU = 80
_FIELDS = {
    "Object": "object", "Pods": "pods", "Resource": "resource", "ContainerResource": "containerResource", "External": "external",
}  # fmt: skip
"""Where a metric of a type is."""
_CONDITION = ("type", "status", "lastTransitionTime", "reason", "message")

Fields = dict[str, Any]


def to_v1(obj: Object) -> Object:
    """The autoscaler as v1 shows it."""
    wanted, seen = dict(spec(obj)), dict(status(obj))
    notes = {key: text for key, text in annotations_of(obj).items() if key not in _OURS}
    metrics, current = wanted.pop("metrics", None) or [], seen.pop("currentMetrics", None) or []
    cpu = [percent for item in metrics if (percent := _cpu_percent(item, "target")) is not None]
    if cpu:
        wanted["targetCPUUtilizationPercentage"] = cpu[0]
    for item in current:
        percent = _cpu_percent(item, "current")
        if percent is not None:
            seen["currentCPUUtilizationPercentage"] = percent
    rest = [_metric_to_v1(item, "target") for item in metrics if _cpu_percent(item, "target") is None]
    conditions = [_chosen(item, _CONDITION) for item in seen.pop("conditions", None) or ()]
    behavior = wanted.pop("behavior", None)
    for note, value in (
        (_METRICS, rest), (_CURRENT, [_metric_to_v1(item, "current") for item in current]), (_CONDITIONS, conditions),
        (_BEHAVIOR, _behavior_to_v1(behavior) if behavior is not None else None),
    ):  # fmt: skip
        if value:
            notes[note] = _go_json(value)
    return _with(obj, wanted, seen, notes)


def to_v2(obj: Object) -> Object:
    """The autoscaler of v1 as v2 shows it, and as it is kept."""
    wanted, seen = dict(spec(obj)), dict(status(obj))
    notes = dict(annotations_of(obj))
    metrics = [_metric_to_v2(item, "target") for item in _noted_list(notes, _METRICS)]
    cpu = wanted.pop("targetCPUUtilizationPercentage", None)
    if cpu is not None or not metrics:
        target = {"type": "Utilization", "averageUtilization": _DEFAULT_CPU if cpu is None else cpu}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    wanted["metrics"] = metrics
    current = [_metric_to_v2(item, "current") for item in _noted_list(notes, _CURRENT)]
    percent = seen.pop("currentCPUUtilizationPercentage", None)
    if percent is not None and not current:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}]
    conditions = [_chosen(item, _CONDITION) for item in _noted_list(notes, _CONDITIONS)]
    for place, field, value in (
        (seen, "currentMetrics", current), (seen, "conditions", conditions), (wanted, "behavior", _noted_behavior(notes)),
    ):  # fmt: skip
        if value:
            place[field] = value
    return _with(obj, wanted, seen, {key: text for key, text in notes.items() if key not in _OURS})


def without_notes(obj: Object) -> Object:
    """The autoscaler of v2, which has fields for all that the annotations say; the object itself when it has none of them."""
    notes = annotations_of(obj)
    if notes.keys().isdisjoint(_OURS):
        return obj
    return _noted_alone(obj, {key: text for key, text in notes.items() if key not in _OURS})


def _cpu_percent(metric: Any, side: str) -> int | None:
    """The utilization of the CPU, which v1 has a field for."""
    resource = _dict(_dict(metric).get("resource"))
    percent = _dict(resource.get(side)).get("averageUtilization")
    is_cpu = _dict(metric).get("type") == "Resource" and resource.get("name") == "cpu"
    return percent if is_cpu and isinstance(percent, int) else None


# --- metrics: SIDE is `target` or `current`


def _metric_to_v1(metric: Fields, side: str) -> Fields:
    kind = metric.get("type") or ""
    field = _FIELDS.get(kind, "")
    found = metric.get(field)
    return {"type": kind, **({field: _source_to_v1(field, found, side)} if isinstance(found, dict) else {})}


def _source_to_v1(field: str, source: Fields, side: str) -> Fields:
    amounts, metric = _dict(source.get(side)), _dict(source.get("metric"))
    called, selector = {"metricName": metric.get("name") or ""}, metric.get("selector")
    value, average = amounts.get("value"), amounts.get("averageValue")
    percent = amounts.get("averageUtilization")
    is_target = side == "target"
    match field:
        case "object":
            who = source.get("describedObject") or {}
            about = {key: who.get(key) or "" for key in ("kind", "name")} | _given(apiVersion=who.get("apiVersion"))
            return {
                "target": about,
                **called,
                f"{side}Value": value or "0",
                **_given(selector=selector, averageValue=average),
            }
        case "pods":
            return {**called, f"{side}AverageValue": average or "0", **_given(selector=selector)}
        case "external":
            kept = _given(targetValue=value) if is_target else {"currentValue": value or "0"}
            return {**called, **_given(metricSelector=selector), **kept, **_given(**{f"{side}AverageValue": average})}
        case _:
            kept = _given(targetAverageValue=average) if is_target else {"currentAverageValue": average or "0"}
            inside = {"container": source.get("container") or ""} if field == "containerResource" else {}
            return {
                "name": source.get("name") or "",
                **_given(**{f"{side}AverageUtilization": percent}),
                **kept,
                **inside,
            }


def _metric_to_v2(metric: Fields, side: str) -> Fields:
    kind = metric.get("type") or ""
    field = _FIELDS.get(kind, "")
    found = metric.get(field)
    return {"type": kind, **({field: _source_to_v2(field, found, side)} if isinstance(found, dict) else {})}


def _source_to_v2(field: str, source: Fields, side: str) -> Fields:
    selector = source.get("metricSelector" if field == "external" else "selector")
    metric = {"name": source.get("metricName") or "", **_given(selector=selector)}
    value, average = source.get(f"{side}Value"), source.get(f"{side}AverageValue")
    match field:
        case "object":
            average = source.get("averageValue")
            if side == "target" and average is not None and value in (None, "0"):
                value = None
            about, amounts = source.get("target") or {}, _amounts(side, value, average, first=average is None)
            return {"describedObject": about, "metric": metric, side: amounts}
        case "pods":
            return {"metric": metric, side: _amounts(side, None, average, first=False)}
        case "external":
            return {"metric": metric, side: _amounts(side, value, average, first=value is not None)}
        case _:
            percent = source.get(f"{side}AverageUtilization")
            kind = "AverageValue" if percent is None else "Utilization"
            amounts = {
                **({"type": kind} if side == "target" else {}),
                **_given(averageValue=average, averageUtilization=percent),
            }
            inside = {"container": source.get("container") or ""} if field == "containerResource" else {}
            return {"name": source.get("name") or "", **inside, side: amounts}


def _amounts(side: str, value: Any, average: Any, *, first: bool) -> Fields:
    kind = {"type": "Value" if first else "AverageValue"} if side == "target" else {}
    return {**kind, **_given(value=value, averageValue=average)}


# --- behavior: as Go writes a type that has no names for JSON


def _behavior_to_v1(behavior: Fields) -> Fields:
    return {f"Scale{way}": _rules_to_v1(behavior.get(f"scale{way}")) for way in ("Up", "Down")}


def _rules_to_v1(rules: Any) -> Fields | None:
    if not isinstance(rules, dict):
        return None
    policies = rules.get("policies")
    listed = (
        [{name: item.get(name[0].lower() + name[1:]) for name in _POLICY} for item in policies] if policies else None
    )
    return {
        "StabilizationWindowSeconds": rules.get("stabilizationWindowSeconds"), "SelectPolicy": rules.get("selectPolicy"),
        "Policies": listed, "Tolerance": rules.get("tolerance"),
    }  # fmt: skip


_POLICY = ("Type", "Value", "PeriodSeconds")


def _noted_behavior(notes: Mapping[str, str]) -> Fields:
    found = _lower(_noted(notes, _BEHAVIOR))
    return {} if not isinstance(found, dict) else {way: rules for way, rules in found.items() if rules}


def _lower(value: Any) -> Any:
    """With field names as JSON has them, without what is null."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _lower(item) for key, item in value.items() if item is not None}
    return [_lower(item) for item in value] if isinstance(value, list) else value


# --- annotations


def _noted(notes: Mapping[str, str], note: str) -> Any:
    """What an annotation holds; None for what is no JSON."""
    try:
        return json.loads(notes.get(note, "null"))
    except ValueError:
        return None


def _noted_list(notes: Mapping[str, str], note: str) -> list[Fields]:
    """The objects that an annotation lists; none when it holds anything else."""
    found = _noted(notes, note)
    is_good = isinstance(found, list) and all(isinstance(item, dict) for item in found)
    return found if is_good else []


def _go_json(value: Any) -> str:
    """JSON as Go writes it: no white space, and no signs that mean something in HTML."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _given(**fields: Any) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _chosen(item: Fields, names: Iterable[str]) -> Fields:
    return {name: item[name] for name in names if name in item}


def _dict(value: Any) -> Fields:
    """What an annotation holds may be anything."""
    return value if isinstance(value, dict) else {}


def _noted_alone(obj: Object, notes: Mapping[str, str]) -> Object:
    """With these annotations and no others."""
    meta = {field: value for field, value in metadata(obj).items() if field != "annotations"}
    return {**obj, "metadata": {**meta, "annotations": dict(notes)} if notes else meta}


def _with(obj: Object, wanted: Object, seen: Object, notes: Mapping[str, str]) -> Object:
    result = {**_noted_alone(obj, notes), "spec": wanted}
    return {**result, "status": seen} if "status" in obj or seen else result
