"""An API behind HTTP: what is asked, what is understood, what a server may do wrong."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from random import Random

import pytest
from support.apiserver import ApiServer
from support.build import FixedClock, pod_object, service_object
from support.etcd import Etcd

from netproxy.client import wire
from netproxy.client.cache import Cache
from netproxy.client.http import USUAL, HttpApi, Patience
from netproxy.client.kubeconfig import Connection
from netproxy.client.port import APPLY_PATCH, INITIAL, MERGE_PATCH, Selector
from netproxy.client.tcp import tcp_socket
from netproxy.core.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ExpiredError,
    ManifestError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import DEPLOYMENTS, NODES, PODS, SERVICES

WEB = NamespacedName("default", "web")


class Pauses(list):
    """Waits that are noted, and over at once."""

    async def __call__(self, seconds):
        self.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def a_server(tmp_path, way="tcp", count=1, patience=USUAL):
    """A server with COUNT Services, and an HttpApi to it by TCP or by a Unix socket."""
    world = Etcd()
    for number in range(count):
        world.put(service_object(f"web{number or ''}"))
    server, pauses, clock = ApiServer(world), Pauses(), FixedClock()
    where = await server.start(path=tmp_path / "s" if way == "unix" else None)
    more = {"clock": clock, "random": Random(1), "pause": pauses, "patience": patience}
    made = HttpApi.on_socket(tmp_path / "s", **more) if way == "unix" else HttpApi.of(Connection(where), **more)
    made.pauses, made.running = pauses, []
    try:
        yield server, made
    finally:
        for task in made.running:
            task.cancel()
        await asyncio.gather(*made.running, return_exceptions=True)
        await made.close()
        await server.stop()


ways = pytest.mark.parametrize("way", ["tcp", "unix"])


def names(objects):
    return [obj["metadata"]["name"] for obj in objects]


async def first(stream, count):
    """The first COUNT events, and the stream's end."""
    found = []
    async for event in stream:
        found.append(event)
        if len(found) == count:
            break
    await stream.aclose()
    return [(e.type, e.obj["metadata"].get("name", e.obj["metadata"].get("resourceVersion"))) for e in found]


# --- requests


@ways
def test_the_verbs(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way, count=0) as (server, api):
            made = await api.create(service_object())
            assert made == await api.get(SERVICES, WEB) == server.world.objects[SERVICES, WEB]
            with pytest.raises(AlreadyExistsError, match='services "web" already exists'):
                await api.create(service_object())
            replaced = await api.replace({**made, "spec": {"x": 1}, "status": {"ignored": True}})
            assert (replaced["spec"], replaced.get("status")) == ({"x": 1}, None)
            with pytest.raises(ConflictError, match="it was modified"):
                await api.replace(made)
            state = await api.replace_status({**replaced, "spec": {"x": 2}, "status": {"loadBalancer": {}}})
            assert (state["spec"], state["status"]) == ({"x": 1}, {"loadBalancer": {}})
            patched = await api.patch(SERVICES, WEB, {"spec": {"y": 1}}, MERGE_PATCH)
            assert patched["spec"] == {"x": 1, "y": 1}
            with pytest.raises(UnsupportedError):
                await api.patch(SERVICES, WEB, [], "application/json-patch+json")
            with pytest.raises(ConflictError, match="UID in the precondition"):
                await api.delete(SERVICES, WEB, uid="another")
            await api.delete(SERVICES, WEB, uid=made["metadata"]["uid"], grace_s=0, propagation="Foreground")
            with pytest.raises(NotFoundError, match='services "web" not found'):
                await api.delete(SERVICES, WEB)
            with pytest.raises(NotFoundError):
                await api.get(SERVICES, WEB)
            assert not names(server.world.listed(SERVICES))

    asyncio.run(ask())


def test_a_pod_gets_a_node_once_and_a_namespace_its_finalizers(tmp_path):
    async def ask():
        async with a_server(tmp_path, "unix") as (server, api):
            pod = pod_object("p", node="")
            server.world.put(pod)
            await api.bind(NamespacedName("default", "p"), "node2")
            bound = await api.get(PODS, NamespacedName("default", "p"))
            assert bound["spec"] == {**pod["spec"], "nodeName": "node2"}
            with pytest.raises(ConflictError, match="it has a node"):
                await api.bind(NamespacedName("default", "p"), "node1")
            shop = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "shop"},
                "spec": {"finalizers": ["kubernetes"]},
            }
            server.world.put(shop)
            assert (await api.finalize({**shop, "spec": {"finalizers": []}}))["spec"] == {"finalizers": []}
            assert server.asked[-1] == "replace /api/v1/namespaces/shop/finalize"

    asyncio.run(ask())


