"""What a watch is told: what is there, what happens to its selection, where it has come to."""

import asyncio
import json
from contextlib import suppress

import aiohttp
import pytest
from support.api import Client, a_registry, a_store
from support.build import FixedClock
from support.build import service_object as usual_service

from netproxy.apiserver.negotiate import Form
from netproxy.apiserver.request import Response
from netproxy.apiserver.routes import Api
from netproxy.apiserver.watch import Teller, Told, Watch, failed, fell_behind
from netproxy.core.errors import ApiError, ExpiredError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import CONFIG_MAPS, EVENTS_V1, KINDS, SERVICES
from netproxy.objects.meta import INITIAL_EVENTS_END
from netproxy.serve import http
from netproxy.serve.streams import Limits
from netproxy.store.store import Store

CLOCK = FixedClock()


def service_object(name="web", namespace="default"):
    """One that has no address, so that nothing else is written with it."""
    return usual_service(name, namespace, clusterIP="None")


def frames(lines):
    return [(frame["type"], frame["object"]) for frame in map(json.loads, lines)]


def teller(watch):
    return Teller(watch, CLOCK, Told())


def services(version=0, in_namespace="", **query):
    """A watch of Services, as a query asks for it."""
    path = f"/api/v1/namespaces/{in_namespace}/services" if in_namespace else "/api/v1/services"
    return Client()("GET", path, watch="1", **({"resourceVersion": str(version)} if version else {}), **query)


def told(registry, watch):
    """What a watch hears of all that has happened so far."""
    tells = teller(watch)
    return frames(filter(None, (tells.told(event) for event in registry.store.since(0))))


def short(found):
    return [(kind, obj["metadata"]["name"], obj["metadata"]["resourceVersion"]) for kind, obj in found]


def labelled(name, **labels):
    return {**service_object(name), "metadata": {"name": name, "labels": labels}}


def test_a_change_into_the_selection_adds_and_one_out_of_it_deletes_the_object_as_it_was():
    registry = a_registry()
    registry.create(labelled("a", app="web"))
    registry.replace(labelled("a", app="web", tier="x"))
    registry.replace(labelled("a", app="db"))
    registry.replace(labelled("a", app="db", tier="y"))
    registry.replace(labelled("a", app="web"))
    registry.delete(SERVICES, NamespacedName("default", "a"))
    registry.create(labelled("b", app="db"))
    registry.delete(SERVICES, NamespacedName("default", "b"))
    found = told(registry, services(labelSelector="app=web"))
    assert short(found) == [
        ("ADDED", "a", "1"),
        ("MODIFIED", "a", "2"),
        ("DELETED", "a", "3"),
        ("ADDED", "a", "5"),
        ("DELETED", "a", "6"),
    ]
    assert found[2][1]["metadata"]["labels"] == {"app": "web", "tier": "x"}


def test_a_watch_hears_of_its_resource_and_its_namespace_only():
    registry = a_registry()
    registry.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    registry.create(service_object(namespace="team"))
    registry.create(service_object("b"))
    assert short(told(registry, services(in_namespace="team"))) == [("ADDED", "web", "2")]
    assert short(told(registry, services(fieldSelector="metadata.name=b"))) == [("ADDED", "b", "3")]


def test_an_event_is_told_in_the_version_of_the_watch():
    registry = a_registry()
    registry.create({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "m"})
    (found,) = told(registry, Watch(EVENTS_V1, 0))
    assert (found[1]["apiVersion"], found[1]["note"]) == ("events.k8s.io/v1", "m")


def test_what_is_there_comes_first_and_its_end_is_marked_when_asked():
    registry = a_registry()
    registry.create(labelled("a", app="web"))
    registry.create(labelled("b", app="db"))
    first = frames(teller(services(labelSelector="app")).first(registry.store))
    assert short(first) == [("ADDED", "a", "1"), ("ADDED", "b", "2")]
    marked = frames(teller(Watch(SERVICES, 1, initial=True, marks_initial=True)).first(registry.store))
    assert marked[-1] == ("BOOKMARK", {"kind": "Service", "apiVersion": "v1", "metadata": {
        "resourceVersion": "2", "annotations": {INITIAL_EVENTS_END: "true"}}, "spec": {}, "status": {"loadBalancer": {}}})  # fmt: skip


