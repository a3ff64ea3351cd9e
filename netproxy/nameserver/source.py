"""Where the objects come from: what the name server needs of them, and a client's cache that gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

from netproxy.client.cache import Cache, Event
from netproxy.client.http import HttpApi
from netproxy.client.port import EVERYTHING
from netproxy.linux.clock import SystemClock
from netproxy.nameserver.loops import TICK_S, Beat
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object

LONGEST_PAUSE_S = 1.0
"""The API is a process of this host: it may be asked often whether it is back."""
ANSWER_S = 10.0


class Source(Protocol):
    """The objects that a zone is made of, kept up to date."""

    @property
    def synced(self) -> bool:
        """Whether everything has been seen once."""
        ...

    def objects(self) -> tuple[int, Mapping[Resource, Sequence[Object]]]:
        """A number that grows with each change, and all objects by resource as they are at that moment."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call CHANGED after each change, from any thread."""
        ...


class Cached:
    """Objects from the API behind a Unix socket. The cache lives in the loop of `work`; others ask that loop."""

    def __init__(self, path: str, wanted: Iterable[Resource]) -> None:
        self._path = Path(path)
        self._wanted = tuple(wanted)
        self._whole: tuple[asyncio.AbstractEventLoop, Cache] | None = None
        self._version = 0
        self._changed: list[Callable[[], None]] = []

    @property
    def synced(self) -> bool:
        """Whether everything has been seen once."""
        return self._whole is not None

    def objects(self) -> tuple[int, Mapping[Resource, Sequence[Object]]]:
        """A number that grows with each change, and all objects by resource. Raises TimeoutError, RuntimeError."""
        assert self._whole, "asked before it was synced"
        loop, cache = self._whole
        copying = self._copied(cache)
        try:
            return asyncio.run_coroutine_threadsafe(copying, loop).result(ANSWER_S)
        except RuntimeError:  # that loop has ended: the next one will tell
            copying.close()
            raise

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call CHANGED after each change, from the thread of the loop."""
        self._changed.append(changed)

    def work(self, beat: Beat) -> None:
        """Follow the API for ever. When it is away, what is known goes on being answered."""
        asyncio.run(self._follow(beat))

    async def _follow(self, beat: Beat) -> None:
        clock, random = SystemClock(), Random()
        api = HttpApi.on_socket(self._path, clock=clock, random=random)
        cache = Cache(api, dict.fromkeys(self._wanted, EVERYTHING), clock=clock, random=random, most_s=LONGEST_PAUSE_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(cache.run())
            group.create_task(_turning(beat))
            await cache.synced()
            self._whole = asyncio.get_running_loop(), cache
            cache.subscribe(self._news)
            self._news()

    async def _copied(self, cache: Cache) -> tuple[int, Mapping[Resource, Sequence[Object]]]:
        return self._version, {resource: tuple(cache.all(resource)) for resource in self._wanted}

    def _news(self, _: Event | None = None) -> None:
        self._version += 1
        for changed in self._changed:
            changed()


async def _turning(beat: Beat) -> None:
    while True:
        beat.turns += 1
        await asyncio.sleep(TICK_S)
