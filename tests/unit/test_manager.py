"""The manager: what goes wrong with one key ends nothing else, and the same state comes about in the end."""

import asyncio
import logging
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import FixedClock, pod_object, service_object
from support.examples import examples
from support.world import Late, Unsteady, World, WorldApi, now

from netproxy.client.cache import Cache
from netproxy.client.local import LocalApi
from netproxy.client.port import EVERYTHING
from netproxy.controllers import ALL
from netproxy.controllers.ownership import owner_reference
from netproxy.controllers.port import NOTHING, Controller, Outcome, itself
from netproxy.core.errors import ConflictError, ManifestError, NetproxyError, NotFoundError, Problem, UnavailableError
from netproxy.core.names import NamespacedName
from netproxy.manager.manager import Manager, watched
from netproxy.manager.queue import FIRST_S, MANY, MOST_S, Queue
from netproxy.manager.worker import TURN_S
from netproxy.objects.change import Bind, Create, Delete, Event, Finalize, Identity, Update, UpdateStatus
from netproxy.objects.kinds import CONFIG_MAPS, DEPLOYMENTS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import is_deleting, key, metadata, name, spec, status, uid
from netproxy.registry.deletion import Options


def at(named, namespace="default"):
    return NamespacedName(namespace, named)


def config(named, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": named, "namespace": "default"}, "data": data}


def work(manager, *, limit=100_000):
    """Let everybody work until nothing is due; how many looks that took."""
    for looks in range(limit):
        if not any([now(worker.step()) for worker in manager.workers]):
            return looks
    raise AssertionError("it never rests")


# --- the queue


def test_a_key_is_there_once_and_the_order_is_kept():
    queue = Queue()
    for word in ("a", "b", "a", "c"):
        queue.add(word)
    assert [queue.take(0), queue.take(0), queue.take(0), queue.take(0)] == ["a", "b", "c", None]


def test_the_earlier_time_wins():
    queue = Queue()
    queue.add("a", at=9)
    queue.add("a", at=5)
    queue.add("a", at=7)
    assert queue.next_at() == 5
    assert queue.take(4) is None
    assert queue.take(5) == "a"
    assert queue.next_at() is None, "what it was to be later is forgotten"
    queue.add("a", at=9)
    queue.add("a")
    assert queue.next_at() == 0
    queue.add("a", at=1)
    assert (queue.take(0), queue.take(100)) == ("a", None)


def test_failures_wait_twice_as_long_each_time_up_to_a_limit():
    queue, waits = Queue(), []
    for _ in range(15):
        queue.failed("a", 0)
        waits.append(queue.next_at())
        assert queue.take(waits[-1]) == "a"
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert waits[-1] == MOST_S
    queue.done("a")
    queue.failed("a", 0, at_least_s=3)
    assert queue.next_at() == 3


def test_a_key_that_rests_is_left_alone_whatever_happens_to_it():
    queue = Queue()
    queue.add("a")
    queue.rest("a", 5)
    queue.add("a")
    queue.add("a", at=3)
    assert queue.take(4) is None
    assert queue.take(5) == "a"
    queue.add("a")
    assert queue.take(5) == "a", "it has rested"
    queue.rest("a", 9)
    queue.add("a", at=20)
    assert queue.next_at() == 20


def test_many_keys_that_have_rested_are_forgotten():
    queue = Queue()
    for number in range(MANY + 1):
        queue.rest(number, 5 if number else 500)
    queue.take(10)
    queue.add(1)
    queue.add(0)
    assert queue.take(0) == 1, "it no longer rests at 0"
    assert queue.next_at() == 500


# --- the manager


class Looks:
    """A controller of ConfigMaps that does what a test says and counts its looks."""

    def __init__(self, does, named="looks"):
        self.seen = []
        self.does = does
        self.controller = Controller(named, {CONFIG_MAPS: itself}, self._reconcile)

    def _reconcile(self, view, key, now):
        self.seen.append(key.name)
        return self.does(view, key, now) or NOTHING


def a_manager(world, *controllers, api=None):
    manager = Manager(api or WorldApi(world), world, controllers, world.clock)
    world.subscribe(manager.observe, replay=True)
    return manager


def test_a_storm_of_events_is_one_look():
    world, looks = World(), Looks(lambda view, key, now: None)
    manager = a_manager(world, looks.controller)
    for number in range(100):
        world.put(config("a", n=number))
    work(manager)
    assert looks.seen == ["a"]


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        (ConflictError("changed"), logging.DEBUG),
        (NotFoundError("gone"), logging.DEBUG),
        (ManifestError([Problem("spec", "wrong")]), logging.WARNING),
        (UnavailableError(503, "", "not now"), logging.WARNING),
        (ZeroDivisionError(), logging.ERROR),
    ],
)
def test_what_one_key_raises_is_logged_and_tried_again_and_ends_nothing_else(caplog, fault, level):
    world = World(config("bad"), config("good"))

    def does(view, key, now):
        if key.name == "bad" and len(looks.seen) < 3:
            raise fault

    looks = Looks(does)
    manager = a_manager(world, looks.controller)
    with caplog.at_level(logging.DEBUG):
        work(manager)
    assert looks.seen == ["bad", "good"]
    (record,) = caplog.records
    assert record.levelno == level
    assert "looks: default/bad" in record.getMessage()
    world.clock.time += FIRST_S
    work(manager)
    assert looks.seen == ["bad", "good", "bad"]
    world.clock.time += 100
    work(manager)
    assert looks.seen == ["bad", "good", "bad"]


