"""How long whoever connects may take to say something, and what is not worth a line in a log.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/server/secure_serving.go (IdleTimeout, ReadHeaderTimeout).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

IDLE_S = 90.0
"""Between two requests on one connection."""
HEAD_S = 32.0
"""From the connection to the end of the first request's head."""
LOOK_S = 4.0


class Patience:
    """Closes connections on which nobody has asked anything; of an application, beside what it serves."""

    def __init__(self, connections: Callable[[], list[web.RequestHandler]], *, head_s: float = HEAD_S) -> None:
        self._connections = connections
        self._head_s = head_s
        self._since: dict[web.RequestHandler, float] = {}
        """Since when those are known who have not asked yet."""
        self._have_asked: set[web.RequestHandler] = set()

    @web.middleware
    async def heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware by which it learns that somebody has asked something."""
        self._have_asked.add(request.protocol)
        return await handler(request)

    async def work(self, _: web.Application) -> AsyncIterator[None]:
        """Look every now and then, as long as the application is there."""
        looking = asyncio.ensure_future(self._look_on())
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_S, self._head_s / 4))
            self.look(asyncio.get_running_loop().time())

    def look(self, now: float) -> None:
        """Close what is too old by NOW."""
        there = set(self._connections())
        self._have_asked &= there
        self._since = {each: self._since.get(each, now) for each in there - self._have_asked}
        for connection, since in self._since.items():
            if now - since > self._head_s:
                connection.force_close()


def worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a line of the HTTP library says more than that somebody sent what is no HTTP."""
    fault = record.exc_info[1] if record.exc_info else None
    return not isinstance(fault, HttpProcessingError)
