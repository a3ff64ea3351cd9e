"""One file asks every API the same: in process, netproxy's own server over its socket, and the tests' server."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest
from support.api import a_registry
from support.apiserver import ApiServer
from support.build import FixedClock, pod_object, service_object, slice_object
from support.etcd import Etcd

from netproxy.apiserver.routes import Api
from netproxy.client.cache import Cache
from netproxy.client.http import HttpApi
from netproxy.client.local import LocalApi
from netproxy.client.port import INITIAL, MERGE_PATCH, Selector
from netproxy.core.errors import AlreadyExistsError, ConflictError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import ENDPOINT_SLICES, PODS, SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import INITIAL_EVENTS_END
from netproxy.serve.http import serve

WEB = NamespacedName("default", "web")
apis = pytest.mark.parametrize("kind", ["in process", "our own server", "the tests' server"])


@asynccontextmanager
async def an_api(kind, tmp_path):
    """An empty API of this kind."""
    path = tmp_path / "socket"
    if kind == "in process":
        yield LocalApi(a_registry())
        return
    over_http = HttpApi.on_socket(path, clock=FixedClock(), random=Random(1), pause=lambda s: asyncio.sleep(0))
    if kind == "our own server":
        registry = a_registry()
        runner = await serve(path, Api(registry, FixedClock()), registry.store, FixedClock(), None)
        try:
            yield over_http
        finally:
            await runner.cleanup()
        return
    server = ApiServer(Etcd())
    await server.start(path=path)
    try:
        yield over_http
    finally:
        await server.stop()


def asks(question):
    """Run the question with an API of each kind."""

    @apis
    def test(kind, tmp_path):
        async def run():
            async with asyncio.timeout(20), an_api(kind, tmp_path) as api:
                await question(api)

        asyncio.run(run())

    return test


async def heard(stream, count):
    """The next COUNT events that are no bookmarks; all of them."""
    found = []
    async for event in stream:
        if event.type != "BOOKMARK":
            found.append((event.type, event.obj["metadata"]["name"]))
        if len(found) == count:
            return found
    raise AssertionError(f"the watch ended after {found}")


def labelled(name, **labels):
    obj = service_object(name)
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


@asks
async def test_what_is_written_is_read(api):
    made = await api.create(service_object())
    assert made["metadata"]["uid"]
    assert await api.get(SERVICES, WEB) == made
    assert (await api.list(SERVICES)).items == (made,)
    with pytest.raises(AlreadyExistsError):
        await api.create(service_object())
    with pytest.raises(NotFoundError):
        await api.get(SERVICES, NamespacedName("default", "other"))


@asks
async def test_a_status_and_the_rest_are_written_apart(api):
    made = await api.create(service_object(type="LoadBalancer"))
    status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.9", "ipMode": "VIP"}]}}
    told = await api.replace_status({**made, "spec": {"type": "LoadBalancer"}, "status": status})
    assert (told["spec"], told["status"]) == (made["spec"], status)
    again = await api.replace({**told, "status": {}})
    assert again["status"] == status


@asks
async def test_who_writes_what_changed_meanwhile_is_told(api):
    made = await api.create(service_object(type="LoadBalancer"))
    await api.replace_status({**made, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}})
    with pytest.raises(ConflictError):
        await api.replace({**made, "metadata": {**made["metadata"], "labels": {"x": "y"}}})


@asks
async def test_only_the_object_that_is_meant_is_deleted(api):
    made = await api.create(slice_object())
    at = NamespacedName("default", made["metadata"]["name"])
    with pytest.raises(ConflictError):
        await api.delete(ENDPOINT_SLICES, at, uid="another")
    await api.delete(ENDPOINT_SLICES, at, uid=made["metadata"]["uid"])
    with pytest.raises(NotFoundError):
        await api.delete(ENDPOINT_SLICES, at)


@asks
async def test_a_watch_from_a_list_misses_nothing_and_tells_nothing_twice(api):
    await api.create(service_object("before"))
    listing = await api.list(SERVICES)
    await api.create(service_object("between"))
    stream = api.watch(SERVICES, listing.version)
    assert await heard(stream, 1) == [("ADDED", "between")]
    await api.create(pod_object())
    await api.create(service_object("after"))
    await api.delete(SERVICES, NamespacedName("default", "before"))
    assert await heard(stream, 2) == [("ADDED", "after"), ("DELETED", "before")]
    await stream.aclose()


@asks
async def test_a_watch_says_that_it_has_begun(api):
    await api.create(service_object())
    version = (await api.list(SERVICES)).version
    stream = api.watch(SERVICES, version)
    first = await anext(stream)
    assert (first.type, first.obj["metadata"]) == ("BOOKMARK", {"resourceVersion": version})
    await stream.aclose()


@asks
async def test_initial_events_end_with_a_mark(api):
    await api.create(service_object("a"))
    await api.create(service_object("b"))
    stream = api.watch(SERVICES, INITIAL)
    first = [await anext(stream) for _ in range(3)]
    assert [event.type for event in first] == ["ADDED", "ADDED", "BOOKMARK"]
    assert first[2].obj["metadata"]["annotations"][INITIAL_EVENTS_END] == "true"
    assert first[2].obj["metadata"]["resourceVersion"] == (await api.list(SERVICES)).version
    await stream.aclose()


@asks
async def test_who_comes_into_a_selection_is_added_and_who_leaves_is_deleted(api):
    made = await api.create(labelled("web", app="web"))
    stream = api.watch(SERVICES, (await api.list(SERVICES)).version, Selector(labels="app=web"))
    await api.create(labelled("other", app="other"))
    moved = await api.replace({**made, "metadata": {**made["metadata"], "labels": {"app": "db"}}})
    back = await api.replace({**moved, "metadata": {**moved["metadata"], "labels": {"app": "web"}}})
    await api.replace({**back, "metadata": {**back["metadata"], "labels": {"app": "web", "more": "x"}}})
    assert await heard(stream, 3) == [("DELETED", "web"), ("ADDED", "web"), ("MODIFIED", "web")]
    await stream.aclose()
    listing = await api.list(SERVICES, Selector("default", labels="app=web"))
    assert [obj["metadata"]["name"] for obj in listing.items] == ["web"]


@asks
async def test_what_a_selection_never_had_is_not_told(api):
    stream = api.watch(SERVICES, (await api.list(SERVICES)).version, Selector(labels="app=web"))
    assert (await anext(stream)).type == "BOOKMARK"
    await api.create(labelled("other", app="other"))
    await api.create(labelled("web", app="web"))
    assert await heard(stream, 1) == [("ADDED", "web")]
    await stream.aclose()


@asks
async def test_a_patch_says_only_what_changes(api):
    made = await api.create(labelled("web", app="web", old="x"))
    body = {"metadata": {"labels": {"old": None, "new": "y"}}}
    patched = await api.patch(SERVICES, WEB, body, MERGE_PATCH)
    assert patched["metadata"]["labels"] == {"app": "web", "new": "y"}
    assert patched["spec"] == made["spec"]
    assert await api.get(SERVICES, WEB) == patched


def test_a_watch_that_begins_while_news_is_told_hears_it_once():
    """Of two objects that are written together, the second is known to the store before anybody has heard of it."""

    async def run():
        registry = a_registry()
        streams = []

        def begin(event):
            if not streams:
                streams.append(LocalApi(registry).watch(SERVICES, "0"))
                with pytest.raises(StopIteration):  # its first event comes at once, so nobody has to wait for it
                    anext(streams[0]).send(None)

        registry.store.subscribe(begin)
        registry.apply([Loaded(service_object("a"), "x"), Loaded(service_object("b"), "x")])
        registry.create(service_object("c"))
        assert await heard(streams[0], 3) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
        await streams[0].aclose()

    asyncio.run(run())


def test_a_watch_in_process_from_what_is_no_version():
    async def run():
        with pytest.raises(ManifestError, match='resourceVersion: Invalid value: "yesterday"'):
            await anext(LocalApi(a_registry()).watch(SERVICES, "yesterday"))

    asyncio.run(run())


@asks
async def test_a_field_selects_too(api):
    await api.create(pod_object("here", node="node1"))
    await api.create(pod_object("there", node="node2"))
    listing = await api.list(PODS, Selector(fields="spec.nodeName=node1"))
    assert [obj["metadata"]["name"] for obj in listing.items] == ["here"]


@asks
async def test_a_cache_has_what_the_api_has(api):
    random, pick = Random(7), Selector(labels="!hidden")
    cache = Cache(api, {SERVICES: pick}, clock=FixedClock(), random=Random(1), pause=lambda s: asyncio.sleep(0))
    told = {}

    def replay(event):
        name = event.obj["metadata"]["name"]
        assert (event.type == "ADDED") is (name not in told)
        told[name] = event.obj
        if event.type == "DELETED":
            del told[name]

    cache.subscribe(replay)
    running = asyncio.create_task(cache.run())
    try:
        for number in range(60):
            name = f"s{random.randrange(8)}"
            hidden = {"hidden": "x"} if number % 3 == 0 else {"n": str(number)}
            try:
                cache.learn(await api.create(labelled(name, **hidden)))
            except AlreadyExistsError:
                old = await api.get(SERVICES, NamespacedName("default", name))
                if number % 4:
                    cache.learn(await api.replace({**old, "metadata": {**old["metadata"], "labels": hidden}}))
                else:
                    await api.delete(SERVICES, NamespacedName("default", name))
        last = await api.create(service_object("last"))
        while cache.find(SERVICES, NamespacedName("default", "last")) is None:
            await asyncio.sleep(0)
        await cache.reached(SERVICES, int(last["metadata"]["resourceVersion"]))
        assert list(cache.list(SERVICES)) == list((await api.list(SERVICES, pick)).items)
        assert sorted(told) == [obj["metadata"]["name"] for obj in cache.list(SERVICES)]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