def test_a_busy_api_is_left_alone_for_as_long_as_it_asks():
    world = World(config("a"))

    def does(view, key, now):
        if len(looks.seen) == 1:
            raise UnavailableError(429, "TooManyRequests", "later", retry_after_s=7.0)

    looks = Looks(does)
    manager = a_manager(world, looks.controller)
    work(manager)
    world.clock.time += 6.9
    work(manager)
    assert looks.seen == ["a"]
    world.clock.time += 0.2
    work(manager)
    assert looks.seen == ["a", "a"]


def test_a_controller_that_cannot_say_whom_it_concerns_harms_no_other(caplog):
    def fails(view, event):
        raise ZeroDivisionError

    world, looks = World(), Looks(lambda view, key, now: None)
    manager = a_manager(world, Controller("broken", {CONFIG_MAPS: fails}, looks.controller.reconcile), looks.controller)
    world.put(config("a"))
    work(manager)
    assert looks.seen == ["a"]
    assert "broken: ADDED of configmaps default/a" in caplog.text


def test_time_alone_brings_a_look():
    world = World(config("a"))
    looks = Looks(lambda view, key, now: Outcome(again_at=now + 60) if len(looks.seen) == 1 else None)
    manager = a_manager(world, looks.controller)
    work(manager)
    world.clock.time += 59
    work(manager)
    assert looks.seen == ["a"]
    world.clock.time += 1
    work(manager)
    assert looks.seen == ["a", "a"]


def test_a_look_that_takes_long_is_not_repeated_at_once():
    world = World(config("large"))

    def does(view, key, now):
        world.clock.time += 0.5

    looks = Looks(does)
    manager = a_manager(world, looks.controller)
    work(manager)
    for _ in range(10):
        world.put(config("large", n=world.clock.time))
        world.clock.time += 0.19
        work(manager)
    assert looks.seen == ["large"]
    world.clock.time += 0.2
    work(manager)
    assert looks.seen == ["large", "large"]


def test_who_makes_many_changes_lets_others_have_their_turn():
    world = World(config("a"))
    changes = tuple(Create(config(f"c{number}")) for number in range(4))
    looks = Looks(lambda view, key, now: Outcome(changes) if key.name == "a" else None)
    (worker,) = a_manager(world, looks.controller).workers

    def takes_long(event):
        world.clock.time += 0.6 * TURN_S

    world.subscribe(takes_long)
    turns = sum(1 for _ in worker.step().__await__())
    assert turns == 2, "after two changes each"
    assert world.store.count(CONFIG_MAPS) == 5


