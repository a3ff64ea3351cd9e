"""Watches on sockets: frames as chunks of HTTP, or as messages of a WebSocket.

Source: kubernetes apiserver pkg/endpoints/handlers/watch.go (HandleHTTP, HandleWS).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from netproxy.apiserver.watch import Frame, Teller, Watch, failed, fell_behind
from netproxy.core.errors import NetproxyError
from netproxy.store.store import Event, Store

log = logging.getLogger(__name__)

BATCH = 256
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
    pace_s: float = 0.02
    """How long events are gathered for those who have just been told some: many small writes cost more than few large ones."""
    share: float = 0.4
    """How much of the time is spent on telling watchers, at most."""


LIMITS = Limits()


class Rounds:
    """When watchers are told: at once when little happens, else together and so seldom that others have their turns."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._next: asyncio.Event | None = None
        self._not_before = 0.0

    async def turn(self) -> None:
        """Wait for the next round."""
        if self._next is None:
            self._next = asyncio.Event()
            asyncio.get_running_loop().call_at(self._not_before, self._begin)
        await self._next.wait()

    def _begin(self) -> None:
        begun, self._next = self._next, None
        if begun is not None:
            begun.set()
        loop = asyncio.get_running_loop()
        loop.call_soon(self._ended, loop.time())  # after those who wait have had their turn

    def _ended(self, begun: float) -> None:
        now = asyncio.get_running_loop().time()
        self._not_before = now + max(self._limits.pace_s, (now - begun) * (1 / self._limits.share - 1))


async def stream(
    request: web.Request, tells: Teller, store: Store, limits: Limits, rounds: Rounds
) -> web.StreamResponse:  # fmt: skip
    """Write frames until the watch's time is over, the client has gone, or it cannot go on."""
    waiting = _Waiting(tells, store, limits, request, rounds)
    try:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _messages(request, waiting, tells.watch)
        return await _chunks(request, waiting, tells.watch)
    finally:
        waiting.close()


async def _chunks(request: web.Request, waiting: _Waiting, watch: Watch) -> web.StreamResponse:
    response = web.StreamResponse(headers=CIMultiDict((("Content-Type", "application/json"), *watch.headers)))
    response.enable_chunked_encoding()
    if await _written(response.prepare(request), waiting, response.write, watch):
        await response.write_eof()
    return response


async def _messages(request: web.Request, waiting: _Waiting, watch: Watch) -> web.StreamResponse:
    """One message for each frame; what the client says is not listened to, but that it goes."""
    response = web.WebSocketResponse()

    async def send(frames: bytes) -> None:
        for frame in frames.splitlines():
            await response.send_str(frame.decode())

    async def until_gone() -> None:
        async for message in response:
            if message.type is WSMsgType.ERROR:
                break
        waiting.leave()

    await response.prepare(request)
    gone = asyncio.ensure_future(until_gone())
    try:
        await _written(asyncio.sleep(0), waiting, send, watch)
        await response.close()
    finally:
        gone.cancel()
    return response


async def _written(
    begun: Awaitable[object], waiting: _Waiting, write: Callable[[bytes], Awaitable[object]], watch: Watch
) -> bool:
    """Write all frames; whether the answer is to be ended in good order."""
    try:
        await begun
        async with asyncio.timeout(watch.timeout_s):
            async for frames in waiting.frames():
                await write(frames)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    except Exception:  # the answer has begun: all that can be said is that it ends
        log.exception("watch of %s", watch.resource.plural)
        return False
    return True


class _Waiting:
    """What a watcher has still to be told: bounded, so that one who does not read costs little, and not for ever."""

    def __init__(self, tells: Teller, store: Store, limits: Limits, request: web.Request, rounds: Rounds) -> None:
        self._tells = tells
        self._rounds = rounds
        self._store = store
        self._limits = limits
        self._request = request
        self._stored = tells.watch.resource.stored
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._woken = asyncio.Event()
        self._fell_behind: asyncio.TimerHandle | None = None
        self._has_left = False
        self._bookmark_is_due = False
        self._timer = self._wound()
        self._first: Iterator[Frame] = iter(())
        self._refused: NetproxyError | None = None
        self._end = store.subscribe(self._hear)
        try:
            self._first = tells.first(store)  # in the same moment, so that nothing is told twice or missed
        except NetproxyError as error:
            self._refused = error

    def _hear(self, event: Event) -> None:
        if event.resource.stored != self._stored or self._fell_behind:
            return
        self._events.append(event)
        self._woken.set()
        if len(self._events) > self._limits.behind:
            self._fell_behind = self._loop.call_later(self._limits.patience_s, self._abort)

    def _abort(self) -> None:
        if self._request.transport:
            self._request.transport.abort()

    def leave(self) -> None:
        """The watcher has gone."""
        self._has_left = True
        self._woken.set()

    async def frames(self) -> AsyncIterator[Frame]:
        """Batches of frames; ends with an ERROR frame when the watch cannot go on."""
        if self._refused:
            yield failed(self._refused)
            return
        async for batch in _batches(self._first):
            yield batch
        while not self._fell_behind and not self._has_left:
            frame = await self._next()
            if frame:
                yield frame
        if self._fell_behind:
            yield failed(fell_behind(self._store.version))

    async def _next(self) -> Frame:
        await self._woken.wait()
        if self._events:
            await self._rounds.turn()
        told, events, version = self._tells.told, self._events, self._store.version
        frames: list[Frame] = []
        while events and len(frames) < BATCH:
            event = events.popleft()
            version = event.version
            frames.append(told(event) or b"")
        if not events:
            self._woken.clear()
        if self._bookmark_is_due:
            frames.append(self._bookmark(version))
        return b"".join(frames)

    def _bookmark(self, version: int) -> Frame:
        self._bookmark_is_due = False
        self._timer = self._wound()
        return self._tells.bookmark(version) if self._tells.watch.bookmarks else b""

    def _wound(self) -> asyncio.TimerHandle:
        return self._loop.call_later(self._limits.bookmark_s, self._ring)

    def _ring(self) -> None:
        self._bookmark_is_due = True
        self._woken.set()

    def close(self) -> None:
        """Hear no more."""
        self._end()
        self._timer.cancel()
        if self._fell_behind:
            self._fell_behind.cancel()


async def _batches(frames: Iterator[Frame]) -> AsyncIterator[Frame]:
    while batch := b"".join(islice(frames, BATCH)):
        yield batch
        await asyncio.sleep(0)
