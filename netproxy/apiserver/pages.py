"""Paths that name no resource: discovery, OpenAPI, health, version. Pure: a Request in, a Response out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from netproxy.apiserver import discovery, openapi
from netproxy.apiserver.negotiate import YAML, accepted, check_named, clauses
from netproxy.apiserver.paths import UNKNOWN
from netproxy.apiserver.request import JSON, Request, Response, json_response
from netproxy.apiserver.status import status
from netproxy.apiserver.tokens import CONFIGURATION, KEYS
from netproxy.objects.kinds import METRICS, Resource

TEXT = "text/plain; charset=utf-8"
METHOD_NOT_ALLOWED = "the server does not allow this method on the requested resource"

VERSION = {
    "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35", "gitVersion": discovery.KUBERNETES, "gitCommit": "", "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "gc", "platform": "linux/amd64",
}  # fmt: skip
"""Whose API this is: clients compare it with their own."""

CHECKS: Mapping[str, tuple[str, ...]] = {
    "healthz": ("ping", "log", "etcd"), "livez": ("ping", "log", "etcd"), "readyz": ("ping", "log", "informer-sync"),
}  # fmt: skip
"""What each health page looks at. The store is called by the name that people look for."""


def page(request: Request, served: Sequence[Resource]) -> Response | None:
    """The answer of a path that names no resource; None for one that does."""
    steps = [step for step in request.path.split("/") if step]
    if not steps:
        return json_response({"paths": paths(served)})
    if "//" in request.path:
        is_ours = request.path.startswith("/api/") or bool(discovery.resource_list(served, "/".join(steps[1:3])))
        return status(404, "NotFound", UNKNOWN, {}) if is_ours else lost()
    found = _PAGES.get(steps[0])
    if found:
        return found(request, served, steps[1:])
    return None if steps[0] in ("api", "apis") else lost()


def paths(served: Sequence[Resource]) -> list[str]:
    """Every path that leads somewhere and is no resource."""
    groups = discovery.groups(served)
    found = ["/api", "/api/v1", "/apis", "/apis/", *(f"/apis/{group}" for group in groups), "/metrics", "/openapi/v2", "/openapi/v3",
             "/version", *(f"/{name[5:] and name}" for name in openapi.names(_described(served)))]  # fmt: skip
    health = [f"/{name}{step}" for name, checks in CHECKS.items() for step in ("", *(f"/{check}" for check in checks))]
    return sorted(
        {*found, *health, CONFIGURATION, KEYS, *(f"/openapi/v3/{name}" for name in openapi.names(_described(served)))}
    )


def _described(served: Sequence[Resource]) -> Sequence[Resource]:
    """Those of which there is a schema."""
    return [resource for resource in served if resource not in METRICS]


def lost() -> Response:
    """Nothing at all is here."""
    return Response(404, b"404 page not found\n", TEXT)


def _refused() -> Response:
    return status(405, "MethodNotAllowed", METHOD_NOT_ALLOWED, {})


# --- discovery


def _core(request: Request, served: Sequence[Resource], steps: Sequence[str]) -> Response | None:
    if not steps:
        plain = {"kind": "APIVersions", "versions": ["v1"],
                 "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]}  # fmt: skip
        if request.method != "GET":
            return _refused()
        return _negotiated(request, plain, lambda: discovery.aggregated(served, core=True), is_routed=True)
    return _resources(request, served, steps[0]) if len(steps) == 1 else None


def _groups(request: Request, served: Sequence[Resource], steps: Sequence[str]) -> Response | None:
    if not steps:
        plain = discovery.group_list(served)
        return _negotiated(request, plain, lambda: discovery.aggregated(served, core=False))
    if len(steps) == 1:
        found = discovery.one_group(served, steps[0])
        return accepted(request, shapes=False, routed=False).response(found) if found else lost()
    if steps[0] not in discovery.groups(served):
        return lost()
    return _resources(request, served, "/".join(steps)) if len(steps) == 2 else None


def _resources(request: Request, served: Sequence[Resource], api_version: str) -> Response | None:
    found = discovery.resource_list(served, api_version)
    if found is None:
        return None
    if request.method != "GET":
        return _refused()
    return accepted(request, shapes=False).response(found)


def _negotiated(
    request: Request, plain: discovery.Shown, whole: Callable[[], discovery.Shown], *, is_routed: bool = False
) -> Response:
    """Everything at once for whoever accepts that first, else the plain form. Raises ApiError (406)."""
    for clause in clauses(request.accept or JSON):
        said = clause.options
        if "as" not in said and clause.media in (JSON, YAML, "application/*", "*/*"):
            break
        if (said.get("g"), said.get("v"), said.get("as")) == ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList"):
            return Response(200, json_response(whole()).body, discovery.AGGREGATED)
    return accepted(request, shapes=False, routed=is_routed).response(plain)


# --- OpenAPI


def _openapi(request: Request, served: Sequence[Resource], steps: Sequence[str]) -> Response | None:
    served = _described(served)
    match list(steps):
        case ["v2"]:
            return json_response(openapi.document_v2(served))
        case ["v3"] if not request.path.endswith("/"):
            return Response(200, json_response(openapi.index(served)).body, TEXT)
        case ["v3", *rest]:
            return _document(request, served, "/".join(rest))
        case _:
            return lost()


def _document(request: Request, served: Sequence[Resource], name: str) -> Response:
    if name not in openapi.names(served):
        return Response(404, b"", "")
    current = openapi.fingerprint(served, name)
    asked = request.query.get("hash")
    if asked is not None and asked != current:
        return Response(301, b"", JSON, (("Location", f"/openapi/v3/{name}?hash={current}"),))
    return json_response(openapi.document(served, name))


# --- health and version


def _version(request: Request, _: Sequence[Resource], steps: Sequence[str]) -> Response:
    if steps:
        return lost()
    if request.method != "GET":
        return _refused()
    check_named(request, (JSON,))
    return json_response(VERSION)


def _health(request: Request, _: Sequence[Resource], steps: Sequence[str]) -> Response:
    name = next(step for step in request.path.split("/") if step)
    if steps:
        return Response(200, b"ok", TEXT) if "/".join(steps) in CHECKS[name] else lost()
    if "verbose" not in request.query:
        return Response(200, b"ok", TEXT)
    left_out = request.values("exclude")
    lines = [f"[+]{check} excluded: ok" if check in left_out else f"[+]{check} ok" for check in CHECKS[name]]
    return Response(200, "\n".join([*lines, f"{name} check passed", ""]).encode(), TEXT)


_PAGES: dict[str, Callable[[Request, Sequence[Resource], Sequence[str]], Response | None]] = {
    "api": _core, "apis": _groups, "openapi": _openapi, "version": _version, **dict.fromkeys(CHECKS, _health),
}  # fmt: skip
