"""The name server over real sockets: raw packets in, raw packets out; the API it watches is the real one."""

import asyncio
import contextlib
import json
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dnslib
import pytest
from support.build import FixedClock, service_object, slice_object
from support.cluster import REPO, wait_until
from support.odd_packets import odd_packets

from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.core.names import NamespacedName
from netproxy.dns import wire
from netproxy.dns.answer import Answer, Rr
from netproxy.dns.parts import build_zone
from netproxy.dns.zone import reverse_name
from netproxy.linux import netns
from netproxy.nameserver.health import HEALTH_PORT, READY_PORT
from netproxy.nameserver.loops import Beat
from netproxy.nameserver.server import Server
from netproxy.nameserver.state import State
from netproxy.nameserver.upstream import FORWARDERS, Upstream
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

        self.path = path
        self.clock = clock
        self.serve()

    def serve(self) -> None:
        async def nothing(_: Request) -> Response:
            return Response(404, b"")

        api = Api(self.registry, self.clock)
        self.runner = self.call(http.serve(self.path, api, self.store, self.clock, nothing))

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
    def __init__(self, namespace: str, tmp: Path, *, descriptors: int = 1024, **settings) -> None:
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
                [sys.executable, "-m", "netproxy.nameserver.main", json.dumps(self.settings)], cwd=REPO,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)),
            )  # fmt: skip
        wait_until(lambda: self.answers())

    def answers(self) -> bool:
        try:
            return self.udp(wire.query("web.default.svc.cluster.local", "A", 1))[3] & 15 == 0
        except OSError:
            return False

    def socket(self, kind, port: int = PORT) -> socket.socket:
        with netns.visiting(self.namespace):
            sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(5)
        try:
            sock.connect(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return sock

    def get(self, path: str, port: int = HEALTH_PORT) -> tuple[int, str]:
        with self.socket(socket.SOCK_STREAM, port) as sock, sock.makefile("rb") as stream:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head, _, body = stream.read().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def counts(self) -> dict[str, int]:
        return json.loads(self.get("/counters")[1])

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


def test_endpoints_outside_every_range_have_names_both_ways(dns: Dns):
    objects = [
        service_object("far", clusterIP="None"), service_object("odd", type="ExternalName", externalName="192.0.2.7"),
        slice_object("far", ("2001:db8:5::",)), {**slice_object("far", ("203.0.113.9",)), "metadata": named("far", "far-4")},
    ]  # fmt: skip
    dns.api.do(lambda: dns.api.registry.apply([Loaded(obj, "test") for obj in objects]))
    base = "far.default.svc.cluster.local"
    wait_until(lambda: len(said(dns, base, "SRV")) == 2)
    assert sorted(said(dns, base, "SRV")) == [f"0 50 8080 {host}.{base}." for host in ("2001-db8-5--0", "203-0-113-9")]
    for address, host in (("2001:db8:5::", "2001-db8-5--0"), ("203.0.113.9", "203-0-113-9")):
        assert said(dns, reverse_name(address), "PTR") == [f"{host}.{base}."]
        assert said(dns, f"{host}.{base}", "AAAA" if ":" in address else "A") == [address]
    assert dns.udp(q("odd.default.svc.cluster.local"))[3] & 15 == 3, "an address is no name"


def named(service: str, name: str) -> dict:
    return {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}}


def said(dns: Dns, name: str, kind: str) -> list[str]:
    return [str(rr.rdata) for rr in dnslib.DNSRecord.parse(dns.udp(q(name, kind))).rr]


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
    dns.api.do(lambda: dns.api.registry.delete(SERVICES, NamespacedName("default", "new")))
    wait_until(lambda: dns.udp(q(name))[3] & 15 == 3)
    dns.api.call(dns.api.runner.cleanup())
    assert dns.udp(q("web.default.svc.cluster.local"))[-4:] == bytes([10, 96, 0, 5])


