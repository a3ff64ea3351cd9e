"""Path and verb → what to ask of the registry. Pure: a Request in, a Response (or a Watch to be streamed) out."""

from __future__ import annotations

import logging

from netproxy.apiserver.fields import integer
from netproxy.apiserver.options import (
    check_list,
    check_watch,
    version_of,
)
from netproxy.apiserver.pages import page
from netproxy.apiserver.paths import UNKNOWN, Target, target_of
from netproxy.apiserver.request import Request, Response, Watch, json_response
from netproxy.apiserver.selection import selected, terms
from netproxy.apiserver.status import not_allowed, status, status_of
from netproxy.apiserver.tables import table
from netproxy.apiserver.write import Writer
from netproxy.core.clock import Clock
from netproxy.core.errors import ApiError, NetproxyError
from netproxy.objects.kinds import RESOURCES
from netproxy.objects.meta import Object
from netproxy.registry.convert import in_version
from netproxy.registry.registry import Registry
from netproxy.registry.scale import scale_of

log = logging.getLogger(__name__)


class Api:
    """Serves one registry."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._store = registry.store
        self._clock = clock
        self._writer = Writer(registry)

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
            return status_of(error, target.resource, target.name) if target else status_of(error)
        except Exception as error:  # a fault of ours in one request ends no other
            log.exception("%s %s", request.method, request.path)
            return status_of(error)

    def _serve(self, request: Request, target: Target) -> Response | Watch:
        match request.method, bool(target.name), target.subresource:
            case "GET", True, "" if request.flag("watch") or target.is_watch:
                return _watch(request, target)
            case "GET", True, "scale":
                return json_response(scale_of(self._store.get(target.resource, target.key)))
            case "GET", True, "" | "status" | "ephemeralcontainers" | "resize":
                return self._shown(request, target, [self._store.get(target.resource, target.key)], single=True)
            case "GET", False, "":
                return (
                    _watch(request, target)
                    if request.flag("watch") or target.is_watch
                    else self._listed(request, target)
                )
            case _ if target.is_watch:
                raise not_allowed()
            case _:
                return self._writer.write(request, target)

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


def too_large(version: int, current: int) -> NetproxyError:
    """The version asked for is still to come."""
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {version}, current: {current}")


def _watch(request: Request, target: Target) -> Watch:
    check_watch(request, target.resource)
    query = request.query
    terms(query)
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
