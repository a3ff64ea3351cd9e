"""The name server over real sockets: raw packets in, raw packets out; the API it watches is the real one."""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.build import FixedClock, service_object, slice_object
from support.cluster import REPO, wait_until

from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.dns import wire
from netproxy.linux import netns
from netproxy.objects.cluster import cluster_spec
from netproxy.objects.kinds import SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.registry.registry import Registry
from netproxy.serve import http
from netproxy.store.store import Store

PORT = 5353


class ApiThread:
    """The API on a Unix socket, in a loop of its own."""

    def __init__(self, path: Path) -> None:
        numbers = iter(range(1 << 20))
        clock = FixedClock()
        self.store = Store(clock, lambda: f"uid-{next(numbers)}")
        self.registry = Registry(self.store, cluster_spec())
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

        async def nothing(_: Request) -> Response:
            return Response(404, b"")

        self.runner = self.call(http.serve(path, Api(self.registry, clock), self.store, clock, nothing))

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def do(self, work):
        async def run():
            return work()

        return self.call(run())

    def close(self) -> None:
        self.call(self.runner.cleanup())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Dns:
    def __init__(self, namespace: str, tmp: Path, **settings) -> None:
        self.namespace = namespace
        self.api = ApiThread(tmp / "s")
        objects = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
            service_object("web", clusterIP="10.96.0.5"), service_object("db", clusterIP="None"),
            service_object("away", type="ExternalName", externalName="example.com"),
            slice_object("db", tuple(f"10.244.0.{n}" for n in range(1, 61))),
        ]  # fmt: skip
        self.api.do(lambda: self.api.registry.apply([Loaded(obj, "test") for obj in objects]))
        self.settings = {"socket": str(tmp / "s"), "domain": "cluster.local", "pods": "insecure", "cidrs": ["10.244.0.0/16", "10.96.0.0/16"],
                         "addresses": ["127.0.0.1"], "port": PORT, **settings}  # fmt: skip
        with netns.visiting(namespace):
            netns_up()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "netproxy.nameserver.server", json.dumps(self.settings)], cwd=REPO
            )
        wait_until(lambda: self.answers())

    def answers(self) -> bool:
        try:
            return self.udp(wire.query("web.default.svc.cluster.local", "A", 1))[3] & 15 == 0
        except OSError:
            return False

    def socket(self, kind) -> socket.socket:
        with netns.visiting(self.namespace):
            sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(5)
        sock.connect(("127.0.0.1", PORT))
        return sock

    def udp(self, data: bytes) -> bytes:
        with self.socket(socket.SOCK_DGRAM) as sock:
            sock.send(data)
            return sock.recv(65535)

    def tcp(self, *queries: bytes) -> list[bytes]:
        with self.socket(socket.SOCK_STREAM) as sock, sock.makefile("rb") as stream:
            for data in queries:
                sock.sendall(struct.pack(">H", len(data)) + data)
            return [stream.read(int.from_bytes(stream.read(2), "big")) for _ in queries]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.api.close()


def netns_up() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.fixture
def dns(namespace: str, tmp_path: Path) -> Iterator[Dns]:
    server = Dns(namespace, tmp_path)
    try:
        yield server
    finally:
        server.close()


def q(name: str, kind: str = "A", number: int = 7) -> bytes:
    return wire.query(name, kind, number)


def test_udp_tcp_truncation_and_errors(dns: Dns):
    assert dns.udp(q("web.default.svc.cluster.local"))[-4:] == bytes([10, 96, 0, 5])
    assert dns.udp(q("WEB.default.svc.cluster.local"))[12:16] == b"\x03WEB"
    cut = dns.udp(q("db.default.svc.cluster.local"))
    assert cut[2] & 2
    assert len(cut) <= 512
    whole, second = dns.tcp(q("db.default.svc.cluster.local", number=1), q("web.default.svc.cluster.local", number=2))
    assert int.from_bytes(whole[6:8], "big") == 60
    assert second[:2] == b"\0\2"
    assert dns.udp(q("none.default.svc.cluster.local"))[3] & 15 == 3
    assert dns.udp(b"\0\7\x28\0\0\1\0\0\0\0\0\0")[3] & 15 == 4
    assert dns.udp(q("x.cluster.local")[:-2])[3] & 15 == 1
    assert dns.udp(q("cluster.local", "AXFR"))[3] & 15 == 5
    with dns.socket(socket.SOCK_DGRAM) as sock:
        sock.send(b"\0\7\x80\0" + bytes(8))
        sock.send(q("web.default.svc.cluster.local", number=99))
        assert sock.recv(512)[:2] == b"\0\x63", "a response is not answered"


