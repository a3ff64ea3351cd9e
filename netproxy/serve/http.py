"""HTTP over a Unix socket for the API: requests to values, values to answers, watches as streams of frames."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
from aiohttp import web

from netproxy.apiserver.request import Request, Response, Watch
from netproxy.apiserver.routes import Api, selected
from netproxy.apiserver.status import status_of
from netproxy.apiserver.tables import table
from netproxy.core.clock import Clock
from netproxy.core.errors import NetproxyError
from netproxy.objects.meta import Object, namespace
from netproxy.serve.who import authenticated, is_local
from netproxy.store.store import Event, Store

Extra = Callable[[Request], Awaitable[Response]]
"""What the agent serves beside the Kubernetes API, below /netproxy/."""

MAX_BODY = 256 << 20


async def serve(path: Path, api: Api, store: Store, clock: Clock, extra: Extra) -> web.AppRunner:
    """Listen on a Unix socket that only its owner can open; returns what ends it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = Request(
            request.method, request.path, dict(request.query), await request.read(),
            request.headers.get("Content-Type", ""), request.headers.get("Accept", ""),
        )  # fmt: skip
        if asked.path.startswith("/netproxy/") and is_local(request):
            try:
                return _whole(await extra(asked))
            except NetproxyError as error:
                return _whole(status_of(error))
        result = api.handle(asked)
        if isinstance(result, Watch):
            return await _stream(request, result, store, clock)
        return _whole(result)

    app = web.Application(client_max_size=MAX_BODY, middlewares=[authenticated])
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    path.chmod(0o600)
    return runner


def _whole(response: Response) -> web.Response:
    return web.Response(status=response.status, body=response.body, content_type=response.content_type)


async def _stream(request: web.Request, watch: Watch, store: Store, clock: Clock) -> web.StreamResponse:
    queue: asyncio.Queue[Event] = asyncio.Queue()
    end = store.subscribe(
        lambda event: queue.put_nowait(event) if event.resource.stored == watch.resource.stored else None
    )
    try:
        past = [] if watch.initial_events else store.since(watch.version)
        initial = list(store.list(watch.resource, watch.namespace)) if watch.initial_events else []
        version = store.version
    except NetproxyError as error:
        end()
        return _whole(status_of(error))
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        for obj in initial:
            await _send(response, watch, "ADDED", obj, clock, version)
        if watch.initial_events:
            await response.write(_bookmark(watch, version, initial=True))
        for event in past:
            await _send_event(response, watch, event, clock)
        async with asyncio.timeout(watch.timeout_s):
            while True:
                await _send_event(response, watch, await queue.get(), clock)
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        end()
    return response


async def _send_event(response: web.StreamResponse, watch: Watch, event: Event, clock: Clock) -> None:
    if event.resource.stored != watch.resource.stored or (watch.namespace and namespace(event.obj) != watch.namespace):
        return
    now, before = _picked(watch, event.obj), event.old is not None and _picked(watch, event.old)
    kind = event.type
    if kind == "MODIFIED" and now is not before:
        kind = "ADDED" if now else "DELETED"
    if now or before:
        await _send(response, watch, kind, event.obj, clock, event.version)


def _picked(watch: Watch, obj: Object) -> bool:
    return bool(selected([obj], {"labelSelector": watch.label_selector, "fieldSelector": watch.field_selector}))


async def _send(response: web.StreamResponse, watch: Watch, kind: str, obj: Object, clock: Clock, version: int) -> None:
    if not _picked(watch, obj) and kind != "DELETED":
        return
    shown = table(watch.resource.kind, [obj], clock.now(), version) if watch.table else obj
    await response.write(orjson.dumps({"type": kind, "object": shown}) + b"\n")


def _bookmark(watch: Watch, version: int, *, initial: bool) -> bytes:
    marks = {"k8s.io/initial-events-end": "true"} if initial else {}
    obj = {
        "kind": watch.resource.kind,
        "apiVersion": watch.resource.api_version,
        "metadata": {"resourceVersion": str(version), "annotations": marks},
    }
    return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"
