"""Path and verb → what to ask of the registry. Pure: a Request in, a Response (or a Watch to be streamed) out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from netproxy.apiserver.fields import integer
from netproxy.apiserver.options import (
    check_list,
    check_selection,
    check_watch,
    delete_options,
    version_of,
    write_options,
)
from netproxy.apiserver.pages import page
from netproxy.apiserver.paths import UNKNOWN, Target, target_of
from netproxy.apiserver.request import Request, Response, Watch, json_response
from netproxy.apiserver.status import bad_request, status, status_of, success, warning
from netproxy.apiserver.tables import table
from netproxy.core.clock import Clock
from netproxy.core.errors import ApiError, ManifestError, NetproxyError
from netproxy.objects.kinds import PODS, RESOURCES, SERVICES
from netproxy.objects.meta import Object, is_deleting, key, labels, name
from netproxy.objects.selector import Selector, field_filter, matches, parse_selector
from netproxy.registry.convert import in_version
from netproxy.registry.deletion import is_over
from netproxy.registry.given import check_name
from netproxy.registry.registry import Registry

log = logging.getLogger(__name__)

SHOWN_WHEN_DELETED = (PODS, SERVICES)
"""Resources of which a deletion answers the object, not only that it is gone."""


class Api:
    """Serves one registry."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._store = registry.store
        self._clock = clock

    def handle(self, request: Request) -> Response | Watch:
        """Answer a request; errors, ours too, become Status objects."""
        target: Target | None = None
        try:
            found = page(request, RESOURCES)
            if found:
                return found
            target = target_of(request.path.rstrip("/"))
            if target is None:
                return status(404, "NotFound", UNKNOWN, {})
            return self._serve(request, target)
        except NetproxyError as error:
            known = target.resource if target else None
            return status_of(error, known, _name(request, target) if target else "")
        except Exception as error:  # a fault of ours in one request ends no other
            log.exception("%s %s", request.method, request.path)
            return status_of(error)

    def _serve(self, request: Request, target: Target) -> Response | Watch:
        match request.method, bool(target.name), target.subresource:
            case "GET", True, "" if request.flag("watch") or target.is_watch:
                return _watch(request, target)
            case "GET", True, "" | "status":
                return self._shown(request, target, [self._store.get(target.resource, target.key)], single=True)
            case "GET", False, _:
                return (
                    _watch(request, target)
                    if request.flag("watch") or target.is_watch
                    else self._listed(request, target)
                )
            case "POST", False, _:
                return self._created(request, target)
            case "POST", True, "binding":
                return self._bound(request, target)
            case ("PUT", True, "") | ("PUT", True, "status") | ("PUT", True, "finalize"):
                return self._replaced(request, target)
            case ("PATCH", True, "") | ("PATCH", True, "status"):
                return self._patched(request, target)
            case "DELETE", True, "":
                return self._deleted(request, target)
            case "DELETE", False, _:
                return self._collection_deleted(request, target)
            case _:
                return status(
                    405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
                )

    # --- reading

    def _listed(self, request: Request, target: Target) -> Response:
        check_list(request, target.resource)
        self._check_version(version_of(request.query.get("resourceVersion", "")))
        found = (in_version(obj, target.resource) for obj in self._store.list(target.resource, target.namespace))
        return self._shown(request, target, selected(found, request.query), single=False)

    def _check_version(self, version: int) -> None:
        if version > self._store.version:
            raise too_large(version, self._store.version)

    def _shown(self, request: Request, target: Target, objects: list[Object], *, single: bool) -> Response:
        resource, version = target.resource, self._store.version
        if request.wants_table:
            return json_response(table(resource.kind, objects, self._clock.now(), version))
        if single:
            return json_response(in_version(objects[0], resource))
        return json_response({
            "kind": f"{resource.kind}List", "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(version)}, "items": objects,
        })  # fmt: skip

    # --- writing

    def _created(self, request: Request, target: Target) -> Response:
        warned: list[str] = []
        options = write_options(request, warned.append)
        return _written(self._registry.create(_typed(request, target), options), warned, 201)

    def _bound(self, request: Request, target: Target) -> Response:
        wanted = _object(request, target.resource.kind).get("target")
        node = wanted.get("name") if isinstance(wanted, dict) else None
        if not node or not isinstance(node, str):
            raise bad_request("target.name: Required value")
        warned: list[str] = []
        self._registry.bind(target.key, node, write_options(request, warned.append))
        return json_response(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
        )

    def _replaced(self, request: Request, target: Target) -> Response:
        obj = _typed(request, target)
        check_name(obj, target.key)
        write = {
            "": self._registry.replace,
            "status": self._registry.replace_status,
            "finalize": self._registry.finalize,
        }
        warned: list[str] = []
        return _written(write[target.subresource](obj, write_options(request, warned.append)), warned)

    def _patched(self, request: Request, target: Target) -> Response:
        body = _json(request.body, "error decoding patch: {}")
        warned: list[str] = []
        options = write_options(request, warned.append)
        obj = self._registry.patch(
            target.resource, target.key, body, request.content_type, options, subresource=target.subresource
        )
        return _written(obj, warned)

    def _deleted(self, request: Request, target: Target) -> Response:
        obj = self._registry.delete(target.resource, target.key, *delete_options(request))
        is_held = self._registry.strategy(target.resource).is_held(obj) or not is_over(obj)
        if target.resource in SHOWN_WHEN_DELETED or (is_deleting(obj) and is_held):
            return json_response(obj)
        return success(target.resource, obj)

    def _collection_deleted(self, request: Request, target: Target) -> Response:
        check_selection(request, target.resource)
        wanted = delete_options(request)
        there = (in_version(obj, target.resource) for obj in self._store.list(target.resource, target.namespace))
        gone = [self._registry.delete(target.resource, key(obj), *wanted) for obj in selected(there, request.query)]
        return self._shown(request, target, gone, single=False)


