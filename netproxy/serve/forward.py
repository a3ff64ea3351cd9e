"""Ports of a Pod for kubectl port-forward: SPDY on the socket, or in a WebSocket.

Source: kubernetes 1.36 cri-streaming pkg/streaming/portforward/httpstream.go.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from netproxy.apiserver.connect import PortForward, Stream
from netproxy.apiserver.status import bad_request
from netproxy.core.numbers import whole
from netproxy.serve import spdy
from netproxy.serve.carry import carry
from netproxy.serve.forwardchannels import in_messages
from netproxy.serve.nodes import Nodes, unreachable, why_not
from netproxy.serve.tasks import end
from netproxy.serve.upgrade import ASKED, SPDY, MessagePipe, SocketPipe, agreed, disagreed, taken_over
from netproxy.serve.websocket import MAX_MESSAGE

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"{SPDY}+{PROTOCOL}"


async def answer_forward(request: web.Request, stream: Stream, wanted: PortForward, nodes: Nodes) -> web.StreamResponse:
    """Forward connections. Raises ApiError before the connection is taken over."""
    why = why_not(stream, nodes, proxied=True)
    if why:
        raise unreachable(why)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return await _on_socket(request, stream, nodes)
    asked = [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if TUNNEL in asked:
        return await _in_tunnel(request, stream, nodes)
    if not wanted.ports:
        raise bad_request('query parameter "ports" is required')
    return await in_messages(request, stream, wanted.ports, nodes)


async def _on_socket(request: web.Request, stream: Stream, nodes: Nodes) -> web.StreamResponse:
    protocol = agreed(request, (PROTOCOL,))
    if protocol is None:
        return disagreed(request, (PROTOCOL,))

    async def work(pipe: SocketPipe) -> None:
        await Forwarding(pipe, stream, nodes).run()

    return await taken_over(request, (("Upgrade", SPDY), *(((ASKED, protocol),) if protocol else ())), work)


async def _in_tunnel(request: web.Request, stream: Stream, nodes: Nodes) -> web.StreamResponse:
    response = web.WebSocketResponse(protocols=[TUNNEL], max_msg_size=MAX_MESSAGE, compress=False)
    await response.prepare(request)
    with suppress(ConnectionError):
        await Forwarding(MessagePipe(response), stream, nodes).run()
    return response


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < whole(text) < 1 << 16


class Forwarding:
    """One session: for each connection a stream for its bytes and one for what goes wrong."""

    def __init__(self, pipe: spdy.Pipe, stream: Stream, nodes: Nodes) -> None:
        self._session = spdy.Session(pipe, self._opened)
        self._stream, self._nodes = stream, nodes
        self._waiting: dict[str, dict[str, spdy.Stream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client goes."""
        try:
            await self._session.run()
        finally:
            await end(*self._tasks)

    def _opened(self, stream: spdy.Stream) -> bool:
        kind, port = stream.headers.get("streamtype", ""), stream.headers.get("port", "")
        if kind not in ("data", "error") or not _is_port(port):
            return False
        # clients of old do not say which streams belong together: the one for errors is opened just before
        usual = str(stream.number - 2 * (kind == "data"))
        at = stream.headers.get("requestid") or usual
        if len(self._waiting) > spdy.MOST_STREAMS:  # most were broken off alone
            self._waiting = {
                at: pair for at, pair in self._waiting.items() if not any(s.is_done for s in pair.values())
            }
        pair = self._waiting.setdefault(at, {})
        if kind in pair:
            return False
        pair[kind] = stream
        if len(pair) == 2:
            del self._waiting[at]
            task = asyncio.ensure_future(self._forward(pair["data"], pair["error"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _forward(self, data: spdy.Stream, errors: spdy.Stream) -> None:
        with suppress(ConnectionError):
            why = await carry(data, self._stream, int(data.headers["port"]), self._nodes)
            if why:
                await errors.write(why.encode())
            await data.close()
            await errors.close()
            if why:
                await data.reset()
                await errors.reset()