def test_what_changed_while_the_api_was_away_is_answered_when_it_is_back(dns: Dns):
    web, new = "web.default.svc.cluster.local", "new.default.svc.cluster.local"
    dns.api.call(dns.api.runner.cleanup())
    dns.api.do(lambda: dns.api.registry.create(service_object("new", clusterIP="10.96.0.9")))
    dns.api.do(lambda: dns.api.registry.delete(SERVICES, NamespacedName("default", "web")))
    assert dns.udp(q(web))[-4:] == bytes([10, 96, 0, 5])
    dns.api.serve()
    wait_until(lambda: dns.udp(q(new))[-4:] == bytes([10, 96, 0, 9]))
    wait_until(lambda: dns.udp(q(web))[3] & 15 == 3)
    dns.api.do(lambda: dns.api.registry.create(service_object("web", clusterIP="10.96.0.7")))
    wait_until(lambda: dns.udp(q(web))[-4:] == bytes([10, 96, 0, 7]))


def test_addresses_take_turns(namespace: str, tmp_path: Path):
    server = Dns(namespace, tmp_path)
    try:
        server.api.do(lambda: server.api.registry.create(slice_object("two", ("10.244.9.1", "10.244.9.2"))))
        server.api.do(lambda: server.api.registry.create(service_object("two", clusterIP="None")))
        wait_until(lambda: server.udp(q("two.default.svc.cluster.local"))[3] & 15 == 0)
        assert len({server.udp(q("two.default.svc.cluster.local"))[-4:] for _ in range(4)}) == 2
    finally:
        server.close()


class Resolver:
    """A resolver that somebody else runs: ANSWERED makes what it says to a query, over UDP and over TCP."""

    def __init__(self, namespace: str, answered) -> None:
        with netns.visiting(namespace):
            netns_up()
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for sock in (self._udp, self._tcp):
            sock.settimeout(0.1)
            sock.bind(("127.0.0.1", 5399))
        self._tcp.listen()
        self._answered = answered
        self._done = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._datagrams, self._connections)]

    def __enter__(self) -> "Resolver":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _datagrams(self) -> None:
        while not self._done.is_set():
            with contextlib.suppress(TimeoutError):
                data, client = self._udp.recvfrom(512)
                for message in self._answered(data, False):
                    self._udp.sendto(message, client)

    def _connections(self) -> None:
        while not self._done.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._tcp.accept()
                with connection, connection.makefile("rb") as stream:
                    data = stream.read(int.from_bytes(stream.read(2), "big"))
                    for message in self._answered(data, True):
                        connection.sendall(struct.pack(">H", len(message)) + message)


def known(data: bytes, count: int = 1) -> bytes:
    question = wire.parse(data)
    answers = tuple(Rr(question.name, "A", f"192.0.2.{n}") for n in range(9, 9 + count))
    return wire.pack(question, Answer(answers=answers), size=65535)


def test_outside_names_go_to_the_hosts_resolver(namespace: str, tmp_path: Path):
    with Resolver(namespace, lambda data, _: [known(data)]):
        server = Dns(namespace, tmp_path, upstreams=["127.0.0.1#5398", "127.0.0.1#5399"])
        try:
            assert server.udp(q("example.com"))[-4:] == bytes([192, 0, 2, 9])
            chased = server.udp(q("away.default.svc.cluster.local"))
            assert (chased[-4:], int.from_bytes(chased[6:8], "big")) == (bytes([192, 0, 2, 9]), 2)
            assert server.counts()["upstream ECONNREFUSED"] > 0, "the first one is not there"
        finally:
            server.close()


def test_of_a_long_answer_from_outside_all_is_had_over_tcp(namespace: str, tmp_path: Path):
    def answered(data: bytes, over_tcp: bool) -> list[bytes]:
        return [known(data, 100) if over_tcp else wire.cut(wire.parse(data))]

    with Resolver(namespace, answered):
        server = Dns(namespace, tmp_path, upstreams=["127.0.0.1#5399"])
        try:
            assert server.udp(q("example.com"))[2] & 2, "ask again over TCP"
            (whole,) = server.tcp(q("example.com"))
            assert int.from_bytes(whole[6:8], "big") == 100
        finally:
            server.close()


def test_of_a_long_datagram_from_outside_as_much_is_passed_on_as_fits(namespace: str, tmp_path: Path):
    with Resolver(namespace, lambda data, _: [known(data, 100)]):
        server = Dns(namespace, tmp_path, upstreams=["127.0.0.1#5399"])
        try:
            short = server.udp(q("example.com"))
            assert short[2] & 2
            assert [str(rr.rdata) for rr in dnslib.DNSRecord.parse(short).rr] == [f"192.0.2.{n}" for n in range(9, 39)]
        finally:
            server.close()


