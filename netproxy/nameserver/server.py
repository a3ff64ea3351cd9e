"""The name server's process: sockets for `dns`, fed by watches of the API.

Answers are kept ready-made, keyed by the raw question, so that a question that was asked before costs a look-up.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import queue
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.core.names import NamespacedName
from netproxy.dns import wire
from netproxy.dns.answer import SERVFAIL, Answer, answer, rotations
from netproxy.dns.zone import Zone, build_zone
from netproxy.objects.kinds import KINDS as RESOURCES
from netproxy.objects.meta import Object, key

KINDS = ("Service", "EndpointSlice", "Namespace")
CACHE_SIZE = 100_000
UPSTREAM_S = 2.0
RETRY_S = 0.2
FORWARDERS = 8
FORWARD_QUEUE = 1000

Ready = bytes | list[bytes]
"""An answer without its first two bytes, or several in turn."""


class Source:
    """The objects that the zone is made of, kept up to date by watches in threads of their own."""

    def __init__(self, path: str, kinds: Iterable[str]) -> None:
        self._path = path
        self.objects: dict[str, dict[NamespacedName, Object]] = {kind: {} for kind in kinds}
        self._synced = {kind: threading.Event() for kind in self.objects}
        self._lock = threading.Lock()
        self.stale = True
        self.version = 0

    def start(self) -> None:
        """Begin to watch."""
        for kind in self.objects:
            threading.Thread(target=self._watch, args=(kind,), daemon=True).start()

    @property
    def synced(self) -> bool:
        """Whether everything has been seen once."""
        return all(event.is_set() for event in self._synced.values())

    def snapshot(self) -> dict[str, list[Object]]:
        """All objects at this moment."""
        with self._lock:
            self.stale = False
            return {kind: list(objects.values()) for kind, objects in self.objects.items()}

    def _watch(self, kind: str) -> None:
        pause = threading.Event()
        while True:
            try:
                self._follow(kind)
            except (OSError, http.client.HTTPException, ValueError):
                pass  # the agent is away: what is known goes on being answered
            pause.wait(RETRY_S)

    def _follow(self, kind: str) -> None:
        connection = http.client.HTTPConnection("netproxy")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(self._path)
        entry = RESOURCES[kind]
        connection.request("GET", f"{entry.prefix}/{entry.plural}?watch=true&sendInitialEvents=true")
        initial: dict[NamespacedName, Object] | None = {}
        for line in connection.getresponse():
            event = json.loads(line)
            obj = event["object"]
            if event["type"] == "BOOKMARK":
                if initial is not None:
                    with self._lock:
                        self.objects[kind] = initial
                    initial = None
                    self._synced[kind].set()
                self.stale = True
            elif initial is not None:
                initial[key(obj)] = obj
            else:
                self._change(kind, event["type"], obj)

    def _change(self, kind: str, what: str, obj: Object) -> None:
        with self._lock:
            if what == "DELETED":
                self.objects[kind].pop(key(obj), None)
            else:
                self.objects[kind][key(obj)] = obj
            self.version += 1
            self.stale = True


class Server:
    """Answers questions from a Source; asks upstream what is not the cluster's."""

    def __init__(self, source: Source, settings: Mapping[str, Any], *, log: bool = False) -> None:
        self._source = source
        self._settings = settings
        self._log = log
        self._zone = Zone("", {}, frozenset(), ())
        self._ready: dict[bytes, Ready] = {}
        self._turn = itertools.count()
        self._upstream = Upstream(settings.get("upstreams") or (), settings.get("upstream_namespace"))

    def zone(self) -> Zone:
        """The zone as the objects are now."""
        if self._source.stale:
            objects = self._source.snapshot()
            self._ready.clear()
            self._zone = build_zone(
                objects["Service"], objects["EndpointSlice"], objects["Namespace"], objects.get("Pod", ()),
                domain=self._settings["domain"], reverse=self._settings["cidrs"], pods_mode=self._settings["pods"],
                serial=self._source.version,
            )  # fmt: skip
        return self._zone

    def serve_udp(self, sock: socket.socket) -> None:
        """Answer datagrams for ever."""
        receive, send, ready, source = sock.recvfrom, sock.sendto, self._ready, self._source
        while True:
            data, client = receive(4096)
            if source.stale:
                self.zone()
            known = ready.get(data[2:])
            if known is None:
                self._slow(sock, data, client)
            elif known.__class__ is bytes:
                send(data[:2] + known, client)
            else:
                send(data[:2] + known[next(self._turn) % len(known)], client)  # type: ignore[operator]  # bytes or list

    def _slow(self, sock: socket.socket, data: bytes, client: Any) -> None:
        question = wire.parse(data)
        if question is None:
            return
        found = self._own(question)
        if self._log:
            code = found.code if found else "forwarded"
            print(f"{client[0]} {question.type} {question.name}. {code}", flush=True)
        if found is None or found.outside:
            self._upstream.ask(question, data, found, lambda reply: sock.sendto(reply, client), question.udp_size)
            return
        packed = [wire.pack(question, turned, size=question.udp_size) for turned in rotations(found)]
        if self._source.synced and not self._log and not question.code:
            if len(self._ready) >= CACHE_SIZE:
                self._ready.clear()
            bodies = [body[2:] for body in packed]
            self._ready[data[2:]] = bodies[0] if len(bodies) == 1 else bodies
        sock.sendto(packed[next(self._turn) % len(packed)], client)

    def _own(self, question: wire.Question) -> Answer | None:
        if question.code:
            return Answer(question.code)
        if not self._source.synced:
            return Answer(SERVFAIL)
        return answer(self.zone(), question.name, question.type)

    def serve_tcp(self, listener: socket.socket) -> None:
        """Accept connections for ever, each in a thread of its own."""
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        try:
            with connection, connection.makefile("rb") as stream:
                while head := stream.read(2):
                    data = stream.read(int.from_bytes(head, "big"))
                    reply = self._answer_stream(data)
                    if reply is None:
                        return
                    connection.sendall(struct.pack(">H", len(reply)) + reply)
        except OSError:
            pass  # the client is gone

    def _answer_stream(self, data: bytes) -> bytes | None:
        question = wire.parse(data)
        if question is None:
            return None
        found = self._own(question)
        if self._log:
            print(f"tcp {question.type} {question.name}. {found.code if found else 'forwarded'}", flush=True)
        if found is None or found.outside:
            replies: queue.Queue[bytes] = queue.Queue()
            self._upstream.ask(question, data, found, replies.put, 0)
            return replies.get(timeout=UPSTREAM_S * 2 + 1)
        turned = rotations(found)
        return wire.pack(question, turned[next(self._turn) % len(turned)], size=0)


