"""Small HTTP servers on sockets that are bound already: health, metrics, what a node's proxy has to say."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

log = logging.getLogger(__name__)

GO_TEXT = "text/plain; charset=utf-8"
"""What Go's http.Error and http.NotFound write."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: status, headers (Content-Type among them) and body."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


NOT_FOUND = Answer(404, b"404 page not found\n", {"Content-Type": GO_TEXT, "X-Content-Type-Options": "nosniff"})
Handler = Callable[[str], Awaitable[Answer]]
"""The answer for a path; what it raises becomes status 500."""


class Server:
    """One HTTP server."""

    def __init__(self, answer: Handler) -> None:
        self._answer = answer
        server = web.Server(self._handle, access_log=None, keepalive_timeout=15.0, lingering_time=0)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.2)

    async def open(self, sock: socket.socket) -> None:
        """Answer on a bound socket, which is then the server's; may be called for several."""
        if self._runner.server is None or not self._runner.sites:
            await self._runner.setup()
        await web.SockSite(self._runner, sock).start()

    async def close(self) -> None:
        """Close the sockets."""
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            answer = await self._answer(request.path)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            answer = Answer(500, b"Internal Server Error\n", {"Content-Type": GO_TEXT})
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def bound(address: str, port: int) -> socket.socket:
    """A TCP socket bound to an address and port, ready to listen; an IPv6 one is for IPv6 only. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock
