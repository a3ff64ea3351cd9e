"""Commands in containers over WebSockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import WSMsgType, web

from netproxy.apiserver.connect import Stream, Terminal
from netproxy.serve.channels import ERROR, PROTOCOLS, STDERR, STDOUT, UNSAID, V5, Protocol, packed, unpacked
from netproxy.serve.nodes import Nodes, unreachable, why_not
from netproxy.serve.remote import Status, converse, internal_error, written

MAX_MESSAGE = 16 << 20
"""What is larger than this in one message is none of ours."""


def is_websocket(request: web.Request) -> bool:
    """Whether a client asks for a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def asked_protocols(request: web.Request) -> list[str]:
    """What the messages may be, as the client likes it best."""
    return [each.strip() for each in ",".join(request.headers.getall("Sec-WebSocket-Protocol", ())).split(",")]


def protocol_of(request: web.Request) -> Protocol:
    """The first of ours that the client asks for."""
    return next((each for name in asked_protocols(request) for each in PROTOCOLS if each.name == name), UNSAID)


async def answer_command(request: web.Request, stream: Stream, wanted: Terminal, nodes: Nodes) -> web.StreamResponse:
    """Run a command for a WebSocket. Raises ApiError before it is one."""
    protocol = protocol_of(request)
    why = why_not(stream, nodes, proxied=protocol is not V5)
    if why and protocol is not V5:
        raise unreachable(why)
    response = web.WebSocketResponse(
        protocols=[protocol.name] if protocol.name else [], max_msg_size=MAX_MESSAGE, compress=False
    )
    await response.prepare(request)
    wire = _Wire(response, protocol)
    try:
        if why:
            await wire.finish(internal_error(why))
            return response
        first = STDOUT if wanted.stdout else STDERR if wanted.stderr else ERROR
        await wire.send(first, b"")  # the connection is established
        await converse(wire, stream, wanted, nodes)
    except ConnectionError:
        pass  # nobody is there any more
    return response


class _Wire:
    """Streams in the messages of one WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, protocol: Protocol) -> None:
        self._socket = socket
        self._protocol = protocol

    async def received(self) -> AsyncIterator[tuple[int, bytes | None]]:
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            data = message.data.encode() if isinstance(message.data, str) else message.data
            told = unpacked(self._protocol, data)
            if told:
                yield told

    async def send(self, channel: int, data: bytes) -> None:
        message = packed(self._protocol, channel, data)
        if self._protocol.base64:
            await self._socket.send_str(message.decode())
        else:
            await self._socket.send_bytes(message)

    async def finish(self, status: Status) -> None:
        told = written(status, as_status=self._protocol.tells_status)
        if told:
            await self.send(ERROR, told)
        await self._socket.close()
