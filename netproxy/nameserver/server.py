"""Queries in, answers out: the same for datagrams and streams. No packet and no peer ends a loop.

Answers are kept ready-made, keyed by the raw question, so that a question that was asked before costs a look-up.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable
from typing import Any

from netproxy.dns import wire
from netproxy.dns.answer import SERVFAIL, Answer, answer, rotations
from netproxy.nameserver.loops import TICK_S, Beat
from netproxy.nameserver.state import State, States
from netproxy.nameserver.upstream import Asked, Upstream

LONGEST_DATAGRAM = 4096
RECEIVE_BUFFER = 4 << 20
MOST_IN_A_DATAGRAM = 65507 - 40

Reply = Callable[[bytes], object]


class Server:
    """Answers queries from the state that holds; asks upstream what is not the cluster's."""

    def __init__(self, states: States, upstream: Upstream, *, log: bool = False) -> None:
        self._states = states
        self._upstream = upstream
        self._log = log
        self._turn = itertools.count()

    def serve_udp(self, sock: socket.socket, beat: Beat) -> None:
        """Answer datagrams for ever; returns only by an error of receiving itself."""
        receive, send, turn, states = sock.recvfrom, sock.sendto, self._turn, self._states
        while True:
            beat.turns += 1
            try:
                data, client = receive(LONGEST_DATAGRAM)
            except BlockingIOError:
                continue  # nobody asked for a while
            try:
                known = states.now.kept.get(data[2:])
                if known is None:
                    self.handle(data, lambda message, client=client: send(message, client), client, beat)  # type: ignore[misc]
                elif known.__class__ is bytes:
                    send(data[:2] + known, client)
                else:
                    send(data[:2] + known[next(turn) % len(known)], client)  # type: ignore[operator]  # bytes or list
            except OSError as error:  # port 0, no route, a firewall, no buffers: this client gets no answer
                beat.refused("send", error)

    def handle(self, data: bytes, reply: Reply, client: Any, beat: Beat, *, stream: bool = False) -> bool:
        """Answer one query through REPLY, now or when upstream has answered; False for what gets no answer.

        Raises only what REPLY raises.
        """
        try:
            question = wire.parse(data)
            messages = self._messages(question, data, reply, client, stream=stream) if question else ()
        except Exception as error:
            beat.fault("query", error)
            failed = wire.failure(data)
            question, messages = None, (failed,) if failed else ()
        if question is None and not messages:
            beat.count("ignored")
            return False
        if messages:
            reply(messages[next(self._turn) % len(messages)])
        return True

    def _messages(
        self, question: wire.Question, data: bytes, reply: Reply, client: Any, *, stream: bool
    ) -> tuple[bytes, ...]:
        """The answers, any of which may be sent; none when upstream is asked."""
        state = self._states.now
        found = _own(state, question)
        if self._log:
            code = found.code if found else "forwarded"
            _print(f"{'tcp' if stream else client[0]} {question.type} {question.name}. {code}")
        size = wire.STREAM_SIZE if stream else min(question.udp_size, MOST_IN_A_DATAGRAM)
        if found is None or found.outside:
            refused = self._upstream.ask(Asked(question, data, found, size, reply, stream))
            return (refused,) if refused else ()
        turned = rotations(found)
        if stream:
            turned = [turned[next(self._turn) % len(turned)]]
        packed = [wire.pack(question, one, size=size) for one in turned]
        if state.synced and not (stream or self._log or question.code):
            state.kept.keep(data[2:], [message[2:] for message in packed])
        return tuple(packed)


def _own(state: State, question: wire.Question) -> Answer | None:
    if question.code:
        return Answer(question.code)
    if not state.synced:
        return Answer(SERVFAIL)
    return answer(state.zone, question.name, question.type)


def _print(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        pass  # a full disk is no reason not to answer


class Stream:
    """DNS on a TCP connection: each message behind its length."""

    once = False

    def __init__(self, server: Server) -> None:
        self._server = server

    def take(self, received: bytearray) -> bytes | None:
        """The first whole message, cut off what was RECEIVED; None when there is none yet."""
        end = 2 + int.from_bytes(received[:2], "big")
        if len(received) < end:
            return None
        message = bytes(received[2:end])
        del received[:end]
        return message

    def answer(self, message: bytes, reply: Reply, beat: Beat) -> bool:
        """Answer it through REPLY; False ends the connection."""

        def framed(body: bytes) -> None:
            reply(struct.pack(">H", len(body)) + body)

        return self._server.handle(message, framed, None, beat, stream=True)


def bound(kind: int, address: str, port: int) -> socket.socket:
    """A socket of the name server on an address; a read of a datagram ends after a tick, so that its loop turns."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_DGRAM:
        wait = struct.pack("ll", int(TICK_S), 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    else:
        sock.listen(128)
        sock.setblocking(False)
    return sock
