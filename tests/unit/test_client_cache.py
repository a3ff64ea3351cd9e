"""What a client knows of a resource, and what is news in what it hears."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest
from support.build import FixedClock, pod_object, service_object, slice_object
from support.etcd import Etcd, EtcdApi

from netproxy.client.cache import Cache
from netproxy.client.port import Selector, WatchEvent
from netproxy.client.shelf import Shelf, namespace_of, owners_of
from netproxy.core.errors import ApiError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import ENDPOINT_SLICES, PODS, REPLICA_SETS, SERVICES

WEB = NamespacedName("default", "web")


def web(version, uid="uid-1", **more):
    obj = service_object("web", **more)
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version, "uid": uid}}


def a_shelf(*objects, told="10"):
    shelf = Shelf(SERVICES, Selector())
    shelf.replaced(objects, told, asked_at="")
    return shelf


def told(events):
    """Types and versions, as a line."""
    return " ".join(f"{e.type}:{e.obj['metadata']['resourceVersion']}" for e in events)


# --- news


@pytest.mark.parametrize(("known", "what", "heard", "news"), [
    pytest.param([], "ADDED", web("11"), "ADDED:11", id="a new one"),
    pytest.param([web("5")], "MODIFIED", web("11"), "MODIFIED:11", id="a newer state"),
    pytest.param([web("5")], "ADDED", web("11"), "MODIFIED:11", id="added although known: its state is newer"),
    pytest.param([web("5")], "MODIFIED", web("5"), "", id="the same again"),
    pytest.param([web("9")], "MODIFIED", web("5"), "", id="an older state"),
    pytest.param([web("5")], "DELETED", web("11"), "DELETED:11", id="deleted"),
    pytest.param([], "DELETED", web("11"), "", id="deleted although unknown"),
    pytest.param([web("12", "uid-2")], "DELETED", web("11", "uid-1"), "", id="the one before it was deleted"),
    pytest.param([web("5", "uid-1")], "MODIFIED", web("11", "uid-2"), "DELETED:5 ADDED:11", id="another one took the name"),
    pytest.param([web("5", "uid-1")], "DELETED", web("11", "uid-2"), "DELETED:5", id="one that nobody saw took the name and went"),
    pytest.param([web("a")], "MODIFIED", web("b"), "MODIFIED:b", id="versions that are no numbers differ"),
])  # fmt: skip
def test_what_is_news_in_a_change(known, what, heard, news):
    assert told(a_shelf(*known).changed(what, heard)) == news


@pytest.mark.parametrize(("known", "listed", "version", "asked_at", "news"), [
    pytest.param([web("5")], [web("5")], "12", "10", "", id="nothing is different"),
    pytest.param([web("5")], [web("11")], "12", "10", "MODIFIED:11", id="changed meanwhile"),
    pytest.param([web("5")], [], "12", "10", "DELETED:5", id="gone meanwhile"),
    pytest.param([], [web("11")], "12", "10", "ADDED:11", id="made meanwhile"),
    pytest.param([web("13")], [web("11")], "12", "10", "", id="learnt a newer state while the list was on its way"),
    pytest.param([web("13")], [], "12", "10", "", id="learnt a new object while the list was on its way"),
    pytest.param([web("5")], [], "2", "10", "DELETED:5", id="the API lost its past, and the object"),
    pytest.param([web("5", x=1)], [web("5", x=2)], "7", "10", "MODIFIED:5", id="the API lost its past: same version, another state"),
    pytest.param([web("5")], [web("1", "uid-9")], "2", "10", "DELETED:5 ADDED:1", id="the API lost its past: another object"),
])  # fmt: skip
def test_what_is_news_in_a_list(known, listed, version, asked_at, news):
    shelf = a_shelf(*known)
    assert told(shelf.replaced(listed, version, asked_at=asked_at)) == news
    assert shelf.told == version


@pytest.mark.parametrize(("known", "learnt", "news"), [
    pytest.param([], web("11"), "ADDED:11", id="made by ourselves"),
    pytest.param([web("5")], web("11"), "MODIFIED:11", id="changed by ourselves"),
    pytest.param([], web("10"), "", id="the watch told its end before we learnt of its making"),
    pytest.param([web("9")], web("8"), "", id="changed by somebody since"),
])  # fmt: skip
def test_what_is_news_in_the_answer_to_an_own_write(known, learnt, news):
    assert told(a_shelf(*known).learnt(learnt)) == news


def test_the_watch_does_not_tell_again_what_was_learnt():
    shelf = a_shelf(web("5"))
    shelf.learnt(web("12"))
    assert told(shelf.changed("MODIFIED", web("11")) + shelf.changed("MODIFIED", web("12"))) == ""
    assert (shelf.told, shelf.latest) == ("12", "12")


def test_what_the_selector_does_not_pick_is_not_learnt():
    shelf = Shelf(SERVICES, Selector(namespace="shop", labels="app=web"))
    assert shelf.learnt(web("11")) == []


def test_a_bookmark_moves_the_version_and_never_back():
    shelf = a_shelf(told="10")
    shelf.bookmarked("15")
    shelf.bookmarked("12")
    assert shelf.told == "15"


# --- indexes


def a_pod(name, owners=(), **more):
    refs = [{"uid": owner} for owner in owners]
    return pod_object(name, metadata={"ownerReferences": refs, "resourceVersion": "1", **more})


def test_an_index_follows_every_change():
    shelf = Shelf(PODS, Selector())
    shelf.replaced([a_pod("a", ["x", "y"]), a_pod("b", ["x"])], "1", asked_at="")
    names = lambda uid: sorted(o["metadata"]["name"] for o in shelf.having(owners_of, uid))  # noqa: E731
    assert (names("x"), names("y"), names("z")) == (["a", "b"], ["a"], [])
    shelf.changed("MODIFIED", a_pod("a", ["z", "y", "y"], resourceVersion="2"))
    shelf.changed("ADDED", a_pod("c", ["z"], resourceVersion="3"))
    assert (names("x"), names("y"), names("z")) == (["b"], ["a"], ["a", "c"])
    shelf.changed("DELETED", a_pod("b", ["x"], resourceVersion="4"))
    assert names("x") == []
    assert [o["metadata"]["name"] for o in shelf.having(namespace_of, "default")] == ["a", "c"]


def test_lists_are_in_order_whatever_came_first():
    shelf = Shelf(PODS, Selector())
    shelf.replaced([a_pod("b"), a_pod("a", namespace="z"), a_pod("a")], "1", asked_at="")
    order = lambda at="": [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in shelf.in_order(at)]  # noqa: E731
    assert order() == [("default", "a"), ("default", "b"), ("z", "a")]
    assert order("z") == [("z", "a")]
    assert order("nowhere") == []


# --- the cache


async def no_pause(_seconds):
    await asyncio.sleep(0)


@asynccontextmanager
async def a_cache(api, wanted, **more):
    cache = Cache(
        api, wanted, clock=more.pop("clock", FixedClock()), random=Random(1), pause=more.pop("pause", no_pause)
    )
    running = asyncio.create_task(cache.run())
    try:
        yield cache
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


def a_world(*objects):
    world = Etcd()
    for obj in objects:
        world.put(obj)
    return world


def test_the_views_of_a_cache():
    async def ask():
        world = a_world(service_object(), slice_object(), pod_object(metadata={"ownerReferences": [{"uid": "uid-rs"}]}))
        wanted = dict.fromkeys((SERVICES, ENDPOINT_SLICES, PODS, REPLICA_SETS), Selector())
        async with a_cache(EtcdApi(world), wanted) as cache:
            assert cache.is_stale
            await cache.synced()
            assert not cache.is_stale
            service, piece, pod = (world.listed(r)[0] for r in (SERVICES, ENDPOINT_SLICES, PODS))
            assert cache.find(SERVICES, WEB) is cache.get(SERVICES, WEB) is service
            assert cache.find(SERVICES, NamespacedName("x", "y")) is None
            with pytest.raises(NotFoundError, match='services "y" not found'):
                cache.get(SERVICES, NamespacedName("x", "y"))
            assert (list(cache.list(PODS)), list(cache.all(PODS)), cache.count(PODS)) == ([pod], [pod], 1)
            assert cache.by_service(ENDPOINT_SLICES, WEB) == (piece,)
            assert cache.by_node("node1") == cache.by_owner("uid-rs") == cache.by_owner("uid-rs", PODS) == (pod,)
            assert cache.by_owner("uid-rs", SERVICES) == ()
            assert cache.by_namespace(SERVICES, "default") == (service,)

    asyncio.run(ask())


def test_a_listener_that_fails_harms_nobody(caplog):
    async def listen():
        world = a_world(service_object())
        async with a_cache(EtcdApi(world), {SERVICES: Selector()}) as cache:
            heard = []
            cache.subscribe(lambda event: 1 / 0)
            cache.subscribe(heard.append)
            await cache.synced()
            assert told(heard) == "ADDED:1"
            assert "a listener failed at ADDED services/web" in caplog.text

    asyncio.run(listen())


def test_what_a_listener_causes_is_told_after_what_caused_it():
    async def listen():
        world = a_world(service_object())
        async with a_cache(EtcdApi(world), {SERVICES: Selector()}) as cache:
            first, second = [], []

            def writes(event):
                first.append(event)
                if len(first) == 1:
                    cache.learn(world.put(service_object(x=1)))

            cache.subscribe(writes)
            cache.subscribe(second.append)
            await cache.synced()
            await until(lambda: len(second) == 2)
            assert told(first) == told(second) == "ADDED:1 MODIFIED:2"

    asyncio.run(listen())


def test_a_late_listener_may_have_the_past_and_one_that_ended_hears_nothing():
    async def listen():
        world = a_world(service_object())
        async with a_cache(EtcdApi(world), {SERVICES: Selector()}) as cache:
            await cache.synced()
            old, new, gone = [], [], []
            end = cache.subscribe(gone.append, replay=True)
            end()
            cache.subscribe(old.append)
            cache.subscribe(new.append, replay=True)
            cache.learn(world.put(service_object(x=1)))
            assert (told(old), told(new), told(gone)) == ("MODIFIED:2", "ADDED:1 MODIFIED:2", "ADDED:1")

    asyncio.run(listen())


def test_a_listener_that_is_ended_by_another_hears_no_more():
    async def listen():
        world = a_world(service_object())
        async with a_cache(EtcdApi(world), {SERVICES: Selector()}) as cache:
            heard, ends = [], []
            cache.subscribe(lambda event: [end() for end in ends])
            ends.append(cache.subscribe(heard.append))
            await cache.synced()
            assert heard == []

    asyncio.run(listen())


def test_objects_of_a_resource_that_is_not_wanted_are_not_learnt():
    async def learn():
        async with a_cache(EtcdApi(a_world()), {SERVICES: Selector()}) as cache:
            await cache.synced()
            cache.learn(pod_object())
            cache.learn({"apiVersion": "example.com/v1", "kind": "Thing"})
            assert cache.count(SERVICES) == 0

    asyncio.run(learn())


def test_a_version_is_reached_when_the_listeners_have_heard_of_it():
    async def wait():
        world, heard = a_world(service_object()), []
        async with a_cache(EtcdApi(world), {SERVICES: Selector()}) as cache:
            cache.subscribe(heard.append)
            await cache.reached(SERVICES, 1)
            waiting = asyncio.create_task(cache.reached(SERVICES, 3))
            for _ in range(2):
                assert not waiting.done()
                world.put(service_object())
                await until(lambda: cache.get(SERVICES, WEB)["metadata"]["resourceVersion"] == str(world.version))
            await waiting
            assert told(heard) == "ADDED:1 MODIFIED:2 MODIFIED:3"

    asyncio.run(wait())


# --- how it asks


def asked_by(world, *faults, until_synced=True, pause=no_pause, rounds=0):
    """What the API was asked while the cache met these faults; the cache's state at the end."""
    asked, states = [], []

    async def ask():
        api = EtcdApi(world)
        api.faults.extend(faults)
        async with a_cache(api, {SERVICES: Selector()}, pause=pause) as cache:
            await until(lambda: not api.faults and (not cache.is_stale or not until_synced) and len(api.asked) > rounds)
            asked.extend(f"{verb} {version or 'all'}" if verb == "watch" else verb for verb, _, version in api.asked)
            states.append(cache.state(SERVICES))

    asyncio.run(ask())
    return asked, states[0]


