"""What is filled into volumes.

Source: kubernetes pkg/apis/core/v1/defaults.go, zz_generated.defaults.go (behaviour).
"""

from __future__ import annotations

from typing import Any

from netproxy.objects.meta import Object

_READABLE = 0o644
_FILLED: dict[str, Object] = {
    "secret": {"defaultMode": _READABLE},
    "configMap": {"defaultMode": _READABLE},
    "downwardAPI": {"defaultMode": _READABLE},
    "projected": {"defaultMode": _READABLE},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def volume(item: Object) -> Object:
    """A volume with what its kind says when nothing else is said; one of no kind is an empty folder."""
    kinds = [kind for kind in item if kind != "name"]
    if not kinds:
        return {**item, "emptyDir": {}}
    filled = dict(item)
    for kind in kinds:
        if kind in _FILLED:
            filled[kind] = {**_FILLED[kind], **item[kind]}
        if kind in _DEEP:
            filled[kind] = _DEEP[kind](filled[kind])
    return filled


def claim(obj: Object) -> Object:
    """A claim for a volume, of its own or in a template."""
    return {**obj, "spec": {"volumeMode": "Filesystem", **(obj.get("spec") or {})}}


def pull_policy(image: str) -> str:
    """When an image is pulled, of one that does not say.

    >>> pull_policy("nginx"), pull_policy("localhost:5000/nginx:1"), pull_policy("nginx@sha256:12")
    ('Always', 'IfNotPresent', 'IfNotPresent')
    """
    name, at, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or (not tag and not at and name) else "IfNotPresent"


def _fields(source: Object) -> Object:
    items = source.get("items")
    if not items:
        return source
    return {
        **source,
        "items": [
            {**item, "fieldRef": {"apiVersion": "v1", **item["fieldRef"]}} if item.get("fieldRef") else item
            for item in items
        ],
    }


def _projected(source: Object) -> Object:
    if not source.get("sources"):
        return source
    return {**source, "sources": [_projection(part) for part in source["sources"]]}


def _projection(part: Object) -> Object:
    filled = dict(part)
    if part.get("downwardAPI"):
        filled["downwardAPI"] = _fields(part["downwardAPI"])
    if part.get("serviceAccountToken") is not None:
        filled["serviceAccountToken"] = {"expirationSeconds": 3600, **part["serviceAccountToken"]}
    return filled


def _ephemeral(source: Object) -> Object:
    template = source.get("volumeClaimTemplate")
    return {**source, "volumeClaimTemplate": claim(template)} if template else source


def _image(source: Object) -> Object:
    return {"pullPolicy": pull_policy(source.get("reference", "")), **source}


_DEEP: dict[str, Any] = {"downwardAPI": _fields, "projected": _projected, "ephemeral": _ephemeral, "image": _image}
