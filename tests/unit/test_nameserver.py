"""The name server without its process: loops that nothing ends, states that never mix, connections that are bounded."""

import asyncio
import contextlib
import errno
import io
import socket
import threading

import pytest
from support.build import service_object, slice_object
from support.odd_packets import odd_packets

from netproxy.dns import wire
from netproxy.nameserver import health, state, streams
from netproxy.nameserver.loops import Beat, Loops
from netproxy.nameserver.server import Server, Stream
from netproxy.nameserver.source import Cached
from netproxy.nameserver.state import Kept, States
from netproxy.nameserver.streams import Streams
from netproxy.nameserver.upstream import WAITING, Upstream
from netproxy.objects.kinds import ENDPOINT_SLICES, NAMESPACES, SERVICES

SETTINGS = {"domain": "cluster.local", "cidrs": ["10.96.0.0/12"], "pods": "insecure"}
WEB = "web.default.svc.cluster.local"


class Objects:
    """A source that a test changes."""

    def __init__(self, *services, synced=True):
        self.synced = synced
        self.version = 0
        self.services = services
        self.slices = (slice_object("many", tuple(f"10.244.{n // 250}.{n % 250 + 1}" for n in range(3000))),)
        self.changed = []

    def objects(self):
        spaces = [{"metadata": {"name": "default"}}]
        return self.version, {SERVICES: self.services, ENDPOINT_SLICES: self.slices, NAMESPACES: spaces}

    def subscribe(self, changed):
        self.changed.append(changed)

    def change(self, *services):
        self.version, self.services = self.version + 1, services
        for changed in self.changed:
            changed()


def web(address):
    return service_object("web", clusterIP=address, clusterIPs=[address])


def made(*services, upstreams=(), log=False, synced=True):
    objects = Objects(*services, synced=synced)
    states = States(objects, SETTINGS)
    states.renew()
    return objects, states, Server(states, Upstream(upstreams, None), log=log)


def ask(server, data, *, stream=False):
    replies = []
    beat = Beat("test")
    taken = server.handle(data, replies.append, ("192.0.2.1", 5), beat, stream=stream)
    assert taken == bool(replies) or not replies
    return (replies or [None])[0], beat.counts


def test_an_answer_that_was_made_before_a_change_is_not_kept_for_after_it():
    objects, states, server = made(web("10.96.0.1"))

    class ChangesMeanwhile:
        """Hands out the state that held when a query began; before the query goes on, the objects change."""

        changed = False

        @property
        def now(self):
            held = states.now
            if not self.changed:
                self.changed = True
                objects.change(web("10.96.0.2"))
                states.renew()
            return held

    query = wire.query(WEB, "A", 7)
    before, _ = ask(Server(ChangesMeanwhile(), Upstream((), None)), query)
    assert before[-4:] == bytes([10, 96, 0, 1]), "the query began before"
    assert query[2:] not in states.now.kept
    assert ask(server, query)[0][-4:] == bytes([10, 96, 0, 2])
    assert states.now.kept[query[2:]][-4:] == bytes([10, 96, 0, 2])


def test_under_changes_each_kept_answer_is_of_the_zone_that_it_is_kept_with():
    objects, states, server = made(web("10.96.0.1"))
    query, ended = wire.query(WEB, "A", 7), threading.Event()

    def ask_on():
        while not ended.is_set():
            ask(server, query)

    askers = [threading.Thread(target=ask_on) for _ in range(3)]
    for asker in askers:
        asker.start()
    objects.slices = ()
    seen = []
    for number in range(50_000):
        objects.change(web(f"10.96.1.{number % 250}"))
        states.renew()
        seen.append(states.now)
        if number % 300 == 299 and sum(bool(held.kept) for held in seen) > 3:
            break
    ended.set()
    for asker in askers:
        asker.join()
    for held in seen:
        (address,) = held.zone.find(WEB).addresses
        for kept in held.kept.values():
            assert kept[-4:] == socket.inet_aton(address)
    assert any(held.kept for held in seen), "somebody asked meanwhile"


