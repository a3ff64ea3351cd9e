"""Fields of features that the API server has switched off: they are dropped, though whoever sent them manages them.

Source: kubernetes pkg/api/pod/util.go (dropDisabledFields), pkg/registry/apps/statefulset/strategy.go, pkg/features/kube_features.go
(what is on in 1.36).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netproxy.objects.meta import Object

_OF_PODS = ("schedulingGroup",)
_PROJECTIONS = ("clusterTrustBundle", "podCertificate")
_NODE_CLAIMS = "nodeAllocatableResourceClaimStatuses"
_REPORTS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_PATHS: dict[str, tuple[str, ...]] = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job"),
        ("spec", "template", "spec"),
    ),
}
"""Where each kind has the spec of Pods."""


def without_disabled(obj: Object) -> Object:
    """The object without what no feature that is on knows; the object itself when there is nothing of that."""
    kind = str(obj.get("kind", ""))
    if kind not in _PATHS:
        return obj
    if kind == "StatefulSet":
        obj = _changed(obj, ("spec", "updateStrategy", "rollingUpdate"), _whole)
    return _changed(obj, _PATHS[kind], _enabled)


def without_disabled_reports(status: Mapping[str, Any]) -> Object:
    """The status of a Pod without what no feature that is on knows."""
    result = {field: value for field, value in status.items() if field != _NODE_CLAIMS}
    for group in _REPORTS:
        if result.get(group):
            result[group] = [_reported(item) for item in result[group]]
    return result


def _reported(container: Object) -> Object:
    mounts = container.get("volumeMounts") or ()
    if not any("volumeStatus" in mount for mount in mounts):
        return container
    kept = [{field: value for field, value in mount.items() if field != "volumeStatus"} for mount in mounts]
    return {**container, "volumeMounts": kept}


def _changed(obj: Object, path: tuple[str, ...], change: Callable[[Object], Object]) -> Object:
    """With another value at a path, where there is one."""
    if not path:
        return change(obj)
    inner: Any = obj.get(path[0])
    if not isinstance(inner, dict):
        return obj
    new = _changed(inner, path[1:], change)
    return obj if new is inner else {**obj, path[0]: new}


def _whole(rolling: Object) -> Object:
    return {k: v for k, v in rolling.items() if k != "maxUnavailable"} if "maxUnavailable" in rolling else rolling


def _enabled(spec: Object) -> Object:
    if any(field in spec for field in _OF_PODS):
        spec = {field: value for field, value in spec.items() if field not in _OF_PODS}
    for group in ("initContainers", "containers", "ephemeralContainers"):
        if any("stopSignal" in (item.get("lifecycle") or ()) for item in spec.get(group) or ()):
            spec = {**spec, group: [_container(item) for item in spec[group]]}
    if any(volume.get("projected") for volume in spec.get("volumes") or ()):
        spec = {**spec, "volumes": [_volume(volume) for volume in spec["volumes"]]}
    return spec


def _container(container: Object) -> Object:
    lifecycle = container.get("lifecycle") or {}
    if "stopSignal" not in lifecycle:
        return container
    kept = {field: value for field, value in lifecycle.items() if field != "stopSignal"}
    result = {field: value for field, value in container.items() if field != "lifecycle"}
    return {**result, "lifecycle": kept} if kept else result


def _volume(volume: Object) -> Object:
    sources = (volume.get("projected") or {}).get("sources")
    if not sources:
        return volume
    kept = [{kind: source[kind] for kind in source if kind not in _PROJECTIONS} for source in sources]
    return {**volume, "projected": {**volume["projected"], "sources": kept}}
