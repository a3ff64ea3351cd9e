"""What is filled into the kinds that hold configuration, say who may do what, and describe machines and their storage.

Source: kubernetes pkg/apis/{core,rbac,storage,scheduling}/v1/defaults.go, pkg/apis/core/v1/conversion.go (stringData; behaviour).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netproxy.objects.meta import Object

_RBAC = "rbac.authorization.k8s.io"

Part = dict[str, Any]


def _node(obj: Object) -> Object:
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    if status.get("allocatable") is None and status.get("capacity") is not None:
        obj = {**obj, "status": {**status, "allocatable": status["capacity"]}}
    first, ranges = spec.get("podCIDR"), spec.get("podCIDRs") or []
    if first and ranges[:1] != [first]:
        return {**obj, "spec": {**spec, "podCIDRs": [first]}}
    if ranges and not first:
        return {**obj, "spec": {**spec, "podCIDR": ranges[0]}}
    return obj


def _limit_range(obj: Object) -> Object:
    spec = obj.get("spec") or {}
    if not spec.get("limits"):
        return obj
    return {**obj, "spec": {**spec, "limits": [_limit(limit) for limit in spec["limits"]]}}


def _limit(limit: Part) -> Part:
    if limit.get("type") != "Container":
        return limit
    default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
    request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
    named = (("default", default), ("defaultRequest", request))
    return {**limit, **{field: value for field, value in named if value}}


def _volume(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    spec["persistentVolumeReclaimPolicy"] = spec.get("persistentVolumeReclaimPolicy") or "Retain"
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    path = spec.get("hostPath")
    if path is not None and path.get("type") is None:
        spec["hostPath"] = {**path, "type": ""}
    status["phase"] = status.get("phase") or "Pending"
    return {**obj, "spec": spec, "status": status}


def _claim(obj: Object) -> Object:
    status = dict(obj.get("status") or {})
    status["phase"] = status.get("phase") or "Pending"
    return {**obj, "spec": claim_spec(obj.get("spec") or {}), "status": status}


def claim_spec(spec: Part) -> Part:
    """Fill the spec of a claim, wherever it is."""
    return {**spec, "volumeMode": "Filesystem"} if spec.get("volumeMode") is None else spec


def _binding(obj: Object) -> Object:
    role = obj.get("roleRef") or {}
    filled = {**obj, "roleRef": {**role, "apiGroup": role.get("apiGroup") or _RBAC}}
    if obj.get("subjects"):
        filled["subjects"] = [_subject(subject) for subject in obj["subjects"]]
    return filled


def _subject(subject: Part) -> Part:
    if subject.get("apiGroup") or subject.get("kind") not in ("User", "Group"):
        return subject
    return {**subject, "apiGroup": _RBAC}


def _storage_class(obj: Object) -> Object:
    usual = {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}
    return {**obj, **{field: value for field, value in usual.items() if obj.get(field) is None}}


def _priority_class(obj: Object) -> Object:
    return {**obj, "preemptionPolicy": "PreemptLowerPriority"} if obj.get("preemptionPolicy") is None else obj


FILLERS: dict[str, Callable[[Object], Object]] = {
    "Node": _node,
    "LimitRange": _limit_range,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "StorageClass": _storage_class,
    "PriorityClass": _priority_class,
}
