"""HTTP over a Unix socket, to netproxy's own agent: no TLS, no credentials, and nothing that takes long to import.

One connection for each request. What a server may do that netproxy's own does not (compression, redirects) is not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from netproxy.client.transport import Request
from netproxy.core.errors import UnavailableError

CONNECT_S = 10.0
HEAD_BYTES = 1 << 16


class UnixReply:
    """An answer on a stream."""

    def __init__(
        self, reader: asyncio.StreamReader, status: int, headers: dict[str, str], *, idle_s: float, where: str
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
        with _lost(self._where):
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                while chunk := await self._chunk():
                    yield chunk
            elif "content-length" in self.headers:
                async with asyncio.timeout(self._idle_s):
                    body = await self._reader.readexactly(int(self.headers["content-length"]))
                yield body
            else:
                while body := await self._reader.read(HEAD_BYTES):
                    yield body

    async def _chunk(self) -> bytes:
        async with asyncio.timeout(self._idle_s):
            size = int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16)
            return (await self._reader.readexactly(size + 2))[:-2]


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
                    writer.write(_head(request) + request.body)
                    await writer.drain()
                    status, headers = _parsed(await reader.readuntil(b"\r\n\r\n"))
            yield UnixReply(reader, status, headers, idle_s=request.idle_s, where=self._where)
        finally:
            writer.close()

    async def close(self) -> None:
        """Nothing stays open."""


def _head(request: Request) -> bytes:
    fields = (
        ("Host", "netproxy"),
        ("Connection", "close"),
        ("Content-Length", str(len(request.body))),
        *request.headers,
    )
    return "\r\n".join(
        (f"{request.method} {request.target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields), "", "")
    ).encode()


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *fields = head.decode("latin-1").rstrip().split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return int(first.split(" ", 2)[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


@contextmanager
def _lost(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        raise UnavailableError(0, "Lost", f"{where}{str(error) or type(error).__name__}") from error
