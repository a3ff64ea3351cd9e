"""Reading an object's metadata without surprises: missing parts are empty, never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import KINDS

Object = dict[str, Any]
"""A Kubernetes object as JSON; nobody mutates it once it is in the store."""

SERVICE_NAME = "kubernetes.io/service-name"
"""The label of an EndpointSlice that names its Service."""
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
"""The label of an EndpointSlice that names the controller whose it is."""
FOREGROUND = "foregroundDeletion"
"""The finalizer of an owner that waits for the end of what it owns."""
ORPHAN = "orphan"
"""The finalizer of an owner whose dependents are to stay."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends the initial events of a watch; its value is `"true"`."""

_EMPTY: Mapping[str, Any] = {}


def metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object's `metadata`, or an empty mapping."""
    found = obj.get("metadata")
    return found if isinstance(found, dict) else _EMPTY


def spec(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object's `spec`, or an empty mapping."""
    found = obj.get("spec")
    return found if isinstance(found, dict) else _EMPTY


def status(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object's `status`, or an empty mapping."""
    found = obj.get("status")
    return found if isinstance(found, dict) else _EMPTY


def name(obj: Mapping[str, Any]) -> str:
    """`metadata.name`, or an empty string."""
    return str(metadata(obj).get("name") or "")


def namespace(obj: Mapping[str, Any]) -> str:
    """`metadata.namespace`, or an empty string."""
    return str(metadata(obj).get("namespace") or "")


def key(obj: Mapping[str, Any]) -> NamespacedName:
    """Namespace and name."""
    return NamespacedName(namespace(obj), name(obj))


def labels(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """`metadata.labels`, or an empty mapping."""
    return metadata(obj).get("labels") or _EMPTY


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """`metadata.annotations`, or an empty mapping."""
    return metadata(obj).get("annotations") or _EMPTY


def uid(obj: Mapping[str, Any]) -> str:
    """`metadata.uid`, or an empty string."""
    return str(metadata(obj).get("uid") or "")


def controller_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The owner reference whose `controller` is true, or an empty mapping."""
    for owner in metadata(obj).get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return _EMPTY


def is_deleting(obj: Mapping[str, Any]) -> bool:
    """Whether the object is on its way out."""
    return bool(metadata(obj).get("deletionTimestamp"))


def describe(obj: Mapping[str, Any]) -> str:
    """`Kind namespace/name`, for messages; an object that leaves its namespace out goes to `default`."""
    kind = KINDS.get(str(obj.get("kind")))
    at = namespace(obj) or ("default" if kind and kind.namespaced and name(obj) else "")
    return f"{obj.get('kind', 'object')} {NamespacedName(at, name(obj))}".rstrip()


def condition(obj: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The status condition of this type, or an empty mapping."""
    for item in status(obj).get("conditions") or ():
        if item.get("type") == kind:
            return dict(item)
    return _EMPTY


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a Pod's Ready condition is True."""
    return condition(pod, "Ready").get("status") == "True"
