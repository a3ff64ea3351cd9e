"""The process of userspace mode: listens on one port for each service port, picks an endpoint, copies bytes.

It reads what to do from standard input, one JSON line for each state: {"forwards": [[name, protocol, endpoints,
affinity_s]]}, and answers each with {"ports": {name: port}, "connections": how many are open}. A forward that goes
takes no new connections, and those that are open go on. When standard input ends, all of it ends.
Usage: python -m netproxy.serve.userspace ipv4|ipv6

Source: kubernetes 1.1 pkg/proxy/userspace: round robin, affinity by client address, the next endpoint when one refuses.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

CHUNK = 1 << 16
CONNECT_S = (0.25, 0.5, 1.0, 2.0)
"""How long each attempt to reach an endpoint may take."""

UDP_IDLE_S = 0.25
"""After this long without a datagram in either direction a UDP client's socket is closed (kube-proxy's udpIdleTimeout)."""

TURNS = 8
"""More turns of the event loop than asyncio takes from a caller in the queue to the coroutine that serves it (5)."""

Address = tuple[str, int]


class Balancer:
    """Picks endpoints in turn; with affinity, the same one again for a client that came within the timeout."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.endpoints: tuple[Address, ...] = ()
        self.affinity_s = 0
        self._next = 0
        self._now = now
        self._clients: dict[str, tuple[Address, float]] = {}

    def update(self, endpoints: tuple[Address, ...], affinity_s: int) -> None:
        """Take other endpoints; clients of those that are gone will be given new ones."""
        self.endpoints, self.affinity_s = endpoints, affinity_s
        self._clients = {client: known for client, known in self._clients.items() if known[0] in endpoints}

    def pick(self, client: str, *, again: bool = False) -> Address | None:
        """An endpoint for this client, None without any; AGAIN after the one before refused."""
        if not self.endpoints:
            return None
        now = self._now()
        known = self._clients.get(client)
        if self.affinity_s and known and not again and now - known[1] < self.affinity_s:
            self._clients[client] = known[0], now
            return known[0]
        self._next %= len(self.endpoints)
        chosen = self.endpoints[self._next]
        self._next += 1
        if self.affinity_s:
            self._clients[client] = chosen, now
        return chosen


class TcpForward:
    """One listening TCP port."""

    def __init__(self, balancer: Balancer, connections: set[asyncio.Task[None]]) -> None:
        self.balancer = balancer
        self._server: asyncio.Server | None = None
        self._connections = connections

    async def open(self, sock: socket.socket) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, sock=sock, backlog=1024)

    def close(self) -> None:
        """Take no new connections; those that are there go on."""
        if self._server:
            self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            client = writer.get_extra_info("peername")[0]
            far = await self._connect(client)
            if far is None:
                writer.transport.abort()
                return
            await asyncio.gather(_copy(reader, far[1]), _copy(far[0], writer))
            for end in (far[1], writer):
                end.close()
        except OSError:
            writer.transport.abort()
        finally:
            self._connections.discard(task)

    async def _connect(self, client: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for attempt, limit_s in enumerate(CONNECT_S):
            target = self.balancer.pick(client, again=attempt > 0)
            if target is None:
                return None
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(limit_s):
                    return await asyncio.open_connection(*target, limit=CHUNK)
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side has said all; then tell the other side so, which may go on talking."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


class UdpForward(asyncio.DatagramProtocol):
    """One UDP port; each client has a socket of its own towards its endpoint, so that answers find the way back."""

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[Any, _UdpClient] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, sock: socket.socket) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)

    def close(self) -> None:
        """Stop."""
        if self._transport:
            self._transport.close()
        for client in tuple(self._clients.values()):
            client.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """From a client."""
        client = self._clients.get(addr)
        if client is None:
            target = self.balancer.pick(addr[0])
            if target is None:
                return
            client = self._clients[addr] = _UdpClient(
                lambda answer: self._answer(answer, addr), lambda: self._forget(addr)
            )
            task = asyncio.ensure_future(client.open(target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        client.send(data)

    def _answer(self, data: bytes, addr: Any) -> None:
        if self._transport:
            self._transport.sendto(data, addr)

    def _forget(self, addr: Any) -> None:
        self._clients.pop(addr, None)


class _UdpClient(asyncio.DatagramProtocol):
    """One client's socket towards its endpoint."""

    def __init__(self, answer: Callable[[bytes], None], over: Callable[[], None]) -> None:
        self._answer, self._over = answer, over
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, target: Address) -> None:
        """Connect, and send what has come meanwhile."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=target)
        for data in self._waiting:
            self._transport.sendto(data)
        self._waiting = []

    def send(self, data: bytes) -> None:
        """From the client to the endpoint."""
        self._stay()
        if self._transport:
            self._transport.sendto(data)
        else:
            self._waiting.append(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """From the endpoint."""
        self._stay()
        self._answer(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the next datagram of this client may go to another endpoint."""
        self.close()

    def _stay(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(UDP_IDLE_S, self.close)

    def close(self) -> None:
        """Forget this client."""
        if self._timer:
            self._timer.cancel()
        if self._transport:
            self._transport.close()
        self._over()


class Proxy:
    """All forwards of one address family."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self.family = family
        self.connections: set[asyncio.Task[None]] = set()
        self._forwards: dict[str, tuple[TcpForward | UdpForward, int]] = {}

    async def update(self, wanted: list[tuple[str, str, list[Address], int]]) -> dict[str, int]:
        """Open what is new, close what is gone; the port of each."""
        names = {name for name, *_ in wanted}
        gone = [name for name in self._forwards if name not in names]
        if gone:
            await _let_in()
        for name in gone:
            self._forwards.pop(name)[0].close()
        for name, protocol, endpoints, affinity_s in wanted:
            if name not in self._forwards:
                self._forwards[name] = await self._open(protocol)
            targets = tuple((address, port) for address, port in endpoints)
            self._forwards[name][0].balancer.update(targets, affinity_s)
        return {name: port for name, (_, port) in self._forwards.items()}

    async def _open(self, protocol: str) -> tuple[TcpForward | UdpForward, int]:
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        sock = socket.socket(self.family, kind)
        if self.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0))
        sock.setblocking(False)
        balancer = Balancer(asyncio.get_running_loop().time)
        forward = TcpForward(balancer, self.connections) if protocol == "tcp" else UdpForward(balancer)
        await forward.open(sock)
        return forward, sock.getsockname()[1]


async def _let_in() -> None:
    """Have everybody who waits in a listening socket's queue become one of the connections."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _serve(family: socket.AddressFamily) -> None:
    proxy = Proxy(family)
    lines = asyncio.StreamReader(limit=1 << 26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        ports = await proxy.update(json.loads(line)["forwards"])
        sys.stdout.write(json.dumps({"ports": ports, "connections": len(proxy.connections)}) + "\n")
        sys.stdout.flush()
    os._exit(0)  # connections that are open end here; nobody waits for them


def main() -> None:
    """Run until standard input ends."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (most, most)
    )  # one socket for each service port, two for each connection
    work: Coroutine[Any, Any, None] = _serve(socket.AF_INET6 if sys.argv[1:] == ["ipv6"] else socket.AF_INET)
    with suppress(KeyboardInterrupt):
        asyncio.run(work)


if __name__ == "__main__":
    main()