def test_the_initial_events_are_tried_first():
    assert asked_by(a_world(service_object()))[0] == ["watch all"]


def test_an_api_without_initial_events_is_listed():
    assert asked_by(a_world(service_object()), "no initial events", rounds=2)[0] == ["watch all", "list", "watch 1"]


def test_initial_events_that_break_off_are_not_half_a_truth():
    world = a_world(service_object("a"), service_object("b"), service_object("c"))
    asked, state = asked_by(world, "cut after one", rounds=2)
    assert asked == ["watch all", "list", "watch 3"]
    assert state.is_synced


def test_a_lost_connection_goes_on_where_it_was():
    assert asked_by(a_world(service_object()), "", rounds=0)[0] == ["watch all"]
    assert asked_by(a_world(service_object()), "no initial events", "", "unavailable", "", rounds=3)[0] == [
        "watch all", "list", "watch 1", "watch 1"]  # fmt: skip


def test_a_version_that_has_expired_is_listed_anew():
    assert asked_by(a_world(service_object()), "no initial events", "", "expired", "", rounds=3)[0] == [
        "watch all", "list", "watch 1", "watch all"]  # fmt: skip


def test_the_state_says_why_nothing_is_told():
    _, state = asked_by(a_world(), "unavailable", until_synced=False)
    assert (state.is_synced, state.is_stale, state.last_seen, state.last_error) == (
        False,
        True,
        0.0,
        "somebody cut the cable",
    )
    _, state = asked_by(a_world(), "unavailable", rounds=1)
    assert (state.is_synced, state.is_stale, state.last_seen, state.last_error) == (True, False, 1_000_000.0, "")


