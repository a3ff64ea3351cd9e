"""HTTP over TCP, with TLS: any API server. Connections are kept and shared; a dead peer is noticed by TCP's own probes."""

from __future__ import annotations

import errno
import socket
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from netproxy.client.kubeconfig import Connection
from netproxy.client.tls import ClientTls
from netproxy.client.transport import Request
from netproxy.core.errors import ManifestError, Problem, UnavailableError

CONNECT_S = 10.0
KEEPALIVE_S = 30
"""A connection that is silent for so long is asked for a sign of life; three unanswered ones, 5 s apart, end it."""

UNACKNOWLEDGED_MS = 30_000
"""What was sent and nobody acknowledged for so long ends the connection."""


class TcpReply:
    """An answer on a connection of aiohttp."""

    def __init__(self, response: aiohttp.ClientResponse, where: str) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._where = where

    async def read(self) -> bytes:
        """The whole body."""
        with _lost(self._where):
            return await self._response.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece as it comes."""
        with _lost(self._where):
            async for chunk in self._response.content.iter_any():
                yield chunk


class TcpTransport:
    """Requests to one API server over connections that stay open."""

    def __init__(self, connection: Connection) -> None:
        self._server = connection.server
        self._server_name = connection.server_name or None
        self._tls = ClientTls(connection) if connection.server.startswith("https://") else None
        self._proxy = connection.proxy_url or proxy_of_environment(connection.server)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[TcpReply]:
        """Send a request and wait for the head of its answer. Raises UnavailableError."""
        with _lost(f"{self._server}: ", shows_certificate=bool(self._tls and request.identity.certificate)):
            response = await self._sent(request)
        try:
            yield TcpReply(response, f"{self._server}: ")
        finally:
            response.close() if not response.content.at_eof() else response.release()

    async def close(self) -> None:
        """Give all connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _sent(self, request: Request) -> aiohttp.ClientResponse:
        return await self._open_session().request(
            request.method, self._url(request.target), headers=request.headers, data=request.body or None,
            ssl=self._tls.context(request.identity) if self._tls else True, server_hostname=self._server_name,
            proxy=self._proxy or None, allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=CONNECT_S, sock_read=request.idle_s),
        )  # fmt: skip

    def _url(self, target: str) -> Any:
        from yarl import URL

        return URL(self._server + target, encoded=True)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, socket_factory=tcp_socket)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def tcp_socket(info: tuple[Any, Any, int, str, Any]) -> socket.socket:
    """A socket for one address (as `getaddrinfo` gives it) that notices when its peer is gone."""
    made = socket.socket(info[0], info[1], info[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, KEEPALIVE_S), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS), (socket.TCP_NODELAY, 1),
    ):  # fmt: skip
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def proxy_of_environment(server: str) -> str:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for this server; empty for none.

    Raises ManifestError for a proxy that does not speak HTTP. Source: golang.org/x/net/http/httpproxy.
    """
    parts = urlsplit(server)
    host = parts.hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return ""
    proxy = urllib.request.getproxies_environment().get(parts.scheme, "")
    if not proxy or urllib.request.proxy_bypass_environment(host):  # type: ignore[attr-defined]  # typeshed leaves it out
        return ""
    if urlsplit(proxy).scheme not in ("http", "https"):
        name = f"{parts.scheme.upper()}_PROXY"
        raise ManifestError(
            [Problem(name, f'Invalid value: "{proxy}": must be http://host:port; or add {host} to NO_PROXY')]
        )
    return proxy


HUNG_UP = "Server disconnected"
"""What is said of a server that ended the connection, in aiohttp's words."""


@contextmanager
def _lost(where: str, *, shows_certificate: bool = False) -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        why = f"the server's certificate is not good: {error.certificate_error}; look at certificate-authority and tls-server-name"
        raise UnavailableError(0, "Certificate", where + why) from error
    except (aiohttp.ClientError, OSError, EOFError, ValueError) as error:
        why = _said(error) or type(error).__name__
        if _hung_up(error):
            why = HUNG_UP
            if shows_certificate:  # it may say so by hanging up, and nothing else
                why += "; perhaps it does not accept our client-certificate"
        raise UnavailableError(0, "Lost", where + why) from error


def _hung_up(error: Exception) -> bool:
    """Whether the server ended the connection, whichever way that was heard: at our reading or, as a reset, at our writing."""
    reset = isinstance(error, OSError) and error.errno in (errno.ECONNRESET, errno.EPIPE)
    return reset or isinstance(error, aiohttp.ServerDisconnectedError)


def _said(error: Exception) -> str:
    """What happened; aiohttp's own text names an object of ours instead of it."""
    return str(error.os_error) if isinstance(error, aiohttp.ClientConnectorError) else str(error)