class Upstream:
    """The host's resolvers, asked in a few threads; without any, or when they do not answer: SERVFAIL."""

    def __init__(self, servers: Iterable[str], namespace: str | None) -> None:
        self._servers = tuple(servers)
        self._namespace = namespace
        self._work: queue.Queue[tuple[wire.Question, bytes, Answer | None, Any, int]] = queue.Queue(FORWARD_QUEUE)
        for _ in range(FORWARDERS if self._servers else 0):
            threading.Thread(target=self._run, daemon=True).start()

    def ask(self, question: wire.Question, data: bytes, own: Answer | None, reply: Any, size: int) -> None:
        """Ask upstream and hand the answer's bytes to REPLY; at once when there is nobody to ask."""
        if not self._servers:
            reply(wire.pack(question, Answer(SERVFAIL, own.answers if own else ()), size=size, authoritative=False))
            return
        try:
            self._work.put_nowait((question, data, own, reply, size))
        except queue.Full:
            reply(wire.pack(question, Answer(SERVFAIL), size=size, authoritative=False))

    def _run(self) -> None:
        while True:
            question, data, own, reply, size = self._work.get()
            try:
                reply(self._forward(question, data, own, size))
            except OSError:
                pass  # the client is gone

    def _forward(self, question: wire.Question, data: bytes, own: Answer | None, size: int) -> bytes:
        asked = wire.query(own.outside, question.type, question.id) if own else data
        for server in self._servers:
            try:
                found = self._exchange(server, asked)
            except OSError:
                continue
            if own is None:
                return (
                    found
                    if not size or len(found) <= size
                    else wire.pack(question, Answer(), size=1, authoritative=False)
                )
            return wire.pack(question, wire.merge_outside(own, found), size=size)
        return wire.pack(question, Answer(SERVFAIL, own.answers if own else ()), size=size, authoritative=False)

    def _exchange(self, server: str, asked: bytes) -> bytes:
        host, port = ([*server.rsplit("#", 1), "53"])[:2]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with _outside(self._namespace, family) as sock:
            sock.settimeout(UPSTREAM_S)
            sock.connect((host, int(port)))
            sock.send(asked)
            while True:
                found = sock.recv(65535)
                if found[:2] == asked[:2]:
                    return found


def _outside(namespace: str | None, family: int) -> socket.socket:
    """A datagram socket in the network of the process that started this one, which is the host's."""
    if namespace is None:
        return socket.socket(family, socket.SOCK_DGRAM)
    from netproxy.linux import libc, netns

    with netns.visiting():
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc.setns(fd)
            return socket.socket(family, socket.SOCK_DGRAM)
        finally:
            os.close(fd)


def _bind(kind: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    return sock


def main(settings: Mapping[str, Any]) -> None:
    """Serve until the process ends.

    SETTINGS: `socket` of the API, `domain`, `pods` mode, `cidrs` of the reverse zones, `upstreams`, `upstream_namespace`,
    `log`, `addresses` and `port` to listen on.
    """
    kinds = (*KINDS, "Pod") if settings["pods"] == "verified" else KINDS
    source = Source(settings["socket"], kinds)
    server = Server(source, settings, log=bool(settings.get("log")))
    source.start()
    threads = []
    port = int(settings.get("port") or 53)
    for address in settings.get("addresses") or ("0.0.0.0",):
        udp, tcp = _bind(socket.SOCK_DGRAM, address, port), _bind(socket.SOCK_STREAM, address, port)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        tcp.listen(128)
        threads += [
            threading.Thread(target=server.serve_udp, args=(udp,)),
            threading.Thread(target=server.serve_tcp, args=(tcp,)),
        ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
