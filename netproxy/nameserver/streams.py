"""All TCP connections in one thread: as many as there are descriptors for, none for longer than it says something.

No number of idle peers keeps a new one out: when there is no room, the peer with the most connections loses the one
that was silent longest.
"""

from __future__ import annotations

import errno
import functools
import os
import resource
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol

from netproxy.nameserver.loops import TICK_S, Beat

SILENCE_S = 8.0
"""As long as CoreDNS keeps an idle connection."""
MOST_CONNECTIONS = 512
PART_OF_DESCRIPTORS = 4
ACCEPTED_AT_ONCE = 64
READ_BYTES = 8192
UNSENT_BYTES = 16384
WAITING = 16
REST_S = 0.2
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Talk(Protocol):
    """What is spoken on a connection."""

    @property
    def once(self) -> bool:
        """Whether a connection ends after one answer."""
        ...

    def take(self, received: bytearray) -> bytes | None:
        """The first whole message, cut off what was RECEIVED; None when there is none yet. Raises ValueError."""
        ...

    def answer(self, message: bytes, reply: Callable[[bytes], object], beat: Beat) -> bool:
        """Answer a message through REPLY, now or later from any thread; False ends the connection."""
        ...


class _Connection:
    """One peer: what it said, what it has not taken yet, and how many answers it waits for."""

    def __init__(self, sock: socket.socket, peer: str, talk: Talk, since: float) -> None:
        self.sock = sock
        self.peer = peer
        self.talk = talk
        self.since = since
        self.received = bytearray()
        self.unsent = bytearray()
        self.waiting = 0
        self.ended = False
        self.mask = 0

    @property
    def takes(self) -> bool:
        """Whether the peer takes its answers: who does not is not heard."""
        return self.waiting < WAITING and len(self.unsent) <= UNSENT_BYTES

    @property
    def wanted(self) -> int:
        """What to wait for."""
        read = selectors.EVENT_READ if self.takes and not self.ended else 0
        return read | (selectors.EVENT_WRITE if self.unsent else 0)

    @property
    def over(self) -> bool:
        """Whether nothing more is to be said."""
        return self.ended and not self.waiting and not self.unsent


