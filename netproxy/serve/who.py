"""Who asks the API, and who may come in."""

from __future__ import annotations

import socket

from aiohttp import web
from aiohttp.typedefs import Handler

from netproxy.core.user import ADMIN, AUTHENTICATED, User

OPEN_PATHS = frozenset(("/healthz", "/livez", "/readyz"))
"""What anybody may ask."""


@web.middleware
async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in whoever came by the Unix socket (its owner), shows a good client certificate, or asks for OPEN_PATHS only."""
    if user_of(request) is not None or request.path.rstrip("/") in OPEN_PATHS:
        return await handler(request)
    failure = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
               "reason": "Unauthorized", "code": 401}  # fmt: skip
    return web.json_response(failure, status=401)


def user_of(request: web.Request) -> User | None:
    """Who asks: the socket's owner, or whom the client certificate names; None for neither."""
    if is_local(request):
        return ADMIN
    shown = request.transport.get_extra_info("peercert") if request.transport else None
    if not shown:
        return None
    parts = [pair for group in shown.get("subject", ()) for pair in group]
    name = next((value for kind, value in parts if kind == "commonName"), "")
    groups = (value for kind, value in parts if kind == "organizationName")
    return User(name, (*groups, AUTHENTICATED))


def is_local(request: web.Request) -> bool:
    """Whether a request came by the Unix socket, which only its owner can open."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    return sock is not None and sock.family == socket.AF_UNIX
