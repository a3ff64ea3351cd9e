"""What is filled into the kinds that make Pods.

Source: kubernetes pkg/apis/apps/v1/defaults.go, pkg/apis/batch/v1/defaults.go, pkg/apis/core/v1/defaults.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netproxy.objects.defaulting.pods import pod_template
from netproxy.objects.defaulting.volumes import claim
from netproxy.objects.meta import Object

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""An annotation of every DaemonSet, which counts the changes of its template."""

_MOST = (1 << 31) - 1


def _deployment(obj: Object) -> Object:
    spec = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, **_spec(obj)}
    spec["strategy"] = _rolling(spec.get("strategy"), {"maxUnavailable": "25%", "maxSurge": "25%"})
    return {**obj, "spec": spec}


def _daemon_set(obj: Object) -> Object:
    spec = {"revisionHistoryLimit": 10, **_spec(obj)}
    strategy = _rolling(spec.get("updateStrategy"), {"maxUnavailable": 1, "maxSurge": 0})
    if strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"] = {"maxUnavailable": 0, "maxSurge": 0, **strategy["rollingUpdate"]}
    spec["updateStrategy"] = strategy
    meta = obj.get("metadata") or {}
    notes = {TEMPLATE_GENERATION: "0", **(meta.get("annotations") or {})}
    return {**obj, "metadata": {**meta, "annotations": notes}, "spec": spec}


def _stateful_set(obj: Object) -> Object:
    spec = {"podManagementPolicy": "OrderedReady", "replicas": 1, "revisionHistoryLimit": 10, **_spec(obj)}
    strategy = spec.get("updateStrategy") or {}
    if not strategy.get("type"):
        strategy = {"rollingUpdate": {}, **strategy, "type": "RollingUpdate"}
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy = {**strategy, "rollingUpdate": {"partition": 0, **strategy["rollingUpdate"]}}
    spec["updateStrategy"] = strategy
    kept = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    spec["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Retain", "whenScaled": "Retain", **kept}
    if spec.get("volumeClaimTemplates"):
        spec["volumeClaimTemplates"] = [_claim_template(item) for item in spec["volumeClaimTemplates"]]
    return {**obj, "spec": spec}


def _claim_template(item: Object) -> Object:
    filled = claim(item)
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", **filled,
        "status": {"phase": "Pending", **(item.get("status") or {})},
    }  # fmt: skip


def _replica_set(obj: Object) -> Object:
    return {**obj, "spec": {"replicas": 1, **_spec(obj)}}


def _replication_controller(obj: Object) -> Object:
    spec = {"replicas": 1, **_spec(obj)}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        spec.setdefault("selector", labels)
        obj = _labelled(obj, labels)
    return {**obj, "spec": spec}


def _job(obj: Object) -> Object:
    spec = _spec(obj)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    failing = spec.get("podFailurePolicy")
    spec = {
        "parallelism": 1, "backoffLimit": 6 if spec.get("backoffLimitPerIndex") is None else _MOST,
        "completionMode": "NonIndexed", "suspend": False, "manualSelector": False,
        "podReplacementPolicy": "Failed" if failing else "TerminatingOrFailed", **spec,
    }  # fmt: skip
    if failing:
        spec["podFailurePolicy"] = _failure_policy(failing)
    labels = (spec["template"].get("metadata") or {}).get("labels")
    return {**(_labelled(obj, labels) if labels else obj), "spec": spec}


def _failure_policy(policy: Object) -> Object:
    if not policy.get("rules"):
        return policy
    return {**policy, "rules": [_failure_rule(rule) for rule in policy["rules"]]}


def _failure_rule(rule: Object) -> Object:
    patterns = rule.get("onPodConditions")
    if not patterns:
        return rule
    return {**rule, "onPodConditions": [{**item, "status": item.get("status") or "True"} for item in patterns]}


def _cron_job(obj: Object) -> Object:
    spec = {
        "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        **(obj.get("spec") or {}),
    }  # fmt: skip
    template = dict(spec.get("jobTemplate") or {})
    job = dict(template.get("spec") or {})
    job["template"] = pod_template(job.get("template") or {})
    if job.get("podFailurePolicy"):
        job["podFailurePolicy"] = _failure_policy(job["podFailurePolicy"])
    spec["jobTemplate"] = {**template, "spec": job}
    return {**obj, "spec": spec}


def _spec(obj: Object) -> Object:
    """The spec with its template filled; only a ReplicationController may have none."""
    spec = dict(obj.get("spec") or {})
    if spec.get("template") is not None or obj["kind"] != "ReplicationController":
        spec["template"] = pod_template(spec.get("template") or {})
    return spec


def _rolling(strategy: Object | None, amounts: Mapping[str, Any]) -> Object:
    filled = {"type": "RollingUpdate", **(strategy or {})}
    if filled["type"] == "RollingUpdate":
        filled["rollingUpdate"] = {**amounts, **(filled.get("rollingUpdate") or {})}
    return filled


def _labelled(obj: Object, labels: Object) -> Object:
    """With labels of its template, if it has none of its own."""
    meta = obj.get("metadata") or {}
    return obj if meta.get("labels") else {**obj, "metadata": {**meta, "labels": labels}}


FILLERS: dict[str, Callable[[Object], Object]] = {
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replication_controller,
    "Job": _job,
    "CronJob": _cron_job,
}