def test_controllers_take_turns():
    world = World(*(config(f"c{number}") for number in range(3)))
    order = []
    pair = [Looks(lambda view, key, now, mine=mine: order.append(mine), mine) for mine in ("x", "y")]
    work(a_manager(world, *(looks.controller for looks in pair)))
    assert order == ["x", "y"] * 3


def test_what_a_view_lacks_is_asked_for_before_anything_is_changed():
    world = World(config("a"), config("there"), config("victim"))
    there = world.find(CONFIG_MAPS, at("there"))
    learned = []
    world.learn = learned.append

    def delete_unless(identity):
        return Outcome((Delete(CONFIG_MAPS, at("victim")),), absent=(identity,))

    for identity, is_left in [
        (Identity(CONFIG_MAPS, at("there"), uid(there)), True),
        (Identity(CONFIG_MAPS, at("there")), True),
        (Identity(CONFIG_MAPS, at("there"), "another"), False),
    ]:
        world.put(config("victim"))
        looks = Looks(lambda view, key, now, one=identity: delete_unless(one) if key.name == "a" else None)
        work(a_manager(world, looks.controller))
        assert (world.find(CONFIG_MAPS, at("victim")) is not None) is is_left
    assert learned == [there, there]


def test_an_outcome_without_changes_asks_nothing():
    world = World(config("a"))
    looks = Looks(lambda view, key, now: Outcome(absent=(Identity(CONFIG_MAPS, at("a")),)))
    asked = []
    work(a_manager(world, looks.controller, api=Unsteady(world, lambda: asked.append(1) or "")))
    assert asked == []


