"""Commands in containers over SPDY: kubectl before 1.31, and newer ones where WebSockets are refused.

Source: kubernetes 1.36 cri-streaming pkg/streaming/remotecommand/httpstream.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from netproxy.apiserver.connect import Stream, Terminal
from netproxy.serve import spdy
from netproxy.serve.channels import ERROR, RESIZE, STDERR, STDIN, STDOUT
from netproxy.serve.nodes import Nodes, unreachable, why_not
from netproxy.serve.remote import Status, converse, written
from netproxy.serve.upgrade import ASKED, SPDY, SocketPipe, agreed, disagreed, taken_over

PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
CHANNELS = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
STREAMS_S = 30.0
"""How long a client may take to open its streams."""


async def answer_command(request: web.Request, stream: Stream, wanted: Terminal, nodes: Nodes) -> web.StreamResponse:
    """Run a command for a client that speaks SPDY. Raises ApiError before it does."""
    protocol = agreed(request, PROTOCOLS)
    if protocol is None:
        return disagreed(request, PROTOCOLS)
    why = why_not(stream, nodes, proxied=True)
    if why:
        raise unreachable(why)
    expected = expected_streams(wanted, protocol)

    async def work(pipe: SocketPipe) -> None:
        wire = Wire(pipe, expected, tells_status=protocol == PROTOCOLS[0])
        running = asyncio.ensure_future(wire.session.run())
        try:
            async with asyncio.timeout(STREAMS_S):
                await wire.whole()
            await converse(wire, stream, wanted, nodes)
            await asyncio.wait([running], timeout=spdy.FAREWELL_S)
        except TimeoutError:
            pass  # it never opened them
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    return await taken_over(request, (("Upgrade", SPDY), *(((ASKED, protocol),) if protocol else ())), work)


def expected_streams(wanted: Terminal, protocol: str) -> frozenset[str]:
    """The streams that a client opens.

    >>> sorted(expected_streams(Terminal((), stdin=True, stdout=True, stderr=True, tty=True), "v4.channel.k8s.io"))
    ['error', 'resize', 'stdin', 'stdout']
    """
    sizes = wanted.tty and protocol in PROTOCOLS[:2]
    asked = {
        "stdin": wanted.stdin, "stdout": wanted.stdout, "stderr": wanted.stderr and not wanted.tty, "resize": sizes,
    }  # fmt: skip
    return frozenset(("error", *(name for name, is_wanted in asked.items() if is_wanted)))


class Wire:
    """The streams of one command, each a stream of a session."""

    def __init__(self, pipe: spdy.Pipe, expected: frozenset[str], *, tells_status: bool) -> None:
        self.session = spdy.Session(pipe, self._opened)
        self._expected = expected
        self._tells_status = tells_status
        self._streams: dict[int, spdy.Stream] = {}
        self._whole = asyncio.Event()

    async def whole(self) -> None:
        """Wait until all streams are there."""
        await self._whole.wait()

    def _opened(self, stream: spdy.Stream) -> bool:
        name = stream.headers.get("streamtype", "")
        if name not in self._expected or CHANNELS[name] in self._streams:
            return False
        self._streams[CHANNELS[name]] = stream
        if len(self._streams) == len(self._expected):
            self._whole.set()
        return True

    async def received(self) -> AsyncIterator[tuple[int, bytes | None]]:
        """Input and sizes; it ends with the session."""
        came: asyncio.Queue[tuple[int, bytes | None]] = asyncio.Queue(1)
        pumps = [
            asyncio.ensure_future(self._pump(channel, came)) for channel in (STDIN, RESIZE) if channel in self._streams
        ]
        over = asyncio.ensure_future(self._streams[ERROR].read())  # nobody writes there: it ends with the session
        try:
            while not over.done():
                taking = asyncio.ensure_future(came.get())
                await asyncio.wait([taking, over], return_when=asyncio.FIRST_COMPLETED)
                if taking.done():
                    yield taking.result()
                taking.cancel()
        finally:
            for task in (over, *pumps):
                task.cancel()

    async def _pump(self, channel: int, into: asyncio.Queue[tuple[int, bytes | None]]) -> None:
        while data := await self._streams[channel].read():
            await into.put((channel, data))
        await into.put((channel, None))

    async def send(self, channel: int, data: bytes) -> None:
        """Send on a stream that the client has opened."""
        await self._streams[channel].write(data)

    async def finish(self, status: Status) -> None:
        """Say how it ended, and close all streams."""
        told = written(status, as_status=self._tells_status)
        for channel in (STDOUT, STDERR):
            if channel in self._streams:
                with suppress(ConnectionError):  # it may have been closed alone
                    await self._streams[channel].close()
        if told:
            await self._streams[ERROR].write(told)
        await self._streams[ERROR].close()
        await self.session.farewell()