def test_nothing_that_a_resolver_says_and_no_type_that_is_asked_ends_forwarding(namespace: str, tmp_path: Path):
    def answered(data: bytes, _: bool) -> list[bytes]:
        if data[-4:-2] == b"\0\x10":
            return [data[:2] + b"\x84\0\0\1\0\1\0\0\0\0\x50rubbish"]
        return [b"", b"x", bytes(3) + known(data)[3:], data, known(data)]

    with Resolver(namespace, answered):
        server = Dns(namespace, tmp_path, upstreams=["127.0.0.1#5399"])
        try:
            for _ in range(2 * FORWARDERS):
                rubbish = server.udp(q("away.default.svc.cluster.local", "TXT"))
                assert (rubbish[3] & 15, int.from_bytes(rubbish[6:8], "big")) == (2, 1)
                assert server.udp(q("away.default.svc.cluster.local", "TYPE4660"))[3] & 15 == 0
            assert server.udp(q("example.com"))[-4:] == bytes([192, 0, 2, 9]), "the one answer among what is none"
            web_answers(server)
        finally:
            server.close()


def web_answers(dns: Dns) -> None:
    """Both ways still lead to an answer, and every loop turns."""
    assert dns.udp(q("web.default.svc.cluster.local"))[-4:] == bytes([10, 96, 0, 5])
    (over_tcp,) = dns.tcp(q("web.default.svc.cluster.local"))
    assert over_tcp[-4:] == bytes([10, 96, 0, 5])
    assert dns.get("/health") == (200, "OK\n")
    assert dns.process.poll() is None


def test_a_label_that_cannot_be_written_is_answered(dns: Dns):
    name = b"\x50" + b"x" * 80 + b"\3svc\7cluster\5local\0"
    assert dns.udp(b"\0\7\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1") == b"\0\7\x81\x81" + bytes(8)
    web_answers(dns)


def test_a_query_from_port_0_harms_nobody(dns: Dns):
    with netns.visiting(dns.namespace):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    with raw:
        for name in ("web", "web", "none"):
            query = q(f"{name}.default.svc.cluster.local")
            raw.sendto(struct.pack(">4H", 0, PORT, 8 + len(query), 0) + query, ("127.0.0.1", 0))
    wait_until(lambda: dns.counts().get("send EINVAL") == 3)
    web_answers(dns)


def test_a_peer_that_no_answer_reaches_is_counted(dns: Dns):
    subprocess.run(["ip", "-n", dns.namespace, "route", "add", "unreachable", "192.0.2.0/24"], check=True)
    with netns.visiting(dns.namespace):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")
        Path("/proc/sys/net/ipv4/conf/lo/rp_filter").write_text("0")
        Path("/proc/sys/net/ipv4/conf/lo/accept_local").write_text("1")
    query = q("web.default.svc.cluster.local")
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(query), 0, 0, 64, 17, 0, socket.inet_aton("192.0.2.1"),
                       socket.inet_aton("127.0.0.1"))  # fmt: skip
    with raw:
        raw.sendto(head + struct.pack(">4H", 5353, PORT, 8 + len(query), 0) + query, ("127.0.0.1", 0))
    wait_until(lambda: any(name.startswith("send E") for name in dns.counts()))
    web_answers(dns)


