"""To ask a Pod to go, as far as its disruption budget allows.

Source: kubernetes 1.36 pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from dataclasses import replace

from netproxy.core.clock import timestamp
from netproxy.core.errors import ApiError, UnavailableError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import POD_DISRUPTION_BUDGETS, PODS
from netproxy.objects.meta import Object, condition, is_deleting, is_ready, labels, metadata, name, spec, status
from netproxy.objects.selector import label_selector, matches
from netproxy.registry.binding import with_condition
from netproxy.registry.deletion import Options
from netproxy.registry.namespace import check_namespace
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.registry import Registry
from netproxy.store.transaction import Transaction

MOST_DISRUPTED = 2000
_NOT_NOW = "Cannot evict pod as it would violate the pod's disruption budget."
_EVICTED = {
    "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
}  # fmt: skip


def evict(registry: Registry, at: NamespacedName, asked: Options, options: WriteOptions = PLAIN) -> None:
    """Delete a Pod if its budget allows.

    Raises UnavailableError (429) when it does not, ApiError when the Pod has more than one, and what a deletion raises.
    """
    with registry.transaction(dry_run=options.dry_run) as change:
        check_namespace(change, PODS, at)
        pod = change.get(PODS, at)
        if not _is_free(pod):
            asked = _with_leave(registry, change, pod, asked, options)
        if not options.dry_run:
            asked = _told(change, pod, asked, registry.store.clock.now())
        registry.delete(PODS, at, asked, options)


def _is_free(pod: Object) -> bool:
    """Whether no budget cares for it: it does not run, or is on its way out."""
    return status(pod).get("phase") in ("Succeeded", "Failed", "Pending") or is_deleting(pod)


def _with_leave(registry: Registry, change: Transaction, pod: Object, asked: Options, options: WriteOptions) -> Options:
    """What is asked for, with the leave of the Pod's budget, which counts it."""
    budgets = [
        budget
        for budget in change.list(POD_DISRUPTION_BUDGETS, metadata(pod)["namespace"])
        if spec(budget).get("selector") is not None and matches(label_selector(spec(budget)["selector"]), labels(pod))
    ]
    if len(budgets) > 1:
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "", why)
    if not budgets:
        return asked
    budget = budgets[0]
    if not is_ready(pod) and _lets_unready_go(budget):
        return asked if asked.resource_version else replace(asked, resource_version=metadata(pod)["resourceVersion"])
    _check(budget)
    if not options.dry_run:
        counted = _counted(budget, name(pod), timestamp(registry.store.clock.now()))
        registry.replace_status(counted, WriteOptions(manager="kube-apiserver"))
    return asked


def _lets_unready_go(budget: Object) -> bool:
    """Whether a Pod that is not ready does not count."""
    if spec(budget).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    wanted = status(budget).get("desiredHealthy") or 0
    return (status(budget).get("currentHealthy") or 0) >= wanted > 0


def _check(budget: Object) -> None:
    """Raise UnavailableError when nothing may go now, ApiError when the budget is out of order."""
    seen = status(budget)
    if (seen.get("observedGeneration") or 0) < (metadata(budget).get("generation") or 0):
        why = f"The disruption budget {name(budget)} is still being processed by the server."
        raise _refused(why, retry_after_s=10)
    allowed = seen.get("disruptionsAllowed") or 0
    if allowed < 0:
        raise _forbidden(budget, "pdb disruptions allowed is negative")
    if len(seen.get("disruptedPods") or ()) > MOST_DISRUPTED:
        raise _forbidden(budget, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if not allowed:
        raise _refused(_reason(budget))


def _reason(budget: Object) -> str:
    seen, found = status(budget), condition(budget, "DisruptionAllowed")
    what = f"The disruption budget {name(budget)}"
    says_no = found.get("status") == "False" and found.get("message")
    if says_no and found.get("reason") == "SyncFailed":
        return f"{what} does not allow evicting pods currently because it failed sync: {found['message']}"
    healthy, wanted = seen.get("currentHealthy") or 0, seen.get("desiredHealthy") or 0
    if healthy <= wanted:
        return f"{what} needs {wanted} healthy pods and has {healthy} currently"
    if says_no:
        return f"{what} does not allow evicting pods currently ({found.get('reason')}): {found['message']}"
    return f"{what} does not allow evicting pods currently"


def _refused(why: str, *, retry_after_s: int = 0) -> UnavailableError:
    error = UnavailableError(429, "TooManyRequests", _NOT_NOW, retry_after_s=retry_after_s or None)
    after = {"retryAfterSeconds": retry_after_s} if retry_after_s else {}
    return error.with_details(causes=[{"reason": "DisruptionBudget", "message": why}], **after)


def _forbidden(budget: Object, why: str) -> ApiError:
    error = ApiError(403, "Forbidden", f'poddisruptionbudget.policy "{name(budget)}" is forbidden: {why}')
    return error.with_details(name=name(budget), group="policy", kind="poddisruptionbudget")


def _counted(budget: Object, pod: str, now: str) -> Object:
    """The budget with one disruption less."""
    seen = status(budget)
    left = seen["disruptionsAllowed"] - 1
    new = {**seen, "disruptionsAllowed": left, "disruptedPods": {**(seen.get("disruptedPods") or {}), pod: now}}
    if not left:
        before = condition(budget, "DisruptionAllowed")
        since = before.get("lastTransitionTime") if before.get("status") == "False" else now
        none = {
            "type": "DisruptionAllowed", "status": "False", "observedGeneration": seen.get("observedGeneration") or 0,
            "lastTransitionTime": since, "reason": "InsufficientPods", "message": "",
        }  # fmt: skip
        there = [none if item.get("type") == none["type"] else item for item in seen.get("conditions") or ()]
        new["conditions"] = there if before else [*there, none]
    return {**budget, "status": new}


def _told(change: Transaction, pod: Object, asked: Options, now: float) -> Options:
    """Say on the Pod why it goes; what is asked for is then asked of that state."""
    current = metadata(pod)["resourceVersion"]
    for given, there in ((asked.uid, metadata(pod)["uid"]), (asked.resource_version, current)):
        if given and given != there:
            return asked  # the deletion says so
    new = change.replace(with_condition(pod, _EVICTED, timestamp(now)))
    return replace(asked, resource_version=metadata(new)["resourceVersion"]) if asked.resource_version else asked
