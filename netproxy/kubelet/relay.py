"""What stands between a container's standard files and the shim: its output on its way to the log, its input, its terminal."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import selectors
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netproxy.kubelet.logs import CHUNK_BYTES, RotatedLog

Message = dict[str, Any]


class Relay:
    """Carries what a container writes to its log, and to it what it is to read."""

    def __init__(self, log: Message, *, stdin: bool = False, tty: bool = False) -> None:
        """LOG: `path`, `maxBytes`, `maxFiles`. Raises OSError when there is no pipe, or no terminal, to be had."""
        self._input, self._waiting = -1, b""
        self.is_awaited = False
        """Whether somebody waits for the input to be taken."""
        read_end = -1
        if tty:
            self.pipe, write_end = os.openpty()
            self._input = os.dup(self.pipe) if stdin else -1
            read_end = os.dup(write_end)
        else:
            self.pipe, write_end = os.pipe2(os.O_CLOEXEC)
            if stdin:
                read_end, self._input = os.pipe2(os.O_CLOEXEC)
        self.theirs = (read_end, write_end)
        """What the container reads (-1 is nothing) and writes."""
        self._tty = tty
        for fd in (self.pipe, self._input):
            if fd >= 0:
                os.set_blocking(fd, False)
        self._log = RotatedLog(Path(log["path"]), log["maxBytes"], log["maxFiles"])

    def close_theirs(self) -> None:
        """The container has its own copies."""
        for fd in self.theirs:
            if fd >= 0:
                os.close(fd)

    def carry(self) -> bool:
        """Carry one piece; False when nothing will come any more."""
        try:
            data = os.read(self.pipe, CHUNK_BYTES)
        except BlockingIOError:
            return True
        except OSError:  # the last one has left the terminal
            return False
        self._log.write(data)
        return bool(data)

    def finish(self) -> None:
        """Carry what is left in the pipe of a container that has ended."""
        with contextlib.suppress(OSError):
            while data := os.read(self.pipe, CHUNK_BYTES):
                self._log.write(data)
        self.close()

    def close(self) -> None:
        """Give everything back."""
        os.close(self.pipe)
        self.close_input()
        self._log.close()

    # --- input

    @property
    def input(self) -> int:
        """Where the container's input is written to; -1 when it reads nothing."""
        return self._input

    def feed(self, data: bytes) -> bool:
        """Give it DATA to read, after what still waits; whether it was all taken."""
        self._waiting += data
        try:
            while self._waiting and self._input >= 0:
                self._waiting = self._waiting[os.write(self._input, self._waiting) :]
        except BlockingIOError:
            return False
        except OSError:  # it reads no more
            self._waiting = b""
        return True

    def close_input(self) -> None:
        """There is nothing more to read."""
        if self._input >= 0:
            os.close(self._input)
        self._input, self._waiting = -1, b""

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal, if there is one, how large it is."""
        if self._tty:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self.pipe, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


class Feeding:
    """Hands in what containers are to read; TELL tells the agent what was taken."""

    def __init__(self, selector: selectors.BaseSelector, tell: Callable[[Message], None]) -> None:
        self._selector = selector
        self._tell = tell

    def obey(self, message: Message, relay: Relay | None) -> None:
        """Give a container something to read, or no more, or tell its terminal's size."""
        match message["op"]:
            case "resize" if relay:
                relay.resize(message["columns"], message["rows"])
            case "close-input" if relay:
                self.stop(relay)
                relay.close_input()
            case "input" if relay and relay.input >= 0:
                self._feed(message["id"], relay, base64.b64decode(message["data"]))
            case "input":
                self._tell({"event": "took", "id": message["id"], "all": False})

    def stop(self, relay: Relay) -> None:
        """Wait for it no more."""
        if relay.is_awaited:
            self._selector.unregister(relay.input)
            relay.is_awaited = False

    def _feed(self, name: str, relay: Relay, data: bytes) -> None:
        if relay.feed(data):
            self.stop(relay)
            self._tell({"event": "took", "id": name, "all": True})
        elif not relay.is_awaited:
            self._selector.register(relay.input, selectors.EVENT_WRITE, lambda: self._feed(name, relay, b""))
            relay.is_awaited = True
