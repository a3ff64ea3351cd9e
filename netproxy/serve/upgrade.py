"""Connections that stop to be HTTP: what carries bytes both ways on a socket, or in the messages of a WebSocket.

Source: kubernetes 1.36 streaming pkg/httpstream/{httpstream.go (Handshake),spdy/upgrade.go}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web
from multidict import CIMultiDict

CHUNK_BYTES = 1 << 16
SPDY = "SPDY/3.1"
ASKED = "X-Stream-Protocol-Version"
ACCEPTED = "X-Accepted-Stream-Protocol-Versions"


def is_spdy(request: web.Request) -> bool:
    """Whether a client asks for SPDY/3.1."""
    upgrades = "upgrade" in request.headers.get("Connection", "").lower()
    return upgrades and request.headers.get("Upgrade", "").lower() == SPDY.lower()


def agreed(request: web.Request, served: Sequence[str]) -> str | None:
    """The protocol that client and server agree on, empty when the client asks for none; None without one in common."""
    asked = [each.strip() for value in request.headers.getall(ASKED, ()) for each in value.split(",")]
    return next((each for each in asked if each in served), None) if asked else ""


def disagreed(request: web.Request, served: Sequence[str]) -> web.Response:
    """The answer without a protocol in common."""
    asked = " ".join(request.headers.getall(ASKED, ()))
    why = f"unable to upgrade: unable to negotiate protocol: client supports [{asked}], server accepts [{' '.join(served)}]"
    return web.Response(status=403, text=why, headers=CIMultiDict((ACCEPTED, each) for each in served))


class SocketPipe:
    """The bytes of a connection that was HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        """What comes next; empty when the other end has gone."""
        try:
            return await self._reader.read(CHUNK_BYTES)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send, at the pace at which it is taken. Raises ConnectionError."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """End it when all is sent."""
        self._writer.close()


class MessagePipe:
    """The bytes of a WebSocket's messages."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """What comes next; empty when the other end has gone."""
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        """Send, at the pace at which it is taken. Raises ConnectionError."""
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        """End it."""
        await self._socket.close()


class _Taken(web.StreamResponse):
    """The answer of a connection that is not HTTP any more: nothing is written."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        del request

    async def write_eof(self, data: bytes = b"") -> None:
        del data


class _Protocol(asyncio.StreamReaderProtocol):
    """Bytes for a reader; whoever served HTTP here before is told when the connection is lost."""

    def __init__(self, reader: asyncio.StreamReader, before: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._before = before

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._before.connection_lost(exc)


async def taken_over(
    request: web.Request, headers: Sequence[tuple[str, str]] | None, work: Callable[[SocketPipe], Awaitable[None]]
) -> web.StreamResponse:
    """Answer 101 with HEADERS (without them, WORK answers), and have WORK with the connection; it is closed afterwards."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    if headers is not None:
        head = "".join(f"{name}: {value}\r\n" for name, value in (("Connection", "Upgrade"), *headers))
        transport.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n".encode())
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    protocol = _Protocol(reader, transport.get_protocol())
    with suppress(RuntimeError):
        transport.resume_reading()
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    try:
        await work(SocketPipe(reader, writer))
    except ConnectionError:
        pass
    finally:
        transport.close()
    response = _Taken()
    response.force_close()
    return response


def broken_off(request: web.Request) -> web.StreamResponse:
    """Break a connection off on which an answer has begun that cannot be ended: the client sees that it is not whole."""
    if request.transport is not None:
        request.transport.abort()
    response = _Taken(status=500)
    response.force_close()
    return response
