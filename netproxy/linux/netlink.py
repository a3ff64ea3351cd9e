"""Netlink, once: messages and attributes to bytes and back, and a socket that asks, dumps and sends batches.

Encoding by hand because it is the hot path of starting Pods (docs/adr/0008): 0.01 ms a request against 0.2–1 ms
through a library. Links (`rtnetlink`), connections (`conntrack`) and the generation of nftables' rules use it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from netproxy.core.errors import KernelError
from netproxy.linux import netns

ROUTE, NETFILTER = socket.NETLINK_ROUTE, 12
REQUEST, ACK, EXCL, CREATE, REPLACE, DUMP = 1, 4, 0x200, 0x400, 0x100, 0x300
NESTED = 0x8000
"""An attribute that holds attributes says so, where netfilter looks at it."""

_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=LHHLL")
_ATTRIBUTE = struct.Struct("=HH")
_CODE = struct.Struct("=i")
_NETFILTER = struct.Struct("=BBH")
BATCH = 64
"""So many answers fit into the receive buffer."""


class Request(NamedTuple):
    """One message without its header, and words for the error if it is refused."""

    kind: int
    flags: int
    body: bytes
    what: str


class Message(NamedTuple):
    """One message that came."""

    kind: int
    sequence: int
    body: bytes


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes.

    >>> attribute(3, b"lo").hex()
    '060003006c6f0000'
    """
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes of a message's body, or of another attribute; what is cut off is left out.

    >>> list(attributes(attribute(3, b"lo") + attribute(NESTED | 1, b"")))
    [(3, b'lo'), (1, b'')]
    """
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def encoded(request: Request, sequence: int) -> bytes:
    """A request as it goes over the socket."""
    return _HEADER.pack(16 + len(request.body), request.kind, REQUEST | request.flags, sequence, 0) + request.body


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram.

    >>> [message.body for message in messages(encoded(Request(16, 0, b"abcd", ""), 1))]
    [b'abcd']
    """
    at = 0
    while at + 16 <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        if length < 16:
            return
        yield Message(kind, sequence, data[at + 16 : at + length])
        at += (length + 3) & ~3


def netfilter_body(family: int, attributes_of_it: bytes = b"") -> bytes:
    """The body of a message to netfilter: its own small header, then attributes."""
    return _NETFILTER.pack(family, 0, 0) + attributes_of_it


def netfilter_attributes(body: bytes) -> dict[int, bytes]:
    """The attributes behind netfilter's own header."""
    return dict(attributes(body[_NETFILTER.size :]))


class Netlink:
    """A netlink socket of one namespace (None: where the calling thread is). Use one thread at a time."""

    def __init__(self, protocol: int, namespace: str | None = None, *, buffer: int = 0) -> None:
        with netns.inside(namespace):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def ask(self, request: Request) -> bytes:
        """The body of the one answer. Raises KernelError."""
        self._sequence += 1
        self._socket.send(encoded(request, self._sequence))
        for message in messages(self._socket.recv(1 << 16)):
            if message.kind == _ERROR:
                raise _refused(request, _CODE.unpack_from(message.body)[0])
            return message.body
        raise KernelError(f"{request.what}: no answer", request=request.what)

    def dump(self, request: Request) -> Iterator[bytes]:
        """The body of every answer; read to the end before the next request. Raises KernelError."""
        self._sequence += 1
        self._socket.send(encoded(request._replace(flags=request.flags | DUMP), self._sequence))
        while True:
            for message in messages(self._socket.recv(1 << 17)):
                if message.kind == _DONE:
                    return
                if message.kind == _ERROR:
                    raise _refused(request, _CODE.unpack_from(message.body)[0])
                yield message.body

    def send(self, requests: Sequence[Request]) -> None:
        """Send all requests, many in one write, and wait for all answers. Raises KernelError for the first that failed."""
        for request, code in zip(requests, self.codes(requests), strict=True):
            if code:
                raise _refused(request, code)

    def codes(self, requests: Sequence[Request]) -> list[int]:
        """The same; the answer to each request: 0, or a negative error number."""
        found: list[int] = []
        for at in range(0, len(requests), BATCH):
            found += self._batch(requests[at : at + BATCH])
        return found

    def _batch(self, requests: Sequence[Request]) -> list[int]:
        first = self._sequence + 1
        batch = bytearray()
        for request in requests:
            self._sequence += 1
            batch += encoded(request._replace(flags=request.flags | ACK), self._sequence)
        self._socket.sendto(batch, (0, 0))
        found: dict[int, int] = {}
        while len(found) < len(requests):
            for message in messages(self._socket.recv(1 << 16)):
                if message.kind == _ERROR:
                    found[message.sequence - first] = _CODE.unpack_from(message.body)[0]
        return [found[at] for at in range(len(requests))]


def _refused(request: Request, code: int) -> KernelError:
    words = os.strerror(-code)
    error = KernelError(f"{request.what}: {words}", request=request.what)
    error.__cause__ = OSError(-code, words)
    return error


def is_missing(error: KernelError) -> bool:
    """Whether the kernel said that there is no such thing."""
    return error.errno == errno.ENOENT