def test_a_bug_is_survived_and_what_is_known_is_asked_anew(caplog):
    asked, state = asked_by(a_world(service_object()), "no initial events", "", "bug", rounds=3)
    assert asked == ["watch all", "list", "watch 1", "watch all"]
    assert state.is_synced
    assert "following services: it begins again after" in caplog.text


def test_an_api_that_is_away_is_asked_less_and_less():
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    asked_by(a_world(), *["unavailable"] * 20, pause=pause)
    assert max(pauses) <= 30.0
    assert min(pauses[10:]) >= 15.0


def test_an_api_that_ends_every_watch_at_once_is_not_asked_without_a_pause():
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    asked_by(a_world(), "no initial events", "", *["cut at once"] * 20, pause=pause)
    assert min(pauses[10:20]) >= 15.0


def test_an_api_that_forgets_every_version_at_once_is_not_asked_without_a_pause():
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    asked_by(a_world(), *["no initial events", "", "expired"] * 20, pause=pause)
    assert min(pauses[10:20]) >= 15.0


def test_an_api_that_is_too_busy_says_when_to_come_back():
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    asked_by(a_world(), "busy", pause=pause)
    assert pauses[0] == 7.0


def test_a_selector_that_is_none_is_refused_at_the_door():
    with pytest.raises(ManifestError):
        Cache(EtcdApi(a_world()), {SERVICES: Selector(labels="app in (")}, clock=FixedClock(), random=Random(1))


