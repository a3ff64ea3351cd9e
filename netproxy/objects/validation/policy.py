"""What is refused about a PodDisruptionBudget, a Lease, a PriorityClass and a ControllerRevision.

Source: kubernetes pkg/apis/{policy,coordination,scheduling,apps}/validation (behaviour).
"""

from __future__ import annotations

from typing import Any

from netproxy.core.numbers import whole
from netproxy.objects.meta import Object, metadata, spec, status
from netproxy.objects.validation.conditions import condition_problems
from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.names import path_segment, percent, qualified
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import (
    NOT_NEGATIVE,
    Problems,
    Typed,
    forbidden,
    invalid,
    invalids,
    one_of,
    required,
    unchanged,
    unchanged_typed,
    unsupported,
)

_SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_HIGHEST_PRIORITY = 1_000_000_000
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def _budget(obj: Object, meta: Found) -> Problems:
    given = spec(obj)
    if given.get("minAvailable") is not None and given.get("maxUnavailable") is not None:
        yield invalid("spec", _budget_shown(given), "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        yield from _count_or_percent(f"spec.{field}", given.get(field))
    yield from selector_problems(given.get("selector"), "spec.selector")
    policy, path = given.get("unhealthyPodEvictionPolicy"), "spec.unhealthyPodEvictionPolicy"
    yield from one_of(path, policy, ("AlwaysAllow", "IfHealthyBudget"))


def _budget_shown(given: Any) -> dict[str, Any]:
    fields = ("minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")
    return {field[0].upper() + field[1:]: given.get(field) for field in fields}


def _count_or_percent(path: str, value: Any) -> Problems:
    if isinstance(value, str):
        reasons = percent(value)
        yield from invalids(path, Typed(value), reasons)
        if not reasons and whole(value[:-1]) > 100:
            yield invalid(path, value, "must not be greater than 100%")
    elif value is not None and value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def _budget_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _budget(new, ())


def _budget_status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from condition_problems(status(new).get("conditions") or (), "status.conditions")
    for field in _COUNTS:
        if (status(new).get(field) or 0) < 0:
            yield invalid(f"status.{field}", status(new)[field], NOT_NEGATIVE)


def _lease(obj: Object) -> Problems:
    given = spec(obj)
    duration_s, transitions = given.get("leaseDurationSeconds"), given.get("leaseTransitions")
    if duration_s is not None and duration_s <= 0:
        yield invalid("spec.leaseDurationSeconds", duration_s, "must be greater than 0")
    if transitions is not None and transitions < 0:
        yield invalid("spec.leaseTransitions", transitions, NOT_NEGATIVE)
    strategy, path = given.get("strategy"), "spec.strategy.strategy"
    if strategy is not None:
        if "/" in strategy:
            yield from invalids(path, strategy, qualified(strategy))
        elif strategy != "OldestEmulationVersion":
            yield unsupported(path, strategy, ("OldestEmulationVersion",))
    if given.get("preferredHolder") and not strategy:
        yield forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


def _lease_create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _lease(obj)


def _lease_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _lease(new)


def _priority(obj: Object, meta: Found) -> Problems:
    yield from meta
    name, value = str(metadata(obj).get("name") or ""), obj.get("value") or 0
    if name.startswith("system-"):
        if why := _no_system_class(name, value, bool(obj.get("globalDefault"))):
            said = "priority class names with 'system-' prefix are reserved for system use only. error: "
            yield forbidden("metadata.name", said + why)
    elif value > _HIGHEST_PRIORITY:
        yield forbidden("value", f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}")
    policy = obj.get("preemptionPolicy")
    if policy == "":
        yield required("preemptionPolicy")
    else:
        yield from one_of("preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))


def _no_system_class(name: str, value: int, default: bool) -> str:
    if name not in _SYSTEM:
        return f"{name} is not a known system priority class"
    if value != _SYSTEM[name]:
        return f"value of {name} PriorityClass must be {_SYSTEM[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if default else ""


def _priority_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    if (new.get("value") or 0) != (old.get("value") or 0):
        yield forbidden("value", "may not be changed in an update.")
    yield from unchanged_typed("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))


def _revision(obj: Object, meta: Found) -> Problems:
    yield from meta
    if (obj.get("revision") or 0) < 0:
        yield invalid("revision", obj["revision"], NOT_NEGATIVE)


def _revision_create(obj: Object, meta: Found) -> Problems:
    yield from _revision(obj, meta)
    data = obj.get("data")
    if not isinstance(data, dict):
        yield required("data", "data is mandatory" if data is None else "data must be a valid JSON object")


def _revision_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _revision(new, meta.whole)
    yield from unchanged("data", new.get("data"), old.get("data"))


POD_DISRUPTION_BUDGET = Rules(create=_budget, update=_budget_update, status=_budget_status, name=path_segment)
LEASE = Rules(create=_lease_create, update=_lease_update, is_core=False)
PRIORITY_CLASS = Rules(create=_priority, update=_priority_update)
CONTROLLER_REVISION = Rules(create=_revision_create, update=_revision_update)