def test_nothing_is_answered_from_a_zone_that_is_not_whole():
    objects, states, server = made(web("10.96.0.1"), synced=False)
    assert ask(server, wire.query(WEB, "A", 7))[0][3] & 15 == 2
    assert not states.now.kept
    objects.synced = True
    states.renew()
    assert ask(server, wire.query(WEB, "A", 7))[0][3] & 15 == 0


def test_the_state_follows_changes_and_a_fault_loses_none():
    objects, states, server = made()
    loops = Loops()
    loops.start("zone", states.work)
    slices, objects.slices = objects.slices, None
    objects.change()
    wait_for(lambda: loops.counts().get("loop TypeError"))
    objects.slices = slices
    objects.services = (web("10.96.0.9"),)
    wait_for(lambda: ask(server, wire.query(WEB, "A", 7))[0][-4:] == bytes([10, 96, 0, 9]))


def test_a_service_that_makes_no_sense_is_left_out_said_once_and_the_others_are_served(capfd):
    broken = {"metadata": {"name": "broken", "namespace": "default"}, "spec": {"clusterIP": "10.96.0.1", "ports": [5]}}
    objects, states, server = made(web("10.96.0.1"), broken)
    objects.change(web("10.96.0.2"), broken)
    states.renew()
    assert ask(server, wire.query(WEB, "A", 7))[0][-4:] == bytes([10, 96, 0, 2])
    assert capfd.readouterr().err.count("left out: Service default/broken: AttributeError") == 1


def test_a_source_whose_loop_has_ended_says_so_and_has_nothing_until_it_has_seen_everything():
    source = Cached("/nowhere", (SERVICES,))
    assert not source.synced
    loop = asyncio.new_event_loop()
    loop.close()
    source._whole = (loop, None)
    with pytest.raises(RuntimeError, match="closed"):
        source.objects()


def wait_for(condition):
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come true")


