"""What a container writes, from now on, and reads, for somebody who attaches to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from netproxy.kubelet.runtime import Runtime

INTERACTIVE_S = 0.02
"""How often output is looked for: somebody waits for an echo."""


class Attached:
    """A container that runs: its output from now on and, if it has one, its input."""

    outputs = 1

    def __init__(
        self, runtime: Runtime, at: str, container: Mapping[str, Any], log: AsyncIterator[bytes], *, stdin: bool
    ) -> None:  # fmt: skip
        """AT is what the runtime calls it; LOG is what it writes from now on; STDIN: whether somebody writes to it."""
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """0 when the container has ended: how it ended is told by its Pod."""
        self._runtime, self._at = runtime, at
        self._reads = stdin and bool(container.get("stdin"))
        self._reads_once = self._reads and bool(container.get("stdinOnce")) and not container.get("tty")
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(64)
        self._task = asyncio.ensure_future(self._follow(log))

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
        """Give it to read; of a container without input nothing is heard."""
        return not self._reads or await self._runtime.feed(self._at, data)

    def close_input(self) -> None:
        """There is nothing more to read, if the container is to be told that."""
        if self._reads_once:
            self._runtime.close_input(self._at)

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal how large it is."""
        self._runtime.resize(self._at, columns, rows)

    async def end(self) -> None:
        """Follow it no more; the container goes on, without more to read if it reads only once."""
        self.close_input()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
