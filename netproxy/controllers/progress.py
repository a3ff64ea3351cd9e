"""What a Deployment's conditions say: whether enough of its Pods are available, and how far its rollout has come.

Source: kubernetes pkg/controller/deployment (progress.go, sync.go: calculateStatus) and util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.core.clock import seconds, timestamp
from netproxy.objects.meta import Object, condition, spec, status

NEVER = 2**31 - 1
"""The deadline of a Deployment that has none."""

_CREATED, _FOUND, _UPDATED = "NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated"
_DONE, _LATE = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"


@dataclass(frozen=True)
class Rollout:
    """A Deployment, the counts of its new status, and the ReplicaSet of its template, which may be made just now."""

    deployment: Object
    counts: Mapping[str, int]
    replica_set: str
    is_new: bool
    now: float


def conditions(rollout: Rollout) -> tuple[list[Object], float | None]:
    """The conditions, those that changed last; and when time alone will change them."""
    result = list(status(rollout.deployment).get("conditions") or ())
    _put(result, _availability(rollout), rollout.now)
    deadline = spec(rollout.deployment).get("progressDeadlineSeconds", NEVER)
    if deadline == NEVER:
        return [one for one in result if one["type"] != "Progressing"], None
    _put(result, _progress(rollout, deadline), rollout.now)
    said = condition({"status": {"conditions": result}}, "Progressing")
    return result, None if said.get("reason") in (_DONE, _LATE) else _deadline(said, deadline)


def _availability(rollout: Rollout) -> Object:
    least = spec(rollout.deployment)["replicas"] - max_unavailable(rollout.deployment)
    if rollout.counts["availableReplicas"] >= least:
        words = "Deployment has minimum availability."
        return {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": words}
    words = "Deployment does not have minimum availability."
    return {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": words}


def max_unavailable(deployment: Object) -> int:
    """How many Pods may be missing while the Deployment rolls.

    >>> rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
    >>> [max_unavailable({"spec": {"replicas": n, "strategy": {"rollingUpdate": rolling}}}) for n in (0, 1, 4, 9)]
    [0, 0, 1, 2]
    """
    replicas: int = spec(deployment)["replicas"]
    rolling = (spec(deployment).get("strategy") or {}).get("rollingUpdate")
    if not rolling or not replicas:
        return 0
    surge = -_scaled(rolling.get("maxSurge", 0), -replicas)  # rounded up
    fewer = _scaled(rolling.get("maxUnavailable", 0), replicas)
    return min(replicas, fewer if fewer or surge else 1)


def _scaled(given: int | str, whole: int) -> int:
    if isinstance(given, str):
        return int(given.removesuffix("%")) * whole // 100
    return given if whole > 0 else -given


def _progress(rollout: Rollout, deadline: int) -> Object | None:
    """How far the rollout is; None leaves the condition as it is."""
    old, wanted = condition(rollout.deployment, "Progressing"), spec(rollout.deployment)["replicas"]
    counts, before = rollout.counts, status(rollout.deployment)
    if counts["replicas"] == counts["updatedReplicas"] and old.get("reason") == _DONE:
        return None  # scaled, or Pods that come and go: no rollout
    if rollout.is_new:
        return _progressing(_CREATED, f'Created new replica set "{rollout.replica_set}"')
    if counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted:
        return _progressing(_DONE, f'ReplicaSet "{rollout.replica_set}" has successfully progressed.')
    grown = any(
        counts[field] > before.get(field, 0) for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    if grown or _old(counts) < _old(before):
        said = _progressing(_UPDATED, f'ReplicaSet "{rollout.replica_set}" is progressing.')
        return {**said, "lastUpdateTime": timestamp(rollout.now)}
    if not old:
        return _progressing(_FOUND, f'Found new replica set "{rollout.replica_set}"')
    if old.get("reason") not in (_DONE, _LATE) and _deadline(old, deadline) <= rollout.now:
        words = f'ReplicaSet "{rollout.replica_set}" has timed out progressing.'
        return {"type": "Progressing", "status": "False", "reason": _LATE, "message": words}
    return None


def _deadline(said: Mapping[str, Any], deadline: int) -> float:
    """When it is too late for a rollout that says this."""
    return seconds(str(said.get("lastUpdateTime") or "")) + deadline + 1


def _old(counts: Mapping[str, Any]) -> int:
    return int(counts.get("replicas", 0) - counts.get("updatedReplicas", 0))


def _progressing(reason: str, message: str) -> Object:
    return {"type": "Progressing", "status": "True", "reason": reason, "message": message}


def _put(result: list[Object], new: Object | None, now: float) -> None:
    """Let a condition take the place of the one of its type, unless it says nothing else; it goes to the end."""
    if new is None:
        return
    old = next((one for one in result if one["type"] == new["type"]), {})
    is_same = old.get("status") == new["status"]
    if is_same and old.get("reason") == new["reason"] and "lastUpdateTime" not in new:
        return
    since = (is_same and old.get("lastTransitionTime")) or timestamp(now)
    result[:] = [one for one in result if one is not old]
    result.append({"lastUpdateTime": timestamp(now), **new, "lastTransitionTime": since})
