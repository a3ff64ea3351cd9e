"""Events about objects."""

import asyncio

from support.build import FixedClock, pod_object

from netproxy.client.recorder import BURST, MESSAGE, REFILL_S, REMEMBERED, Recorder
from netproxy.core.errors import AlreadyExistsError, UnavailableError
from netproxy.objects.meta import key


class Events:
    """The part of an API that keeps events; it may be away."""

    def __init__(self):
        self.kept = {}
        self.away = False

    async def create(self, obj):
        if self.away:
            raise UnavailableError(0, "", "nobody answers")
        if key(obj) in self.kept:
            raise AlreadyExistsError("there is one")
        self.kept[key(obj)] = obj

    async def get(self, resource, at):
        return self.kept[at]

    async def replace(self, obj):
        self.kept[key(obj)] = obj


POD = {**pod_object("web-1"), "metadata": {"name": "web-1", "namespace": "default", "uid": "u1"}}


def tell(recorder, *messages):
    async def all_of_them():
        for message in messages:
            await recorder.event(POD, "Warning", "Failed", message)

    asyncio.run(all_of_them())


def test_the_same_event_again_only_counts():
    events = Events()
    tell(Recorder(events, FixedClock(), "kubelet"), "no", "no", "other")
    assert sorted((e["message"], e["count"]) for e in events.kept.values()) == [("no", 2), ("other", 1)]
    (first, _) = events.kept.values()
    assert first["involvedObject"] == {
        "apiVersion": "v1", "kind": "Pod", "name": "web-1", "namespace": "default", "uid": "u1"
    }  # fmt: skip


def test_an_event_of_a_node_is_in_default_and_a_long_message_is_cut():
    events = Events()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u2"}}
    asyncio.run(Recorder(events, FixedClock(), "proxy", host="n1").event(node, "Normal", "Started", "x" * 5000))
    (event,) = events.kept.values()
    assert event["metadata"]["namespace"] == "default"
    assert (len(event["message"]), event["source"]["host"]) == (MESSAGE, "n1")


def test_an_event_that_cannot_be_written_stops_nobody():
    events = Events()
    events.away = True
    tell(Recorder(events, FixedClock(), "kubelet"), "no")
    assert not events.kept


def test_an_object_that_has_much_to_say_is_cut_short():
    events = Events()
    tell(Recorder(events, FixedClock(), "kubelet"), *map(str, range(BURST + 10)))
    assert len(events.kept) == BURST


def test_of_more_objects_than_are_remembered_those_that_have_rested_begin_anew():
    events, clock = Events(), FixedClock()
    recorder = Recorder(events, clock, "kubelet")
    tell(recorder, *map(str, range(BURST + 1)))
    clock.time += REFILL_S

    async def others():
        for number in range(REMEMBERED):
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}", "uid": f"n{number}"}}
            await recorder.event(node, "Normal", "Started", "")

    asyncio.run(others())
    before = len(events.kept)
    tell(recorder, "one", "two", "three")
    assert len(events.kept) == before + 3