def test_a_watch_from_a_version_hears_what_it_missed():
    registry = a_registry()
    for name in "abc":
        registry.create(service_object(name))
    assert short(frames(teller(Watch(SERVICES, 2)).first(registry.store))) == [("ADDED", "c", "3")]
    assert list(teller(Watch(SERVICES, 0)).first(registry.store)) == []
    with pytest.raises(ExpiredError):
        teller(Watch(SERVICES, 1)).first(restored(2).store)


def test_tables_and_bookmarks_and_ends():
    registry = a_registry()
    registry.create(service_object())
    registry.create(service_object("b"))
    first, second = told(registry, Watch(SERVICES, form=Form(shape="Table")))
    assert (first[1]["kind"], len(first[1]["rows"])) == ("Table", 1)
    assert first[1]["columnDefinitions"][0]["name"] == "Name"
    assert second[1]["columnDefinitions"] is None
    bookmark = frames([teller(Watch(CONFIG_MAPS, 0)).bookmark(7)])
    assert bookmark == [("BOOKMARK", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}})]
    ((kind, status),) = frames([failed(fell_behind(9))])
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")


# --- over a socket


class Served:
    """The API on a Unix socket; raw connections to it."""

    def __init__(self, path, registry, extra=None, **limits):
        self.path = path
        self.registry = registry
        self.extra = extra or self.nothing
        self.limits = Limits(**limits)
        self.writers = []

    async def nothing(self, request):
        raise RuntimeError("a fault beside the API")

    async def __aenter__(self):
        api, store = Api(self.registry, CLOCK), self.registry.store
        self.runner = await http.serve(self.path, api, store, CLOCK, self.extra, limits=self.limits)
        return self

    async def __aexit__(self, *_):
        for writer in self.writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        await self.runner.cleanup()

    async def ask(self, target):
        reader, writer = await asyncio.open_unix_connection(self.path, limit=1 << 24)
        self.writers.append(writer)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return reader, await reader.readuntil(b"\r\n\r\n")

    async def frame(self, reader):
        """The next frame; None when the answer has ended."""
        async with asyncio.timeout(20):
            while True:
                line = await reader.readline()
                if line.startswith(b"{"):
                    return json.loads(line)
                if line in (b"0\r\n", b""):
                    return None


def restored(version):
    """A registry over a store that began anew at VERSION: what happened before is not known."""

    class Backing:
        def load(self):
            return []

        def latest(self):
            return version

        def commit(self, writes):
            pass

    return a_registry(a_store(Backing()))


def test_a_watch_over_a_socket_tells_all_once_and_ends_in_time(tmp_path):
    async def scene():
        registry = a_registry()
        for n in range(300):
            registry.create(service_object(f"s{n}"))
        async with Served(tmp_path / "s", registry) as served:
            reader, _ = await served.ask("/api/v1/services?watch=1&timeoutSeconds=1")
            names = [(await served.frame(reader))["object"]["metadata"]["name"] for _ in range(300)]
            assert sorted(names) == sorted(f"s{n}" for n in range(300))
            registry.create(service_object("late"))
            assert (await served.frame(reader))["object"]["metadata"]["name"] == "late"
            assert await served.frame(reader) is None

    asyncio.run(scene())


def test_a_version_that_is_too_old_is_an_error_in_the_stream(tmp_path):
    async def scene():
        async with Served(tmp_path / "s", restored(7)) as served:
            reader, head = await served.ask("/api/v1/services?watch=1&resourceVersion=1")
            assert b" 200 " in head
            frame = await served.frame(reader)
            assert (frame["type"], frame["object"]["code"]) == ("ERROR", 410)
            assert await served.frame(reader) is None

    asyncio.run(scene())


