"""What is refused about HorizontalPodAutoscalers.

Source: kubernetes pkg/apis/autoscaling/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netproxy.objects.amount import amount
from netproxy.objects.meta import Object, spec, status
from netproxy.objects.validation.names import dns_label, path_segment
from netproxy.objects.validation.resources import container_name_problems
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.templated import not_negative
from netproxy.objects.validation.words import (
    NOT_NEGATIVE,
    Problems,
    forbidden,
    invalid,
    invalids,
    one_of,
    required,
    unsupported,
)

_LONGEST_PERIOD_S, _LONGEST_WINDOW_S = 1800, 3600
_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_FIELDS = ("object", "external", "pods", "resource", "containerResource")
_ALONE = "must populate the given metric source only"
_TARGETS = ("Utilization", "Value", "AverageValue")

Part = Mapping[str, Any]


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _spec(spec(obj), {})


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _spec(spec(new), spec(old))


def _spec(given: Part, before: Part) -> Problems:
    least = 0 if before.get("minReplicas") == 0 else 1
    fewest, most = given.get("minReplicas"), given.get("maxReplicas") or 0
    if fewest is not None and fewest < least:
        yield invalid("spec.minReplicas", fewest, f"must be greater than or equal to {least}")
    if not most:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    elif most < 0:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to 1")
    if fewest is not None and most < fewest:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _target_ref(given.get("scaleTargetRef") or {}, before.get("scaleTargetRef"), "spec.scaleTargetRef")
    yield from _metrics(given.get("metrics") or (), "spec.metrics", fewest)
    behavior = given.get("behavior")
    if behavior is not None:
        for field in ("scaleUp", "scaleDown"):
            yield from _rules(behavior[field], f"spec.behavior.{field}")


def _target_ref(ref: Part, before: Part | None, path: str) -> Problems:
    """An apiVersion that was taken once is taken again."""
    is_same = before is not None and all(ref.get(field) == before.get(field) for field in ("apiVersion", "kind"))
    needs_group = ref.get("kind") != "ReplicationController"
    for problem in _reference(ref, path, needs_group=needs_group):
        if not (is_same and problem.path.endswith("apiVersion")):
            yield problem


def _reference(ref: Part, path: str, *, needs_group: bool) -> Problems:
    for field in ("kind", "name"):
        text = ref.get(field) or ""
        if text:
            yield from invalids(f"{path}.{field}", text, path_segment(text))
        else:
            yield required(f"{path}.{field}")
    version = ref.get("apiVersion") or ""
    if version.count("/") > 1:
        yield invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    elif needs_group and not version.rpartition("/")[0]:
        yield invalid(f"{path}.apiVersion", version, "apiVersion must specify API group")


def _metrics(metrics: Sequence[Part], path: str, fewest: int | None) -> Problems:
    for index, item in enumerate(metrics):
        yield from _metric(item, f"{path}[{index}]")
    if fewest == 0 and not any(item.get("type") in ("Object", "External") for item in metrics):
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden(path, why)


def _metric(item: Part, path: str) -> Problems:
    kind = item.get("type") or ""
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in _TYPES:
        yield unsupported(f"{path}.type", kind, _TYPES)
    found = [field for field in _FIELDS if item.get(field) is not None]
    for field in found[:1]:
        yield from _SOURCES[field](item[field], f"{path}.{field}")
    wanted = kind[:1].lower() + kind[1:]
    if kind not in _TYPES:
        yield unsupported(f"{path}.type", kind, _TYPES)
    elif wanted not in found:
        yield required(f"{path}.{wanted}", "must populate information for the given metric source")
    if len(found) != 1:
        for field in found:
            if field != wanted:
                yield forbidden(f"{path}.{field}", _ALONE)


def _object(source: Part, path: str) -> Problems:
    yield from _reference(source.get("describedObject") or {}, f"{path}.describedObject", needs_group=False)
    yield from _identified(source, path)
    target = source.get("target") or {}
    if target.get("value") is None and target.get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _external(source: Part, path: str) -> Problems:
    yield from _identified(source, path)
    target = source.get("target") or {}
    count = (target.get("value") is not None) + (target.get("averageValue") is not None)
    if not count:
        why = "must set either a target value for metric or a per-pod target"
        yield required(f"{path}.target.averageValue", why)
    elif count > 1:
        why = "may not set both a target value for metric and a per-pod target"
        yield forbidden(f"{path}.target.value", why)


def _pods(source: Part, path: str) -> Problems:
    yield from _identified(source, path)
    if (source.get("target") or {}).get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _identified(source: Part, path: str) -> Problems:
    name = (source.get("metric") or {}).get("name") or ""
    if name:
        yield from invalids(f"{path}.metric.name", name, path_segment(name))
    else:
        yield required(f"{path}.metric.name", "must specify a metric name")
    yield from _target(source.get("target") or {}, f"{path}.target")


def _resource(source: Part, path: str) -> Problems:
    if not source.get("name"):
        yield required(f"{path}.name", "must specify a resource name")
    yield from _used(source, path)


def _container_resource(source: Part, path: str) -> Problems:
    name, container = source.get("name") or "", source.get("container") or ""
    if name:
        yield from container_name_problems(f"{path}.name", name)
    else:
        yield required(f"{path}.name", "must specify a resource name")
    if container:
        yield from invalids(f"{path}.container", container, dns_label(container))
    else:
        yield required(f"{path}.container", "must specify a container")
    yield from _used(source, path)


def _used(source: Part, path: str) -> Problems:
    target = source.get("target") or {}
    yield from _target(target, f"{path}.target")
    count = (target.get("averageUtilization") is not None) + (target.get("averageValue") is not None)
    if not count:
        why = "must set either a target raw value or a target utilization"
        yield required(f"{path}.target.averageUtilization", why)
    elif count > 1:
        why = "may not set both a target raw value and a target utilization"
        yield forbidden(f"{path}.target.averageValue", why)


def _target(target: Part, path: str) -> Problems:
    kind = target.get("type") or ""
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in _TARGETS:
        yield invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        if target.get(field) is not None and amount(target[field]).nano <= 0:
            yield invalid(f"{path}.{field}", target[field], "must be positive")
    if (target.get("averageUtilization") or 1) < 1 or target.get("averageUtilization") == 0:
        yield invalid(f"{path}.averageUtilization", target["averageUtilization"], "must be greater than 0")


def _rules(rules: Part, path: str) -> Problems:
    window_s, tolerance = rules.get("stabilizationWindowSeconds"), rules.get("tolerance")
    place = f"{path}.stabilizationWindowSeconds"
    if window_s is not None and window_s < 0:
        yield invalid(place, window_s, "must be greater than or equal to zero")
    elif window_s is not None and window_s > _LONGEST_WINDOW_S:
        yield invalid(place, window_s, f"must be less than or equal to {_LONGEST_WINDOW_S}")
    yield from one_of(f"{path}.selectPolicy", rules.get("selectPolicy"), ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or ()
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(policies):
        yield from _policy(policy, f"{path}.policies[{index}]")
    if tolerance is not None and amount(tolerance).nano < 0:
        yield invalid(f"{path}.tolerance", tolerance, NOT_NEGATIVE)


def _policy(policy: Part, path: str) -> Problems:
    kind, period_s = policy.get("type") or "", policy.get("periodSeconds") or 0
    if kind not in ("Pods", "Percent"):
        yield unsupported(f"{path}.type", kind, ("Percent", "Pods"))
    for field in ("value", "periodSeconds"):
        if (policy.get(field) or 0) <= 0:
            yield invalid(f"{path}.{field}", policy.get(field) or 0, "must be greater than zero")
    if period_s > _LONGEST_PERIOD_S:
        yield invalid(f"{path}.periodSeconds", period_s, f"must be less than or equal to {_LONGEST_PERIOD_S}")


def _status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from not_negative(status(new), "status", "currentReplicas", "desiredReplicas")


_SOURCES: dict[str, Callable[[Part, str], Problems]] = {
    "object": _object, "external": _external, "pods": _pods, "resource": _resource,
    "containerResource": _container_resource,
}  # fmt: skip

HORIZONTAL_POD_AUTOSCALER = Rules(create=_create, update=_update, status=_status)
