"""Streams in the messages of a WebSocket: the first byte says which one. Bytes to values and back; nothing is sent here.

Source: kubernetes 1.36 streaming pkg/httpstream/wsstream/conn.go, apiserver pkg/util/proxy/websocket.go.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
"""A message of this channel closes the one that its other byte says: since version 5."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to put streams into messages."""

    name: str
    base64: bool = False
    tells_status: bool = True
    """Whether the end is told as a Status; else as the text of an error, or not at all."""
    closes: bool = False
    """Whether one stream can be closed alone."""


V5 = Protocol("v5.channel.k8s.io", closes=True)
PROTOCOLS = (
    V5, Protocol("v4.channel.k8s.io"), Protocol("v4.base64.channel.k8s.io", base64=True),
    Protocol("channel.k8s.io", tells_status=False), Protocol("base64.channel.k8s.io", base64=True, tells_status=False),
)  # fmt: skip
UNSAID = Protocol("", tells_status=False)
"""For a client that asks for none."""


def packed(protocol: Protocol, channel: int, data: bytes) -> bytes:
    """The message with DATA of a channel.

    >>> packed(V5, 1, b"ab"), packed(PROTOCOLS[2], 1, b"ab")
    (b'\\x01ab', b'1YWI=')
    """
    return b"%d" % channel + base64.b64encode(data) if protocol.base64 else bytes((channel,)) + data


def unpacked(protocol: Protocol, message: bytes) -> tuple[int, bytes | None] | None:
    """The channel and the data of a message, no data when the channel was closed; None for a message that says nothing.

    >>> unpacked(V5, b"\\x00ab"), unpacked(V5, b"\\xff\\x00"), unpacked(V5, b""), unpacked(PROTOCOLS[2], b"0YWI=")
    ((0, b'ab'), (0, None), None, (0, b'ab'))
    """
    if not message:
        return None
    if protocol.base64:
        return _decoded(message)
    if protocol.closes and message[0] == CLOSE:
        return (message[1], None) if len(message) > 1 else None
    return message[0], message[1:]


def _decoded(message: bytes) -> tuple[int, bytes] | None:
    if not message[:1].isdigit():
        return None
    try:
        return int(message[:1]), base64.b64decode(message[1:], validate=True)
    except binascii.Error:
        return None


class Sizes:
    """Sizes of a terminal as they come: JSON, one after the other, cut anywhere."""

    def __init__(self) -> None:
        self._text = ""

    def told(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Columns and rows, for each size that is whole now; what is no size is passed over."""
        self._text = (self._text + data.decode(errors="replace")).lstrip()
        decoder = json.JSONDecoder()
        while self._text:
            try:
                value, end = decoder.raw_decode(self._text)
            except ValueError:
                self._text = self._text if self._text.startswith("{") and len(self._text) < 1000 else ""
                return
            self._text = self._text[end:].lstrip()
            columns, rows = (value.get("Width"), value.get("Height")) if isinstance(value, dict) else (None, None)
            if isinstance(columns, int) and isinstance(rows, int) and 0 <= columns < 1 << 16 and 0 <= rows < 1 << 16:
                yield columns, rows
