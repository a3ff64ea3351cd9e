"""A container's standard files: its input in pieces that it takes, its output in its log, its terminal."""

from __future__ import annotations

import base64
import fcntl
import os
import selectors
import struct
import termios
from pathlib import Path
from typing import Any

from netproxy.kubelet.relay import Feeding, Relay


def a_relay(folder: Path, **more: bool) -> Relay:
    return Relay({"path": str(folder / "0.log"), "maxBytes": 1000, "maxFiles": 2}, **more)


class Told(list[dict[str, Any]]):
    def __init__(self) -> None:
        super().__init__()
        self.selector = selectors.DefaultSelector()
        self.feeding = Feeding(self.selector, self.append)

    def hand(self, relay: Relay | None, data: bytes) -> None:
        self.feeding.obey({"op": "input", "id": "c", "data": base64.b64encode(data).decode()}, relay)

    def look(self) -> None:
        for ready, _ in self.selector.select(5):
            ready.data()


def test_input_is_taken_when_there_is_room_and_told_then(tmp_path: Path) -> None:
    relay, told, data = a_relay(tmp_path, stdin=True), Told(), os.urandom(200_000)
    told.hand(relay, data)
    read, found = relay.theirs[0], b""
    assert told == []
    while not told:
        found += os.read(read, 1 << 16)
        told.look()
    told.feeding.obey({"op": "close-input", "id": "c"}, relay)
    while piece := os.read(read, 1 << 16):
        found += piece
    assert (found == data, told, list(told.selector.get_map())) == (
        True,
        [{"event": "took", "id": "c", "all": True}],
        [],
    )
    relay.close_theirs()
    relay.close()


def test_whoever_waits_is_forgotten_with_the_input(tmp_path: Path) -> None:
    relay, told = a_relay(tmp_path, stdin=True), Told()
    told.hand(relay, os.urandom(200_000))
    told.feeding.obey({"op": "close-input", "id": "c"}, relay)
    assert list(told.selector.get_map()) == []
    relay.close_theirs()
    relay.close()


def test_nobody_reads(tmp_path: Path) -> None:
    without, gone, told = a_relay(tmp_path), a_relay(tmp_path, stdin=True), Told()
    gone.close_theirs()
    told.hand(None, b"a")
    told.hand(without, b"a")
    told.hand(gone, b"a")
    assert [each["all"] for each in told] == [False, False, True]
    without.close_theirs()
    for relay in (without, gone):
        relay.close()


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    relay = a_relay(tmp_path)
    assert relay.carry()
    os.write(relay.theirs[1], b"a\n")
    assert relay.carry()
    os.write(relay.theirs[1], b"b\n")
    relay.close_theirs()
    relay.finish()
    assert (tmp_path / "0.log").read_bytes() == b"a\nb\n"


def test_a_terminal_has_a_size_and_an_end(tmp_path: Path) -> None:
    relay, told = a_relay(tmp_path, stdin=True, tty=True), Told()
    slave = relay.theirs[1]
    told.feeding.obey({"op": "resize", "id": "c", "columns": 90, "rows": 30}, relay)
    assert struct.unpack("4H", fcntl.ioctl(slave, termios.TIOCGWINSZ, b"\0" * 8)) == (30, 90, 0, 0)
    told.hand(relay, b"typed\n")
    assert os.read(relay.theirs[0], 100) == b"typed\n"
    os.write(slave, b"shown\n")
    relay.close_theirs()
    while relay.carry():
        pass
    relay.close()
    assert (tmp_path / "0.log").read_bytes() == b"typed\r\nshown\r\n"


def test_a_size_is_nothing_to_a_pipe(tmp_path: Path) -> None:
    relay = a_relay(tmp_path)
    relay.resize(1, 1)
    relay.close_theirs()
    relay.close()
