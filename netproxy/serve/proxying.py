"""Requests that are passed on to Pods, Services and Nodes, and their answers.

Source: kubernetes apimachinery pkg/util/proxy/{upgradeaware,transport}.go, Go net/http/httputil (ReverseProxy).
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from netproxy.apiserver.paths import meant
from netproxy.apiserver.proxied import Proxied
from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ApiError
from netproxy.core.names import quoted
from netproxy.core.net import join_host_port
from netproxy.core.numbers import whole
from netproxy.serve.links import rewritten, rewritten_page
from netproxy.serve.nodes import Nodes
from netproxy.serve.tasks import until_one_ends
from netproxy.serve.upgrade import SocketPipe, broken_off, taken_over

CONNECT_S = 30.0
ECHO_S = 10.0
"""How long an answer that is no upgrade may take."""
HOP_BY_HOP = frozenset((
    "connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
))  # fmt: skip
OURS = ("authorization", "impersonate-")
"""What is for this server and nobody behind it."""
LENGTHS = ("content-length", "transfer-encoding")
"""What says where a body ends, which may be elsewhere once it was read."""
PAGE_BYTES = 16 << 20
"""Larger pages are passed on as they are."""


async def pass_on(request: web.Request, to: Proxied, nodes: Nodes, random: Random) -> web.StreamResponse:
    """Pass a request on, and its answer back. Raises ApiError when nobody answers."""
    prefix, path = _cut(request, to.segments)
    is_root = not path
    if "upgrade" in request.headers.get("Connection", "").lower():
        return await _upgraded(request, to, nodes, random, path)
    if is_root and request.method in ("GET", "HEAD"):
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        return web.Response(status=301, headers={"Location": f"{request.rel_url.raw_path}/{query}"})
    host, port = _chosen(to, random)
    where = join_host_port(host, int(port)) if port else _bracketed(host)
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    url = URL(f"{to.scheme}://{where}{'/' if is_root else path}{query}", encoded=True)
    async with _asked(request, url, nodes) as answer:
        return await _passed_back(request, answer, prefix, (where, request.host))


def _cut(request: web.Request, segments: int) -> tuple[str, str]:
    """The path's part that is this server's own, and the rest, as written; the latter is empty without one.

    Raises ApiError when what was written is not cut where its meaning was, by which access was decided.
    """
    parts = request.rel_url.raw_path.split("/")
    prefix, rest = "/".join(parts[:segments]), parts[segments:]
    own = URL.build(path=prefix, encoded=True).path
    target = meant(own)
    is_same = len(parts) >= segments and own.split("/") == request.path.split("/")[:segments]
    if not is_same or target is None or target.subresource != "proxy":
        raise bad_request(f"invalid path {quoted(request.rel_url.raw_path)}")
    return prefix, "/".join(("", *rest)) if rest else ""


def _chosen(to: Proxied, random: Random) -> tuple[str, str]:
    host, port = random.choice(to.addresses)
    if port and not (port.isascii() and port.isdecimal() and whole(port) < 1 << 16):
        raise _unreachable(f"dial tcp: lookup tcp/{port}: unknown port")
    return host, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@asynccontextmanager
async def _asked(
    request: web.Request, url: URL, nodes: Nodes
) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
    connector = aiohttp.TCPConnector(limit=0, socket_factory=lambda info: nodes.outgoing(info[0]), force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        try:
            answer = await session.request(
                request.method, url, headers=_headers(request), data=request.content if request.can_read_body else None, ssl=False,
                allow_redirects=False, timeout=timeout, skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )  # fmt: skip
        except aiohttp.ClientConnectorError as error:
            raise _unreachable(f"dial tcp {_where(url)}: {_reason(error.os_error)}") from error
        except TimeoutError as error:
            raise _unreachable(f"dial tcp {_where(url)}: i/o timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable("EOF") from error
        try:
            yield answer
        finally:
            answer.close()


def _where(url: URL) -> str:
    return join_host_port(url.host or "", url.port or 0)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"tls: {(error.reason or 'handshake failed').lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError) and not error.errno:
        return "i/o timeout"
    return f"connect: {os.strerror(error.errno).lower()}" if error.errno else str(error)


def _unreachable(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"error trying to reach service: {why}")


def _headers(request: web.Request) -> CIMultiDict[str]:
    named = {each.strip().lower() for each in request.headers.get("Connection", "").split(",")}
    kept = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in HOP_BY_HOP | named and not name.lower().startswith(OURS)
    )
    peer = request.remote or ""
    if peer:
        kept["X-Forwarded-For"] = ", ".join((*request.headers.getall("X-Forwarded-For", ()), peer))
    kept["X-Forwarded-Uri"] = request.rel_url.raw_path
    return kept


async def _passed_back(
    request: web.Request, answer: aiohttp.ClientResponse, prefix: str, hosts: tuple[str, ...]
) -> web.StreamResponse:  # fmt: skip
    headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP)
    if headers.get("Location"):
        headers["Location"] = rewritten(headers["Location"], prefix, hosts)
    page = b""
    if _is_page(answer):
        try:
            page, is_whole = await _begun(answer.content)
        except aiohttp.ClientError as error:
            raise _unreachable("unexpected EOF") from error
        if is_whole:
            headers.pop("Content-Length", None)
            page = rewritten_page(page, prefix, hosts)
            return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=page)
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await response.prepare(request)
    await response.write(page)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
    except (aiohttp.ClientError, OSError):
        return broken_off(request)  # an end would say that this was all
    await response.write_eof()
    return response


async def _begun(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """What comes, and whether that is all: it may never end."""
    page = bytearray()
    while piece := await content.readany():
        page += piece
        if len(page) > PAGE_BYTES:
            return bytes(page), False
    return bytes(page), True


def _is_page(answer: aiohttp.ClientResponse) -> bool:
    small = int(answer.headers.get("Content-Length", "0")) <= PAGE_BYTES
    plain = not answer.headers.get("Content-Encoding")
    return answer.method != "HEAD" and answer.content_type == "text/html" and plain and small


async def _upgraded(
    request: web.Request, to: Proxied, nodes: Nodes, random: Random, path: str
) -> web.StreamResponse:  # fmt: skip
    """Pass on a connection that is going to be no HTTP any more, once who is behind agrees."""
    body = await request.read()
    reader, writer = await _dialed(to, nodes, random)
    try:
        writer.write(_upgrade_head(request, path, body) + body)
        status, head = await _answered(reader)

        async def work(pipe: SocketPipe) -> None:
            await pipe.write(head)
            if status == 101:
                await _both_ways(reader, writer, pipe)
            else:
                await _echoed(reader, pipe, _body_length(request.method, status, head))

        return await taken_over(request, None, work)
    finally:
        writer.transport.abort()


async def _dialed(to: Proxied, nodes: Nodes, random: Random) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = _chosen(to, random)
    is_tls = to.scheme == "https"
    at = (host, int(port or (443 if is_tls else 80)))
    try:
        sock = nodes.outgoing(_family(host))
        try:
            sock.setblocking(False)
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(sock, at)
                tls, name = (_any_certificate(), host) if is_tls else (None, None)
                return await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        why = f"dial tcp {join_host_port(*at)}: {_reason(error)}"
        raise ApiError(500, "", f"error dialing backend: {why}") from error


def _any_certificate() -> ssl.SSLContext:
    """TLS with whoever is there, as Kubernetes speaks it with Pods."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.set_alpn_protocols(["http/1.1"])
    return tls