def test_outside_names_fail_at_once_without_a_resolver(dns: Dns):
    assert dns.udp(q("example.com"))[3] & 15 == 2
    away = dns.udp(q("away.default.svc.cluster.local"))
    assert away[3] & 15 == 2
    assert int.from_bytes(away[6:8], "big") == 1, "the CNAME itself is known"
    (over_tcp,) = dns.tcp(q("example.com"))
    assert over_tcp[3] & 15 == 2


def test_changes_are_answered_and_a_lost_api_is_survived(dns: Dns):
    name = "new.default.svc.cluster.local"
    assert dns.udp(q(name))[3] & 15 == 3
    dns.api.do(lambda: dns.api.registry.create(service_object("new", clusterIP="10.96.0.77")))
    wait_until(lambda: dns.udp(q(name))[-4:] == bytes([10, 96, 0, 77]))
    dns.api.do(lambda: dns.api.store.delete(SERVICES, ("default", "new")))
    wait_until(lambda: dns.udp(q(name))[3] & 15 == 3)
    dns.api.call(dns.api.runner.cleanup())
    assert dns.udp(q("web.default.svc.cluster.local"))[-4:] == bytes([10, 96, 0, 5])


def test_addresses_take_turns(namespace: str, tmp_path: Path):
    server = Dns(namespace, tmp_path)
    try:
        server.api.do(lambda: server.api.registry.create(slice_object("two", ("10.244.9.1", "10.244.9.2"))))
        server.api.do(lambda: server.api.registry.create(service_object("two", clusterIP="None")))
        wait_until(lambda: server.udp(q("two.default.svc.cluster.local"))[3] & 15 == 0)
        assert len({server.udp(q("two.default.svc.cluster.local"))[-4:] for _ in range(4)}) == 2
    finally:
        server.close()


def test_outside_names_go_to_the_hosts_resolver(namespace: str, tmp_path: Path):
    with netns.visiting(namespace):
        upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server = None
    done = threading.Event()

    def answer() -> None:
        upstream.settimeout(0.2)
        while not done.is_set():
            try:
                data, client = upstream.recvfrom(512)
            except TimeoutError:
                continue
            question = wire.parse(data)
            from netproxy.dns.answer import Answer, Rr

            upstream.sendto(
                wire.pack(question, Answer(answers=(Rr(question.name, "A", "192.0.2.9"),)), size=512), client
            )

    with netns.visiting(namespace):
        netns_up()
    upstream.bind(("127.0.0.1", 5399))
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        server = Dns(namespace, tmp_path, upstreams=["127.0.0.1#5399"])
        assert server.udp(q("example.com"))[-4:] == bytes([192, 0, 2, 9])
        chased = server.udp(q("away.default.svc.cluster.local"))
        assert (chased[-4:], int.from_bytes(chased[6:8], "big")) == (bytes([192, 0, 2, 9]), 2)
    finally:
        done.set()
        thread.join()
        upstream.close()
        if server:
            server.close()


def test_many_odd_packets_do_not_stop_it(dns: Dns):
    import random

    chance = random.Random(4)
    good = q("web.default.svc.cluster.local")
    with dns.socket(socket.SOCK_DGRAM) as sock:
        for _ in range(500):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            sock.send(bytes(data[: chance.randrange(len(data) + 1)]))
    assert dns.udp(good)[-4:] == bytes([10, 96, 0, 5])
