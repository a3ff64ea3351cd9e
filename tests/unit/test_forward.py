"""Ports over SPDY for whoever opens streams and never means it."""

from __future__ import annotations

import asyncio
import gc

import pytest

from netproxy.apiserver.connect import PortForward
from netproxy.apiserver.connect import Stream as Wanted
from netproxy.serve import spdy
from netproxy.serve.forward import Forwarding
from netproxy.serve.nodes import NoNodes
from netproxy.serve.spdyframes import CANCEL, RST_STREAM, SYN_REPLY, SYN_STREAM, Frame, Reading, Writing

POD = {"metadata": {"name": "p", "namespace": "default", "uid": "u"}}


class Pipe:
    """What a client says, frame by frame, and what it is told."""

    def __init__(self, frames: list[Frame]) -> None:
        writing = Writing()
        self._said = [writing.written(frame) for frame in frames]
        self._reading = Reading()
        self.told: list[Frame] = []

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        return self._said.pop(0) if self._said else b""

    async def write(self, data: bytes) -> None:
        self.told += self._reading.frames(data)

    async def close(self) -> None:
        """Nothing is left to say."""


def forwarded(frames: list[Frame]) -> tuple[Pipe, int]:
    """The pipe, and how many streams are still known when all is said."""

    async def run() -> tuple[Pipe, int]:
        pipe = Pipe(frames)
        forwarding = Forwarding(pipe, Wanted(POD, "", None, PortForward()), NoNodes())
        await forwarding.run()
        gc.collect()
        return pipe, sum(isinstance(each, spdy.Stream) for each in gc.get_objects())

    return asyncio.run(run())


def opening(number: int, kind: str = "data", port: str = "80", request: str = "") -> Frame:
    return Frame(
        SYN_STREAM, number, headers={"streamtype": kind, "port": port, **({"requestid": request} if request else {})}
    )


def test_streams_that_are_broken_off_alone_are_forgotten() -> None:
    frames = [
        frame for at in range(spdy.MOST_STREAMS + 500) for number in (2 * at + 1,)
        for frame in (opening(number, request=f"r{at}"), Frame(RST_STREAM, number, code=CANCEL))
    ]  # fmt: skip
    pipe, known = forwarded(frames)
    assert [frame.kind for frame in pipe.told] == [SYN_REPLY] * (spdy.MOST_STREAMS + 500)
    assert known <= 500


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "9" * 5000, "\u0668\u0660", "8_0"])
def test_what_is_no_port_is_refused_and_the_session_goes_on(port: str) -> None:
    pipe, _ = forwarded(
        [
            opening(1, port=port),
            opening(3, kind="nonsense"),
            opening(5, kind="error", request="r"),
            opening(7, request="r"),
        ]
    )
    assert [(frame.kind, frame.stream) for frame in pipe.told][:4] == [
        (RST_STREAM, 1),
        (RST_STREAM, 3),
        (SYN_REPLY, 5),
        (SYN_REPLY, 7),
    ]


def test_two_streams_of_one_kind_are_no_pair() -> None:
    pipe, _ = forwarded([opening(1, request="r"), opening(3, request="r")])
    assert [(frame.kind, frame.stream) for frame in pipe.told] == [(SYN_REPLY, 1), (RST_STREAM, 3)]