# --- an API that tells what it likes


class Script:
    """An Api whose watches tell what is written here, one line each; an iterator only, without `aclose`."""

    def __init__(self, *watches, clock=None):
        self.watches = list(watches)
        self.clock = clock

    def watch(self, resource, version, selector):
        lines = iter(self.watches.pop(0) if self.watches else ())

        class Stream:
            def __aiter__(self):
                return self

            async def __anext__(stream):  # noqa: N805  # `self` is the script
                await asyncio.sleep(0)
                event = next(lines, None)
                if event is None:
                    raise StopAsyncIteration
                if isinstance(event, float):
                    self.clock.time += event
                    return await stream.__anext__()
                if isinstance(event, Exception):
                    raise event
                return event

        return Stream()


def mark(version, **annotations):
    return WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": version, "annotations": annotations}})


END = {"k8s.io/initial-events-end": "true"}


def scripted(*watches, pause=no_pause, clock=None):
    """What a cache knows, and told, after these watches."""
    heard, clock = [], clock or FixedClock()

    async def play():
        api = Script(*watches, clock=clock)
        async with a_cache(api, {SERVICES: Selector()}, pause=pause, clock=clock) as cache:
            cache.subscribe(heard.append)
            await until(lambda: not api.watches)
            await until(lambda: cache.state(SERVICES).is_synced)
            for _ in range(20):
                await asyncio.sleep(0)

    asyncio.run(play())
    return told(heard)


def test_what_changes_among_the_initial_events_is_part_of_them():
    other = {**web("3"), "metadata": {**web("3")["metadata"], "name": "other"}}
    stream = [WatchEvent("ADDED", other), mark("2"), WatchEvent("ADDED", web("1")), WatchEvent("MODIFIED", web("5")),
              WatchEvent("DELETED", other), mark("6", **END)]  # fmt: skip
    assert scripted(stream) == "ADDED:5"


def test_an_api_that_went_back_is_asked_for_everything():
    stream = [WatchEvent("ADDED", web("5")), mark("6", **END), mark("4")]
    assert scripted(stream, [WatchEvent("ADDED", web("2", "uid-2")), mark("4", **END)]) == "ADDED:5 DELETED:5 ADDED:2"


def test_a_quiet_watch_that_lives_for_a_while_and_ends_well_is_asked_for_again_at_once():
    pauses, noted = [], []

    async def pause(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    scripted([mark("6", **END), 1.0], [mark("6"), 1.0], (noted.append(len(pauses)) for _ in range(1)), pause=pause)
    assert noted == [0]


def test_an_error_that_is_not_about_now_asks_for_everything():
    stream = [WatchEvent("ADDED", web("5")), mark("6", **END), ApiError(500, "InternalError", "broken")]
    assert scripted(stream, [WatchEvent("ADDED", web("5")), mark("7", **END)]) == "ADDED:5"
