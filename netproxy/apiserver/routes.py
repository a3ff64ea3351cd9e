"""Path and verb → what to do with the store. Pure: a Request in, a Response (or a Watch to be streamed) out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from netproxy.apiserver.request import Request, Response, Watch, json_response
from netproxy.apiserver.status import status, status_of
from netproxy.apiserver.tables import table
from netproxy.core.clock import Clock
from netproxy.core.errors import ManifestError, NetproxyError, NotFoundError, Problem
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import RESOURCES, Resource, by_path
from netproxy.objects.meta import Object, key, labels, metadata
from netproxy.objects.selector import field_filter, matches, parse_selector
from netproxy.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class _Target:
    """What a path names."""

    kind: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> NamespacedName:
        return NamespacedName(self.namespace if self.kind.namespaced else "", self.name)


class Api:
    """Serves one store."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._store = registry.store
        self._clock = clock

    def handle(self, request: Request) -> Response | Watch:
        """Answer a request; errors become Status objects."""
        try:
            if request.path.rstrip("/") in ("/api", "/apis", "/version", "/healthz", "/livez", "/readyz"):
                return _root(request.path.rstrip("/"))
            target = _target(request.path)
            if target is None:
                return _discovery(request.path) or status(
                    404, "NotFound", "the server could not find the requested resource"
                )
            return self._serve(request, target)
        except orjson.JSONDecodeError as error:
            return status(400, "BadRequest", f"the body is not JSON: {error}")
        except NetproxyError as error:
            return status_of(error)

    def _serve(self, request: Request, target: _Target) -> Response | Watch:
        match request.method, bool(target.name):
            case "GET", True:
                return self._shown(request, target.kind, [self._store.get(target.kind, target.key)], single=True)
            case "GET", False:
                return _watch(request, target) if request.flag("watch") else self._listed(request, target)
            case "POST", False:
                return self._created(request, target)
            case "PUT", True:
                return self._replaced(target, _body(request))
            case "PATCH", True:
                return self._patched(request, target)
            case "DELETE", True:
                return json_response(self._deleted(request, target, self._store.get(target.kind, target.key)))
            case "DELETE", False:
                return self._collection_deleted(request, target)
            case _:
                return status(
                    405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
                )

    # --- reading

    def _listed(self, request: Request, target: _Target) -> Response:
        objects = selected(self._store.list(target.kind, target.namespace), request.query)
        return self._shown(request, target.kind, objects, single=False)

    def _shown(self, request: Request, kind: Resource, objects: list[Object], *, single: bool) -> Response:
        if request.wants_table:
            return json_response(table(kind.kind, objects, self._clock.now(), self._store.version))
        if single:
            return json_response(objects[0])
        return json_response({
            "kind": f"{kind.kind}List", "apiVersion": kind.api_version,
            "metadata": {"resourceVersion": str(self._store.version)}, "items": objects,
        })  # fmt: skip

    # --- writing

    def _created(self, request: Request, target: _Target) -> Response:
        obj = _typed(_body(request), target)
        return json_response(self._registry.create(obj), 201)

    def _replaced(self, target: _Target, obj: Object) -> Response:
        obj = _typed(obj, target)
        if metadata(obj).get("name") != target.name:
            found = metadata(obj).get("name")
            raise ManifestError([Problem("metadata.name", f'Invalid value: "{found}": is not the name in the path')])
        writes = {
            "": self._registry.replace,
            "status": self._registry.replace_status,
            "finalize": self._registry.finalize,
        }
        return json_response(writes[target.subresource](obj))

    def _patched(self, request: Request, target: _Target) -> Response:
        new = self._registry.patch(
            target.kind, target.key, _body(request), request.content_type, subresource=target.subresource
        )
        return json_response(new)

    def _deleted(self, request: Request, target: _Target, obj: Object) -> Object:
        options = _body(request) if request.body else {}
        grace = options.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
        return self._registry.delete(
            target.kind, key(obj), grace_s=None if grace is None else int(grace),
            propagation=options.get("propagationPolicy"), uid=(options.get("preconditions") or {}).get("uid"),
        )  # fmt: skip

    def _collection_deleted(self, request: Request, target: _Target) -> Response:
        objects = selected(self._store.list(target.kind, target.namespace), request.query)
        gone = [self._deleted(request, target, obj) for obj in list(objects)]
        return json_response({"kind": f"{target.kind.kind}List", "apiVersion": target.kind.api_version, "items": gone,
                              "metadata": {"resourceVersion": str(self._store.version)}})  # fmt: skip


