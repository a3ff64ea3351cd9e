"""The host's resolvers, asked in a few threads; without any, or when they do not answer: SERVFAIL."""

from __future__ import annotations

import os
import queue
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from netproxy.dns import wire
from netproxy.dns.answer import SERVFAIL, Answer
from netproxy.nameserver.loops import TICK_S, Beat, Loops

PATIENCE_S = 2.0
FORWARDERS = 8
WAITING = 1000
MOST_SERVERS = 3
"""As many as a resolv.conf may name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query for somebody else, and how its client gets the answer."""

    question: wire.Question
    data: bytes
    own: Answer | None
    """A CNAME that leaves the cluster; None when the whole name is outside."""
    size: int
    reply: Callable[[bytes], object]
    stream: bool

    def failed(self) -> bytes:
        """The answer when nobody else answers: what is known of our own."""
        known = self.own.answers if self.own else ()
        return wire.pack(self.question, Answer(SERVFAIL, known), size=self.size, authoritative=False)


class Upstream:
    """Forwards queries; bounded in threads and in what waits for them."""

    def __init__(self, servers: Iterable[str], namespace: str | None) -> None:
        self._servers = tuple(servers)[:MOST_SERVERS]
        self._namespace = namespace
        self._waiting: queue.Queue[Asked] = queue.Queue(WAITING)

    def start(self, loops: Loops) -> None:
        """Begin to forward."""
        for number in range(FORWARDERS if self._servers else 0):
            loops.start(f"upstream {number}", self._work, patience_s=2 * MOST_SERVERS * PATIENCE_S)

    def ask(self, asked: Asked) -> bytes | None:
        """Ask upstream, whose answer goes through the query's reply; what to answer at once when that cannot be."""
        if not self._servers:
            return asked.failed()
        try:
            self._waiting.put_nowait(asked)
        except queue.Full:
            return asked.failed()
        return None

    def _work(self, beat: Beat) -> None:
        while True:
            beat.turns += 1
            try:
                asked = self._waiting.get(timeout=TICK_S)
            except queue.Empty:
                continue
            try:
                message = self._forwarded(asked, beat)
            except Exception as error:
                beat.fault("upstream", error)
                message = asked.failed()
            try:
                asked.reply(message)
            except OSError as error:
                beat.refused("send", error)

    def _forwarded(self, asked: Asked, beat: Beat) -> bytes:
        own, question = asked.own, asked.question
        data = wire.query(own.outside, question.type, question.id) if own else asked.data
        for server in self._servers:
            try:
                found = self._exchange(server, data, stream=asked.stream)
            except OSError as error:
                beat.refused("upstream", error)
                continue
            if own is not None:
                return wire.pack(question, wire.merge_outside(own, found), size=asked.size)
            return wire.shortened(question, found, asked.size)
        return asked.failed()

    def _exchange(self, server: str, data: bytes, *, stream: bool) -> bytes:
        """One server's answer; a client that asked over TCP gets the whole one. Raises OSError."""
        host, port = ([*server.rsplit("#", 1), "53"])[:2]
        until = time.monotonic() + PATIENCE_S
        sock, address = _outside(self._namespace, host, int(port), socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(address)
            sock.send(data)
            found = _received(sock, data, until)
        if not (stream and found[2] & 2):
            return found
        sock, address = _outside(self._namespace, host, int(port), socket.SOCK_STREAM)
        with sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(address)
            sock.sendall(struct.pack(">H", len(data)) + data)
            with sock.makefile("rb") as answers:
                whole = answers.read(int.from_bytes(answers.read(2), "big"))
        return whole if whole[:2] == data[:2] else found


def _received(sock: socket.socket, data: bytes, until: float) -> bytes:
    """The answer to a query, whatever else comes on the socket until then. Raises TimeoutError."""
    while (left_s := until - time.monotonic()) > 0:
        sock.settimeout(left_s)
        found = sock.recv(wire.STREAM_SIZE)
        if len(found) > 2 and found[:2] == data[:2] and found[2] & 0x80:
            return found
    raise TimeoutError


def _outside(namespace: str | None, host: str, port: int, kind: int) -> tuple[socket.socket, tuple[Any, ...]]:
    """A socket in the network of the process that started this one, which is the host's; HOST's address in its words."""
    if namespace is None:
        return _socket(host, port, kind)
    from netproxy.linux import libc, netns

    with netns.visiting():
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc.setns(fd)
            return _socket(host, port, kind)
        finally:
            os.close(fd)


def _socket(host: str, port: int, kind: int) -> tuple[socket.socket, tuple[Any, ...]]:
    """A scope in the address is a link's name here, and nowhere else."""
    ((family, _, _, _, address),) = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    return socket.socket(family, kind), address