class Streams:
    """The connections of all listeners."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int | None = None) -> None:
        self._clock = clock
        self._most = most or _most_connections()
        self._selector = selectors.DefaultSelector()
        self._listeners: dict[socket.socket, Talk] = {}
        self._connections: dict[socket.socket, _Connection] = {}
        self._late: deque[tuple[_Connection, bytes]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = 0
        self._rests_until = 0.0
        self._swept = 0.0

    def listen(self, sock: socket.socket, talk: Talk) -> None:
        """Accept connections on SOCK (which does not block) and talk on them."""
        self._listeners[sock] = talk
        self._selector.register(sock, selectors.EVENT_READ)

    def close(self) -> None:
        """Close everything (after the loop has ended)."""
        for sock in (*self._connections, *self._listeners):
            sock.close()
        self._selector.close()
        os.close(self._wake)

    def work(self, beat: Beat) -> None:
        """Serve for ever."""
        while True:
            self.turn(beat)

    def turn(self, beat: Beat, wait_s: float = TICK_S) -> None:
        """Do what there is to do, waiting for it for at most WAIT_S."""
        beat.turns += 1
        self._thread = threading.get_ident()
        for ready, mask in self._selector.select(wait_s):
            sock: Any = ready.fileobj
            if sock == self._wake:
                os.eventfd_read(self._wake)
            elif sock in self._listeners:
                self._accept(sock, beat)
            elif sock in self._connections:
                self._serve(self._connections[sock], mask, beat)
        while self._late:
            connection, message = self._late.popleft()
            if connection.sock in self._connections:
                self._answered(connection, message)
                self._serve(connection, 0, beat)
        self._sweep(beat)

    def _accept(self, listener: socket.socket, beat: Beat) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # the peer is gone again, a firewall, or nothing is left
                beat.refused("accept", error)
                if error.errno in _EXHAUSTED and not self._make_room(beat):
                    self._rest()
                    return
                continue
            sock.setblocking(False)
            connection = _Connection(sock, str(peer[0]) if peer else "", self._listeners[listener], self._clock())
            self._connections[sock] = connection
            self._wait_for(connection)
            if len(self._connections) > self._most:
                self._make_room(beat)

    def _make_room(self, beat: Beat) -> bool:
        """End the connection that was silent longest, of the peer that has the most; False when there is none."""
        if not self._connections:
            return False
        held = Counter(connection.peer for connection in self._connections.values())
        most = max(held.values())
        victim = min(
            (connection for connection in self._connections.values() if held[connection.peer] == most),
            key=lambda connection: connection.since,
        )
        beat.count("pushed out")
        self._end(victim)
        return True

    def _rest(self) -> None:
        """Others hold all descriptors: accept nobody for a moment."""
        self._rests_until = self._clock() + REST_S
        for sock in self._listeners:
            self._selector.unregister(sock)

    def _serve(self, connection: _Connection, mask: int, beat: Beat) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                self._send(connection)
            if mask & selectors.EVENT_READ:
                self._receive(connection)
            while self._talk(connection, beat) and self._send(connection):
                pass
        except OSError:  # the peer is gone
            self._end(connection)
            return
        except ValueError:
            beat.count("not understood")
            self._end(connection)
            return
        except Exception as error:
            beat.fault("connection", error)
            self._end(connection)
            return
        if connection.over:
            self._end(connection)
        else:
            self._wait_for(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        connection.received += data
        connection.ended = not data

    def _talk(self, connection: _Connection, beat: Beat) -> bool:
        """Answer the whole messages that are there, as long as the peer takes the answers; whether there may be more."""
        while connection.takes:
            message = connection.talk.take(connection.received)
            if message is None:
                self._send(connection)
                return False
            connection.since = self._clock()
            connection.waiting += 1
            if not connection.talk.answer(message, functools.partial(self._reply, connection), beat):
                connection.ended, connection.waiting = True, connection.waiting - 1
                connection.received.clear()
        return True

    def _reply(self, connection: _Connection, message: bytes) -> None:
        if threading.get_ident() == self._thread:
            self._answered(connection, message)
        else:
            self._late.append((connection, message))
            os.eventfd_write(self._wake, 1)

    def _answered(self, connection: _Connection, message: bytes) -> None:
        connection.waiting -= 1
        connection.unsent += message
        connection.since = self._clock()
        if connection.talk.once:
            connection.ended = True
            connection.received.clear()

    def _send(self, connection: _Connection) -> bool:
        """Send what the peer takes; whether it takes more answers."""
        if connection.unsent:
            try:
                sent = connection.sock.send(connection.unsent)
            except BlockingIOError:
                sent = 0
            del connection.unsent[:sent]
        return connection.takes

    def _wait_for(self, connection: _Connection) -> None:
        mask = connection.wanted
        if mask == connection.mask:
            return
        if not connection.mask:
            self._selector.register(connection.sock, mask)
        elif mask:
            self._selector.modify(connection.sock, mask)
        else:
            self._selector.unregister(connection.sock)
        connection.mask = mask

    def _end(self, connection: _Connection) -> None:
        if connection.mask:
            self._selector.unregister(connection.sock)
            connection.mask = 0
        del self._connections[connection.sock]
        connection.sock.close()

    def _sweep(self, beat: Beat) -> None:
        """End what has been silent for too long, and accept again after a rest."""
        now = self._clock()
        if self._rests_until and now >= self._rests_until:
            self._rests_until = 0.0
            for sock in self._listeners:
                self._selector.register(sock, selectors.EVENT_READ)
        if now - self._swept < TICK_S:
            return
        self._swept = now
        for connection in [c for c in self._connections.values() if now - c.since > SILENCE_S]:
            beat.count("silent")
            self._end(connection)


def _most_connections() -> int:
    """A part of the descriptors that this process may have: the others are for upstream and the API."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft < 0 else max(4, min(MOST_CONNECTIONS, soft // PART_OF_DESCRIPTORS))
