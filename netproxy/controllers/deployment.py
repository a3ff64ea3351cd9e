"""Deployment → ReplicaSets: one for the present template. Rolling updates come later.

Source: kubernetes pkg/controller/deployment (names, labels, owner references, status).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from netproxy.controllers.ownership import claim, in_namespace_of, is_leaving, owner_reference, short_name
from netproxy.controllers.port import NOTHING, Controller, Outcome, controllers_of, itself
from netproxy.controllers.progress import Rollout, conditions
from netproxy.controllers.selection import selecting
from netproxy.core.names import NamespacedName
from netproxy.objects.canonical import canonical_field
from netproxy.objects.change import Change, Create, Event, IndexedView, Update, UpdateStatus
from netproxy.objects.kinds import DEPLOYMENTS, NAMESPACES, REPLICA_SETS
from netproxy.objects.meta import (
    Object,
    annotations_of,
    controller_of,
    key,
    labels,
    metadata,
    name,
    namespace,
    spec,
    status,
)

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """One ReplicaSet for the present template, scaled to what the Deployment asks; older ones scaled to nothing."""
    deployment = view.find(DEPLOYMENTS, at)
    if deployment is None or is_leaving(view, deployment):
        return NOTHING
    claimed = claim(view, deployment, REPLICA_SETS, lambda _: True)
    hashed = short_name(_stable(spec(deployment)["template"]), 10)
    current = next((rs for rs in claimed.mine if labels(rs).get(HASH_LABEL) == hashed), None)
    scaled = [] if claimed.changes else _scaling(view, deployment, claimed.mine, current, hashed)
    made = [change.obj for change in scaled if isinstance(change, Create)]
    told, again_at = _telling(deployment, claimed.mine, current, made, now)
    return Outcome((*claimed.changes, *scaled, *told), again_at=again_at)


def _telling(
    deployment: Object, owned: Sequence[Object], current: Object | None, made: Sequence[Object], now: float
) -> tuple[Sequence[Change], float | None]:
    """Write the status, when it is not that already; and when it will be another by time alone."""
    counts = _counts(deployment, (*owned, *made), current)
    replica_set = current or (made[0] if made else None)
    found: list[Object] = list(status(deployment).get("conditions") or ())
    again_at = None
    if replica_set is not None:
        found, again_at = conditions(Rollout(deployment, counts, name(replica_set), bool(made), now))
    new = canonical_field(deployment, "status", {**counts, "conditions": found})
    return () if status(deployment) == new else (UpdateStatus({**deployment, "status": new}),), again_at


def _scaling(
    view: IndexedView, deployment: Object, owned: Sequence[Object], current: Object | None, hashed: str
) -> list[Change]:
    wanted = spec(deployment)["replicas"]
    if current is None:
        return [Create(_replica_set(view, deployment, hashed, revision=_latest(owned) + 1))]
    changes: list[Change] = []
    if spec(current).get("replicas") != wanted:
        changes.append(Update(_scaled(current, wanted)))
    if status(current).get("availableReplicas", 0) >= wanted:
        changes += [Update(_scaled(rs, 0)) for rs in owned if rs is not current and spec(rs).get("replicas")]
    return changes


def _latest(owned: Iterable[Object]) -> int:
    given = [annotations_of(rs).get(REVISION, "") for rs in owned]
    return max((int(revision) for revision in given if revision.isdecimal()), default=0)


def _stable(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_stable(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_stable, value)) + "]"
    return repr(value)


def _replica_set(view: IndexedView, deployment: Object, hashed: str, *, revision: int) -> Object:
    template = spec(deployment)["template"]
    marked = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: hashed}
    selector = spec(deployment)["selector"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": _free_name(view, deployment, hashed), "namespace": namespace(deployment), "labels": marked,
            "annotations": {REVISION: str(revision)}, "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": spec(deployment)["replicas"],
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": marked}},
            **({"minReadySeconds": ready} if (ready := spec(deployment).get("minReadySeconds")) else {}),
        },
    }  # fmt: skip


def _free_name(view: IndexedView, deployment: Object, hashed: str) -> str:
    """The Deployment's name and the template's; where somebody else has that, one more letter after another."""
    number, made = 0, f"{name(deployment)}-{hashed}"
    while view.find(REPLICA_SETS, NamespacedName(namespace(deployment), made)) is not None:
        number += 1
        made = f"{name(deployment)}-{short_name(f'{hashed}/{number}', 10)}"
    return made


def _scaled(replica_set: Object, replicas: int) -> Object:
    return {**replica_set, "spec": {**spec(replica_set), "replicas": replicas}}


def _counts(deployment: Object, owned: Sequence[Object], current: Object | None) -> dict[str, int]:
    available = sum(status(rs).get("availableReplicas", 0) for rs in owned)
    return {
        "observedGeneration": metadata(deployment).get("generation", 1),
        "replicas": sum(status(rs).get("replicas", 0) for rs in owned),
        "readyReplicas": sum(status(rs).get("readyReplicas", 0) for rs in owned),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(spec(rs).get("replicas", 1) for rs in owned) - available),
        "updatedReplicas": status(current or {}).get("replicas", 0),
    }


def _of_replica_set(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """Who has the ReplicaSet, or had it; of one that nobody has: who could adopt it."""
    keys = controllers_of(event, "Deployment")
    if event.type != "DELETED" and not controller_of(event.obj):
        keys += [key(item) for item in selecting(view, DEPLOYMENTS, event.obj)]
    return keys


DEPLOYMENT_CONTROLLER = Controller(
    "deployment",
    {DEPLOYMENTS: itself, REPLICA_SETS: _of_replica_set, NAMESPACES: in_namespace_of(DEPLOYMENTS)},
    reconcile,
)
