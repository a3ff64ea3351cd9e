"""Whatever an API does: when it is well again, a cache has what a fresh list has, and its news lead there, too."""

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.build import FixedClock, pod_object, service_object, slice_object
from support.etcd import Etcd, EtcdApi
from support.examples import examples

from netproxy.client.cache import Cache
from netproxy.client.port import Selector
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import ENDPOINT_SLICES, PODS, SERVICES, resource_of

WANTED = {
    SERVICES: Selector(labels="!hidden"),
    PODS: Selector(fields="spec.nodeName=node1"),
    ENDPOINT_SLICES: Selector(namespace="default"),
}
NAMES = st.sampled_from(["a", "b", "c"])
FAULTS = st.sampled_from(["", "", "unavailable", "busy", "expired", "no initial events", "cut at once", "cut after one",
                          "cut after three", "twice", "error event", "bug"])  # fmt: skip


def a_service(name, hidden):
    obj = service_object(name)
    return {**obj, "metadata": {**obj["metadata"], "labels": {"hidden": "yes"} if hidden else {}}}


OBJECTS = st.one_of(
    st.builds(a_service, NAMES, st.booleans()),
    st.builds(lambda name, node: pod_object(name, node=node), NAMES, st.sampled_from(["node1", "node2"])),
    st.builds(lambda name, at: slice_object(name, namespace=at), NAMES, st.sampled_from(["default", "other"])),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), OBJECTS),
        st.tuples(st.just("put and learn"), OBJECTS),
        st.tuples(st.just("put and learn late"), OBJECTS),
        st.tuples(st.just("remove"), OBJECTS),
        st.tuples(st.just("fault"), FAULTS),
        st.tuples(st.sampled_from(["cut", "compact", "bookmark", "settle", "lose its past"]), st.none()),
    ),
    max_size=40,
)


class Replay:
    """A listener that does what it is told, and checks that it can be done."""

    def __init__(self):
        self.objects = {}
        self.wrong = []

    def __call__(self, event):
        at = (event.resource, event.obj["metadata"].get("namespace"), event.obj["metadata"]["name"])
        known = self.objects.get(at)
        if known is not event.old:
            self.wrong.append(f"{event.type} {at}: the old state is not the one that was told before")
        if (event.type == "ADDED") is not (known is None):
            self.wrong.append(f"{event.type} {at}: told for what is {'known' if known else 'unknown'}")
        if event.type == "MODIFIED" and known == event.obj:
            self.wrong.append(f"{at}: told twice")
        if event.type == "DELETED":
            self.objects.pop(at, None)
        else:
            self.objects[at] = event.obj


async def settle():
    for _ in range(60):
        await asyncio.sleep(0)


async def noticed(api):
    """The API is well, and tells how far it is, until everybody has heard."""
    api.faults.clear()
    for _ in range(3):
        await settle()
        api.world.bookmark()
    await settle()


async def no_pause(_seconds):
    await asyncio.sleep(0)


class Game:
    """A world, a cache of it, a listener; and what can happen to them."""

    def __init__(self, seed):
        self.world = Etcd()
        for each in (a_service("a", False), pod_object("b"), slice_object("c")):
            self.world.put(each)
        self.api, self.replay, self.late = EtcdApi(self.world), Replay(), []
        self.cache = Cache(self.api, WANTED, clock=FixedClock(), random=Random(seed), pause=no_pause)
        self.cache.subscribe(self.replay)

    async def step(self, what, obj):
        match what:
            case "put":
                self.world.put(obj)
            case "put and learn":
                self.cache.learn(self.world.put(obj))
            case "put and learn late":
                self.late.append(self.world.put(obj))
            case "remove":
                at = obj["metadata"]
                self.world.remove(resource_of(obj), NamespacedName(at.get("namespace", ""), at["name"]))
            case "fault":
                self.api.faults.append(obj)
            case "settle":
                await settle()
                while self.late:
                    self.cache.learn(self.late.pop(0))
            case "lose its past":
                self.late.clear()
                self.world.lose_its_past()
                await noticed(self.api)  # later, when versions have grown past what was known, nobody can
            case _:
                getattr(self.world, what)()
        await asyncio.sleep(0)

    def check(self):
        cache, world = self.cache, self.world
        assert {r: list(cache.list(r)) for r in WANTED} == {r: world.listed(r, s) for r, s in WANTED.items()}
        assert self.replay.wrong == []
        assert len(self.replay.objects) == sum(cache.count(r) for r in WANTED)
        for (resource, *at), obj in self.replay.objects.items():
            assert cache.find(resource, NamespacedName(*at)) is obj


async def play(steps, seed):
    game = Game(seed)
    running = asyncio.create_task(game.cache.run())
    try:
        for what, obj in steps:
            await game.step(what, obj)
        await noticed(game.api)
        game.check()
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@examples(300)
@given(STEPS, st.integers(0, 3))
def test_a_cache_heals(steps, seed):
    asyncio.run(play(steps, seed))
