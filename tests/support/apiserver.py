"""An API server of the tests' own over HTTP: strict as the real one, and it misbehaves on command."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from aiohttp import web

from netproxy.client.port import INITIAL, Selector
from netproxy.core.errors import AlreadyExistsError, ConflictError, ExpiredError, NetproxyError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource, by_path
from support.etcd import Etcd, watched

REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
           422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}  # fmt: skip


def status(code: int, message: str, reason: str = "", **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason or REASONS.get(code, ""), "code": code, "details": details}  # fmt: skip


class RefusedError(Exception):
    """An answer that is a failure."""

    def __init__(self, response: web.Response) -> None:
        self.response = response


def refused(
    code: int, message: str, reason: str = "", headers: dict[str, str] | None = None, **details: Any
) -> RefusedError:
    """A failure as a Status says it."""
    return RefusedError(web.json_response(status(code, message, reason, **details), status=code, headers=headers or {}))


class ApiServer:
    """Serves a Etcd.

    `faults[verb]` is what the next requests of a verb (get, list, watch, create, …) meet, one each; "" is none:
    a number (that status), `(429, "7")` (that status with Retry-After), "hang" (no answer), "cut" (the connection ends),
    and in a watch "half a line", "garbage", "an unknown type", "error 410", "error 500", each after what there was to tell.
    """

    def __init__(self, world: Etcd) -> None:
        self.world = world
        self.faults: dict[str, deque] = defaultdict(deque)
        self.asked: list[str] = []
        self.requests: list[web.BaseRequest] = []
        self.initial_events: int = 200
        """200: it sends them; 422 or 400: it refuses; 0: it does not know of them (no end is told)."""
        self.tokens: set[str] = set()
        """The bearer tokens that are good; all requests are, when there are none."""
        self.piece = 1 << 20
        """How many bytes of a watch are written at once."""
        self.hanging = asyncio.Event()
        self._pages: dict[str, tuple[int, list]] = {}
        self._numbers = itertools.count()
        self._runner: web.AppRunner | None = None
        self.port = 0

    # --- start and stop

    async def start(self, *, path: Path | None = None, tls: ssl.SSLContext | None = None, middlewares: Any = ()) -> str:
        """Listen on a Unix socket or on a port of 127.0.0.1 (the same one again after `stop`); the URL."""
        app = web.Application(client_max_size=64 << 20, middlewares=middlewares)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        if path:
            await web.UnixSite(self._runner, str(path)).start()
            return str(path)
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        return f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """End, with all connections."""
        if self._runner:
            await self._runner.cleanup()

    # --- answers

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert "protobuf" not in request.headers.get("Accept", ""), "only JSON is asked for"
        self.requests.append(request)
        try:
            self._check_token(request)
            resource, at, subresource = target(request.path)
            verb = verb_of(request, at)
            self.asked.append(f"{verb} {request.path_qs}")
            fault = await self._fault(request, verb)
            if verb == "watch":
                return await self._watch(request, resource, at.namespace, fault)
            body = await request.json() if request.can_read_body else None
            return web.json_response(getattr(self, f"_{verb}")(request, resource, at, body, subresource))
        except RefusedError as error:
            return error.response
        except NetproxyError as error:
            return web.json_response(_status_of(error), status=_status_of(error)["code"])

    def _check_token(self, request: web.Request) -> None:
        if self.tokens and request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise refused(401, "Unauthorized")

    async def _fault(self, request: web.Request, verb: str) -> Any:
        fault = self.faults[verb].popleft() if self.faults[verb] else ""
        match fault:
            case "hang":
                await self.hanging.wait()
            case "cut":
                request.transport.abort()
            case int():
                raise refused(fault, "on command")
            case (code, after):
                raise refused(code, "on command", headers={"Retry-After": after})
            case bytes():
                raise RefusedError(web.Response(body=fault))
            case "text":
                raise RefusedError(web.Response(status=502, text="<html>bad gateway</html>"))
        return fault

    def _get(self, request: web.Request, resource: Resource, at: NamespacedName, body: Any, subresource: str) -> Any:
        try:
            return self.world.objects[resource, at]
        except KeyError:
            raise NotFoundError(f'{resource.group_resource} "{at.name}" not found') from None

    def _list(self, request: web.Request, resource: Resource, at: NamespacedName, body: Any, subresource: str) -> Any:
        query, token = request.query, request.query.get("continue", "")
        if token:
            version, objects = self._pages[token]
            if version < self.world.oldest:
                raise refused(410, "The provided continue parameter is too old", "Expired")
        else:
            version, objects = self.world.version, self.world.listed(resource, selector_of(query, at.namespace))
        limit = int(query.get("limit", 0)) or len(objects)
        page, rest = objects[:limit], objects[limit:]
        meta: dict[str, Any] = {"resourceVersion": str(version)}
        if rest:
            meta |= {"continue": f"token-{next(self._numbers)}", "remainingItemCount": len(rest)}
            self._pages[meta["continue"]] = (version, rest)
        items = [
            {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")} for obj in page
        ]  # as the real one does
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": items}

    def _create(self, request: web.Request, resource: Resource, at: NamespacedName, body: Any, subresource: str) -> Any:
        if subresource == "binding":
            return self._bound(self._get(request, resource, at, None, ""), body)
        at = at._replace(name=body["metadata"]["name"])
        if (resource, at) in self.world.objects:
            raise AlreadyExistsError(f'{resource.group_resource} "{at.name}" already exists')
        return self.world.put({**body, "metadata": {**body["metadata"], "namespace": at.namespace}})

    def _bound(self, pod: Any, body: Any) -> Any:
        if pod["spec"].get("nodeName"):
            raise ConflictError(
                f'Operation cannot be fulfilled on pods/binding "{pod["metadata"]["name"]}": it has a node'
            )
        self.world.put({**pod, "spec": {**pod["spec"], "nodeName": body["target"]["name"]}})
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _replace(
        self, request: web.Request, resource: Resource, at: NamespacedName, body: Any, subresource: str
    ) -> Any:
        old = self._get(request, resource, at, None, "")
        given = body["metadata"].get("resourceVersion")
        if given and given != old["metadata"]["resourceVersion"]:
            raise ConflictError(
                f'Operation cannot be fulfilled on {resource.group_resource} "{at.name}": it was modified'
            )
        match subresource:
            case "status":
                return self.world.put({**old, "status": body.get("status")})
            case "finalize":
                return self.world.put({**old, "spec": {**old["spec"], "finalizers": body["spec"]["finalizers"]}})
            case _:
                return self.world.put({**body, "status": old.get("status")})

    def _patch(self, request: web.Request, resource: Resource, at: NamespacedName, body: Any, subresource: str) -> Any:
        if request.content_type != "application/merge-patch+json":
            raise refused(415, "the body of the request was in an unknown format", "UnsupportedMediaType")
        return self.world.put(merged(self._get(request, resource, at, None, ""), body))

    def _delete(self, request: web.Request, resource: Resource, at: NamespacedName, body: Any, subresource: str) -> Any:
        old = self._get(request, resource, at, None, "")
        wanted = ((body or {}).get("preconditions") or {}).get("uid")
        if wanted and wanted != old["metadata"]["uid"]:
            raise ConflictError("the UID in the precondition does not match the UID in record")
        self.world.remove(resource, at)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"options": body}}

    # --- watches

    async def _watch(self, request: web.Request, resource: Resource, namespace: str, fault: Any) -> web.StreamResponse:
        query = request.query
        version, selector = query.get("resourceVersion", ""), selector_of(query, namespace)
        assert query["allowWatchBookmarks"] == "true", "bookmarks are asked for"
        assert 300 <= int(query["timeoutSeconds"]) <= 600, "the end of a watch is spread over minutes"
        initial = query.get("sendInitialEvents") == "true"
        if initial:
            assert query["resourceVersionMatch"] == "NotOlderThan"
            assert not version
            self._check_initial()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        stream = watched(self.world, resource, INITIAL if initial else version, selector, opening=False)
        try:
            await self._stream(response, stream, fault, "" if initial and not self.initial_events else "end")
        except ExpiredError as error:  # as the real one: a whole answer of 200 with an event in it
            await self._write(response, {"type": "ERROR", "object": status(410, str(error), "Expired")})
        except ConnectionResetError:
            pass
        finally:
            await stream.aclose()
        return response

    def _check_initial(self) -> None:
        if self.initial_events in (400, 422):
            cause = {"reason": "FieldValueForbidden", "field": "sendInitialEvents",
                     "message": "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"}  # fmt: skip
            raise refused(self.initial_events, "ListOptions.meta.k8s.io is invalid", causes=[cause])

    async def _stream(self, response: web.StreamResponse, stream: Any, fault: Any, end: str) -> None:
        if fault:
            await self._misbehave(response, fault)
            return
        async for event in stream:
            if event.type == "BOOKMARK" and event.obj["metadata"].get("annotations") and not end:
                continue
            await self._write(response, {"type": event.type, "object": event.obj})

    async def _misbehave(self, response: web.StreamResponse, fault: str) -> None:
        match fault:
            case "half a line":
                await response.write(b'{"type":"ADDED","object":{"kind":"Service","metadata":{"na')
                response._req.transport.abort()
            case "garbage":
                await response.write(b"}{ what?\n")
            case "an unknown type":
                await self._write(response, {"type": "RENAMED", "object": {}})
            case "error 410":
                await self._write(
                    response, {"type": "ERROR", "object": status(410, "too old resource version", "Expired")}
                )
            case "error 500":
                await self._write(response, {"type": "ERROR", "object": status(500, "etcd has no leader")})
            case _:
                raise AssertionError(fault)

    async def _write(self, response: web.StreamResponse, event: dict[str, Any]) -> None:
        data = json.dumps(event).encode() + b"\n"
        for start in range(0, len(data), self.piece):
            await response.write(data[start : start + self.piece])


def target(path: str) -> tuple[Resource, NamespacedName, str]:
    """Resource, namespace and name, subresource of a path. Raises RefusedError."""
    parts = path.strip("/").split("/")
    version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = by_path(version, rest[0])
    if resource is None:
        raise refused(404, "the server could not find the requested resource")
    name, subresource = (*rest[1:], "", "")[:2]
    return resource, NamespacedName(namespace, name), subresource


def verb_of(request: web.Request, at: NamespacedName) -> str:
    if request.method == "GET":
        return "get" if at.name else "watch" if request.query.get("watch") == "true" else "list"
    return {"POST": "create", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}[request.method]


def selector_of(query: Any, namespace: str) -> Selector:
    return Selector(namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""))


def _status_of(error: NetproxyError) -> dict[str, Any]:
    codes: list[tuple[type, int, str]] = [(NotFoundError, 404, ""), (AlreadyExistsError, 409, "AlreadyExists"),
                                          (ExpiredError, 410, ""), (ConflictError, 409, "")]  # fmt: skip
    return next(
        (status(code, str(error), reason) for kind, code, reason in codes if isinstance(error, kind)),
        status(500, str(error)),
    )


def merged(value, change):
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(value, dict) or not isinstance(change, dict):
        return change
    both = {**value, **{field: merged(value.get(field), part) for field, part in change.items()}}
    return {field: part for field, part in both.items() if change.get(field, part) is not None}
