"""HTTP over a Unix socket, to netproxy's own agent: no TLS, no credentials, and nothing that takes long to import.

One connection for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from netproxy.client.http1 import HEAD_BYTES, Body, head_of, parsed_head
from netproxy.client.transport import Request
from netproxy.core.errors import UnavailableError

CONNECT_S = 10.0


class UnixReply:
    """An answer on a stream."""

    def __init__(
        self, reader: asyncio.StreamReader, status: int, headers: dict[str, str], *, idle_s: float | None, where: str
    ) -> None:
        self.status = status
        self.headers = headers
        self._reader = reader
        self._idle_s = idle_s
        self._where = where

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece as it comes."""
        body = Body(self.headers)
        with _lost(self._where):
            while not body.ended:
                async with asyncio.timeout(self._idle_s):
                    piece = await self._reader.read(HEAD_BYTES)
                for content in body.of(piece):
                    yield content
                if not piece:
                    body.stop()


class UnixTransport:
    """Requests to the server behind one Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._where = f"{path}: "

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[UnixReply]:
        """Send a request and wait for the head of its answer. Raises UnavailableError."""
        with _lost(self._where):
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=HEAD_BYTES)
        try:
            with _lost(self._where):
                async with asyncio.timeout(request.idle_s):
                    writer.write(head_of(request) + request.body)
                    await writer.drain()
                    status, headers = parsed_head(await reader.readuntil(b"\r\n\r\n"))
            yield UnixReply(reader, status, headers, idle_s=request.idle_s, where=self._where)
        finally:
            writer.close()

    async def close(self) -> None:
        """Nothing stays open."""


@contextmanager
def _lost(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        raise UnavailableError(0, "Lost", f"{where}{str(error) or type(error).__name__}") from error
