"""Ports of a Pod in the messages of a WebSocket, as clients in Python and JavaScript forward them.

Two channels for each port: its bytes, and what goes wrong. The first message of each is the port's number.

Source: kubernetes 1.36 cri-streaming pkg/streaming/portforward/websocket.go.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from netproxy.apiserver.connect import Stream
from netproxy.serve.carry import carry
from netproxy.serve.channels import Protocol, packed, unpacked
from netproxy.serve.nodes import Nodes
from netproxy.serve.tasks import end
from netproxy.serve.websocket import MAX_MESSAGE, protocol_of


class Lane:
    """One of the connections."""

    def __init__(self, messages: Messages, number: int, port: int) -> None:
        self.port = port
        self.came: asyncio.Queue[bytes] = asyncio.Queue(16)
        self._messages, self._number = messages, number

    async def read(self) -> bytes:
        """What comes next; empty when the client has gone."""
        return await self.came.get()

    async def write(self, data: bytes) -> None:
        """Send. Raises ConnectionError."""
        await self._messages.send(2 * self._number, data)

    async def forward(self, stream: Stream, nodes: Nodes) -> None:
        """Carry until both ends have said all."""
        for channel in (0, 1):
            await self._messages.send(2 * self._number + channel, struct.pack("<H", self.port))
        why = await carry(self, stream, self.port, nodes)
        if why:
            await self._messages.send(2 * self._number + 1, why.encode())


class Messages:
    """What is sent and comes on one WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, protocol: Protocol, ports: tuple[int, ...]) -> None:
        self._socket, self._protocol = socket, protocol
        self.lanes = [Lane(self, number, port) for number, port in enumerate(ports)]

    async def send(self, channel: int, data: bytes) -> None:
        """Send on one channel. Raises ConnectionError."""
        message = packed(self._protocol, channel, data)
        await (self._socket.send_str(message.decode()) if self._protocol.base64 else self._socket.send_bytes(message))

    async def hear(self) -> None:
        """Hand on what comes until the client has gone."""
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                break
            told = unpacked(self._protocol, message.data.encode() if isinstance(message.data, str) else message.data)
            if told and told[1] and not told[0] % 2 and told[0] // 2 < len(self.lanes):
                await self.lanes[told[0] // 2].came.put(told[1])


async def in_messages(request: web.Request, stream: Stream, ports: tuple[int, ...], nodes: Nodes) -> web.StreamResponse:
    """Forward PORTS until all connections have ended or the client has gone."""
    protocol = protocol_of(request)
    response = web.WebSocketResponse(
        protocols=[protocol.name] if protocol.name else [], max_msg_size=MAX_MESSAGE, compress=False
    )
    await response.prepare(request)
    messages = Messages(response, protocol, ports)
    carried = asyncio.gather(*(lane.forward(stream, nodes) for lane in messages.lanes))
    heard = asyncio.ensure_future(messages.hear())
    try:
        with suppress(ConnectionError):
            ends: list[asyncio.Future[Any]] = [carried, heard]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            await response.close()
    finally:
        await end(carried, heard)
    return response
