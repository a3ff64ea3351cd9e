"""Requests passed on to somebody behind this server, over real sockets of this process."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from netproxy.apiserver.proxied import Proxied
from netproxy.apiserver.status import status_of
from netproxy.core.errors import ApiError
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
