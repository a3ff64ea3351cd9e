"""The process of userspace mode: turns, affinity, half-closed connections, load, datagrams."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from support.cluster import wait_until

from netproxy.linux import netns
from netproxy.linux.partner import Partner
from netproxy.serve.userspace import Balancer


class Place:
    """A namespace with servers in it and the process beside them."""

    def __init__(self, namespace: str, stack: ExitStack) -> None:
        self.namespace, self.stack = namespace, stack
        self.partner = Partner([sys.executable, "-m", "netproxy.serve.userspace", "ipv4"], namespace)
        stack.callback(self.partner.close)

    def socket(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        with netns.visiting(self.namespace):
            made = socket.socket(socket.AF_INET, kind)
        made.settimeout(10)
        self.stack.callback(made.close)
        return made

    def serve(self, answer) -> int:
        """A TCP server that gives each connection to ANSWER; its port."""
        listening = self.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)

        def accept() -> None:
            while True:
                try:
                    conn, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(conn,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        self.stack.callback(listening.shutdown, socket.SHUT_RDWR)
        return listening.getsockname()[1]

    def forward(self, *ports: int, protocol: str = "tcp", affinity_s: int = 0) -> int:
        wanted = [["ns/web", protocol, [["127.0.0.1", port] for port in ports], affinity_s]]
        return json.loads(self.partner.ask(json.dumps({"forwards": wanted})))["ports"]["ns/web"]

    def call(self, port: int, data: bytes = b"", source: str = "127.0.0.1") -> bytes:
        """Send, say that nothing more comes, and read to the end."""
        conn = self.socket()
        conn.bind((source, 0))
        conn.connect(("127.0.0.1", port))
        with conn, ThreadPoolExecutor(1) as pool:
            sending = pool.submit(lambda: (conn.sendall(data), conn.shutdown(socket.SHUT_WR)))
            found = bytearray()
            while part := conn.recv(1 << 16):
                found += part
            sending.result()
        return bytes(found)


@pytest.fixture
def place(namespace: str) -> Iterator[Place]:
    import subprocess

    subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
    with ExitStack() as stack:
        yield Place(namespace, stack)


def named(name: bytes):
    def answer(conn: socket.socket) -> None:
        with conn:
            conn.sendall(name)

    return answer


def backwards(conn: socket.socket) -> None:
    """Reads to the end first: answers only when the caller's half of the connection was closed properly."""
    with conn:
        data = bytearray()
        while part := conn.recv(1 << 16):
            data += part
        conn.sendall(bytes(data[::-1]))


def test_endpoints_take_turns(place: Place) -> None:
    port = place.forward(*(place.serve(named(name)) for name in (b"a", b"b", b"c")))
    assert b"".join(place.call(port) for _ in range(6)) == b"abcabc"


def test_a_client_with_affinity_comes_back_to_its_endpoint(place: Place) -> None:
    servers = [place.serve(named(name)) for name in (b"a", b"b")]
    port = place.forward(*servers, affinity_s=60)
    clients = ["127.0.0.1", "127.0.0.2"]
    assert b"".join(place.call(port, source=clients[n % 2]) for n in range(6)) == b"ababab"
    assert place.forward(servers[1], affinity_s=60) == port
    assert b"".join(place.call(port, source=client) for client in clients) == b"bb", "its endpoint is gone"


def test_half_closed_connections_and_large_answers(place: Place) -> None:
    port = place.forward(place.serve(backwards))
    data = bytes(range(256)) * 40_000  # 10 MB
    assert place.call(port, data) == data[::-1]


def test_the_next_endpoint_when_one_refuses(place: Place) -> None:
    closed = place.socket()
    closed.bind(("127.0.0.1", 0))
    port = place.forward(closed.getsockname()[1], place.serve(named(b"b")))
    assert b"".join(place.call(port) for _ in range(4)) == b"bbbb"


def test_without_endpoints_a_connection_ends_as_soon_as_it_begins(place: Place) -> None:
    assert place.call(place.forward()) == b""


def test_many_connections_at_once(place: Place) -> None:
    port = place.forward(place.serve(backwards), place.serve(backwards))
    with ThreadPoolExecutor(50) as pool:
        texts = [b"%05d" % n * 200 for n in range(300)]
        assert list(pool.map(lambda text: place.call(port, text), texts)) == [text[::-1] for text in texts]


def test_who_is_in_the_queue_when_a_forward_goes_is_let_in_and_lives_on(place: Place) -> None:
    port = place.forward(place.serve(backwards))
    callers = [place.socket() for _ in range(100)]
    for caller in callers:
        caller.connect(("127.0.0.1", port))
    assert json.loads(place.partner.ask(json.dumps({"forwards": []}))) == {"ports": {}, "connections": 100}
    with pytest.raises(ConnectionRefusedError):
        place.call(port)
    for number, caller in enumerate(callers):
        caller.sendall(b"caller %d" % number)
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(100) == (b"caller %d" % number)[::-1]

    def open_ones() -> int:
        return json.loads(place.partner.ask(json.dumps({"forwards": []})))["connections"]

    wait_until(lambda: not open_ones())


def test_datagrams_find_their_way_back(place: Place) -> None:
    server = place.socket(socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                data, client = server.recvfrom(2048)
            except OSError:
                return
            server.sendto(data.upper(), client)

    threading.Thread(target=answer, daemon=True).start()
    port = place.forward(server.getsockname()[1], protocol="udp")
    clients = [place.socket(socket.SOCK_DGRAM) for _ in range(20)]
    for number, client in enumerate(clients):
        client.sendto(b"hello %d" % number, ("127.0.0.1", port))
    for number, client in enumerate(clients):
        assert client.recv(2048) == b"HELLO %d" % number
    server.sendto(b"", ("127.0.0.1", 9))
    server.close()


def test_the_process_ends_when_its_owner_does(place: Place) -> None:
    place.forward(place.serve(named(b"a")))
    process = place.partner._process
    assert process is not None
    place.partner.close()
    assert process.returncode == 0


def test_affinity_ends_after_its_time() -> None:
    now = [0.0]
    balancer = Balancer(lambda: now[0])
    balancer.update((("10.0.0.1", 80), ("10.0.0.2", 80)), 60)
    first = balancer.pick("client")
    now[0] = 59
    assert balancer.pick("client") == first
    now[0] = 118
    assert balancer.pick("client") == first, "each connection starts the time anew"
    now[0] = 179
    assert balancer.pick("client") != first
    assert Balancer(lambda: 0.0).pick("client") is None
