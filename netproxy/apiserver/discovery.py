"""What the API serves: groups, versions, resources; each on its own, and all at once (aggregated).

Source: kubernetes apiserver pkg/endpoints/installer.go and pkg/endpoints/discovery (which verbs and kinds, in which order).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from netproxy.objects.kinds import METRICS, NAMESPACES, REVIEWS, Resource

KUBERNETES = "v1.36.2"
"""Whose API this is, and whose kubelets its nodes say that they have."""
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

ORDER = (
    "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch", "networking.k8s.io", "policy",
    "rbac.authorization.k8s.io", "storage.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io",
    "discovery.k8s.io",
)  # fmt: skip
"""Groups in the order in which they are listed; others come after them, by name."""

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_CUSTOM_VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
_CHANGE = ["get", "patch", "update"]
_FORWARD = ["create", "delete", "get", "patch", "update"]

_PARTS: dict[str, tuple[str, list[str]]] = {
    "attach": ("{}AttachOptions", ["create", "get"]),
    "binding": ("Binding", ["create"]),
    "eviction": ("policy/v1/Eviction", ["create"]),
    "exec": ("{}ExecOptions", ["create", "get"]),
    "finalize": ("{}", ["update"]),
    "log": ("{}", ["get"]),
    "portforward": ("{}PortForwardOptions", ["create", "get"]),
    "proxy": ("{}ProxyOptions", _FORWARD),
    "scale": ("autoscaling/v1/Scale", _CHANGE),
    "token": ("authentication.k8s.io/v1/TokenRequest", ["create"]),
}
"""Subresources with another kind than their resource, or other verbs than GET, PUT and PATCH."""

Shown = dict[str, Any]


def groups(served: Iterable[Resource]) -> list[str]:
    """The names of all groups but the core's, in order."""
    found = {resource.group for resource in (*served, *REVIEWS)} - {""}
    return [group for group in ORDER if group in found] + sorted(found - set(ORDER))


def versions(served: Iterable[Resource], group: str) -> list[str]:
    """The versions of a group, the preferred one first."""
    return list(dict.fromkeys(r.version for r in (*served, *REVIEWS) if r.group == group))


def group_list(served: Sequence[Resource]) -> Shown:
    """`/apis`."""
    listed = [_group(served, group) for group in groups(served)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def one_group(served: Sequence[Resource], group: str) -> Shown | None:
    """`/apis/GROUP`; None for a group that is not served."""
    found = group in groups(served)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(served, group)} if found else None


def _group(served: Sequence[Resource], group: str) -> Shown:
    entries = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions(served, group)]
    return {"name": group, "versions": entries, "preferredVersion": entries[0]}


def resource_list(served: Sequence[Resource], api_version: str) -> Shown | None:
    """`/api/v1` and `/apis/GROUP/VERSION`; None for a version that is not served."""
    found = _of(served, api_version)
    if not found:
        return None
    listed = [entry for resource in found for entry in (_resource(resource), *map(_part_of(resource), parts(resource)))]
    head = {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if "/" in api_version else {})
    return {**head, "groupVersion": api_version, "resources": listed}


def _of(served: Sequence[Resource], api_version: str) -> list[Resource]:
    found = [resource for resource in (*served, *REVIEWS) if resource.api_version == api_version]
    return sorted(found, key=lambda resource: resource.plural)


def parts(resource: Resource) -> list[str]:
    """The names of a resource's subresources, in order."""
    return sorted(resource.subresources) if resource.custom is None else list(resource.subresources)


def verbs(resource: Resource, part: str = "") -> list[str]:
    """What can be done with a resource, or with a subresource of it."""
    if part:
        return _PARTS[part][1] if part in _PARTS else _CHANGE
    if resource.custom is not None:
        return _CUSTOM_VERBS
    if resource in REVIEWS:
        return ["create"]
    if resource in METRICS:
        return ["get", "list"]
    return [verb for verb in _VERBS if not (resource is NAMESPACES and verb == "deletecollection")]


def kind_of(resource: Resource, part: str) -> tuple[str, str, str]:
    """Group, version and kind of what a subresource takes and gives; group and version are empty for the resource's own."""
    group_version, _, kind = _PARTS.get(part, ("{}", []))[0].rpartition("/")
    group, _, version = group_version.partition("/")
    return group, version, kind.format(resource.kind)


def _resource(resource: Resource) -> Shown:
    return {
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": verbs(resource),
        **({"shortNames": list(resource.short)} if resource.short else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
        **({} if resource in (*REVIEWS, *METRICS) else {"storageVersionHash": _hash(resource)}),
    }  # fmt: skip


def _hash(resource: Resource) -> str:
    """Eight bytes that change with the version in which objects are kept."""
    import base64

    text = f"{resource.group}/{resource.version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _part_of(resource: Resource) -> Any:
    def part(name: str) -> Shown:
        group, version, kind = kind_of(resource, name)
        return {
            "name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced,
            **({"group": group, "version": version} if group else {}), "kind": kind, "verbs": verbs(resource, name),
        }  # fmt: skip

    return part


# --- all at once


def aggregated(served: Sequence[Resource], *, core: bool) -> Shown:
    """`/api` (CORE) or `/apis` with all resources in one answer."""
    items = [_discovery(served, group) for group in ([""] if core else groups(served))]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovery(served: Sequence[Resource], group: str) -> Shown:
    listed = []
    for version in versions(served, group):
        found = _of(served, f"{group}/{version}" if group else version)
        listed.append({"version": version, "resources": list(map(_whole, found)), "freshness": "Current"})
    return {"metadata": {"name": group} if group else {}, "versions": listed}


def _whole(resource: Resource) -> Shown:
    subresources = [
        {"subresource": part, "responseKind": _response_kind(*kind_of(resource, part)), "verbs": verbs(resource, part)}
        for part in parts(resource)
    ]
    return {
        "resource": resource.plural, "responseKind": _response_kind("", "", resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster", "singularResource": resource.singular,
        "verbs": verbs(resource),
        **({"shortNames": list(resource.short)} if resource.short else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
        **({"subresources": subresources} if subresources else {}),
    }  # fmt: skip


def _response_kind(group: str, version: str, kind: str) -> Shown:
    return {"group": group, "version": version, "kind": kind}