def test_bookmarks_come_when_asked_for_also_to_one_who_hears_of_nothing(tmp_path):
    async def scene():
        async with Served(tmp_path / "s", restored(7), bookmark_s=0.02) as served:
            reader, _ = await served.ask("/api/v1/services?watch=1&allowWatchBookmarks=true&labelSelector=x")
            assert bookmark(await served.frame(reader)) == 7
            quiet, _ = await served.ask("/api/v1/services?watch=1&timeoutSeconds=1")
            number = 0
            async with asyncio.timeout(20):
                while True:
                    number += 1
                    served.registry.create(service_object(f"s{number}"))
                    await asyncio.sleep(0)
                    if bookmark(await served.frame(reader)) > 8:
                        break
            frames = []
            while frame := await served.frame(quiet):
                frames.append(frame["type"])
            assert set(frames) == {"ADDED"}

    asyncio.run(scene())


def bookmark(frame):
    assert frame["type"] == "BOOKMARK"
    return int(frame["object"]["metadata"]["resourceVersion"])


class Counting(Store):
    """A store that knows how many listen."""

    listening = 0

    def subscribe(self, listener):
        self.listening += 1
        end = super().subscribe(listener)

        def ended():
            self.listening -= 1
            end()

        return ended


def test_a_watcher_that_does_not_read_is_ended_and_harms_nobody(tmp_path):
    big = "x" * 100_000
    numbers = iter(range(1000))

    async def scene():
        registry = a_registry(Counting(CLOCK, lambda: f"uid-{next(numbers)}"))
        made = registry.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"n": ""}})
        async with Served(tmp_path / "s", registry, behind=20, patience_s=0.05) as served:
            reader, _ = await served.ask("/api/v1/configmaps?watch=1")
            fine, _ = await served.ask("/api/v1/services?watch=1")
            await served.frame(reader)
            served.writers[0].transport.pause_reading()
            for n in range(200):
                made = registry.replace({**made, "data": {"n": f"{n}{big}"}})
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                while registry.store.listening > 1:
                    await asyncio.sleep(0.01)
            registry.create(service_object())
            assert (await served.frame(fine))["type"] == "ADDED"

    asyncio.run(scene())


def test_a_watcher_that_reads_again_in_time_is_told_why_it_was_ended(tmp_path):
    async def scene():
        registry = a_registry()
        async with Served(tmp_path / "s", registry, behind=5) as served:
            reader, _ = await served.ask("/api/v1/services?watch=1")
            for n in range(9):  # in one go: nobody has a turn in between
                registry.create(service_object(f"s{n}"))
            types = []
            while frame := await served.frame(reader):
                types.append((frame["type"], frame["object"].get("code")))
            assert types[-1] == ("ERROR", 410)

    asyncio.run(scene())


def test_a_fault_beside_the_api_is_an_answer_and_the_server_lives_on(tmp_path, caplog):
    async def scene():
        async with Served(tmp_path / "s", a_registry()) as served:
            reader, head = await served.ask("/netproxy/anything")
            assert b" 500 " in head
            assert await reader.readuntil(b'"message":"a fault beside the API"')
            assert b" 200 " in (await served.ask("/api"))[1]

    asyncio.run(scene())
    assert "GET /netproxy/anything" in caplog.text


def test_a_fault_in_a_watch_ends_that_watch_only(tmp_path, caplog):
    async def scene():
        registry = a_registry()
        async with Served(tmp_path / "s", registry) as served:
            table, _ = await served.ask("/api/v1/services?watch=1&labelSelector=a")
            broken = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "b", "namespace": "default", "labels": 5},
            }
            with registry.transaction() as change:
                change.create(broken)
            assert await served.frame(table) is None
            assert b" 200 " in (await served.ask("/api"))[1]

    asyncio.run(scene())
    assert "watch of services" in caplog.text


def test_what_is_beside_the_api_may_refuse(tmp_path):
    async def extra(request):
        if request.path == "/netproxy/fine":
            return Response(200, b"{}")
        raise ExpiredError("too late")

    async def scene():
        async with Served(tmp_path / "s", a_registry(), extra) as served:
            for path, code in (("fine", b" 200 "), ("late", b" 410 ")):
                assert code in (await served.ask(f"/netproxy/{path}"))[1]

    asyncio.run(scene())


