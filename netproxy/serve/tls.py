"""The API over HTTPS: what the server shows, whom it believes, and the site."""

from __future__ import annotations

import socket
import ssl

from aiohttp import web

from netproxy.client.tls import load_chain
from netproxy.serve.certificates import Pair
from netproxy.serve.who import authenticated

KEEPALIVE_S = 60
"""After so long a silence it is asked whether a client's machine is still there."""


def server_context(authority: Pair, server: Pair) -> ssl.SSLContext:
    """The TLS context of a server that shows SERVER, and checks clients' certificates, if they show one, by AUTHORITY."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.certificate.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    load_chain(context, server.certificate, server.key)
    return context


async def add_https_site(runner: web.AppRunner, listening: socket.socket, context: ssl.SSLContext) -> None:
    """Serve what RUNNER serves by HTTPS, too, on a socket that listens.

    Its application must have the middleware `authenticated`.
    """
    if authenticated not in runner.app.middlewares:
        raise ValueError("an application without `authenticated` would let anybody in")
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)  # connections have it of this one
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
    await web.SockSite(runner, listening, ssl_context=context).start()