def selected(objects: Iterable[Object], query: Mapping[str, str]) -> list[Object]:
    """Those that the query's labelSelector and fieldSelector pick."""
    terms = _terms(query)
    by_field = field_filter(query.get("fieldSelector", ""))
    return [obj for obj in objects if matches(terms, labels(obj)) and by_field(obj)]


def _terms(query: Mapping[str, str]) -> Selector:
    try:
        return parse_selector(query.get("labelSelector", ""))
    except ManifestError as error:
        raise bad_request(f"unable to parse requirement: {error.problems[0].message}") from error


def too_large(version: int, current: int) -> NetproxyError:
    """The version asked for is still to come."""
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {version}, current: {current}")


def _written(obj: Object, warned: list[str], code: int = 200) -> Response:
    """What the writer of an object gets, with what it was warned of."""
    return json_response(obj, code, tuple(("Warning", warning(text)) for text in dict.fromkeys(warned)))


# --- what a request brings


def _json(body: bytes, what: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(what.format(error)) from error


def _object(request: Request, kind: str) -> Object:
    what = (
        f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: "
    )
    obj = _json(request.body, what + "{}")
    if not isinstance(obj, dict):
        raise bad_request(what + f"it is no object ({request.body[:100].decode(errors='replace')})")
    return obj


def _typed(request: Request, target: Target) -> Object:
    """The body, which is of the kind and in the namespace that the path says."""
    resource = target.resource
    obj = _object(request, resource.kind)
    version, kind = obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind
    if kind != resource.kind:
        short = str(version).rpartition("/")[2]
        raise bad_request(f'{kind} in version "{short}" cannot be handled as a {resource.kind}: it is of another kind')
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    obj = {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
    meta = obj.get("metadata") or {}
    if not resource.namespaced or not isinstance(meta, dict):
        return obj
    given = meta.get("namespace") or target.namespace or "default"
    if target.namespace and given != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    return {**obj, "metadata": {**meta, "namespace": given}}


def _name(request: Request, target: Target) -> str:
    """The name of the object that a request is about: of its path, or of its body."""
    if target.name or request.method != "POST":
        return target.name
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return ""
    return name(body) if isinstance(body, dict) else ""


def _watch(request: Request, target: Target) -> Watch:
    check_watch(request, target.resource)
    query = request.query
    _terms(query)
    version = version_of(query.get("resourceVersion", ""))
    wants_initial, limit = query.get("sendInitialEvents"), integer(query.get("timeoutSeconds", "0"))
    fields = ",".join(
        filter(None, (query.get("fieldSelector", ""), f"metadata.name={target.name}" if target.name else ""))
    )
    bookmarks = request.flag("allowWatchBookmarks")
    asked = request.flag("sendInitialEvents")
    return Watch(
        target.resource, version, target.namespace, query.get("labelSelector", ""), fields, table=request.wants_table,
        initial=asked or (version == 0 and wants_initial is None), bookmarks=bookmarks, marks_initial=asked and bookmarks,
        timeout_s=float(limit) if 0 < limit < 1e9 else None,
    )  # fmt: skip
