"""A part of a container's log: its last lines, those since a time, with the times at which they were written, also as it grows.

Source: kubernetes 1.36 cri-client pkg/logs/logs.go (ReadLogs).
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from netproxy.kubelet.logs import CHUNK_BYTES, Reader, parts, times

LOOK_AGAIN_S = 0.1
"""How often it is usually looked at."""
_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part."""

    follow: bool = False
    timestamps: bool = False
    since: float = 0.0
    """Seconds since 1970."""
    tail: int | None = None
    limit: int | None = None
    """In bytes."""
    pause_s: float = LOOK_AGAIN_S
    """How often a log that is followed is looked at."""


async def extract(folder: Path, run: int, wanted: Wanted, runs: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The part of a log that is wanted, in pieces; it ends when the container does not run any more.

    RUNS says whether it does, and is not asked before all that it has written until then is there.
    """
    reader, left = Reader(folder, run), wanted.limit
    skipped = 0 if wanted.tail is None else tail_start(folder, run, wanted.tail)
    lines = Lines(reader, wanted) if wanted.timestamps or wanted.since else None
    try:
        async for piece in _pieces(reader, wanted, runs):
            skipped, piece = skipped - len(piece), piece[max(skipped, 0) :]
            piece = lines.shaped(piece) if lines else piece
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            if piece:
                yield piece
            if left == 0:
                return
        if lines:
            yield lines.rest()[:left]
    finally:
        reader.close()


async def _pieces(reader: Reader, wanted: Wanted, runs: Callable[[], bool]) -> AsyncIterator[bytes]:
    while True:
        more = wanted.follow and runs()  # asked first: what was written before it ended must be read
        while piece := reader.read():
            yield piece
            await asyncio.sleep(0)
        if not more or reader.gone:
            return
        await asyncio.sleep(wanted.pause_s)


def tail_start(folder: Path, run: int, count: int) -> int:
    """From which byte on the last COUNT lines of a run are, counted over all its files."""
    files = [part.path for part in parts(folder) if part.run == run]
    sizes = [path.stat().st_size for path in files]
    begin, wanted = sum(sizes), count
    is_last = True
    for path, size in zip(reversed(files), reversed(sizes), strict=True):
        begin -= size
        with path.open("rb") as file:
            end = size
            while end > 0:
                start = max(0, end - CHUNK_BYTES)
                block = os.pread(file.fileno(), end - start, start)
                if is_last and not block.endswith(b"\n"):
                    wanted -= 1  # a last line that has not ended
                    if wanted < 0:
                        return begin + end
                is_last = False
                found = _nth_last(block, wanted)
                if found >= 0:
                    return begin + start + found + 1
                wanted -= block.count(b"\n")
                end = start
    return 0


def _nth_last(block: bytes, count: int) -> int:
    """Where the (COUNT + 1)th last end of a line is; -1 when there are not so many.

    >>> _nth_last(b"a\\nb\\nc\\n", 1), _nth_last(b"a\\nb\\nc\\n", 0), _nth_last(b"a\\nb\\nc\\n", 3)
    (3, 5, -1)
    """
    if block.count(b"\n") <= count:
        return -1
    at = len(block)
    for _ in range(count + 1):
        at = block.rfind(b"\n", 0, at)
    return at


class Lines:
    """Puts times before lines, and leaves out those that are too old."""

    def __init__(self, reader: Reader, wanted: Wanted) -> None:
        self._reader = reader
        self._wanted = wanted
        self._since_ns = int(wanted.since * _SECOND_NS)
        self._begun = b""
        self._begun_ns = 0
        self._times: list[tuple[int, int]] = []
        self._path: Path | None = None

    def shaped(self, piece: bytes) -> bytes:
        """What is to be told of what was read last."""
        path, end = self._reader.where
        at = end - len(piece)
        if path is not None and (path != self._path or not self._times or end > self._times[-1][0]):
            self._path, self._times = path, times(path)
        told = []
        for line in _split(piece):
            if not self._begun:
                self._begun_ns = self._time_at(at)
            at += len(line)
            self._begun += line
            if line.endswith(b"\n"):
                told.append(self.rest())
        return b"".join(told)

    def rest(self) -> bytes:
        """The line that has begun, as it is to be told."""
        line, self._begun = self._begun, b""
        if not line or self._begun_ns < self._since_ns:
            return b""
        return (rfc3339_nano(self._begun_ns).encode() + b" " + line) if self._wanted.timestamps else line

    def _time_at(self, offset: int) -> int:
        found = bisect_right(self._times, offset, key=lambda entry: entry[0])
        return self._times[found - 1][1] if found else 0


def _split(piece: bytes) -> list[bytes]:
    """Lines that end with a line feed only."""
    *whole, last = piece.split(b"\n")
    return [*(line + b"\n" for line in whole), *([last] if last else ())]


def rfc3339_nano(at_ns: int) -> str:
    """A time with all its nanoseconds.

    >>> rfc3339_nano(1_700_000_000_000_000_042)
    '2023-11-14T22:13:20.000000042Z'
    """
    seconds, rest = divmod(at_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
