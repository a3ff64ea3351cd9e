"""ResourceQuotas: their status says what they limit, and what is used of it.

Admission counts what comes in; what goes, or was there before, is counted here.

Source: kubernetes pkg/controller/resourcequota/resource_quota_controller.go (syncResourceQuota),
pkg/quota/v1/install/update_filter.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.objects.amount import amount
from netproxy.objects.change import Event, IndexedView, UpdateStatus
from netproxy.objects.kinds import PODS, RESOURCE_QUOTAS, RESOURCES, stored_resource
from netproxy.objects.meta import Object, key, namespace, spec, status
from netproxy.objects.resources import Amounts, added, amounts
from netproxy.objects.usage import MEASURED, UNCOUNTED, concerned, is_in_scope, overdue_at, usage

COUNTED = tuple(r for r in RESOURCES if r.namespaced and stored_resource(r) is r and r.stored not in UNCOUNTED)
_NONE = amount("0")


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Count what is there."""
    quota = view.find(RESOURCE_QUOTAS, at)
    if quota is None:
        return NOTHING
    hard = amounts(spec(quota).get("hard"))
    known = amounts(status(quota).get("used"))
    used = {name: found for name, found in {**known, **_used(view, quota, now)}.items() if name in hard}
    times = [overdue_at(pod) for pod in view.by_namespace(PODS, at.namespace)]
    again_at = min((time for time in times if time is not None and time >= now), default=None)
    if _is_same(hard, amounts(status(quota).get("hard"))) and _is_same(used, known):
        return Outcome(again_at=again_at)
    told = {"hard": spec(quota).get("hard") or {}, "used": {name: str(found) for name, found in used.items()}}
    return Outcome((UpdateStatus({**quota, "status": told}),), again_at=again_at)


def _used(view: IndexedView, quota: Object, now: float) -> Amounts:
    result: Amounts = {}
    for resource in COUNTED:
        names = concerned(resource, spec(quota).get("hard") or ())
        if names:
            result |= dict.fromkeys(names, _NONE)
            for obj in view.by_namespace(resource, namespace(quota)):
                if is_in_scope(resource, quota, obj):
                    found = usage(resource, obj, now)
                    result = added(result, {name: found[name] for name in names if name in found})
    return result


def _is_same(one: Amounts, other: Amounts) -> bool:
    return {name: found.nano for name, found in one.items()} == {name: found.nano for name, found in other.items()}


def _of_content(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The quotas of a namespace in which something came, went, or may use another amount than before."""
    if event.type == "MODIFIED" and event.resource not in MEASURED:
        return ()
    return [key(quota) for quota in view.by_namespace(RESOURCE_QUOTAS, namespace(event.obj))]


def _of_quota(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The quota itself; when one comes or goes, all of its namespace, which may count it."""
    return [key(event.obj)] if event.type == "MODIFIED" else _of_content(view, event)


RESOURCE_QUOTA_CONTROLLER = Controller(
    "resourcequota", {**dict.fromkeys(COUNTED, _of_content), RESOURCE_QUOTAS: _of_quota}, reconcile
)