def test_an_applied_object_says_who_applies_it(tmp_path):
    async def ask():
        async with a_server(tmp_path) as (server, api):
            with pytest.raises(UnsupportedError):
                await api.patch(SERVICES, WEB, {}, APPLY_PATCH)
            assert server.asked == ["patch /api/v1/namespaces/default/services/web?fieldManager=netproxy"]

    asyncio.run(ask())


def test_an_answer_of_old_that_ends_with_its_connection(tmp_path):
    """As HTTP/1.0 has it: neither a length nor chunks."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(service_object()).encode())
        writer.close()

    async def ask():
        listening = await asyncio.start_unix_server(answer, tmp_path / "s")
        api = HttpApi.on_socket(tmp_path / "s", clock=FixedClock(), random=Random(1))
        found = await api.get(SERVICES, WEB)
        listening.close()
        return found

    assert asyncio.run(ask()) == service_object()


@pytest.mark.parametrize("head", [b"nonsense\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 70000,
                                  b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b""])  # fmt: skip
def test_what_is_no_http(head, tmp_path):
    async def answer(reader, writer):
        writer.write(head)
        writer.close()

    async def ask():
        listening = await asyncio.start_unix_server(answer, tmp_path / "s")
        with pytest.raises(UnavailableError, match=str(tmp_path)):
            await HttpApi.on_socket(tmp_path / "s", clock=FixedClock(), random=Random(1)).get(SERVICES, WEB)
        listening.close()

    asyncio.run(ask())


def test_an_object_without_a_namespace_goes_to_default_and_one_of_no_known_kind_nowhere(tmp_path):
    async def ask():
        async with a_server(tmp_path, "unix", count=0) as (server, api):
            await api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}})
            await api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "namespace": "lost"}})
            assert server.asked == ["create /api/v1/namespaces/default/services", "create /api/v1/nodes"]
            with pytest.raises(ManifestError, match=r"example.com/v1 Thing.*no such resource is known"):
                await api.create({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}})

    asyncio.run(ask())


@ways
def test_a_long_list_comes_in_pages_and_its_items_say_what_they_are(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way, count=1201) as (server, api):
            listing = await api.list(SERVICES, Selector("default", labels="!hidden"))
            assert list(listing.items) == server.world.listed(SERVICES)
            assert listing.version == "1201"
            assert [line.partition("&continue")[0] for line in server.asked] == [
                "list /api/v1/namespaces/default/services?labelSelector=%21hidden&limit=500"] * 3  # fmt: skip

    asyncio.run(ask())


def test_a_list_whose_moment_is_forgotten_between_pages_is_asked_as_a_whole(tmp_path):
    async def ask():
        async with a_server(tmp_path, count=501) as (server, api):
            server.faults["list"].extend(["", 410])
            listing = await api.list(SERVICES)
            assert len(listing.items) == 501
            assert server.asked[-1] == "list /api/v1/services"
            server.faults["list"].append(410)
            with pytest.raises(ExpiredError):
                await api.list(SERVICES)

    asyncio.run(ask())


@ways
def test_a_server_that_is_too_busy_is_asked_again_when_it_says(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.faults["get"].extend([(429, "7"), (503, "3600")])
            assert (await api.get(SERVICES, WEB))["metadata"]["name"] == "web"
            assert api.pauses == [7.0, 30.0]
            server.faults["get"].extend([(429, "1")] * 10)
            with pytest.raises(UnavailableError):
                await api.get(SERVICES, WEB)
            assert len(api.pauses) == 2 + 9

    asyncio.run(ask())


@ways
@pytest.mark.parametrize(("fault", "error", "says"), [
    pytest.param(503, UnavailableError, "on command", id="not now, and not when"),
    pytest.param(500, ApiError, "on command", id="an error of the server"),
    pytest.param(403, ApiError, "on command", id="not allowed"),
    pytest.param(422, ManifestError, "on command", id="invalid, without a cause"),
    pytest.param("text", UnavailableError, "HTTP 502: <html>bad gateway</html>", id="somebody in between answers"),
    pytest.param("cut", UnavailableError, None, id="the connection ends"),
])  # fmt: skip
def test_a_failure_is_an_error_of_ours(way, fault, error, says, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.faults["get"].extend([fault] * 2)  # what is safe to repeat may be sent once more
            with pytest.raises(error, match=says) as raised:
                await api.get(SERVICES, WEB)
            assert type(raised.value) is error
            if type(fault) is int and isinstance(raised.value, ApiError):
                assert raised.value.code == fault

    asyncio.run(ask())


@ways
def test_nobody_there(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            await server.stop()
            with pytest.raises(UnavailableError) as raised:
                await api.list(SERVICES)
            assert raised.value.code == 0
            assert str(tmp_path) in str(raised.value) or "http://127.0.0.1:" in str(raised.value)

    asyncio.run(ask())


@ways
def test_a_server_that_does_not_answer(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way, patience=Patience(answer_s=0.05)) as (server, api):
            for verb in ("get", "watch"):
                server.faults[verb].append("hang")
            with pytest.raises(UnavailableError, match="did not answer within"):
                await api.get(SERVICES, WEB)
            with pytest.raises(UnavailableError, match="did not answer within"):
                await first(api.watch(SERVICES, "1"), 1)

    asyncio.run(ask())


# --- watches


@ways
def test_a_watch_from_nothing_tells_everything_then_what_changes(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            stream = api.watch(SERVICES, INITIAL, Selector("default", labels="!hidden"))
            assert (await anext(stream)).obj == server.world.objects[SERVICES, WEB]
            assert (await anext(stream)).obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
            server.world.put(service_object("next"))
            assert await first(stream, 1) == [("ADDED", "next")]
            assert "labelSelector=%21hidden" in server.asked[0]

    asyncio.run(ask())


@ways
def test_a_watch_from_a_version_says_that_it_has_begun_and_tells_what_came_after(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way, count=2) as (server, api):
            server.world.remove(SERVICES, WEB)
            expected = [("BOOKMARK", "1"), ("ADDED", "web1"), ("DELETED", "web")]
            assert await first(api.watch(SERVICES, "1"), 3) == expected

    asyncio.run(ask())


@ways
def test_a_server_tells_how_far_it_is(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            stream = api.watch(SERVICES, "1")
            await anext(stream)
            while not server.world.watchers:
                await asyncio.sleep(0)
            server.world.put(pod_object())
            server.world.bookmark()
            assert await first(stream, 1) == [("BOOKMARK", "2")]

    asyncio.run(ask())


@ways
@pytest.mark.parametrize("code", [422, 400])
def test_a_server_without_initial_events_is_asked_for_them_once(way, code, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.initial_events = code
            for _ in range(2):
                with pytest.raises(UnsupportedError, match="initial events of services"):
                    await first(api.watch(SERVICES, INITIAL), 1)
            assert len(server.asked) == 1
            with pytest.raises(UnsupportedError):
                await first(api.watch(PODS, INITIAL), 1)
            assert len(server.asked) == 2, "another resource may be another server's"

    asyncio.run(ask())


@ways
def test_a_server_that_does_not_know_how_initial_events_end_is_left(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way, patience=Patience(initial_s=0.05)) as (server, api):
            server.initial_events = 0
            assert [event.type async for event in api.watch(SERVICES, INITIAL)] == ["ADDED"]

    asyncio.run(ask())


def test_after_the_initial_events_a_server_may_be_silent_for_longer(tmp_path):
    async def ask():
        async with a_server(tmp_path, "unix", patience=Patience(initial_s=0.05)) as (server, api):
            stream = api.watch(SERVICES, INITIAL)
            assert [(await anext(stream)).type for _ in range(2)] == ["ADDED", "BOOKMARK"]
            next_one = asyncio.ensure_future(anext(stream))
            _, waiting = await asyncio.wait([next_one], timeout=0.2)
            assert waiting
            server.world.put(service_object("late"))
            assert (await next_one).obj["metadata"]["name"] == "late"
            await stream.aclose()

    asyncio.run(ask())


@ways
def test_a_watch_that_is_silent_for_long_ends(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way, patience=Patience(watch_s=0.05)) as (_, api):
            assert [event.type async for event in api.watch(SERVICES, "1")] == ["BOOKMARK"]

    asyncio.run(ask())


@ways
@pytest.mark.parametrize(("fault", "error", "says"), [
    pytest.param("error 410", ExpiredError, "too old resource version", id="the version has expired"),
    pytest.param("error 500", ApiError, "etcd has no leader", id="another error"),
    pytest.param("garbage", UnavailableError, "what is no event", id="garbage"),
    pytest.param(503, UnavailableError, "on command", id="not now"),
    pytest.param(403, ApiError, "on command", id="not allowed"),
    pytest.param(410, ExpiredError, "on command", id="the version has expired, said at once"),
])  # fmt: skip
def test_a_watch_that_fails(way, fault, error, says, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.faults["watch"].append(fault)
            with pytest.raises(error, match=says):
                await first(api.watch(SERVICES, "1"), 100)

    asyncio.run(ask())


@ways
def test_half_a_line_is_no_event(way, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.faults["watch"].append("half a line")
            found = []
            stream = api.watch(SERVICES, "1")
            found.append((await anext(stream)).type)
            with pytest.raises(UnavailableError):
                found.append(await anext(stream))
            assert found == ["BOOKMARK"]

    asyncio.run(ask())


@ways
def test_an_event_of_a_type_of_the_future_is_left_out(way, tmp_path, caplog):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.faults["watch"].append("an unknown type")
            assert await first(api.watch(SERVICES, "1"), 9) == [("BOOKMARK", "1")]
            assert "an event of an unknown type" in caplog.text

    asyncio.run(ask())


@ways
@pytest.mark.parametrize("piece", [pytest.param(1 << 21, id="at once"), pytest.param(1000, id="in small pieces")])
def test_an_object_of_two_megabytes(way, piece, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.piece = piece
            big = server.world.put(service_object("big", x="y" * (2 << 20)))
            stream = api.watch(SERVICES, "1")
            await anext(stream)
            assert (await anext(stream)).obj == big
            await stream.aclose()

    asyncio.run(ask())


# --- the wire


def test_lines_may_be_cut_anywhere():
    text = b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(20))
    for size in range(1, 40):
        lines = wire.Lines()
        found = [line for at in range(0, len(text), size) for line in lines.of(text[at : at + size])]
        assert [json.loads(line)["n"] for line in found] == list(range(20))
        assert lines.rest == b""


@pytest.mark.parametrize("line", [
    b"[]", b"1", b"{}", b'{"type":"ADDED"}', b'{"type":"ADDED","object":null}', b'{"type":"ADDED","object":{"metadata":{}}}',
    b'{"type":"ADDED","object":{"metadata":{"name":""}}}', b'{"type":"ADDED","object":{"metadata":{"name":"x"}}}',
    b'{"type":"BOOKMARK","object":{"metadata":{}}}', b'{"type":["ADDED"],"object":{}}', b'{"type":"ERROR","object":[]}',
    b'{"type":"ERROR"}', b"\xff\xfe",
])  # fmt: skip
def test_what_is_no_event(line):
    with pytest.raises((UnavailableError, ApiError)):
        wire.event_of(line)


def test_an_invalid_object_names_its_fields():
    causes = [{"reason": "FieldValueInvalid", "message": "Invalid value: 0", "field": "spec.ports[0].port"}, "nonsense"]
    status = {"kind": "Status", "code": 422, "reason": "Invalid", "message": "it is", "details": {"causes": causes}}
    error = wire.error_of(422, json.dumps(status).encode())
    assert isinstance(error, ManifestError)
    assert [(p.path, p.message, p.reason) for p in error.problems] == [
        ("spec.ports[0].port", "Invalid value: 0", "FieldValueInvalid")
    ]


@pytest.mark.parametrize(("status", "header", "seconds"), [
    pytest.param({"code": 429}, "3", 3.0, id="the header"),
    pytest.param({"code": 504, "details": {"retryAfterSeconds": 1}}, "", 1.0, id="the Status"),
    pytest.param({"code": 503, "details": "nonsense"}, "Wed, 21 Oct 2026 07:28:00 GMT", None, id="neither in seconds"),
])  # fmt: skip
def test_when_to_come_back(status, header, seconds):
    error = wire.error_of_status(status, header)
    assert isinstance(error, UnavailableError)
    assert error.retry_after_s == seconds


def test_a_version_may_be_gone_without_a_reason():
    assert isinstance(wire.error_of_status({"code": 410}), ExpiredError)


def test_a_dead_peer_is_noticed_by_tcp():
    made = tcp_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1)))
    with made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


def test_what_was_never_opened_can_be_closed():
    asyncio.run(HttpApi.of(Connection("http://nowhere"), clock=FixedClock(), random=Random(1)).close())


def test_a_status_that_makes_no_sense_is_an_error_of_the_server():
    error = wire.error_of_status({"code": "nonsense", "message": 7})
    assert isinstance(error, ApiError)
    assert (error.code, str(error)) == (500, "7")


@ways
@pytest.mark.parametrize("text", [b"not JSON", b"[]"])
def test_an_answer_that_makes_no_sense(way, text, tmp_path):
    async def ask():
        async with a_server(tmp_path, way) as (server, api):
            server.faults["get"].append(text)
            with pytest.raises(UnavailableError, match="the server answered with what is no"):
                await api.get(SERVICES, WEB)

    asyncio.run(ask())


def test_paths_and_targets():
    assert wire.path_of(NODES, NamespacedName("", "a/b")) == "/api/v1/nodes/a%2Fb"
    assert wire.path_of(DEPLOYMENTS, NamespacedName("", "")) == "/apis/apps/v1/deployments"
    assert wire.target_of(SERVICES, Selector()) == "/api/v1/services"


# --- a cache on it


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


WATCH_FAULTS = ["half a line", "garbage", "an unknown type", "error 410", "error 500", 429, 500, 503, 410, "cut", "text",
                (429, "1")]  # fmt: skip


@ways
@pytest.mark.parametrize("initial_events", [200, 422, 0])
def test_a_cache_survives_everything_and_tells_every_change_once(way, initial_events, tmp_path):
    async def live():
        async with a_server(tmp_path, way, count=3, patience=Patience(initial_s=0.02)) as (server, api):
            server.initial_events = initial_events
            server.faults["list"].extend([500, "cut", "text", 410])
            heard, random, world = [], Random(initial_events), server.world
            cache = Cache(
                api, {SERVICES: Selector(labels="!hidden")}, clock=FixedClock(), random=Random(1), pause=api.pauses
            )
            cache.subscribe(lambda event: heard.append((event.type, event.obj["metadata"]["name"])))
            api.running.append(asyncio.create_task(cache.run()))
            await cache.synced()
            for number, fault in enumerate([*WATCH_FAULTS, *random.choices(WATCH_FAULTS, k=12)]):
                server.faults["watch"].append(fault)
                world.cut()
                world.put(service_object("web", round=number))
                world.put(service_object(f"extra{number}"))
                world.remove(SERVICES, NamespacedName("default", f"extra{number - 1}"))
                if number % 5 == 4:
                    world.compact()
                await until(lambda: list(cache.list(SERVICES)) == world.listed(SERVICES))
            for number in range(24):
                assert heard.count(("ADDED", f"extra{number}")) == 1
                assert heard.count(("DELETED", f"extra{number}")) == (number < 23)
            assert heard.count(("MODIFIED", "web")) == 24

    asyncio.run(live())


def test_a_server_that_is_gone_for_a_while(tmp_path):
    async def live():
        async with a_server(tmp_path, count=3) as (server, api):
            cache = Cache(api, {SERVICES: Selector()}, clock=FixedClock(), random=Random(1), pause=api.pauses)
            api.running.append(asyncio.create_task(cache.run()))
            await cache.synced()
            await server.stop()
            await until(lambda: cache.is_stale)
            assert "http://127.0.0.1" in cache.state(SERVICES).last_error
            assert cache.count(SERVICES) == 3, "what is known stays"
            server.world.remove(SERVICES, WEB)
            server.world.put(service_object("new"))
            asked = len(server.asked)
            await server.start()
            await until(lambda: not cache.is_stale and list(cache.list(SERVICES)) == server.world.listed(SERVICES))
            assert all("resourceVersion=3" in line for line in server.asked[asked:]), "it goes on where it was"

    asyncio.run(live())
