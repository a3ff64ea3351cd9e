"""What a container writes, from now on, for somebody who attaches to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from netproxy.kubelet.extract import Wanted
from netproxy.objects.meta import Object

if TYPE_CHECKING:
    from netproxy.kubelet.loop import Kubelet


class Attached:
    """The output of a container that runs. What is written to it goes nowhere: containers have no input."""

    outputs = 1

    def __init__(self, kubelet: Kubelet, pod: Object, container: str) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """0 when the container has ended: how it ended is told by its Pod."""
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(64)
        wanted = Wanted(follow=True, tail=0)
        self._task = asyncio.ensure_future(self._follow(kubelet.log(pod, container, wanted, previous=False)))

    async def _follow(self, log: AsyncIterator[bytes]) -> None:
        async with aclosing(log) as pieces:  # type: ignore[type-var]  # every generator can be closed
            async for piece in pieces:
                await self._pieces.put(piece)
        await self._pieces.put(b"")
        if not self.status.done():
            self.status.set_result(0)

    async def read(self, output: int) -> bytes:
        """What it writes next; empty when it has ended."""
        del output
        return await self._pieces.get()

    async def write(self, data: bytes) -> bool:
        """Nobody reads it."""
        del data
        return True

    def close_input(self) -> None:
        """Nobody reads it."""

    def resize(self, columns: int, rows: int) -> None:
        """There is no terminal."""

    async def end(self) -> None:
        """Follow it no more; the container goes on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
