"""Requests passed on to somebody behind this server, over real sockets of this process."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import TestServer

from netproxy.apiserver.proxied import Proxied
from netproxy.apiserver.status import status_of
from netproxy.core.errors import ApiError
from netproxy.serve.certificates import certificates
from netproxy.serve.nodes import NoNodes
from netproxy.serve.proxying import PAGE_BYTES, pass_on

PREFIX = "/api/v1/namespaces/default/pods/web/proxy"


class Near(NoNodes):
    def outgoing(self, family: int) -> socket.socket:
        return socket.socket(family, socket.SOCK_STREAM)


async def behind(request: web.Request) -> web.StreamResponse:
    """Somebody in a Pod."""
    match request.path:
        case "/told":
            body = (await request.read()).decode()
            return web.json_response(
                {"method": request.method, "path": request.raw_path, "headers": dict(request.headers), "body": body}
            )
        case "/page":
            return web.Response(text='<a href="/x">x</a> <a href=/y>', content_type="text/html")
        case "/packed":
            headers = {"Content-Encoding": "gzip", "Content-Type": "text/html"}
            return web.Response(body=gzip.compress(b'<a href="/x">'), headers=headers)
        case "/endless":
            response = web.StreamResponse(headers={"Content-Type": "text/html"})
            await response.prepare(request)
            with suppress(ConnectionError):
                while True:
                    await response.write(b'<a href="/x">' * 10_000)
            return response
        case "/away":
            return web.Response(status=302, headers={"Location": request.query["to"]})
        case "/talk":
            line = web.WebSocketResponse()
            await line.prepare(request)
            async for message in line:
                await line.send_str(message.data.upper())
            return line
        case _:
            return web.Response(status=404, text="nothing", reason="Nothing here")


def passed(ask: Callable[[ClientSession, Any], Awaitable[Any]], node: NoNodes | None = None, port: str = "") -> Any:
    """What ASK returns, given a session and the URL below which somebody is."""

    async def run() -> Any:
        inner = web.Application()
        inner.router.add_route("*", "/{path:.*}", behind)
        server = TestServer(inner)
        await server.start_server(auto_decompress=False)
        to = Proxied("http", (("127.0.0.1", port or str(server.port)),), 8)

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await pass_on(request, to, node or Near(), Random(1))
            except ApiError as error:
                answer = status_of(error)
                return web.Response(status=answer.status, body=answer.body, content_type="application/json")

        outer = web.Application()
        outer.router.add_route("*", "/{path:.*}", handler)
        front = TestServer(outer)
        await front.start_server(auto_decompress=False)
        async with asyncio.timeout(10), ClientSession(auto_decompress=False) as session:
            try:
                return await ask(session, front.make_url(PREFIX))
            finally:
                await front.close()
                await server.close()

    return asyncio.run(run())


def test_method_path_query_and_body_arrive_and_nothing_that_is_for_this_server() -> None:
    async def ask(session: ClientSession, url: Any) -> Any:
        headers = {
            "Authorization": "Bearer x",
            "Impersonate-User": "me",
            "X-Own": "1",
            "Connection": "X-Hop",
            "X-Hop": "2",
        }
        async with session.post(f"{url}/told?a=b%20c&d", data=b"body", headers=headers) as answer:
            return await answer.json()

    told = passed(ask)
    assert (told["method"], told["path"], told["body"]) == ("POST", "/told?a=b%20c&d", "body")
    assert told["headers"]["X-Own"] == "1"
    assert told["headers"]["X-Forwarded-Uri"] == f"{PREFIX}/told"
    assert told["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert not {"Authorization", "Impersonate-User", "X-Hop"} & told["headers"].keys()


@pytest.mark.parametrize(("path", "code", "location"), [
    ("", 301, f"{PREFIX}/"), ("?a=b", 301, f"{PREFIX}/?a=b"), ("/away?to=/x/", 302, f"{PREFIX}/x/"),
    ("/away?to=x", 302, "x"), ("/away?to=http://other/x", 302, "http://other/x"),
])  # fmt: skip
def test_where_one_is_sent(path: str, code: int, location: str) -> None:
    async def ask(session: ClientSession, url: Any) -> Any:
        async with session.get(f"{url}{path}", allow_redirects=False) as answer:
            return answer.status, answer.headers["Location"]

    assert passed(ask) == (code, location)


@pytest.mark.parametrize(("path", "body"), [
    ("/page", f'<a href="{PREFIX}/x">x</a> <a href=/y>'.encode()),
    ("/packed", gzip.compress(b'<a href="/x">', mtime=0)),
    ("/else", b"nothing"),
])  # fmt: skip
def test_what_comes_back(path: str, body: bytes) -> None:
    async def ask(session: ClientSession, url: Any) -> Any:
        async with session.get(f"{url}{path}") as answer:
            return await answer.read()

    found = passed(ask)
    assert gzip.decompress(found) == gzip.decompress(body) if path == "/packed" else found == body


def test_a_page_without_end_is_passed_on_as_it_comes() -> None:
    async def ask(session: ClientSession, url: Any) -> Any:
        async with session.get(f"{url}/endless") as answer:
            return await answer.content.readexactly(PAGE_BYTES + (4 << 20))

    assert passed(ask).startswith(b'<a href="/x"><a')


def test_a_large_body_is_passed_on_as_it_comes() -> None:
    async def ask(session: ClientSession, url: Any) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(8):
                yield b"x" * (100 << 10)

        found = []
        for data in (b"x" * (800 << 10), pieces()):
            async with session.post(f"{url}/told", data=data, headers={"Content-Encoding": "gzip"}) as answer:
                told = await answer.json()
                found.append(
                    (len(told["body"]), told["headers"].get("Content-Length"), told["headers"].get("Transfer-Encoding"))
                )
        return found

    assert passed(ask) == [(800 << 10, str(800 << 10), None), (800 << 10, None, "chunked")]


@pytest.mark.parametrize("line", ["GET {}/told?a=%FF HTTP/1.1", "POST {}/told HTTP/1.1"])
def test_no_connection_is_more_than_one_request_to_who_is_behind(line: str) -> None:
    async def ask(_: ClientSession, url: Any) -> Any:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = (
            line.format(url.path),
            "Host: x",
            "Connection: upgrade",
            "Upgrade: h2c",
            "X-Odd: \xff",
            "Transfer-Encoding: chunked",
            "",
            "",
        )
        writer.write("\r\n".join(head).encode("latin-1") + b"5\r\nGET /\r\n0\r\n\r\n")
        answer = await reader.read(15)
        writer.close()
        return answer

    assert passed(ask) in (b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Ba", b"HTTP/1.0 400 Ba")


def test_a_websocket_is_passed_on() -> None:
    async def ask(session: ClientSession, url: Any) -> Any:
        async with session.ws_connect(f"{url}/talk") as line:
            await line.send_str("hello")
            return (await line.receive()).data

    assert passed(ask) == "HELLO"


@pytest.mark.parametrize(("node", "port", "why"), [
    (Near(), "1", "dial tcp 127.0.0.1:1: connect: connection refused"),
    (NoNodes(), "80", "dial tcp 127.0.0.1:80: connect: connection refused"),
    (Near(), "9" * 5000, f"dial tcp: lookup tcp/{'9' * 5000}: unknown port"),
    (Near(), "\u0668\u0660", "dial tcp: lookup tcp/\u0668\u0660: unknown port"),
    (Near(), "odd", "dial tcp: lookup tcp/odd: unknown port"),
])  # fmt: skip
def test_nobody_answers(node: NoNodes, port: str, why: str) -> None:
    async def ask(session: ClientSession, url: Any) -> Any:
        async with session.get(f"{url}/") as answer:
            return answer.status, (await answer.json())["message"]

    assert passed(ask, node, port) == (503, f"error trying to reach service: {why}")


UPGRADE = ("Connection: Upgrade", "Upgrade: x")
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
SECOND = b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"
NO_TLS = b"220 this is no TLS\r\n" * 9


class Raw:
    """Somebody behind who says ANSWER to a head, whatever that is, and remembers all that arrives."""

    def __init__(self, answer: bytes, *, ends: bool = False) -> None:
        self.answer, self.ends = answer, ends
        self.heard = b""
        self.arrived, self.left = asyncio.Event(), asyncio.Event()

    async def served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.arrived.set()
        with suppress(OSError, EOFError):
            self.heard = await (reader.read(1 << 16) if self.answer == NO_TLS else reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            while not self.ends and (data := await reader.read(1 << 16)):
                self.heard += data
                if self.answer == AGREED:
                    writer.write(data.upper())
        writer.close()
        self.left.set()


def spoken(
    raw: Raw, talk: Callable[[str, int], Awaitable[Any]], *, scheme: str = "http", tls: ssl.SSLContext | None = None,
    node: NoNodes | None = None,
) -> Any:  # fmt: skip
    """What TALK gives, told the host and the port of a server that passes on to RAW."""

    async def run() -> Any:
        server = await asyncio.start_server(raw.served, "127.0.0.1", 0, ssl=tls)
        to = Proxied(scheme, (("127.0.0.1", str(server.sockets[0].getsockname()[1])),), 8)

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await pass_on(request, to, node or Near(), Random(1))
            except ApiError as error:
                return web.Response(status=error.code, text=str(error))

        outer = web.Application()
        outer.router.add_route("*", "/{path:.*}", handler)
        front = TestServer(outer)
        await front.start_server()
        async with asyncio.timeout(8):
            try:
                return await talk(str(front.host), front.port or 0)
            finally:
                await front.close()
                server.close()
                await server.wait_closed()

    return asyncio.run(run())


def a_head(line: str, *headers: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: x", *headers, "", "")).encode()


@pytest.mark.parametrize(("answer", "ends"), [
    (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", False),
    (b"HTTP/1.1 200 OK\r\ncontent-length:2 \r\n\r\nno", False),
    (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nno\r\n0\r\nA: b\r\n\r\n", False),
    (b"HTTP/1.1 204 No Content\r\n\r\n", False),
    (b"HTTP/1.1 100 Continue\r\n\r\n", False),
    (b"HTTP/1.0 500 Broken\r\n\r\nuntil its end", True),
    (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\ncut", True),
    (b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ncut", True),
])  # fmt: skip
def test_who_does_not_agree_to_an_upgrade_hears_nothing_more(answer: bytes, ends: bool) -> None:
    raw = Raw(answer, ends=ends)

    async def talk(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(a_head(f"GET {PREFIX}/x", *UPGRADE))
        found = await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            writer.write(SECOND)
            found += await reader.read()
        writer.close()
        await raw.left.wait()
        return found

    assert spoken(raw, talk) == answer
    assert raw.heard == a_head("GET /x", *UPGRADE)


@pytest.mark.parametrize(("answer", "why"), [
    (b"", "unexpected EOF"), (b"HTTP/1.1 101 Sw", "unexpected EOF"), (b"SSH-2.0 101\r\n\r\n", "malformed HTTP response"),
    (b"HTTP/1.1 1011\r\n\r\n", "malformed HTTP response"),
    (b"HTTP/1.1 101 x\r\nA: " + b"b" * (200 << 10), "net/http: server response headers exceeded the limit"),
])  # fmt: skip
def test_an_upgrade_that_is_not_answered_is_an_error(answer: bytes, why: str) -> None:
    async def talk(host: str, port: int) -> Any:
        async with ClientSession() as session:
            headers = {"Connection": "Upgrade", "Upgrade": "x"}
            async with session.get(f"http://{host}:{port}{PREFIX}/x", headers=headers) as found:
                return found.status, await found.text()

    assert spoken(Raw(answer, ends=True), talk) == (500, why)


def a_certificate(folder: Path) -> ssl.SSLContext:
    """Somebody whom nobody vouches for."""
    server = certificates(folder, [], now=time.time()).server
    for name, data in (("c", server.certificate), ("k", server.key)):
        (folder / name).write_bytes(data)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "c", folder / "k")
    return tls


async def echoed(host: str, port: int) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(a_head(f"GET {PREFIX}/x", *UPGRADE))
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"hello")
    data = await reader.readexactly(5)
    writer.close()
    return head, data


def test_an_upgrade_goes_both_ways_once_agreed_in_the_clear_and_over_tls(tmp_path: Path) -> None:
    assert spoken(Raw(AGREED), echoed) == (AGREED, b"HELLO")
    assert spoken(Raw(AGREED), echoed, scheme="https", tls=a_certificate(tmp_path)) == (AGREED, b"HELLO")


async def refused(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(a_head(f"GET {PREFIX}/x", *UPGRADE, "Connection: close"))
    found = await reader.read()
    writer.close()
    return found.decode()


class Kept(Near):
    """Remembers the sockets that were asked for."""

    def __init__(self) -> None:
        self.socks: list[socket.socket] = []

    def outgoing(self, family: int) -> socket.socket:
        self.socks.append(super().outgoing(family))
        return self.socks[-1]

    @property
    def are_closed(self) -> bool:
        return [each.fileno() for each in self.socks] == [-1]


def test_https_is_not_said_in_the_clear() -> None:
    raw, node = Raw(NO_TLS, ends=True), Kept()
    assert "error dialing backend: dial tcp 127.0.0.1" in spoken(raw, refused, scheme="https", node=node)
    assert b"HTTP" not in raw.heard
    assert node.are_closed


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_the_usual_port_of_an_upgrade(scheme: str, port: int) -> None:
    async def run() -> str:
        async def handler(request: web.Request) -> web.StreamResponse:
            with pytest.raises(ApiError) as caught:
                await pass_on(request, Proxied(scheme, (("127.0.0.1", ""),), 8), NoNodes(), Random(1))
            return web.Response(text=str(caught.value))

        outer = web.Application()
        outer.router.add_route("*", "/{path:.*}", handler)
        async with TestServer(outer) as front:
            return await refused(str(front.host), front.port or 0)

    assert f"dial tcp 127.0.0.1:{port}: " in asyncio.run(run())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_that_goes_before_an_upgrade_is_answered_leaves_nothing_open(scheme: str) -> None:
    raw, node = Raw(b""), Kept()  # to TLS's hello, which is no head, nothing is said either

    async def talk(host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.write(a_head(f"GET {PREFIX}/x", *UPGRADE))
        await raw.arrived.wait()
        writer.close()
        await raw.left.wait()

    spoken(raw, talk, scheme=scheme, node=node)
    assert node.are_closed


def test_nobody_is_dialed_before_the_body_of_an_upgrade_has_come() -> None:
    raw, node = Raw(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"), Kept()

    async def talk(host: str, port: int) -> int:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(a_head(f"POST {PREFIX}/x", *UPGRADE, "Content-Length: 5", "Expect: 100-continue"))
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        before = len(node.socks)
        writer.write(b"hello")
        await reader.read()
        writer.close()
        return before

    assert spoken(raw, talk, node=node) == 0
    assert raw.heard == a_head("POST /x", *UPGRADE, "Content-Length: 5") + b"hello"


@pytest.mark.parametrize("head", [
    "Content-Length: 1000", "Transfer-Encoding: chunked", "Content-Type: text/plain\r\nContent-Length: 99999999",
])  # fmt: skip
def test_an_answer_that_breaks_off_is_no_whole_one(head: str) -> None:
    async def talk(host: str, port: int) -> int:
        async with ClientSession() as session, session.get(f"http://{host}:{port}{PREFIX}/x") as found:
            with pytest.raises(ClientPayloadError):
                await found.read()
            return found.status

    assert spoken(Raw(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\npart\r\n".encode(), ends=True), talk) == 200


def test_a_page_that_breaks_off_is_an_error() -> None:
    async def talk(host: str, port: int) -> Any:
        async with ClientSession() as session, session.get(f"http://{host}:{port}{PREFIX}/x") as found:
            return found.status, await found.text()

    raw = Raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99\r\n\r\n<a href=", ends=True)
    assert spoken(raw, talk) == (503, "error trying to reach service: unexpected EOF")


BASE = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize("headers", [(), UPGRADE])
@pytest.mark.parametrize("path", [
    f"{BASE}/web%2Fproxy/told/more", f"{BASE}%2fweb/proxy/told/more", "/api%2Fv1%2Fnamespaces/default/pods/web/proxy/x/y/z",
    f"/{BASE}/web/proxy/told", f"{BASE}//web/proxy/told", "/api/v1/watch/namespaces/default/pods/proxy/proxy/told",
    f"{BASE}/web%2Fproxy", f"{BASE}/web%2F/proxy/told",
])  # fmt: skip
def test_a_path_that_is_cut_elsewhere_than_it_was_authorized_is_refused(path: str, headers: tuple[str, ...]) -> None:
    raw = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ends=True)

    async def talk(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(a_head(f"GET {path}", *headers))
        found = await reader.readline()
        writer.close()
        return found

    assert spoken(raw, talk) == b"HTTP/1.1 400 Bad Request\r\n"
    assert raw.heard == b""


def test_the_rest_of_a_path_is_passed_on_as_it_was_written() -> None:
    raw = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ends=True)

    async def talk(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(a_head("GET /api/v1/namespaces/default/pods/w%65b/proxy/a%2Fb//c/%2E%2e/%FF"))
        found = await reader.readline()
        writer.close()
        return found

    assert spoken(raw, talk) == b"HTTP/1.1 200 OK\r\n"
    assert raw.heard.startswith(b"GET /a%2Fb//c/%2E%2e/%FF HTTP/1.1\r\n")
