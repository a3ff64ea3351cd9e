"""HTTP over a Unix socket for the API: requests to values, values to answers, watches as streams of frames."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from netproxy.apiserver.paths import meant
from netproxy.apiserver.request import Request, Response, Watch
from netproxy.apiserver.routes import Api
from netproxy.apiserver.status import status, status_of
from netproxy.apiserver.watch import Frame, Teller, failed, fell_behind, teller
from netproxy.core.clock import Clock
from netproxy.core.errors import NetproxyError
from netproxy.core.user import ANONYMOUS, User
from netproxy.serve.metrics import CONTENT_TYPE, Requests, text
from netproxy.serve.who import TOKEN_USER, authenticated, is_local, user_of
from netproxy.store.store import Event, Store

log = logging.getLogger(__name__)

Extra = Callable[[Request], Awaitable[Response]]
"""What the agent serves beside the Kubernetes API, below /netproxy/."""

MAX_BODY = 256 << 20
BATCH = 128
"""Frames that are written before others have their turn."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a watcher may cost."""

    behind: int = 10_000
    """Events that wait for one that does not read; with one more it is ended, and has to list again."""
    patience_s: float = 5.0
    """How long one that has been ended has to read that."""
    bookmark_s: float = 60.0
    """How often it is told how far it has come, when it asked for that."""


LIMITS = Limits()


async def serve(
    path: Path, api: Api, store: Store, clock: Clock, extra: Extra, *, limits: Limits = LIMITS,
    token_user: Callable[[str], User | None] | None = None,
) -> web.AppRunner:  # fmt: skip
    """Listen on a Unix socket that only its owner can open; returns what ends it. TOKEN_USER: see `who.TOKEN_USER`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await _answer(
                request, api, extra, lambda watch: _Waiting(teller(watch, clock), store, limits, request)
            )
        except web.HTTPRequestEntityTooLarge as error:
            return _whole(status(413, "RequestEntityTooLarge", f"Request entity too large: {error.text}"))
        except NetproxyError as error:
            return _whole(status_of(error))
        except OSError:
            raise  # the client has gone
        except Exception as error:  # a fault of ours in one request ends no other
            log.exception("%s %s", request.method, request.path)
            return _whole(status_of(error))

    app = web.Application(client_max_size=MAX_BODY, middlewares=[authenticated])
    if token_user:
        app[TOKEN_USER] = token_user
    app.router.add_route("*", "/{path:.*}", _counted(answer, store))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    path.chmod(0o600)
    return runner


def _counted(answer: Handler, store: Store) -> Handler:
    """ANSWER, and a count of what was asked, which is the answer of `/metrics`."""
    requests = Requests()

    async def counted(request: web.Request) -> web.StreamResponse:
        begun = time.perf_counter()
        response: web.StreamResponse
        if request.path == "/metrics" and request.method == "GET":
            response = web.Response(body=text(requests, store), headers={"Content-Type": CONTENT_TYPE})
        else:
            response = await answer(request)
        requests.add(request.method, meant(request.path), response.status, time.perf_counter() - begun)
        return response

    return counted


async def _answer(
    request: web.Request, api: Api, extra: Extra, waiting: Callable[[Watch], _Waiting]
) -> web.StreamResponse:  # fmt: skip
    query, headers = request.query, request.headers
    repeated = {name: tuple(query.getall(name)) for name in set(query)} if len(query) != len(set(query)) else {}
    asked = Request(
        request.method, request.path, dict(query), await request.read(), headers.get("Content-Type", ""),
        headers.get("Accept", ""), repeated, user_of(request) or ANONYMOUS, headers.get("User-Agent", ""),
    )  # fmt: skip
    if asked.path.startswith("/netproxy/") and is_local(request):
        return _whole(await extra(asked))
    result = api.handle(asked)
    if isinstance(result, Watch):
        return await _stream(request, result, waiting(result))
    return _whole(result)


def _whole(response: Response) -> web.Response:
    headers = CIMultiDict((("Content-Type", response.content_type), *response.headers))
    return web.Response(status=response.status, body=response.body, headers=headers)


async def _stream(request: web.Request, watch: Watch, waiting: _Waiting) -> web.StreamResponse:
    """Write frames until the watch's time is over, the client has gone, or it cannot go on."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
        async with asyncio.timeout(watch.timeout_s):
            async for frames in waiting.frames():
                await response.write(frames)
        await response.write_eof()
    except (TimeoutError, ConnectionError):
        pass
    except Exception:  # the answer has begun: all that can be said is that it ends
        log.exception("watch of %s", watch.resource.plural)
    finally:
        waiting.close()
    return response


class _Waiting:
    """What a watcher has still to be told: bounded, so that one who does not read costs little, and not for ever."""

    def __init__(self, tells: Teller, store: Store, limits: Limits, request: web.Request) -> None:
        self._tells = tells
        self._store = store
        self._limits = limits
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(limits.behind)
        self._fell_behind: asyncio.TimerHandle | None = None
        self._bookmark_at = self._loop.time() + limits.bookmark_s
        self._first: Iterator[Frame] = iter(())
        self._refused: NetproxyError | None = None
        self._end = store.subscribe(self._hear)
        try:
            self._first = tells.first(store)  # in the same moment, so that nothing is told twice or missed
        except NetproxyError as error:
            self._refused = error

    def _hear(self, event: Event) -> None:
        if event.resource.stored != self._tells.watch.resource.stored or self._fell_behind:
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._fell_behind = self._loop.call_later(self._limits.patience_s, self._abort)

    def _abort(self) -> None:
        if self._request.transport:
            self._request.transport.abort()

    async def frames(self) -> AsyncIterator[Frame]:
        """Batches of frames; ends with an ERROR frame when the watch cannot go on."""
        if self._refused:
            yield failed(self._refused)
            return
        async for batch in _batches(self._first):
            yield batch
        while not self._fell_behind:
            frame = await self._next()
            if frame is not None:
                yield frame
        yield failed(fell_behind(self._store.version))

    async def _next(self) -> Frame | None:
        try:
            async with asyncio.timeout_at(self._bookmark_at):
                event = await self._queue.get()
        except TimeoutError:
            return self._bookmark(self._store.version)
        frames = [self._tells.told(event)]
        while len(frames) < BATCH and not self._queue.empty():
            event = self._queue.get_nowait()
            frames.append(self._tells.told(event))
        if self._loop.time() >= self._bookmark_at:
            frames.append(self._bookmark(event.version))
        return b"".join(filter(None, frames)) or None

    def _bookmark(self, version: int) -> Frame | None:
        self._bookmark_at = self._loop.time() + self._limits.bookmark_s
        return self._tells.bookmark(version) if self._tells.watch.bookmarks else None

    def close(self) -> None:
        """Hear no more."""
        self._end()
        if self._fell_behind:
            self._fell_behind.cancel()


async def _batches(frames: Iterator[Frame]) -> AsyncIterator[Frame]:
    while batch := b"".join(islice(frames, BATCH)):
        yield batch
        await asyncio.sleep(0)
