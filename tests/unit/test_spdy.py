"""SPDY/3.1: frames, and sessions whose other end does what it likes."""

from __future__ import annotations

import asyncio
import random
import struct
import zlib
from collections.abc import Awaitable, Callable

import pytest

from netproxy.serve.spdy import Session, Stream
from netproxy.serve.spdyframes import DICTIONARY, MAX_HEADERS, Frame, Reading, SpdyError, Writing

ALL = [
    Frame(1, 1, headers={"streamtype": "data", "port": "80"}),
    Frame(2, 1, headers={}),
    Frame(0, 1, b"hello"),
    Frame(8, 1, headers={"more": "ü"}, fin=True),
    Frame(6, 7),
    Frame(3, 1, code=5),
    Frame(0, 3, b"", fin=True),
    Frame(7, 0),
]


def test_the_dictionary_is_that_of_the_protocol() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 3821447106)


@pytest.mark.parametrize("seed", range(5))
def test_frames_that_are_written_are_read_again_in_any_pieces(seed: int) -> None:
    writing, reading, chance = Writing(), Reading(), random.Random(seed)
    data, found = b"".join(map(writing.written, ALL)), []
    while data:
        size = chance.randint(1, 40)
        found += reading.frames(data[:size])
        data = data[size:]
    assert found == ALL


def test_names_of_headers_are_in_lower_case() -> None:
    (frame,) = Reading().frames(Writing().written(Frame(1, 1, headers={"StreamType": "Data"})))
    assert frame.headers == {"streamtype": "Data"}


def test_kinds_that_are_not_used_are_passed_over() -> None:
    settings = struct.pack(">IIII", 1 << 31 | 3 << 16 | 4, 8, 0, 0)
    window = struct.pack(">IIII", 1 << 31 | 3 << 16 | 9, 8, 1, 1)
    assert list(Reading().frames(settings + window + Writing().written(Frame(6, 1)))) == [Frame(6, 1)]


def block(plain: bytes) -> bytes:
    deflate = zlib.compressobj(zdict=DICTIONARY)
    return deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)


def control(kind: int, body: bytes, version: int = 3) -> bytes:
    return struct.pack(">II", 1 << 31 | version << 16 | kind, len(body)) + body


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(control(6, b"\0\0\0\1", version=2), "version 2", id="an older version"),
        pytest.param(control(6, b"\0"), "a frame of kind 6 is too short", id="too short"),
        pytest.param(control(2, b"\0\0\0\1nonsense"), "cannot be inflated", id="no zlib"),
        pytest.param(control(2, b"\0\0\0\1" + block(b"\0" * (MAX_HEADERS + 1))), "too long", id="a bomb"),
        pytest.param(control(2, b"\0\0\0\1" + block(b"\xff" * 4)), "too short", id="more headers than there are"),
    ],
)
def test_what_is_no_spdy(data: bytes, why: str) -> None:
    with pytest.raises(SpdyError, match=why):
        list(Reading().frames(data))


class Pipe:
    """The other end's words, and what it was told."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes] = asyncio.Queue()
        self.told: list[Frame] = []
        self._reading, self._writing = Reading(), Writing()

    def say(self, *frames: Frame) -> None:
        self.said.put_nowait(b"".join(map(self._writing.written, frames)))

    async def read(self) -> bytes:
        return await self.said.get()

    async def write(self, data: bytes) -> None:
        self.told += self._reading.frames(data)

    async def close(self) -> None:
        self.said.put_nowait(b"")


def in_session(
    work: Callable[[Pipe, Session, list[Stream]], Awaitable[None]], welcome: Callable[[Stream], bool] = lambda _: True
) -> Pipe:  # fmt: skip
    async def run() -> Pipe:
        pipe, streams = Pipe(), list[Stream]()

        def opened(stream: Stream) -> bool:
            if welcome(stream):
                streams.append(stream)
            return welcome(stream)

        session = Session(pipe, opened)
        running = asyncio.ensure_future(session.run())
        async with asyncio.timeout(5):
            await work(pipe, session, streams)
            await pipe.close()
            await running
        return pipe

    return asyncio.run(run())


async def soon(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_a_stream_from_its_opening_to_its_end() -> None:
    async def work(pipe: Pipe, session: Session, streams: list[Stream]) -> None:
        pipe.say(Frame(1, 1, headers={"a": "b"}), Frame(0, 1, b"in"), Frame(0, 1, fin=True))
        await soon(lambda: streams)
        assert (await streams[0].read(), await streams[0].read(), streams[0].headers) == (b"in", b"", {"a": "b"})
        await streams[0].write(b"x" * 40_000)
        await streams[0].close()
        await streams[0].close()
        with pytest.raises(ConnectionError):
            await streams[0].write(b"late")
        await session.farewell()

    told = in_session(work).told
    assert [frame.kind for frame in told] == [2, 0, 0, 0, 7]
    assert (len(told[1].data), len(told[2].data), told[3].fin) == (32768, 7232, True)


def test_a_ping_is_answered() -> None:
    async def work(pipe: Pipe, session: Session, streams: list[Stream]) -> None:
        pipe.say(Frame(6, 9))
        await soon(lambda: pipe.told)

    assert in_session(work).told == [Frame(6, 9)]


def test_a_stream_that_is_not_welcome_or_there_already_is_reset() -> None:
    async def work(pipe: Pipe, session: Session, streams: list[Stream]) -> None:
        pipe.say(Frame(1, 1, headers={"no": ""}), Frame(1, 3), Frame(1, 3), Frame(0, 77, b"to nobody"), Frame(3, 77))
        await soon(lambda: len(pipe.told) == 3)

    kinds = [(frame.kind, frame.stream) for frame in in_session(work, lambda stream: "no" not in stream.headers).told]
    assert kinds == [(3, 1), (2, 3), (3, 3)]


def test_a_reset_is_the_end_both_ways() -> None:
    async def work(pipe: Pipe, session: Session, streams: list[Stream]) -> None:
        pipe.say(Frame(1, 1), Frame(0, 1, b"lost"), Frame(3, 1, code=5), Frame(1, 3))
        await soon(lambda: len(streams) == 2)
        assert await streams[0].read() == b""
        with pytest.raises(ConnectionError):
            await streams[0].write(b"a")
        await streams[1].reset()

    assert [(frame.kind, frame.stream) for frame in in_session(work).told] == [(2, 1), (2, 3), (3, 3)]


def test_nobody_is_read_further_than_somebody_can_take() -> None:
    async def work(pipe: Pipe, session: Session, streams: list[Stream]) -> None:
        pipe.say(Frame(1, 1), *(Frame(0, 1, b"x" * 100_000) for _ in range(11)))
        pipe.say(Frame(6, 1))
        await soon(lambda: streams and streams[0].is_full)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(frame.kind == 6 for frame in pipe.told)
        while streams[0].is_full:
            await streams[0].read()
        await soon(lambda: any(frame.kind == 6 for frame in pipe.told))

    in_session(work)


@pytest.mark.parametrize("last", [b"", b"\x80\x02\0\6\0\0\0\0"], ids=["gone", "nonsense"])
def test_the_end_of_a_session_is_the_end_of_its_streams(last: bytes) -> None:
    async def work(pipe: Pipe, session: Session, streams: list[Stream]) -> None:
        pipe.say(Frame(1, 1), Frame(1, 3, fin=True))
        await soon(lambda: len(streams) == 2)
        pipe.said.put_nowait(last)
        assert await streams[0].read() == b""
        assert streams[1].is_over

    in_session(work)
