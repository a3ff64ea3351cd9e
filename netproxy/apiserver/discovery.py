"""What the API serves: groups, versions, resources.

Source: kubernetes apiserver pkg/endpoints/discovery (the older, unaggregated form).
"""

from __future__ import annotations

from typing import Any

from netproxy.apiserver.request import Response, json_response
from netproxy.objects.kinds import RESOURCES, Resource

ROOTS = ("/api", "/apis", "/version", "/healthz", "/livez", "/readyz")
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def root(path: str) -> Response:
    """The answer of one of the ROOTS."""
    match path:
        case "/api":
            return json_response({"kind": "APIVersions", "versions": ["v1"]})
        case "/apis":
            groups = list(dict.fromkeys(resource.group for resource in RESOURCES if resource.group))
            return json_response(
                {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g) for g in sorted(groups)]}
            )
        case "/version":
            return json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.0+netproxy", "platform": "linux"})
        case _:
            return Response(200, b"ok", "text/plain")


def _group(group: str) -> dict[str, Any]:
    """A group with its versions, the preferred one first."""
    versions = list(dict.fromkeys(resource.api_version for resource in RESOURCES if resource.group == group))
    entries = [{"groupVersion": version, "version": version.partition("/")[2]} for version in versions]
    return {"name": group, "versions": entries, "preferredVersion": entries[0]}


def resources(path: str) -> Response | None:
    """The resources of `/api/v1` or `/apis/GROUP/VERSION`, or the versions of `/apis/GROUP`; None for another path."""
    version = path.strip("/").removeprefix("apis/").removeprefix("api/")
    if version in {resource.group for resource in RESOURCES if resource.group}:
        return json_response({"kind": "APIGroup", "apiVersion": "v1", **_group(version)})
    found = [resource for resource in RESOURCES if resource.api_version == version]
    if not found:
        return None
    listed = [*map(_resource, found), *(_subresource(each, sub) for each in found for sub in each.subresources)]
    return json_response({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed})


def _resource(resource: Resource) -> dict[str, Any]:
    return {
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": _VERBS, "shortNames": list(resource.short),
    }  # fmt: skip


def _subresource(resource: Resource, sub: str) -> dict[str, Any]:
    verbs = {"binding": ["create"], "finalize": ["update"]}.get(sub, ["get", "patch", "update"])
    kind = "Binding" if sub == "binding" else resource.kind
    return {
        "name": f"{resource.plural}/{sub}", "singularName": "", "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
    }  # fmt: skip
