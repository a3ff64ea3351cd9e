"""Who asks the API, and who may come in."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from netproxy.apiserver.access import OPEN
from netproxy.core.user import ADMIN, AUTHENTICATED, CREDENTIAL, User

OPEN_PATHS = frozenset(f"/{page}" for page in OPEN)
"""What anybody may ask."""


TOKEN_USER: web.AppKey[Callable[[str], User | None]] = web.AppKey("TOKEN_USER")
"""Of an application: whose a bearer token is; None for one that is good for nobody. Without it no token is good."""


@web.middleware
async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who came by the Unix socket (its owner), shows a good certificate or token, or asks for OPEN_PATHS only.

    A token that is good for nobody is refused, whatever is asked for.
    """
    user = user_of(request)
    if user is not None or (not _token(request) and request.path.rstrip("/") in OPEN_PATHS):
        return await handler(request)
    failure = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
               "reason": "Unauthorized", "code": 401}  # fmt: skip
    return web.json_response(failure, status=401)


def user_of(request: web.Request) -> User | None:
    """Who asks: the socket's owner, or whom the client certificate names, or whose the bearer token is; None for nobody."""
    if is_local(request):
        return ADMIN
    shown = request.transport.get_extra_info("peercert") if request.transport else None
    if shown:
        return _of_certificate(request, shown)
    token, whose = _token(request), request.app.get(TOKEN_USER)
    return whose(token) if token and whose else None


def _of_certificate(request: web.Request, shown: Mapping[str, Any]) -> User:
    parts = [pair for group in shown.get("subject", ()) for pair in group]
    name = next((value for kind, value in parts if kind == "commonName"), "")
    groups = (value for kind, value in parts if kind == "organizationName")
    connection = request.transport.get_extra_info("ssl_object") if request.transport else None
    digest = hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest() if connection else ""
    return User(name, (*groups, AUTHENTICATED), extra={CREDENTIAL: (f"X509SHA256={digest}",)} if digest else {})


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_local(request: web.Request) -> bool:
    """Whether a request came by the Unix socket, which only its owner can open."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    return sock is not None and sock.family == socket.AF_UNIX