def test_more_idle_connections_than_descriptors_keep_nobody_out(namespace: str, tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    server, idle = Dns(namespace, tmp_path, descriptors=1024), []
    try:
        for _ in range(1143):
            idle.append(server.socket(socket.SOCK_STREAM))
        web_answers(server)
        assert server.counts()["pushed out"] >= 1143 - 512
        with server.socket(socket.SOCK_STREAM) as late:
            wait_until(lambda: server.counts().get("silent", 0) > 200, limit_s=30)
            late.settimeout(20)
            assert late.recv(1) == b"", "an idle connection is ended"
        web_answers(server)
    finally:
        for sock in idle:
            sock.close()
        server.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_free_descriptor_the_longest_silent_peer_makes_room(dns: Dns):
    held = len(list(Path(f"/proc/{dns.process.pid}/fd").iterdir()))
    resource.prlimit(dns.process.pid, resource.RLIMIT_NOFILE, (held + 3, 1024))
    idle = [dns.socket(socket.SOCK_STREAM) for _ in range(50)]
    try:
        web_answers(dns)
        assert dns.counts()["accept EMFILE"] > 0
        resource.prlimit(dns.process.pid, resource.RLIMIT_NOFILE, (held - 2, 1024))
        with dns.socket(socket.SOCK_STREAM) as sock:
            assert dns.udp(q("web.default.svc.cluster.local"))[-4:] == bytes([10, 96, 0, 5])
            resource.prlimit(dns.process.pid, resource.RLIMIT_NOFILE, (held + 3, 1024))
            data = q("web.default.svc.cluster.local")
            sock.sendall(struct.pack(">H", len(data)) + data)
            assert sock.recv(2), "it was only made to wait"
        web_answers(dns)
    finally:
        for sock in idle:
            sock.close()


def test_it_lives_before_the_api_does_and_is_ready_when_it_has_seen_everything(namespace: str, tmp_path: Path):
    with netns.visiting(namespace):
        netns_up()
    server = Dns.__new__(Dns)
    server.namespace = namespace
    settings = {"socket": str(tmp_path / "s"), "domain": "cluster.local", "pods": "insecure", "cidrs": [], "addresses": ["127.0.0.1"],
                "port": PORT}  # fmt: skip
    with netns.visiting(namespace):
        server.process = subprocess.Popen(
            [sys.executable, "-m", "netproxy.nameserver.main", json.dumps(settings)], cwd=REPO
        )
    api = None
    try:
        wait_until(lambda: reached(server))
        assert server.get("/health") == (200, "OK\n")
        assert server.get("/ready", READY_PORT) == (503, "kubernetes\n")
        assert server.udp(q("web.default.svc.cluster.local"))[3] & 15 == 2
        api = ApiThread(tmp_path / "s")
        wait_until(lambda: server.get("/ready", READY_PORT) == (200, "OK\n"))
        assert server.udp(q("web.default.svc.cluster.local"))[3] & 15 == 3
    finally:
        server.process.kill()
        server.process.wait()
        if api:
            api.close()


def reached(server: Dns) -> bool:
    try:
        return bool(server.get("/health"))
    except OSError:
        return False


def test_a_million_odd_packets_in_process_get_one_answer_or_none():
    server, beat, replies = fed(), Beat("test"), []
    for data in odd_packets(1_000_000):
        server.handle(data, replies.append, ("192.0.2.1", 0), beat)
        if len(data) >= 12 and not data[2] & 0x80:
            (reply,) = replies
            assert reply[:2] == data[:2]
            replies.clear()
    assert set(beat.counts) == {"ignored"}


def fed() -> Server:
    """A server that has seen everything once, without a process."""
    objects = (
        service_object("web", clusterIP="10.96.0.5"), service_object("db", clusterIP="None"),
        service_object("away", type="ExternalName", externalName="example.com"),
    )  # fmt: skip
    spaces = [{"metadata": {"name": "default"}}]
    zone = build_zone(objects, [slice_object("db", ("10.244.0.1", "10.244.0.2"))], spaces, reverse=["10.96.0.0/12"])

    class Fixed:
        now = State(zone, synced=True)

    return Server(Fixed(), Upstream((), None))


def test_odd_packets_through_a_socket_do_not_stop_it(dns: Dns):
    with dns.socket(socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for number, data in enumerate(odd_packets(20_000, seed=3)):
            sock.send(data)
            if number % 50 == 0:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sock.recv(4096)
                assert dns.udp(q("web.default.svc.cluster.local", number=number & 0xFFFF))[-4:] == bytes([10, 96, 0, 5])
    assert set(dns.counts()) <= {"http 200", "ignored", "zones", "watch FileNotFoundError"}
    web_answers(dns)


def test_odd_messages_over_tcp_do_not_stop_it(dns: Dns):
    for data in odd_packets(1000, seed=4):
        with dns.socket(socket.SOCK_STREAM) as sock:
            sock.sendall(struct.pack(">H", len(data)) + data)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(65535)
    assert set(dns.counts()) <= {"http 200", "ignored", "zones"}
    web_answers(dns)