def test_kept_answers_are_bounded_by_their_size():
    kept = Kept()
    kept.keep(b"q" * 600, [b"a"])
    kept.keep(b"q", [b"a" * state.KEPT_BYTES])
    assert not kept, "too large, each of them"
    answer = b"a" * (state.KEPT_BYTES // 32)
    for number in range(31):
        kept.keep(b"%d" % number, [answer])
    assert len(kept) == 31
    kept.keep(b"one more", [answer])
    assert kept == {b"one more": answer}


def test_odd_packets_get_one_answer_or_none_and_no_fault():
    _, _, server = made(
        web("10.96.0.5"), service_object("away", type="ExternalName", externalName="x" * 64 + ".example")
    )
    beat = Beat("test")
    for data in odd_packets(20_000, seed=2):
        replies = []
        server.handle(data, replies.append, ("192.0.2.1", 0), beat)
        assert len(replies) == (len(data) >= 12 and not data[2] & 0x80)
        for reply in replies:
            assert (reply[:2], reply[2] & 0x80) == (data[:2], 0x80)
    assert set(beat.counts) == {"ignored"}


def test_a_fault_of_our_own_is_counted_logged_and_answered(capfd):
    class Broken:
        now = None

    server = Server(Broken(), Upstream((), None))
    beat = Beat("udp")
    replies = []
    for _ in range(5):
        server.handle(wire.query(WEB, "A", 7), replies.append, None, beat)
    assert {reply[3] & 15 for reply in replies} == {2}
    assert beat.counts == {"query AttributeError": 5}
    assert capfd.readouterr().err.count("Traceback") == 3, "the 1st, 2nd and 4th time"


class Refusing:
    """A socket whose peers cannot be reached, and that fails itself in the end."""

    def __init__(self, *arriving):
        self.arriving = list(arriving)
        self.sent = []

    def recvfrom(self, size):
        if not self.arriving:
            raise OSError(errno.EBADF, "gone")
        item = self.arriving.pop(0)
        if isinstance(item, OSError):
            raise item
        return item

    def sendto(self, data, client):
        if client[1] == 0:
            raise OSError(errno.EINVAL, "port 0")
        if client[1] == 1:
            raise OSError(errno.EPERM, "filtered")
        self.sent.append((client[1], data))


def test_a_peer_that_cannot_be_answered_is_counted_and_the_next_is_answered():
    _, _, server = made(web("10.96.0.5"), service_object("many", clusterIP="None"))
    query, many = wire.query(WEB, "A", 7), wire.query("many.default.svc.cluster.local", "A", 7)
    sock = Refusing((query, ("192.0.2.1", 0)), (query, ("192.0.2.1", 1)), BlockingIOError(), (b"", ("192.0.2.1", 9)),
                    (query, ("192.0.2.1", 9)), (many, ("192.0.2.1", 10)), (many, ("192.0.2.1", 11)))  # fmt: skip
    beat = Beat("udp")
    with pytest.raises(OSError, match="gone"):
        server.serve_udp(sock, beat)
    assert beat.counts == {"send EINVAL": 1, "send EPERM": 1, "ignored": 1}
    assert [port for port, _ in sock.sent] == [9, 10, 11]
    assert beat.turns == 8
    assert sock.sent[1][1] != sock.sent[2][1], "kept addresses take turns, too"


def test_a_log_on_a_full_disk_is_no_reason_not_to_answer(capsys):
    _, _, server = made(web("10.96.0.5"), log=True)
    assert ask(server, wire.query(WEB, "A", 7))[0][3] & 15 == 0
    assert ask(server, wire.query("example.com", "A", 7), stream=True)[0][3] & 15 == 2
    assert capsys.readouterr().out == f"192.0.2.1 A {WEB}. 0\ntcp A example.com. forwarded\n"
    with contextlib.redirect_stdout(Full()):
        assert ask(server, wire.query(WEB, "A", 7))[0][3] & 15 == 0


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_over_tcp_an_answer_is_whole_up_to_what_its_length_can_say():
    _, _, server = made(service_object("many", clusterIP="None"))
    reply, _ = ask(server, wire.query("many.default.svc.cluster.local", "A", 7), stream=True)
    assert (reply[2] & 2, int.from_bytes(reply[6:8], "big")) == (0, 3000)
    reply, _ = ask(server, wire.query("many.default.svc.cluster.local", "SRV", 7), stream=True)
    assert reply[2] & 2
    assert len(reply) <= 65535


def test_more_questions_for_upstream_than_may_wait_are_refused_at_once():
    _, _, server = made(upstreams=["192.0.2.1"])
    for _ in range(WAITING):
        assert ask(server, wire.query("example.com", "A", 7))[0] is None
    assert ask(server, wire.query("example.com", "A", 7))[0][3] & 15 == 2


def test_a_loop_begins_again_whatever_ends_it_and_one_that_hangs_is_late():
    now = [0.0]
    loops = Loops(clock=lambda: now[0])
    runs, hold = [], threading.Event()

    def work(beat):
        runs.append(beat)
        beat.turns += 1
        if len(runs) == 1:
            raise RuntimeError("a fault")
        if len(runs) == 2:
            raise OSError(errno.EBADF, "gone")
        if len(runs) == 4:
            hold.wait()

    loops.start("odd", work)
    wait_for(lambda: len(runs) == 4)
    assert loops.counts() == {"loop EBADF": 1, "loop RuntimeError": 1, "loop ended": 1}
    assert loops.late() == []
    now[0] = 5.0
    assert loops.late() == []
    now[0] = 5.1
    assert loops.late() == ["odd"]
    hold.set()
    wait_for(lambda: len(runs) == 5)
    assert loops.late() == []


# --- connections


class Net:
    """Streams on a socket of the file system, turned by the test, with time that the test moves."""

    def __init__(self, path, talk, most=8):
        self.now = 0.0
        self.beat = Beat("tcp")
        self.streams = Streams(clock=lambda: self.now, most=most)
        self.path = str(path / "tcp")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.streams.listen(self.listener, talk)
        self.clients = []

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(0)
        client.connect(self.path)
        self.clients.append(client)
        self.turn()
        return client

    def turn(self, times=3):
        for _ in range(times):
            self.streams.turn(self.beat, 0)

    def close(self):
        self.streams.close()
        for client in self.clients:
            client.close()


@pytest.fixture
def net(tmp_path):
    opened = []

    def open_net(talk, **more):
        opened.append(Net(tmp_path, talk, **more))
        return opened[-1]

    yield open_net
    for one in opened:
        one.close()


def framed(data):
    return len(data).to_bytes(2, "big") + data


def received(client):
    """Everything that has come; None when the connection was ended without a word."""
    data = b""
    while True:
        try:
            part = client.recv(1 << 20)
        except BlockingIOError:
            return data
        except ConnectionResetError:
            part = b""
        if not part:
            return data or None
        data += part


def test_a_message_in_pieces_and_several_in_one_are_answered(net):
    _, _, server = made(web("10.96.0.5"))
    one = net(Stream(server))
    client = one.connect()
    query = framed(wire.query(WEB, "A", 7))
    for byte in query:
        client.send(bytes([byte]))
        one.turn(1)
    assert received(client)[-4:] == bytes([10, 96, 0, 5])
    client.send(query * 3)
    client.shutdown(socket.SHUT_WR)
    one.turn()
    answers = received(client)
    assert answers.count(bytes([10, 96, 0, 5])) == 3
    assert received(client) is None, "and then it is over"


def test_what_is_no_query_ends_its_connection_only(net):
    _, _, server = made(web("10.96.0.5"))
    one = net(Stream(server))
    good, empty, response = one.connect(), one.connect(), one.connect()
    empty.send(b"\0\0")
    response.send(framed(b"\0\7\x80\0" + bytes(8)))
    good.send(framed(wire.query(WEB, "A", 7)))
    one.turn()
    assert received(empty) is None
    assert received(response) is None
    assert received(good)[-4:] == bytes([10, 96, 0, 5])
    assert one.beat.counts == {"ignored": 2}


def test_an_idle_connection_is_ended_after_a_while_and_a_slow_one_too(net):
    _, _, server = made(web("10.96.0.5"))
    one = net(Stream(server))
    idle, slow, busy = one.connect(), one.connect(), one.connect()
    for _ in range(9):
        slow.send(b"\1")
        busy.send(framed(wire.query(WEB, "A", 7)))
        one.turn()
        one.now += 1.0
    one.turn()
    assert received(idle) is None
    assert received(slow) is None, "a byte now and then is not enough"
    busy.send(framed(wire.query(WEB, "A", 7)))
    one.turn()
    assert received(busy)
    assert one.beat.counts == {"silent": 2}


def test_when_it_is_full_the_longest_silent_one_makes_room(net):
    _, _, server = made(web("10.96.0.5"))
    one = net(Stream(server), most=4)
    for _ in range(100):
        one.connect()
        one.now += 0.001
    last = one.clients[-1]
    last.send(framed(wire.query(WEB, "A", 7)))
    one.turn()
    assert received(last)
    assert sum(received(client) is not None for client in one.clients[:-1]) == 3
    assert one.beat.counts == {"pushed out": 96}


def test_room_is_made_among_the_connections_of_the_peer_that_has_the_most():
    one = Streams(clock=lambda: 0.0, most=4)
    pairs = [socket.socketpair() for _ in range(4)]
    try:
        for number, (ours, _) in enumerate(pairs):
            peer = "192.0.2.1" if number == 0 else "192.0.2.66"
            one._connections[ours] = streams._Connection(ours, peer, Stream(None), float(number))
        assert one._make_room(Beat("tcp"))
        assert [c.since for c in one._connections.values()] == [0.0, 2.0, 3.0], "the other one's oldest is left alone"
    finally:
        one.close()
        for ours, theirs in pairs:
            ours.close()
            theirs.close()


class Exhausted:
    """A listener for which the host has no descriptor."""

    def __init__(self, listener):
        self._listener = listener
        self.failing = 0

    def fileno(self):
        return self._listener.fileno()

    def accept(self):
        if self.failing:
            self.failing -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def close(self):
        self._listener.close()


def test_without_descriptors_room_is_made_and_then_it_rests(net):
    _, _, server = made(web("10.96.0.5"))
    one = net(Stream(server))
    listener = Exhausted(one.listener)
    one.streams._selector.unregister(one.listener)
    one.streams._listeners.clear()
    one.streams.listen(listener, Stream(server))
    first = one.connect()
    listener.failing = 1
    second = one.connect()
    assert received(first) is None
    assert one.beat.counts == {"accept EMFILE": 1, "pushed out": 1}
    listener.failing = 2
    third = one.connect()
    assert received(second) is None
    assert one.beat.counts == {"accept EMFILE": 3, "pushed out": 2}
    third.send(framed(wire.query(WEB, "A", 7)))
    one.turn()
    assert received(third) == b"", "it rests"
    one.now += 0.3
    one.turn()
    assert received(third)[-4:] == bytes([10, 96, 0, 5])


def test_who_does_not_take_his_answers_is_not_heard_until_he_does(net):
    _, _, server = made(service_object("many", clusterIP="None"))
    one = net(Stream(server))
    client = one.connect()
    client.send(framed(wire.query("many.default.svc.cluster.local", "A", 7)) * 20)
    one.turn(20)
    (connection,) = one.streams._connections.values()
    assert len(connection.unsent) < 2 * 65537
    seen = 0
    for _ in range(200):
        seen += len(received(client) or b"")
        one.turn(1)
    assert seen == 20 * (len(ask(server, wire.query("many.default.svc.cluster.local", "A", 7), stream=True)[0]) + 2)


class Later:
    """Answers when the test says so, from another thread."""

    once = False

    def __init__(self):
        self.waiting = []

    def take(self, received):
        return bytes(received.pop(0) for _ in range(1)) if received else None

    def answer(self, message, reply, beat):
        if message == b"!":
            raise RuntimeError("a fault")
        self.waiting.append((message, reply))
        return True

    def go(self):
        thread = threading.Thread(target=lambda: [reply(message) for message, reply in self.waiting])
        thread.start()
        thread.join()
        self.waiting = []


def test_answers_from_other_threads_wake_the_loop_and_find_who_is_still_there(net):
    talk = Later()
    one = net(talk)
    stays, leaves, faulty = one.connect(), one.connect(), one.connect()
    stays.send(b"x" * 40)
    leaves.send(b"y")
    faulty.send(b"!")
    one.turn()
    leaves.close()
    one.turn()
    assert len(talk.waiting) == streams.WAITING + 1, "so many answers may be awaited"
    assert received(faulty) is None
    assert one.beat.counts == {"connection RuntimeError": 1}
    answered = b""
    while talk.waiting:
        talk.go()
        one.streams.turn(one.beat, 5)
        answered += received(stays)
    assert answered == b"x" * 40


def test_health_and_readiness_over_http(net, tmp_path):
    now = [0.0]
    loops = Loops(clock=lambda: now[0])
    hold, began = threading.Event(), threading.Event()

    def hang(beat):
        beat.count("hung")
        began.set()
        hold.wait()

    loops.start("stuck", hang)
    began.wait(5)
    one = net(health.health(loops))

    def get(request=b"GET /health HTTP/1.1"):
        client = one.connect()
        client.send(request + b"\r\nHost: x\r\n\r\n")
        one.turn()
        answer = received(client)
        assert received(client) is None, "one answer a connection"
        return answer

    assert get().startswith(b"HTTP/1.1 200 OK\r\n")
    now[0] = 6.0
    assert get().startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert get().endswith(b"not turning: stuck\n")
    assert get(b"HEAD /health HTTP/1.1").endswith(b"\r\n\r\n")
    assert get(b"GET /counters?x HTTP/1.0").endswith(b'{"hung": 1}\n')
    assert get(b"GET /other HTTP/1.1").startswith(b"HTTP/1.1 404 ")
    assert get(b"POST /health HTTP/1.1").startswith(b"HTTP/1.1 405 ")
    assert get(b"hello") is None
    endless = one.connect()
    for _ in range(3):
        endless.send(b"x" * 4096)
        one.turn()
    assert received(endless) is None
    assert one.beat.counts["not understood"] == 1
    hold.set()


def test_it_is_ready_when_everything_was_seen_once(net):
    objects, states, _ = made(synced=False)
    page = health.ready(states)
    replies = []
    page.answer(b"GET /ready HTTP/1.1", replies.append, Beat("tcp"))
    objects.synced = True
    states.renew()
    page.answer(b"GET /ready HTTP/1.1", replies.append, Beat("tcp"))
    assert [reply.split(b" ")[1] for reply in replies] == [b"503", b"200"]
