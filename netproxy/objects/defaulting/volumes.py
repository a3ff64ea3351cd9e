"""What is filled into volumes.

Source: kubernetes pkg/apis/core/v1/defaults.go, zz_generated.defaults.go (behaviour).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from netproxy.objects.choices import FILLED_VOLUMES
from netproxy.objects.meta import Object

_READABLE = 0o644
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"{_PART}(?:/{_PART})*(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?"
)
_LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_IDENTIFIER = re.compile("[a-f0-9]{64}")
_FILLED: dict[str, Object] = {
    **{kind: {"defaultMode": _READABLE} for kind in FILLED_VOLUMES},
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


@lru_cache(maxsize=1024)
def pull_policy(image: str) -> str:
    """When an image is pulled, of one that does not say: always, if it is the latest, whatever that is.

    >>> pull_policy("nginx"), pull_policy("localhost:5000/nginx:1"), pull_policy("Nginx")
    ('Always', 'IfNotPresent', 'IfNotPresent')
    """
    first, slash, rest = image.partition("/")
    is_host = slash and (any(char in first for char in ".:") or first == "localhost" or first != first.lower())
    found = _REFERENCE.fullmatch(rest if is_host else image)
    if not found or (is_host and not _HOST.fullmatch(first)) or _IDENTIFIER.fullmatch(image):
        return "IfNotPresent"
    return "Always" if found["tag"] == "latest" or not (found["tag"] or found["digest"]) else "IfNotPresent"


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
