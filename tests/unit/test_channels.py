"""Streams in the messages of a WebSocket, and a conversation with a command over any wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from netproxy.apiserver.connect import Kubelet, LogOptions, PortForward, Stream, Terminal
from netproxy.core.errors import KernelError
from netproxy.serve.channels import PROTOCOLS, UNSAID, V5, Sizes, packed, unpacked
from netproxy.serve.nodes import NoNodes, log_url, post_url
from netproxy.serve.remote import SUCCESS, converse, exit_status, internal_error, written

BY_NAME = {each.name: each for each in (*PROTOCOLS, UNSAID)}
POD = {"metadata": {"name": "p", "namespace": "ns"}}
NODE = Kubelet("n", "10.0.0.1", 10250)


@pytest.mark.parametrize("name", list(BY_NAME))
@pytest.mark.parametrize("data", [b"", b"a", b"\x00\xff\n"])
def test_what_is_packed_is_unpacked(name: str, data: bytes) -> None:
    assert unpacked(BY_NAME[name], packed(BY_NAME[name], 3, data)) == (3, data)


@pytest.mark.parametrize(
    ("name", "message", "told"),
    [
        ("v5.channel.k8s.io", b"\xff\x00", (0, None)),
        ("v5.channel.k8s.io", b"\xff", None),
        ("v4.channel.k8s.io", b"\xff\x00", (255, b"\x00")),
        ("v4.channel.k8s.io", b"", None),
        ("v4.base64.channel.k8s.io", b"", None),
        ("v4.base64.channel.k8s.io", b"xYWI=", None),
        ("v4.base64.channel.k8s.io", b"0YW", None),
    ],
)
def test_messages_that_say_little(name: str, message: bytes, told: Any) -> None:
    assert unpacked(BY_NAME[name], message) == told


@pytest.mark.parametrize(
    ("pieces", "sizes"),
    [
        ([b'{"Width":80,"Height":24}\n'], [(80, 24)]),
        ([b'{"Width":80,"He', b'ight":24}{"Width":1,"Height":2} '], [(80, 24), (1, 2)]),
        ([b'{"Width":-1,"Height":2}{"Width":"a","Height":2}{"Width":70000,"Height":1}[1]'], []),
        ([b"nonsense", b'{"Width":1,"Height":2}'], [(1, 2)]),
        ([b"{" + b" " * 2000, b'{"Width":1,"Height":2}'], [(1, 2)]),
    ],
)
def test_sizes_of_a_terminal(pieces: list[bytes], sizes: list[tuple[int, int]]) -> None:
    told = Sizes()
    assert [size for piece in pieces for size in told.told(piece)] == sizes


class Process:
    """Writes what it is told to; reads into a list; ends when told, or when its input does."""

    def __init__(self, *outputs: Iterable[bytes], code: int | Exception = 0, waits: bool = False) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.heard: list[bytes] = []
        self.sizes: list[tuple[int, int]] = []
        self.ended = False
        self._left = [list(each) for each in outputs]
        self._code, self._waits = code, waits
        self.outputs = len(outputs)

    def _finish(self) -> None:
        if self.status.done():
            return
        if isinstance(self._code, Exception):
            self.status.set_exception(self._code)
        else:
            self.status.set_result(self._code)

    async def read(self, output: int) -> bytes:
        if self._left[output]:
            return self._left[output].pop(0)
        if not self._waits:
            self._finish()
        return b""

    async def write(self, data: bytes) -> bool:
        self.heard.append(data)
        return data != b"full"

    def close_input(self) -> None:
        self.heard.append(b"")
        if self._waits:
            self._finish()

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    async def end(self) -> None:
        self.ended = True


class Wire:
    """Says what it is told to, then is silent or gone."""

    def __init__(self, *said: tuple[int, bytes | None], goes: bool = False, broken: bool = False) -> None:
        self._said, self._goes, self._broken = said, goes, broken
        self.sent: list[tuple[int, bytes]] = []
        self.status: Any = None

    async def received(self) -> AsyncIterator[tuple[int, bytes | None]]:
        for each in self._said:
            yield each
        if not self._goes:
            await asyncio.Event().wait()

    async def send(self, channel: int, data: bytes) -> None:
        if self._broken:
            raise ConnectionResetError
        self.sent.append((channel, data))

    async def finish(self, status: Any) -> None:
        self.status = status


class Node(NoNodes):
    def __init__(self, process: Process | Exception) -> None:
        self._process = process

    async def run(self, stream: Stream) -> Any:
        if isinstance(self._process, Exception):
            raise self._process
        return self._process


def talked(wire: Wire, terminal: Terminal, *outputs: Iterable[bytes], **process: Any) -> Process:
    async def talk() -> Process:
        made = Process(*outputs, **process)
        await converse(wire, Stream(POD, "c", NODE, terminal), terminal, Node(made))
        return made

    return asyncio.run(talk())


ALL = Terminal(("a",), stdin=True, stdout=True, stderr=True)


def test_outputs_have_their_channels_and_the_end_its_status() -> None:
    wire = Wire()
    process = talked(wire, ALL, [b"o1", b"o2"], [b"e"], code=3)
    assert sorted(wire.sent) == [(1, b"o1"), (1, b"o2"), (2, b"e")]
    assert (wire.status, process.ended) == (exit_status(3), True)


def test_nobody_is_told_what_nobody_wants() -> None:
    wire = Wire((0, b"unheard"))
    process = talked(wire, Terminal(("a",), stderr=True), [b"o"], [b"e"])
    assert (wire.sent, wire.status, process.heard) == ([(2, b"e")], SUCCESS, [])


def test_input_and_its_end() -> None:
    process = talked(Wire((0, b"a"), (7, b"?"), (0, b"b"), (0, None)), ALL, [], [], waits=True)
    assert process.heard == [b"a", b"b", b""]


def test_input_that_nobody_reads_any_more_ends() -> None:
    assert talked(Wire((0, b"full")), ALL, [], [], waits=True).heard == [b"full", b""]


def test_a_terminal_has_one_output_and_a_size() -> None:
    wire = Wire((4, b'{"Width":80,"Height":24}'), (0, None))
    process = talked(wire, Terminal(("a",), stdin=True, stdout=True, stderr=True, tty=True), [b"o"], waits=True)
    assert (wire.sent, process.sizes) == ([(1, b"o")], [(80, 24)])


@pytest.mark.parametrize("wire", [Wire(goes=True), Wire(goes=True, broken=True)], ids=["gone", "broken"])
def test_whoever_goes_ends_the_command(wire: Wire) -> None:
    process = talked(wire, ALL, [b"o"], [], waits=True)
    assert (process.ended, wire.status) == (True, None)


def test_a_signal_is_a_status_as_a_shell_tells_it() -> None:
    wire = Wire()
    talked(wire, ALL, [], [], code=-9)
    assert wire.status == exit_status(137)


def test_what_cannot_be_run_or_is_lost() -> None:
    wire = Wire()
    asyncio.run(converse(wire, Stream(POD, "c", NODE, ALL), ALL, Node(KernelError("no"))))
    assert wire.status == internal_error("error executing command in container: no")
    talked(wire, ALL, [], [], code=KernelError("the shim has gone"))
    assert wire.status == internal_error("the shim has gone")


def test_how_an_end_is_told() -> None:
    assert json.loads(written(exit_status(3), as_status=True))["reason"] == "NonZeroExitCode"
    assert written(exit_status(3), as_status=False) == b"command terminated with non-zero exit code: exit status 3"
    assert written(SUCCESS, as_status=True) == b'{"metadata":{},"status":"Success"}'


def test_where_a_kubelet_is_asked() -> None:
    at = "https://10.0.0.1:10250"
    log = LogOptions(follow=True, limit=5, since_s=1)
    assert (
        log_url(Stream(POD, "c", NODE, log), NODE, log)
        == f"{at}/containerLogs/ns/p/c?follow=true&limitBytes=5&sinceSeconds=1"
    )
    assert log_url(Stream(POD, "c", NODE, LogOptions()), NODE, LogOptions()) == f"{at}/containerLogs/ns/p/c"
    command = Terminal(("a", "b c"), stdin=True, stdout=True)
    assert post_url(Stream(POD, "c", NODE, command), NODE) == f"{at}/exec/ns/p/c?command=a&command=b+c&input=1&output=1"
    assert post_url(Stream(POD, "c", NODE, Terminal(None)), NODE) == f"{at}/attach/ns/p/c"
    assert post_url(Stream(POD, "", NODE, PortForward()), NODE) == f"{at}/portForward/ns/p"


def test_version_5_is_the_first_choice() -> None:
    assert PROTOCOLS[0] is V5
