"""Following one resource of an API: list, watch, and what to do when it stops telling."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from netproxy.client.port import INITIAL, Api, Selector, WatchEvent
from netproxy.client.shelf import Shelf, is_older
from netproxy.client.supervise import STEADY_S, Backoff, Pause, supervised
from netproxy.core.clock import Clock
from netproxy.core.errors import ExpiredError, NetproxyError, UnavailableError, UnsupportedError
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Event
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import INITIAL_EVENTS_END, Object, annotations_of, key, metadata

log = logging.getLogger(__name__)

SHORT_S = 1.0
"""A watch that ends sooner and tells nothing was none: the next one waits."""


Kept = Callable[[Object], Object]


def whole(obj: Object) -> Object:
    """All of an object."""
    return obj


@dataclass(frozen=True, slots=True)
class State:
    """How well one resource is known.

    `is_stale`: the API does not tell at the moment, so what is known may be old. `last_seen`: when it told last, in seconds
    since the epoch (0: never). `last_error`: why it does not tell; empty when it does.
    """

    is_synced: bool
    is_stale: bool
    last_seen: float
    last_error: str


class Follower:
    """Keeps a Shelf true. TELL gets what is news, in order; it must not raise."""

    def __init__(
        self, api: Api, resource: Resource, selector: Selector, *, tell: Callable[[Iterable[Event]], None], clock: Clock,
        random: Random, pause: Pause = asyncio.sleep, most_s: float = 30.0, kept: Kept = whole,
    ) -> None:  # fmt: skip
        """KEPT makes of an object what is kept of it; name, uid and version have to stay."""
        self.shelf = Shelf(resource, selector)
        self.synced = asyncio.Event()
        self._moved = asyncio.Event()
        self.is_stale = True
        self._last_seen = 0.0
        self._last_error = ""
        self._api = api
        self._resource = resource
        self._selector = selector
        self._tell = tell
        self._kept = kept
        self._clock = clock
        self._pause = pause
        self._backoff, self._bug_backoff = Backoff(random, most_s=most_s), Backoff(random, most_s=most_s)
        self._must_list = True
        self._by_list = False
        self._progress = False

    def state(self) -> State:
        """How well it is known now."""
        return State(self.synced.is_set(), self.is_stale, self._last_seen, self._last_error)

    async def reached(self, version: int) -> None:
        """Wait until everything up to VERSION has been told."""
        while not (self.shelf.told.isdigit() and int(self.shelf.told) >= version):
            await self._moved.wait()

    async def run(self) -> None:
        """Follow for ever; only cancellation ends it."""
        await supervised(
            f"following {self._resource.plural}", self._follow, clock=self._clock, backoff=self._bug_backoff,
            pause=self._pause, noticed=self._lost,
        )  # fmt: skip

    async def _follow(self) -> None:
        while True:
            began, self._progress = self._clock.monotonic(), False
            wait, asked_s = False, 0.0
            try:
                await self._attempt()
            except UnavailableError as error:
                wait, asked_s = True, error.retry_after_s or 0.0
                self._failed(error)
            except ExpiredError as error:
                self._must_list = True
                log.info("%s: %s; listing again", self._resource.plural, error)
            except NetproxyError as error:
                wait, self._must_list = True, True
                self._failed(error)
            if self._progress or self._clock.monotonic() - began >= STEADY_S:
                self._backoff.reset()
            if wait or not self._progress:
                await self._pause(self._backoff.next(at_least_s=asked_s))

    async def _attempt(self) -> None:
        """One list, when it must be, and one watch until it ends."""
        if self._must_list and not self._by_list:
            self._by_list = True  # should this fail, the next attempt goes the other way
            try:
                await self._watch_from_nothing()
                return
            except UnsupportedError:
                pass
        if self._must_list:
            self._by_list = False
            asked_at = self.shelf.latest
            listing = await self._api.list(self._resource, self._selector)
            self._whole(map(self._kept, listing.items), listing.version, asked_at)
        async with _closing(self._api.watch(self._resource, self.shelf.told, self._selector)) as stream:
            await self._hear(stream)

    async def _watch_from_nothing(self) -> None:
        asked_at = self.shelf.latest
        fresh: dict[NamespacedName, Object] = {}
        async with _closing(self._api.watch(self._resource, INITIAL, self._selector)) as stream:
            async for event in stream:
                if event.type == "DELETED":
                    fresh.pop(key(event.obj), None)
                elif event.type != "BOOKMARK":
                    fresh[key(event.obj)] = self._kept(event.obj)
                elif annotations_of(event.obj).get(INITIAL_EVENTS_END) == "true":
                    self._whole(fresh.values(), _version(event), asked_at)
                    self._by_list = False
                    await self._hear(stream)
                    return
        raise UnavailableError(0, "Incomplete", "the watch ended before it had told everything that is there")

    async def _hear(self, stream: AsyncIterator[WatchEvent]) -> None:
        began, begun = self._clock.monotonic(), False
        async for event in stream:
            if event.type == "BOOKMARK":
                if is_older(_version(event), self.shelf.told):
                    raise ExpiredError(f"the API went back to version {_version(event)}; {self.shelf.told} was known")
                self.shelf.bookmarked(_version(event))
                self._progress = self._progress or begun
            else:
                self._tell(self.shelf.changed(event.type, self._kept(event.obj)))
                self._progress = True
            begun = True
            self._seen()
        if self._clock.monotonic() - began >= SHORT_S:
            self._progress = True

    def _whole(self, items: Iterable[Object], version: str, asked_at: str) -> None:
        self._tell(self.shelf.replaced(items, version, asked_at=asked_at))
        self._must_list = False
        self._seen()
        self.synced.set()

    def _seen(self) -> None:
        self._last_seen = self._clock.now()
        self.is_stale = False
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        if self._last_error:
            log.info("%s: the API tells again", self._resource.plural)
            self._last_error = ""

    def _failed(self, error: NetproxyError) -> None:
        fault = str(error) or type(error).__name__
        level = logging.DEBUG if fault == self._last_error else logging.WARNING
        log.log(level, "%s: the API does not tell: %s", self._resource.plural, fault)
        self._last_error, self.is_stale = fault, True

    def _lost(self, fault: str) -> None:
        """Something unforeseen: what is known may be wrong."""
        self._last_error, self.is_stale, self._must_list = fault, True, True


def _version(event: WatchEvent) -> str:
    return str(metadata(event.obj).get("resourceVersion") or "")


@asynccontextmanager
async def _closing(stream: AsyncIterator[WatchEvent]) -> AsyncIterator[AsyncIterator[WatchEvent]]:
    """The stream; it is closed at the end, so that nobody waits on its connection."""
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