def selected(objects: Iterable[Object], query: Any) -> list[Object]:
    """Those that the query's labelSelector and fieldSelector pick."""
    terms = parse_selector(query.get("labelSelector", ""))
    by_field = field_filter(query.get("fieldSelector", ""))
    return [obj for obj in objects if matches(terms, labels(obj)) and by_field(obj)]


def _body(request: Request) -> Any:
    return orjson.loads(request.body)


def _typed(obj: Object, target: _Target) -> Object:
    """The body with the kind and namespace that the path says."""
    if not isinstance(obj, dict):
        raise ManifestError([Problem("body", "Invalid value: must be an object")])
    meta = dict(metadata(obj))
    if target.kind.namespaced:
        given = meta.setdefault("namespace", target.namespace or "default")
        if target.namespace and given != target.namespace:
            raise ManifestError(
                [Problem("metadata.namespace", f'Invalid value: "{given}": is not the namespace in the path')]
            )
    return {**obj, "apiVersion": target.kind.api_version, "kind": target.kind.kind, "metadata": meta}


def _watch(request: Request, target: _Target) -> Watch:
    query = request.query
    version = query.get("resourceVersion", "") or "0"
    if not version.isdigit():
        raise ManifestError([Problem("resourceVersion", f'Invalid value: "{version}"')])
    limit = query.get("timeoutSeconds", "")
    return Watch(
        target.kind, int(version), target.namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""),
        request.wants_table, request.flag("sendInitialEvents") or version == "0", float(limit) if limit.isdigit() else None,
    )  # fmt: skip


def _target(path: str) -> _Target | None:
    """Read `/api/v1/namespaces/NS/pods/NAME/status` and its relatives; None for a path that names no resource."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        version, rest = parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        version, rest = f"{parts[1]}/{parts[2]}", parts[3:]
    else:
        return None
    at = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] != "status":
        at, rest = rest[1], rest[2:]
    kind = by_path(version, rest[0])
    if kind is None:
        raise NotFoundError("the server could not find the requested resource")
    name = rest[1] if len(rest) > 1 else ""
    sub = rest[2] if len(rest) > 2 else ""
    if sub and sub not in kind.subresources:
        raise NotFoundError("the server could not find the requested resource")
    return _Target(kind, at, name, sub)


# --- discovery -------------------------------------------------------------------------------------------------------


def _root(path: str) -> Response:
    match path:
        case "/api":
            return json_response({"kind": "APIVersions", "versions": ["v1"]})
        case "/apis":
            groups = sorted({kind.api_version for kind in RESOURCES if kind.group})
            return json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(v) for v in groups]})
        case "/version":
            return json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.0+netproxy", "platform": "linux"})
        case _:
            return Response(200, b"ok", "text/plain")


def _group(version: str) -> dict[str, Any]:
    group, _, short = version.partition("/")
    entry = {"groupVersion": version, "version": short}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _discovery(path: str) -> Response | None:
    version = path.strip("/").removeprefix("apis/").removeprefix("api/")
    kinds = [kind for kind in RESOURCES if kind.api_version == version]
    if not kinds:
        return None
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    resources = [
        {
            "name": k.plural,
            "singularName": k.singular,
            "namespaced": k.namespaced,
            "kind": k.kind,
            "verbs": verbs,
            "shortNames": list(k.short),
        }
        for k in kinds
    ]
    resources += [
        {
            "name": f"{k.plural}/{sub}",
            "singularName": "",
            "namespaced": k.namespaced,
            "kind": k.kind,
            "verbs": ["get", "patch", "update"],
        }
        for k in kinds
        for sub in k.subresources
    ]
    return json_response(
        {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
    )
