"""ReplicaSet, or ReplicationController → Pods: as many as are asked for.

Source: kubernetes pkg/controller/replicaset (names, owner references, status), pkg/controller/controller_utils.go
(ActivePodsWithRanks: which Pods go first).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netproxy.controllers.ownership import claim, in_namespace_of, is_leaving, owner_reference, short_name
from netproxy.controllers.port import NOTHING, Controller, Outcome, controllers_of, itself
from netproxy.controllers.selection import selecting
from netproxy.core.clock import seconds
from netproxy.core.names import NamespacedName
from netproxy.objects.canonical import canonical_field
from netproxy.objects.change import Change, Create, Delete, Event, IndexedView, UpdateStatus
from netproxy.objects.kinds import NAMESPACES, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, Resource
from netproxy.objects.meta import (
    Object,
    annotations_of,
    condition,
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

BURST = 500
"""So many Pods are made at one look; the news of them brings the next one."""

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def _controller(name: str, resource: Resource) -> Controller[NamespacedName]:
    """The controller of one of the two kinds: they have the same fields, but for the selector's form."""

    def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
        return _reconcile(view, view.find(resource, at), now)

    def of_pod(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
        return _of_pod(resource, view, event)

    return Controller(name, {resource: itself, PODS: of_pod, NAMESPACES: in_namespace_of(resource)}, reconcile)


def _reconcile(view: IndexedView, replica_set: Object | None, now: float) -> Outcome:
    """Adopt and release, create or delete Pods until as many as asked for exist."""
    if replica_set is None or is_leaving(view, replica_set):
        return NOTHING
    claimed = claim(view, replica_set, PODS, _is_active)
    wanted = spec(replica_set).get("replicas", 1)
    missing = _suffixes(view, replica_set, min(BURST, wanted - len(claimed.mine)))
    surplus = sorted(claimed.mine, key=_last_to_go)[: max(0, len(claimed.mine) - wanted)]
    new, again_at = _status(replica_set, claimed.mine, now)
    changes: list[Change] = [
        *claimed.changes,
        *(Create(_pod(replica_set, suffix)) for suffix in missing),
        *(Delete(PODS, key(pod), uid(pod)) for pod in surplus),
    ]
    if status(replica_set) != new:
        changes.append(UpdateStatus({**replica_set, "status": new}))
    return Outcome(tuple(changes), again_at=again_at)


def _is_active(pod: Object) -> bool:
    return not is_deleting(pod) and status(pod).get("phase") not in ("Succeeded", "Failed")


def _suffixes(view: IndexedView, replica_set: Object, count: int) -> list[str]:
    """COUNT names' ends that are free: the same for the same state of the ReplicaSet, others for a later one.

    So who repeats a step that was half done finds that it is done, and a Pod does not get the name of one that has gone.
    """
    result: list[str] = []
    number = 0
    while len(result) < count:
        suffix = short_name(f"{uid(replica_set)}/{metadata(replica_set).get('resourceVersion')}/{number}", 5)
        number += 1
        if view.find(PODS, NamespacedName(namespace(replica_set), f"{name(replica_set)}-{suffix}")) is None:
            result.append(suffix)
    return result


def _last_to_go(pod: Object) -> tuple[Any, ...]:
    """Sort Pods so that those which do least go first."""
    cost = annotations_of(pod).get(DELETION_COST, "0")
    return (
        bool(spec(pod).get("nodeName")),
        status(pod).get("phase") == "Running",
        is_ready(pod),
        int(cost) if cost.lstrip("-").isdecimal() else 0,
        -seconds(str(metadata(pod).get("creationTimestamp") or "")),
        name(pod),
    )


def _status(replica_set: Object, pods: Iterable[Object], now: float) -> tuple[dict[str, Any], float | None]:
    """The ReplicaSet's status, and when a Pod that is ready will have been so for long enough to count as available."""
    pods = tuple(pods)
    patience = spec(replica_set).get("minReadySeconds") or 0
    since = [seconds(str(condition(pod, "Ready").get("lastTransitionTime") or "")) for pod in pods if is_ready(pod)]
    due = [at + patience for at in since if patience and at + patience > now]
    template = (spec(replica_set)["template"].get("metadata") or {}).get("labels") or {}
    labelled = sum(1 for pod in pods if template.items() <= labels(pod).items())
    new = {
        "replicas": len(pods), "readyReplicas": len(since), "availableReplicas": len(since) - len(due),
        "fullyLabeledReplicas": labelled, "observedGeneration": metadata(replica_set).get("generation", 1),
    }  # fmt: skip
    return canonical_field(replica_set, "status", new), min(due, default=None)


def _pod(replica_set: Object, suffix: str) -> Object:
    template = spec(replica_set)["template"]
    given = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **given, "name": f"{name(replica_set)}-{suffix}", "generateName": f"{name(replica_set)}-",
            "namespace": namespace(replica_set), "ownerReferences": [owner_reference(replica_set)],
        },
        "spec": template.get("spec") or {},
    }  # fmt: skip


def _of_pod(resource: Resource, view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """Who has the Pod, or had it; of a Pod that nobody has: who could adopt it."""
    if event.old is not None and event.type == "MODIFIED" and _counted(event.old) == _counted(event.obj):
        return ()
    keys = controllers_of(event, resource.kind)
    if event.type != "DELETED" and not controller_of(event.obj):
        keys += [key(item) for item in selecting(view, resource, event.obj)]
    return keys


def _counted(pod: Object) -> tuple[Any, ...]:
    """All of a Pod that makes a difference to its ReplicaSet."""
    return labels(pod), controller_of(pod), _is_active(pod), condition(pod, "Ready")


REPLICA_SET_CONTROLLER = _controller("replicaset", REPLICA_SETS)
REPLICATION_CONTROLLER = _controller("replication-controller", REPLICATION_CONTROLLERS)