def test_a_watch_over_a_websocket_is_a_message_for_each_frame(tmp_path):
    async def scene():
        registry = a_registry()
        registry.create(service_object("a"))
        async with Served(tmp_path / "s", registry) as served:
            connector = aiohttp.UnixConnector(str(served.path))
            async with aiohttp.ClientSession(connector=connector) as session:
                url = "http://x/api/v1/services?watch=1&timeoutSeconds=1"
                async with session.ws_connect(url) as socket:
                    first = await socket.receive_json()
                    registry.create(service_object("b"))
                    second = await socket.receive_json()
                    assert [f["object"]["metadata"]["name"] for f in (first, second)] == ["a", "b"]
                    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
                async with session.ws_connect(url) as socket:  # and one that goes before it is over
                    await socket.receive_json()
                    await socket.close()
                async with session.ws_connect(
                    f"{url}&resourceVersion=99999999999&sendInitialEvents=1&resourceVersionMatch=NotOlderThan"
                ) as socket:
                    assert (await socket.receive_json())["object"]["code"] == 504

    asyncio.run(scene())


def test_many_watchers_are_told_everything_in_order(tmp_path):
    async def scene():
        registry = a_registry()
        made = registry.create(service_object())
        async with Served(tmp_path / "s", registry) as served:
            readers = [(await served.ask("/api/v1/services?watch=1&resourceVersion=1"))[0] for _ in range(20)]
            for n in range(300):
                made = registry.replace({**made, "metadata": {**made["metadata"], "labels": {"n": str(n)}}})
                await asyncio.sleep(0)
            for reader in readers:
                found = [(await served.frame(reader))["object"]["metadata"]["labels"]["n"] for _ in range(300)]
                assert found == [str(n) for n in range(300)]

    asyncio.run(scene())


def test_frames_are_made_once_for_all_who_are_told_the_same_and_forgotten_in_time():
    registry = a_registry()
    registry.create(service_object())
    (event,) = registry.store.since(0)
    shared = Told(most_bytes=10_000)
    watches = [Watch(SERVICES), Watch(SERVICES, 0, "default"), Watch(SERVICES, form=Form(shape="Table"))]
    first, second, table = (Teller(watch, CLOCK, shared).told(event) for watch in watches)
    assert first is second
    assert table is not first
    registry.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "x" * 10_000}})
    assert Teller(Watch(CONFIG_MAPS), CLOCK, shared).told(registry.store.since(1)[0]) is not None
    again = Teller(Watch(SERVICES), CLOCK, shared).told(event)
    assert (again == first, again is first) == (True, False)


def test_metadata_of_many_is_no_form_of_an_event():
    registry = a_registry()
    registry.create(service_object())
    watch = Watch(
        SERVICES, form=Form(shape="PartialObjectMetadataList"), initial=True, bookmarks=True, marks_initial=True
    )
    tells = teller(watch)
    assert b"".join(tells.first(registry.store)) == b""
    assert tells.told(registry.store.since(0)[0]) is None


@pytest.mark.parametrize("include", ["None", "Metadata", "Object"])
def test_a_bookmark_of_a_table_says_its_version(include):
    tells = teller(Watch(SERVICES, form=Form(shape="Table", include=include)))
    ((_, first),), ((_, second),) = frames([tells.bookmark(7)]), frames([tells.bookmark(8)])
    assert [table["rows"][0]["object"]["metadata"]["resourceVersion"] for table in (first, second)] == ["7", "8"]
    assert first["rows"][0]["object"]["kind"] == ("Service" if include == "Object" else "PartialObjectMetadata")
    assert (len(first["columnDefinitions"]), second["columnDefinitions"]) == (7, None)


def test_a_watch_from_a_version_to_come_waits_for_it():
    registry = a_registry()
    tells = teller(Watch(SERVICES, 2))
    assert list(tells.first(registry.store)) == []
    for name in "abc":
        registry.create(service_object(name))
    assert short(frames(filter(None, map(tells.told, registry.store.since(0))))) == [("ADDED", "c", "3")]
    with pytest.raises(ApiError, match="Too large resource version: 9, current: 3"):
        teller(Watch(SERVICES, 9, initial=True)).first(registry.store)


def test_a_bookmark_of_a_deployment_has_no_replicas():
    ((_, mark),) = frames([teller(Watch(KINDS["Deployment"])).bookmark(7)])
    assert (mark["spec"]["replicas"], mark["metadata"]) == (0, {"resourceVersion": "7"})
