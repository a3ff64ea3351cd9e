"""Ends of pipes and terminals that are never waited for: reading and writing without a thread."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from contextlib import suppress

CHUNK_BYTES = 1 << 15


class End:
    """One descriptor, which is closed with this."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._waiting: set[asyncio.Future[None]] = set()

    async def read(self) -> bytes:
        """What comes next; empty when nothing will come any more."""
        while self._fd >= 0:
            try:
                return os.read(self._fd, CHUNK_BYTES)
            except BlockingIOError:
                await self._ready(reading=True)
            except OSError:  # the last one has left the terminal
                break
        return b""

    async def write(self, data: bytes) -> bool:
        """Write all of it; False when nobody reads any more."""
        while data and self._fd >= 0:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._ready(reading=False)
            except OSError:
                break
        return not data

    def resize(self, columns: int, rows: int) -> None:
        """Tell a terminal how large it is."""
        if self._fd >= 0:
            with suppress(OSError):
                fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def close(self) -> None:
        """Give the descriptor back; whoever waits for it hears that nothing will come."""
        fd, self._fd = self._fd, -1
        for waiting in self._waiting:
            _become_ready(waiting)
        if fd >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(fd)
            loop.remove_writer(fd)
            os.close(fd)

    async def _ready(self, *, reading: bool) -> None:
        loop, fd = asyncio.get_running_loop(), self._fd
        ready: asyncio.Future[None] = loop.create_future()
        (loop.add_reader if reading else loop.add_writer)(fd, _become_ready, ready)
        self._waiting.add(ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            if self._fd == fd:  # it may be another's by now
                (loop.remove_reader if reading else loop.remove_writer)(fd)


async def readable(fd: int) -> None:
    """Wait until there is something to read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _become_ready, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _become_ready(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