def _upgrade_head(request: web.Request, path: str, body: bytes) -> bytes:
    left_out = (*LENGTHS, "expect")
    kept = [(n, v) for n, v in request.headers.items() if not n.lower().startswith(OURS) and n.lower() not in left_out]
    kept += [("Content-Length", str(len(body)))] if body else []
    fields = "".join(f"{name}: {value}\r\n" for name, value in kept)
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    return f"{request.method} {path or '/'}{query} HTTP/1.1\r\n{fields}\r\n".encode("utf-8", "surrogateescape")


async def _answered(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the whole head of an answer. Raises ApiError when that is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ApiError(500, "", "net/http: server response headers exceeded the limit") from error
    except (asyncio.IncompleteReadError, OSError) as error:
        raise ApiError(500, "", "unexpected EOF") from error
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3})[ \r]", head)
    if found is None:
        raise ApiError(500, "", "malformed HTTP response")
    return int(found[1]), head


def _body_length(method: str, status: int, head: bytes) -> int | None:
    """How much follows a head; None for all until the connection's end, -1 for chunks."""
    if method == "HEAD" or status < 200 or status in (204, 304):
        return 0
    if re.search(rb"\r\ntransfer-encoding:[^\r]*chunked", head, re.IGNORECASE):
        return -1
    length = re.search(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r", head, re.IGNORECASE)
    return int(length[1]) if length else None


async def _echoed(reader: asyncio.StreamReader, pipe: SocketPipe, length: int | None) -> None:
    """The rest of an answer that is no upgrade; nothing goes the other way."""
    try:
        async with asyncio.timeout(ECHO_S):
            if length is None:
                await _back(reader, pipe)
            elif length < 0:
                await _chunks(reader, pipe)
            else:
                await _exactly(reader, pipe, length)
    except (OSError, EOFError, ValueError):
        await pipe.close()  # what is missing tells the client


async def _exactly(reader: asyncio.StreamReader, pipe: SocketPipe, count: int) -> None:
    while count and (data := await reader.read(min(count, 1 << 16))):
        count -= len(data)
        await pipe.write(data)


async def _chunks(reader: asyncio.StreamReader, pipe: SocketPipe) -> None:
    size = -1
    while size:
        line = await reader.readline()
        size = int(line.split(b";")[0], 16)
        await pipe.write(line)
        if size > 0:
            await _exactly(reader, pipe, size + 2)
    while (line := await reader.readline()).strip():
        await pipe.write(line)
    await pipe.write(line)


async def _both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pipe: SocketPipe) -> None:
    await until_one_ends(_back(reader, pipe), _forth(pipe, writer))


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def _back(reader: asyncio.StreamReader, pipe: SocketPipe) -> None:
    while data := await reader.read(1 << 16):
        await pipe.write(data)


async def _forth(pipe: SocketPipe, writer: asyncio.StreamWriter) -> None:
    while data := await pipe.read():
        writer.write(data)
        await writer.drain()
