"""A SPDY session and its streams, over whatever carries bytes both ways.

Source: moby/spdystream connection.go, stream.go (behaviour).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from netproxy.serve.spdyframes import (
    CANCEL,
    GOAWAY,
    PING,
    RST_STREAM,
    SYN_REPLY,
    SYN_STREAM,
    Frame,
    Reading,
    SpdyError,
    Writing,
)

WAITING_BYTES = 1 << 20
"""So much may wait for whoever reads a stream; then nothing more is read for anybody, as there is no flow control."""
PIECE_BYTES = 1 << 15
MOST_STREAMS = 4096
FAREWELL_S = 1.0
"""How long the other end may take to go when all was said."""


class Pipe(Protocol):
    """What carries the bytes of a session."""

    async def read(self) -> bytes:
        """What comes next; empty when the other end has gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Send, at the pace at which it is taken. Raises ConnectionError."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


class Stream:
    """One stream of a session, opened by the other end."""

    def __init__(self, session: Session, number: int, headers: Mapping[str, str]) -> None:
        self.number = number
        self.headers = headers
        self._session = session
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self.is_over = False
        """Whether nothing more will come."""
        self._is_closed = False

    async def read(self) -> bytes:
        """What comes next; empty when nothing will come any more."""
        while not self._waiting and not self.is_over:
            self._changed.clear()
            await self._changed.wait()
        if not self._waiting:
            return b""
        data = self._waiting.popleft()
        self._bytes -= len(data)
        self._session.relax()
        return data

    async def write(self, data: bytes) -> None:
        """Send. Raises ConnectionError, also when the other end wants nothing more."""
        for at in range(0, len(data), PIECE_BYTES):
            if self._is_closed:
                raise ConnectionResetError("the stream is closed")
            await self._session.send(Frame(0, self.number, data[at : at + PIECE_BYTES]))

    async def close(self) -> None:
        """Say nothing more. Raises ConnectionError."""
        if not self._is_closed:
            self._is_closed = True
            await self._session.send(Frame(0, self.number, fin=True))
            self._session.forget(self)

    async def reset(self) -> None:
        """Break it off. Raises ConnectionError."""
        self.broken()
        await self._session.send(Frame(RST_STREAM, self.number, code=CANCEL))
        self._session.forget(self)

    @property
    def is_done(self) -> bool:
        """Whether nobody says anything more."""
        return self.is_over and self._is_closed

    @property
    def is_full(self) -> bool:
        """Whether whoever reads is too far behind."""
        return self._bytes > WAITING_BYTES

    def take(self, data: bytes, *, fin: bool) -> None:
        """Something came."""
        if data and not self.is_over:
            self._waiting.append(data)
            self._bytes += len(data)
        self.is_over = self.is_over or fin
        self._changed.set()

    def broken(self) -> None:
        """It was broken off: nothing comes, nothing goes, what waits is not needed."""
        self._is_closed = True
        self._waiting.clear()
        self._bytes = 0
        self.take(b"", fin=True)
        self._session.relax()


class Session:
    """The server's end of a session."""

    def __init__(self, pipe: Pipe, opened: Callable[[Stream], bool]) -> None:
        """OPENED is told of each new stream, and says whether it is welcome."""
        self._pipe = pipe
        self._opened = opened
        self._reading, self._writing = Reading(), Writing()
        self._sending = asyncio.Lock()
        self._streams: dict[int, Stream] = {}
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Hear the other end until it goes; all streams are over then."""
        try:
            while data := await self._pipe.read():
                for frame in self._reading.frames(data):
                    await self._heard(frame)
                while any(stream.is_full for stream in self._streams.values()):
                    self._room.clear()
                    await self._room.wait()
        except (ConnectionError, SpdyError):
            pass
        finally:
            for stream in tuple(self._streams.values()):
                stream.broken()
            self._streams.clear()

    async def _heard(self, frame: Frame) -> None:
        stream = self._streams.get(frame.stream)
        match frame.kind:
            case 1:
                await self._open(frame)
            case 0 if stream:
                stream.take(frame.data, fin=frame.fin)
                self.forget(stream)
            case 3 if stream:
                stream.broken()
                self.forget(stream)
            case 6:
                await self.send(Frame(PING, frame.stream))

    async def _open(self, frame: Frame) -> None:
        stream = Stream(self, frame.stream, frame.headers)
        if frame.stream in self._streams or len(self._streams) >= MOST_STREAMS or not self._opened(stream):
            await self.send(Frame(RST_STREAM, frame.stream, code=CANCEL))
            return
        self._streams[frame.stream] = stream
        if frame.fin:
            stream.take(b"", fin=True)
        await self.send(Frame(SYN_REPLY, frame.stream))

    async def send(self, frame: Frame) -> None:
        """Send one frame. Raises ConnectionError."""
        async with self._sending:
            await self._pipe.write(self._writing.written(frame))

    def forget(self, stream: Stream) -> None:
        """Nothing is kept of a stream on which nobody says anything more."""
        if stream.is_done:
            self._streams.pop(stream.number, None)

    def relax(self) -> None:
        """Somebody has read."""
        self._room.set()

    async def farewell(self) -> None:
        """Say that this is all. Raises ConnectionError."""
        await self.send(Frame(GOAWAY))


__all__ = ["FAREWELL_S", "SYN_STREAM", "Pipe", "Session", "Stream"]
