"""Commands and ports over real sockets of this process, for clients that kubectl is not: old protocols, base64, channels."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer

from netproxy.apiserver.connect import Kubelet, LogOptions, PortForward, Stream, Terminal
from netproxy.apiserver.status import status_of
from netproxy.core.errors import ApiError, KernelError
from netproxy.serve.connected import connected
from netproxy.serve.nodes import NoNodes

POD = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}}
NODE = Kubelet("n", "10.0.0.1", 10250)
COMMAND = Stream(POD, "c", NODE, Terminal(("cat",), stdin=True, stdout=True, stderr=True))
RUNS = {**POD, "status": {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}}
ENDED: list[str] = []
PORTS = Stream(POD, "", NODE, PortForward((80, 81)))


class Cat:
    """Writes what it reads, until there is nothing more; ends with 7."""

    outputs = 2

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self, output: int) -> bytes:
        return b"" if output else await self._lines.get()

    async def write(self, data: bytes) -> bool:
        self._lines.put_nowait(data)
        if data == b"end":
            self.close_input()
        return True

    def close_input(self) -> None:
        self._lines.put_nowait(b"")
        if not self.status.done():
            self.status.set_result(7)

    def resize(self, columns: int, rows: int) -> None:
        pass

    async def end(self) -> None:
        pass


class Near(NoNodes):
    """A node that is here, whose Pod listens on port 80 only."""

    def __init__(self, *, reached: bool = True, runs: bool = True) -> None:
        self._reached, self._runs = reached, runs

    def reaches(self, node: str) -> bool:
        return self._reached

    def check_runs(self, stream: Stream) -> None:
        if not self._runs:
            raise KernelError('container not found ("c")')

    async def run(self, stream: Stream) -> Any:
        return Cat()

    async def log(self, stream: Stream) -> AsyncIterator[bytes]:  # type: ignore[override]  # a generator is one
        try:
            yield b"one\n"
            yield b"two\n"
            while stream.wanted.follow:  # type: ignore[union-attr]
                await asyncio.sleep(10)
        finally:
            ENDED.append(stream.container)

    async def connect(self, stream: Stream, port: int) -> socket.socket:
        if port != 80:
            raise KernelError("dial tcp4 127.0.0.1:81: connect: connection refused")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=theirs)

        async def echo() -> None:
            while data := await reader.read(1000):
                writer.write(data.upper())
            writer.close()

        self.echoing = asyncio.ensure_future(echo())
        return ours


def served(wanted: Stream, talk: Callable[[Callable[..., Any]], Awaitable[Any]], **node: Any) -> Any:
    """What TALK returns; it is given what opens a WebSocket to a server with a node like this."""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await connected(request, wanted, Near(**node))
        except ApiError as error:
            answer = status_of(error)
            return web.Response(status=answer.status, body=answer.body)

    async def run() -> Any:
        app = web.Application()
        app.router.add_route("*", "/", handler)
        server = TestServer(app)
        await server.start_server()
        async with asyncio.timeout(10), ClientSession() as session:
            try:
                return await talk(lambda *protocols: session.ws_connect(server.make_url("/"), protocols=protocols))
            finally:
                await server.close()

    return asyncio.run(run())


async def spoken(socket: ClientWebSocketResponse, *messages: bytes | str) -> list[bytes]:
    """Say all, and hear to the end."""
    for message in messages:
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
    return [each.data.encode() if isinstance(each.data, str) else each.data async for each in socket]


def encoded(channel: int, data: bytes) -> str:
    return f"{channel}{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
def test_the_status_comes_last(protocol: str) -> None:
    async def talk(open_: Any) -> list[bytes]:
        async with open_(protocol) as socket:
            assert socket.protocol == protocol
            return await spoken(socket, b"\0hi", b"\0end")

    first, *lines, status = served(COMMAND, talk)
    assert (first, b"".join(line[1:] for line in lines)) == (b"\x01", b"hiend")
    assert status[0] == 3
    assert json.loads(status[1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


def test_version_5_closes_the_input_alone() -> None:
    async def talk(open_: Any) -> list[bytes]:
        async with open_("v5.channel.k8s.io") as socket:
            return await spoken(socket, b"\0hi", b"\xff\0")

    assert served(COMMAND, talk)[1] == b"\x01hi"


def test_messages_in_base64() -> None:
    async def talk(open_: Any) -> list[bytes]:
        async with open_("v4.base64.channel.k8s.io") as socket:
            return await spoken(socket, encoded(0, b"end"))

    first, line, status = served(COMMAND, talk)
    assert (first, line, status[:1]) == (b"1", encoded(1, b"end").encode(), b"3")


@pytest.mark.parametrize("protocols", [(), ("channel.k8s.io",), ("unknown",)])
def test_older_protocols_are_told_why_and_no_status(protocols: tuple[str, ...]) -> None:
    async def talk(open_: Any) -> list[bytes]:
        async with open_(*protocols) as socket:
            return await spoken(socket, b"\0end")

    assert served(COMMAND, talk)[-1] == b"\x03command terminated with non-zero exit code: exit status 7"


def test_a_node_that_is_not_reached() -> None:
    async def by_version_5(open_: Any) -> list[bytes]:
        async with open_("v5.channel.k8s.io") as socket:
            return await spoken(socket)

    (status,) = served(COMMAND, by_version_5, reached=False)
    assert json.loads(status[1:])["message"] == (
        'Internal error occurred: error sending request: Post "https://10.0.0.1:10250/exec/ns/p/c?command=cat&error=1&input=1'
        '&output=1": dial tcp 10.0.0.1:10250: connect: connection refused'
    )

    async def by_version_4(open_: Any) -> int:
        with pytest.raises(WSServerHandshakeError) as refused:
            await open_("v4.channel.k8s.io")
        return refused.value.status

    assert served(COMMAND, by_version_4, reached=False) == 500
    assert served(PORTS, by_version_4, reached=False) == 500


def test_a_container_that_does_not_run() -> None:
    async def talk(open_: Any) -> list[bytes]:
        async with open_("v5.channel.k8s.io") as socket:
            return await spoken(socket)

    (status,) = served(COMMAND, talk, runs=False)
    assert (
        json.loads(status[1:])["message"]
        == 'Internal error occurred: unable to upgrade connection: container not found ("c")'
    )


def test_ports_by_channels() -> None:
    async def talk(open_: Any) -> set[bytes]:
        async with open_("v4.channel.k8s.io") as socket:
            await socket.send_bytes(b"\0hello")
            heard = {(await socket.receive()).data for _ in range(6)}
            await socket.close()
            return heard

    assert served(PORTS, talk) == {
        b"\0" + struct.pack("<H", 80), b"\1" + struct.pack("<H", 80), b"\2" + struct.pack("<H", 81), b"\3" + struct.pack("<H", 81),
        b"\0HELLO", b"\3error forwarding port 81 to pod p, uid u: dial tcp4 127.0.0.1:81: connect: connection refused",
    }  # fmt: skip


def test_without_ports_there_is_nothing_to_forward() -> None:
    async def talk(open_: Any) -> int:
        with pytest.raises(WSServerHandshakeError) as refused:
            await open_("v4.channel.k8s.io")
        return refused.value.status

    assert served(Stream(POD, "", NODE, PortForward()), talk) == 400


@pytest.mark.parametrize(
    ("asked", "spoken_", "first"),
    [
        (("binary.k8s.io",), "binary.k8s.io", b"one\n"), ((), None, b"one\n"), (("base64.binary.k8s.io",), "base64.binary.k8s.io", b"b25lCg=="),
        (("other", "binary.k8s.io"), "binary.k8s.io", b"one\n"),
    ],
)  # fmt: skip
def test_a_log_in_messages(asked: tuple[str, ...], spoken_: str | None, first: bytes) -> None:
    async def talk(open_: Any) -> list[bytes]:
        async with open_(*asked) as socket:
            assert socket.protocol == spoken_
            return await spoken(socket)

    assert served(Stream(RUNS, "c", NODE, LogOptions()), talk)[:2] == [b"", first]


def test_a_log_that_is_followed_in_messages_ends_when_its_reader_goes() -> None:
    async def talk(open_: Any) -> None:
        async with open_("binary.k8s.io") as socket:
            await socket.send_str("nobody hears this")
            assert [(await socket.receive()).data for _ in range(3)] == [b"", b"one\n", b"two\n"]

    ENDED.clear()
    served(Stream(RUNS, "c", NODE, LogOptions(follow=True)), talk)
    assert ENDED == ["c"]
