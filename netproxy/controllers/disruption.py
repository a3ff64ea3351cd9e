"""PodDisruptionBudgets: how many of their Pods are healthy, and how many may be asked to go.

Source: kubernetes pkg/controller/disruption/disruption.go (all but the stale conditions of Pods that did not go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.controllers.port import NOTHING, Controller, Outcome, itself
from netproxy.controllers.selection import selected, terms_of
from netproxy.core.clock import seconds, timestamp
from netproxy.core.names import NamespacedName, quoted
from netproxy.objects.canonical import canonical_field
from netproxy.objects.change import Event, IndexedView, UpdateStatus
from netproxy.objects.kinds import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, resource_of
from netproxy.objects.meta import (
    Object,
    controller_of,
    is_deleting,
    is_ready,
    key,
    labels,
    metadata,
    name,
    namespace,
    spec,
    status,
    uid,
)
from netproxy.objects.selector import matches

DELETION_S = 120
"""So long a Pod that was told to go counts as gone, though it has not been deleted yet."""
ALLOWED = "DisruptionAllowed"


class _UncountedError(Exception):
    """Nobody knows how many Pods there should be."""


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Count the Pods of a budget, and say what it allows."""
    budget = view.find(POD_DISRUPTION_BUDGETS, at)
    if budget is None:
        return NOTHING
    pods = _pods(view, budget)
    going = _going(budget, pods, now)
    try:
        new = _counted(view, budget, pods, going, now)
    except _UncountedError as why:
        new = _told({**status(budget), "disruptionsAllowed": 0}, now, "SyncFailed", str(why))
    again_at = min((seconds(told) + DELETION_S for told in going.values()), default=None)
    new = canonical_field(budget, "status", new)
    changes = () if new == status(budget) else (UpdateStatus({**budget, "status": new}),)
    return Outcome(changes, again_at=again_at)


def _pods(view: IndexedView, budget: Object) -> list[Object]:
    """The Pods that a budget is for; without a selector it is for none."""
    if spec(budget).get("selector") is None:
        return []
    return selected(view, PODS, namespace(budget), terms_of(budget))


def _going(budget: Object, pods: Iterable[Object], now: float) -> dict[str, str]:
    """When the Pods were told to go that have not been deleted yet, but may still be."""
    told = status(budget).get("disruptedPods") or {}
    return {
        name(pod): told[name(pod)]
        for pod in pods
        if name(pod) in told and not is_deleting(pod) and seconds(told[name(pod)]) + DELETION_S >= now
    }


def _counted(view: IndexedView, budget: Object, pods: list[Object], going: Mapping[str, str], now: float) -> Object:
    expected, desired = _wanted(view, budget, pods)
    healthy = sum(is_ready(pod) and not is_deleting(pod) and name(pod) not in going for pod in pods)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    new = {
        "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected, "disruptionsAllowed": allowed,
        "observedGeneration": metadata(budget).get("generation", 1), "conditions": status(budget).get("conditions") or [],
        **({"disruptedPods": dict(going)} if going else {}),
    }  # fmt: skip
    return _told(new, now, "SufficientPods" if allowed else "InsufficientPods")


def _told(new: Object, now: float, reason: str, message: str = "") -> Object:
    """A status whose condition says what is allowed, and why."""
    conditions = list(new.get("conditions") or ())
    at = next((number for number, item in enumerate(conditions) if item["type"] == ALLOWED), len(conditions))
    text = "True" if new["disruptionsAllowed"] else "False"
    old = conditions[at] if at < len(conditions) else {}
    since = old["lastTransitionTime"] if old.get("status") == text else timestamp(now)
    told = {
        "type": ALLOWED, "status": text, "reason": reason, "message": message, "lastTransitionTime": since,
        "observedGeneration": new.get("observedGeneration", 0),
    }  # fmt: skip
    return {**new, "conditions": [*conditions[:at], told, *conditions[at + 1 :]]}


def _wanted(view: IndexedView, budget: Object, pods: list[Object]) -> tuple[int, int]:
    """How many Pods there should be, and how many of them healthy. Raises _UncountedError."""
    most, least = spec(budget).get("maxUnavailable"), spec(budget).get("minAvailable")
    if most is not None:
        expected = _scale(view, pods)
        return expected, max(0, expected - _share(most, expected))
    if isinstance(least, str):
        expected = _scale(view, pods)
        return expected, _share(least, expected)
    return (0, 0) if least is None else (len(pods), least)


def _share(value: int | str, of: int) -> int:
    """A number, or a part of another one in percents, rounded up."""
    return value if isinstance(value, int) else -(-int(value.removesuffix("%")) * of // 100)


def _scale(view: IndexedView, pods: Iterable[Object]) -> int:
    """How many Pods the controllers of these want; a Pod without one does not count. Raises _UncountedError."""
    found: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod)
        if owner and owner["uid"] not in found:
            top = _top(view, pod, owner)
            found[owner["uid"]] = 0  # seen; who scales it counts once
            found[uid(top)] = spec(top).get("replicas", 1)
    return sum(found.values())


def _top(view: IndexedView, pod: Object, owner: Mapping[str, Any]) -> Object:
    """Who says how many of a Pod there are: its controller, or the Deployment of that. Raises _UncountedError."""
    resource = resource_of(owner)
    if resource and "scale" not in resource.subresources:
        raise _UncountedError(f"{resource.group_resource} does not implement the scale subresource")
    found = resource and view.find(resource, NamespacedName(namespace(pod), owner["name"]))
    if not found or uid(found) != owner["uid"]:
        raise _UncountedError(f"found no controllers for pod {quoted(name(pod))}")
    above = controller_of(found)
    return _top(view, pod, above) if above.get("kind") == DEPLOYMENTS.kind else found


def _of_pod(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The budgets that the Pod has, or had."""
    return [
        key(budget)
        for budget in view.by_namespace(POD_DISRUPTION_BUDGETS, namespace(event.obj))
        if spec(budget).get("selector") is not None
        and any(matches(terms_of(budget), labels(state)) for state in event.states)
    ]


DISRUPTION_CONTROLLER = Controller("disruption", {POD_DISRUPTION_BUDGETS: itself, PODS: _of_pod}, reconcile)