def test_every_change_is_carried_out_and_learned():
    world = World(
        config("a"), config("old", x="1"), config("gone"), pod_object("p", node=""), service_object(type="LoadBalancer")
    )
    world.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    learned = []
    world.learn = learned.append
    changes = (
        Create(config("new")),
        Update({**world.find(CONFIG_MAPS, at("old")), "data": {"x": "2"}}),
        UpdateStatus(
            {**world.find(SERVICES, at("web")), "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
        ),
        Bind(at("p"), "node1"),
        Finalize({**world.find(NAMESPACES, at("n", "")), "spec": {"finalizers": []}}),
        Delete(CONFIG_MAPS, at("nobody")),
        Delete(PODS, at("p"), options={"gracePeriodSeconds": 7, "propagationPolicy": "Foreground"}),
        Delete(CONFIG_MAPS, at("gone"), "another uid"),
        Create(config("never")),
    )
    looks = Looks(lambda view, key, now: Outcome(changes) if len(looks.seen) == 1 else None)
    work(a_manager(world, looks.controller))
    assert [name(obj) for obj in learned] == ["new", "old", "web", "p", "n"]
    assert world.find(CONFIG_MAPS, at("old"))["data"] == {"x": "2"}
    assert "ingress" in world.find(SERVICES, at("web"))["status"]["loadBalancer"]
    pod = world.find(PODS, at("p"))
    assert spec(pod)["nodeName"] == "node1"
    assert metadata(pod)["deletionGracePeriodSeconds"] == 7
    assert metadata(pod)["finalizers"] == ["foregroundDeletion"]
    assert world.find(NAMESPACES, at("n", ""))["spec"] == {}
    assert world.find(CONFIG_MAPS, at("gone")) is not None, "another one of its name was meant"
    assert world.find(CONFIG_MAPS, at("never")) is None, "what comes after a change that failed is left"


def test_all_controllers_watch_what_they_read():
    assert {PODS, NODES, SERVICES, DEPLOYMENTS, NAMESPACES} <= set(watched(ALL))
    assert len({controller.name for controller in ALL}) == len(ALL)


# --- its loops


class LoopClock(FixedClock):
    """The event loop's time."""

    def monotonic(self):
        return asyncio.get_running_loop().time()


def test_it_runs_until_it_is_cancelled():
    async def life():
        world = World(config("first"))
        world.clock = LoopClock()
        seen = asyncio.Queue()

        def does(view, key, now):
            seen.put_nowait(key.name)
            return Outcome(again_at=now + 0.01) if key.name == "second" and len(looks.seen) == 2 else None

        looks = Looks(does)
        manager = Manager(WorldApi(world), world, [looks.controller], world.clock)
        running = asyncio.create_task(manager.run())
        async with asyncio.timeout(10):
            assert await seen.get() == "first"
            world.put(config("second"))
            assert [await seen.get(), await seen.get()] == ["second", "second"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        world.put(config("third"))
        await asyncio.sleep(0)
        assert seen.empty()

    asyncio.run(life())


class Cluster:
    """A registry, a cache and the manager, alive; Pods end as soon as they are asked to."""

    def __init__(self):
        self.world = World(space("default"), node("n1"))
        self.registry = self.world.registry
        self.world.clock = LoopClock()
        api = LocalApi(self.registry)
        self.cache = Cache(api, dict.fromkeys(watched(ALL), EVERYTHING), clock=self.world.clock, random=Random(0))
        self.manager = Manager(api, self.cache, ALL, self.world.clock)
        self.changed = asyncio.Event()
        self.world.store.subscribe(lambda event: self.changed.set())

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                for pod in list(self.world.all(PODS)):
                    if is_deleting(pod):
                        self.registry.delete(PODS, key(pod), Options(grace_s=0))
                self.changed.clear()
                if not condition():
                    await self.changed.wait()


def test_with_a_cache_of_its_own_it_makes_what_is_asked_for_and_takes_it_away():
    async def life():
        cluster = Cluster()
        running = [asyncio.create_task(work) for work in (cluster.cache.run(), cluster.manager.run())]
        world, apply = cluster.world, lambda *objects: cluster.registry.apply([Loaded(obj, "x") for obj in objects])
        apply(space(), deployment(3, "a"), service_object(namespace="shop"))
        await cluster.until(lambda: sum(bool(spec(pod).get("nodeName")) for pod in world.all(PODS)) == 3)
        await cluster.until(lambda: len(world.by_namespace(ENDPOINT_SLICES, "shop")) == 1)
        cluster.registry.delete(DEPLOYMENTS, at("web", "shop"), Options(propagation="Foreground"))
        await cluster.until(lambda: not any(world.all(DEPLOYMENTS)))
        assert not any(world.by_namespace(PODS, "shop"))
        apply(deployment(2, "b"))
        await cluster.until(lambda: sum(bool(spec(pod).get("nodeName")) for pod in world.all(PODS)) == 2)
        cluster.registry.delete(NAMESPACES, at("shop", ""))
        await cluster.until(lambda: world.find(NAMESPACES, at("shop", "")) is None)
        assert not any(world.by_namespace(resource, "shop") for resource in watched(ALL) if resource.namespaced)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(life())


# --- whatever happens on the way, the end is the same


def deployment(replicas, image, label="web"):
    template = {"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": label, "namespace": "shop"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": label}}, "template": template}}  # fmt: skip


def node(named):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": named, "labels": {"topology.kubernetes.io/zone": named}},
    }


def space(named="shop"):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": named}}


class Life:
    """What users and kubelets do to a cluster, at random."""

    def __init__(self, world, random):
        self.world = world
        self.random = random

    def act(self):
        deeds = (
            self.deploys,
            self.serves,
            self.is_ready,
            self.relabels,
            self.loses,
            self.nodes,
            self.deletes,
            self.ends,
        )
        self.random.choice(deeds)()

    def _any(self, resource):
        found = list(self.world.list(resource))
        return self.random.choice(found) if found else None

    def _applies(self, obj):
        with suppress(NetproxyError):  # a Namespace on its way out takes nothing
            self.world.registry.apply([Loaded(obj, "life.yaml")])

    def deploys(self):
        self._applies(
            deployment(self.random.randrange(4), self.random.choice("ab"), self.random.choice(["web", "api"]))
        )

    def serves(self):
        self._applies(space())
        self._applies(service_object(namespace="shop"))

    def is_ready(self):
        pod = self._any(PODS)
        if pod is not None and spec(pod).get("nodeName"):
            number = int(uid(pod).removeprefix("uid-"))
            self.world.make(UpdateStatus({**pod, "status": {
                "phase": self.random.choice(["Running", "Running", "Failed"]),
                "podIPs": [{"ip": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}],
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            }}))  # fmt: skip

    def relabels(self):
        pod = self._any(PODS)
        if pod is not None:
            changed = {**metadata(pod)["labels"], "app": self.random.choice(["web", "api", "other"])}
            self.world.make(Update({**pod, "metadata": {**metadata(pod), "labels": changed}}))

    def loses(self):
        pod = self._any(PODS)
        if pod is not None and not metadata(pod).get("finalizers"):
            self.world.remove(PODS, key(pod))

    def nodes(self):
        named = self.random.choice(["n1", "n2"])
        if self.world.find(NODES, at(named, "")) is None:
            self.world.put(node(named))
        else:
            self.world.remove(NODES, at(named, ""))

    def deletes(self):
        resource = self.random.choice([DEPLOYMENTS, SERVICES, PODS, NAMESPACES])
        found = self._any(resource)
        policy = self.random.choice(["Foreground", "Background", "Orphan"])
        if found is not None:
            self.world.make(Delete(resource, key(found), options={"propagationPolicy": policy}))

    def ends(self):
        """Kubelets end what is to end."""
        for pod in list(self.world.all(PODS)):
            if is_deleting(pod) and metadata(pod).get("deletionGracePeriodSeconds"):
                self.world.make(Delete(PODS, key(pod), options={"gracePeriodSeconds": 0}))


def settled(world, life, manager, known):
    """Everything is told, everything is looked at, Pods end; until that changes nothing."""
    for _ in range(200):
        before = world.store.version
        while known.late():
            known.tell(known.late()[0])
        work(manager)
        world.clock.time += MOST_S
        work(manager)
        life.ends()
        if world.store.version == before and not known.late():
            return
    raise AssertionError("it never settles")


@examples(60)
@given(seed=st.integers(0, 1 << 32), faults=st.sampled_from([(), ("lost before", "lost after", "conflict", "bug")]))
def test_whatever_fails_and_however_late_it_hears_the_state_is_one_that_every_controller_agrees_to(seed, faults):
    random = Random(seed)
    world = World()
    known = Late(world)
    is_calm = False
    api = Unsteady(world, lambda: random.choice(faults) if faults and not is_calm and random.random() < 0.3 else "")
    manager = Manager(api, known, ALL, world.clock)
    known.subscribe(manager.observe)
    life = Life(world, random)
    for first in (space(), node("n1"), node("n2"), service_object(namespace="shop")):
        world.put(first)
    owner = world.put(node("kept"))
    world.put(
        {**config("kept"), "metadata": {**config("kept")["metadata"], "ownerReferences": [owner_reference(owner)]}}
    )
    life.deploys()
    for _ in range(100):
        random.choice(
            (life.act, lambda: known.late() and known.tell(random.choice(known.late())), lambda: work(manager))
        )()
        world.clock.time += random.choice((0, 0.05))
    is_calm = True
    settled(world, life, manager, known)
    assert world.settle(*ALL) == 0
    assert world.find(CONFIG_MAPS, at("kept")) is not None, "its owner was never gone, only not heard of"
    for made in world.list(DEPLOYMENTS):
        assert status(made).get("replicas", 0) >= spec(made)["replicas"], (
            "old ones may be left while new ones are not ready"
        )
    if world.find(NAMESPACES, at("shop", "")) is None:
        assert not any(world.by_namespace(resource, "shop") for resource in watched(ALL) if resource.namespaced)


def test_a_late_deletion_is_heard_in_its_turn():
    world = World()
    known, heard = Late(world), []
    known.subscribe(lambda event: heard.append(event.type))
    made = world.put(config("a"))
    known.learn(made)
    world.remove(CONFIG_MAPS, at("a"))
    known.tell(CONFIG_MAPS.stored)
    known.tell(CONFIG_MAPS.stored)
    known.learn(made)
    assert heard == ["ADDED", "DELETED"]
    assert isinstance(Event("ADDED", made, None, CONFIG_MAPS).states, tuple)
