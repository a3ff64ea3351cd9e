"""Logs of containers on sockets: text as it comes, or in the messages of a WebSocket.

Source: kubernetes apiserver pkg/registry/generic/rest/streamer.go, pkg/endpoints/handlers/responsewriters; streaming
pkg/httpstream/wsstream/stream.go.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing

from aiohttp import web

from netproxy.apiserver.connect import LogOptions, Stream, log_refused
from netproxy.apiserver.status import bad_request
from netproxy.serve.nodes import Nodes, log_url, refusal, unreachable
from netproxy.serve.tasks import until_one_ends
from netproxy.serve.websocket import asked_protocols, is_websocket

PLAIN, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"
"""What the messages of a WebSocket are."""


async def answer_log(request: web.Request, stream: Stream, wanted: LogOptions, nodes: Nodes) -> web.StreamResponse:
    """Write a log until it ends or the client has gone. Raises ApiError before anything is written."""
    if stream.kubelet is None:
        return web.Response(status=204)
    if not nodes.reaches(stream.kubelet.node):
        raise unreachable(f'Get "{log_url(stream, stream.kubelet, wanted)}": {refusal(stream.kubelet)}')
    refused = log_refused(stream.pod, stream.container, previous=wanted.previous)
    if refused:
        raise bad_request(refused)
    async with aclosing(nodes.log(stream)) as pieces:  # type: ignore[type-var]  # every generator can be closed
        if is_websocket(request):
            return await _in_messages(request, pieces)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        async for piece in pieces:
            await response.write(piece)
    await response.write_eof()
    return response


async def _in_messages(request: web.Request, pieces: AsyncIterator[bytes]) -> web.WebSocketResponse:
    """Write until the log ends or the client has gone; an empty message comes first."""
    protocol = next((name for name in asked_protocols(request) if name in (PLAIN, BASE64)), "")
    socket = web.WebSocketResponse(protocols=[protocol] if protocol else [], compress=False)
    await socket.prepare(request)

    async def send(piece: bytes) -> None:
        if protocol == BASE64:
            await socket.send_str(b64encode(piece).decode())
        else:
            await socket.send_bytes(piece)

    async def copy() -> None:
        await send(b"")
        async for piece in pieces:
            await send(piece)

    async def leave() -> None:
        async for _ in socket:
            pass  # what a client says is not heard

    await until_one_ends(copy(), leave())
    await socket.close()
    return socket
