"""Deployment → ReplicaSet → Pods: as many as are asked for. Rolling updates come later.

Source: kubernetes pkg/controller/deployment, pkg/controller/replicaset (names, labels, owner references, order of deletion).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from netproxy.core.names import NamespacedName
from netproxy.objects.change import Change, Create, Delete, Update, View
from netproxy.objects.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
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
from netproxy.objects.selector import label_selector, matches

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def short_name(seed: str, length: int) -> str:
    """LENGTH characters of Kubernetes' alphabet for generated names (no vowels), the same for the same seed.

    >>> short_name("web", 5)
    'ntbvs'
    """
    number = int.from_bytes(sha256(seed.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, at = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[at])
    return "".join(letters)


def owner_reference(owner: Object) -> dict[str, Any]:
    """The reference that makes OWNER the controller of what it made."""
    return {
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def reconcile_deployment(view: View, at: NamespacedName) -> list[Change]:
    """One ReplicaSet for the present template, scaled to what the Deployment asks; older ones scaled to nothing."""
    deployment = view.find(DEPLOYMENTS, at)
    if deployment is None or is_deleting(deployment):
        return []
    template = spec(deployment)["template"]
    hashed = short_name(_stable(template), 10)
    owned = [rs for rs in view.list(REPLICA_SETS, at.namespace) if controller_of(rs).get("uid") == uid(deployment)]
    current = next((rs for rs in owned if labels(rs).get(HASH_LABEL) == hashed), None)
    changes: list[Change] = []
    if current is None:
        changes.append(Create(_replica_set(deployment, template, hashed, revision=len(owned) + 1)))
    elif spec(current).get("replicas") != spec(deployment)["replicas"]:
        changes.append(Update(_scaled(current, spec(deployment)["replicas"])))
    old = [rs for rs in owned if rs is not current and spec(rs).get("replicas")]
    if current is not None and status(current).get("readyReplicas", 0) >= spec(deployment)["replicas"]:
        changes += [Update(_scaled(rs, 0)) for rs in old]
    changes += _deployment_status(deployment, owned, current)
    return changes


def _stable(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_stable(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_stable, value)) + "]"
    return repr(value)


def _replica_set(deployment: Object, template: dict[str, Any], hashed: str, *, revision: int) -> Object:
    marked = {**(template.get("metadata") or {}).get("labels", {}), HASH_LABEL: hashed}
    selector = spec(deployment)["selector"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name(deployment)}-{hashed}", "namespace": namespace(deployment), "labels": marked,
            "annotations": {REVISION: str(revision)}, "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": spec(deployment)["replicas"],
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": marked}},
        },
    }  # fmt: skip


def _scaled(replica_set: Object, replicas: int) -> Object:
    return {**replica_set, "spec": {**spec(replica_set), "replicas": replicas}}


def _deployment_status(deployment: Object, owned: list[Object], current: Object | None) -> list[Change]:
    ready = sum(status(rs).get("readyReplicas", 0) for rs in owned)
    total = sum(status(rs).get("replicas", 0) for rs in owned)
    wanted = spec(deployment)["replicas"]
    new = {
        "observedGeneration": metadata(deployment).get("generation", 1), "replicas": total, "readyReplicas": ready,
        "availableReplicas": ready, "updatedReplicas": status(current or {}).get("replicas", 0),
        "conditions": [{"type": "Available", "status": "True" if ready >= wanted else "False"}],
    }  # fmt: skip
    return [] if status(deployment) == new else [Update({**deployment, "status": new})]


def reconcile_replica_set(view: View, at: NamespacedName) -> list[Change]:
    """Create or delete Pods until as many as asked for exist; Pods that are not ready go first."""
    replica_set = view.find(REPLICA_SETS, at)
    if replica_set is None or is_deleting(replica_set):
        return []
    owned = [
        pod for pod in view.list(PODS, at.namespace)
        if controller_of(pod).get("uid") == uid(replica_set) and not is_deleting(pod)
        and status(pod).get("phase") not in ("Succeeded", "Failed")
    ]  # fmt: skip
    wanted = spec(replica_set).get("replicas", 1)
    changes: list[Change] = [
        Create(_pod(replica_set, suffix)) for suffix in _suffixes(view, replica_set, wanted - len(owned))
    ]
    for pod in sorted(owned, key=lambda p: (is_ready(p), p["metadata"]["creationTimestamp"], name(p)))[
        : max(0, len(owned) - wanted)
    ]:
        changes.append(Delete(PODS, key(pod)))
    ready = sum(map(is_ready, owned))
    new = {
        "replicas": len(owned), "readyReplicas": ready, "availableReplicas": ready, "fullyLabeledReplicas": len(owned),
        "observedGeneration": metadata(replica_set).get("generation", 1),
    }  # fmt: skip
    if status(replica_set) != new:
        changes.append(Update({**replica_set, "status": new}))
    return changes


def _suffixes(view: View, replica_set: Object, count: int) -> list[str]:
    """COUNT names' ends that are free, the same on every machine."""
    result: list[str] = []
    number = 0
    while len(result) < count:
        suffix = short_name(f"{uid(replica_set)}/{number}", 5)
        number += 1
        if view.find(PODS, NamespacedName(namespace(replica_set), f"{name(replica_set)}-{suffix}")) is None:
            result.append(suffix)
    return result


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


def adopts(replica_set: Object, pod: Object) -> bool:
    """Whether the ReplicaSet's selector picks this Pod."""
    return matches(label_selector(spec(replica_set).get("selector")), labels(pod))
