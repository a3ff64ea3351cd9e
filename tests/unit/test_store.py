"""The store: versions, conflicts, history, transactions, indexes; one order of events for everybody."""

import shutil

import pytest
from support.api import Backing, a_store
from support.build import pod_object, service_object

from netproxy.core.errors import AlreadyExistsError, ConflictError, ExpiredError, NotFoundError, StorageError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import EVENTS, EVENTS_V1, PODS, SERVICES
from netproxy.objects.meta import name
from netproxy.store.shared import Shared
from netproxy.store.sqlite import SqliteBacking

WEB = NamespacedName("default", "web")


def create(store, obj):
    with store.transaction() as change:
        return change.create(obj)


def replace(store, obj):
    with store.transaction() as change:
        return change.replace(obj)


def remove(store, at_name):
    with store.transaction() as change:
        return change.remove(SERVICES, NamespacedName("default", at_name))


def fail(store, work):
    with store.transaction() as change:
        work(change)
        raise RuntimeError


class Names:
    """An index: the names of all objects, by label `app`."""

    def __init__(self):
        self.by_app = {}

    def changed(self, before, after):
        for obj, add in ((before, False), (after, True)):
            if obj is not None:
                names = self.by_app.setdefault(obj["spec"]["selector"]["app"], set())
                (names.add if add else names.remove)(name(obj))


def test_versions_and_conflicts():
    store = a_store()
    first = create(store, service_object())
    changed = replace(store, {**first, "spec": {"other": 1}})
    with pytest.raises(ConflictError, match="the object has been modified"):
        replace(store, {**first, "spec": {}})
    with pytest.raises(ConflictError, match="UID in precondition: other, UID in object meta: uid-00000"):
        replace(store, {**changed, "metadata": {**changed["metadata"], "uid": "other"}})
    version = store.version
    assert replace(store, changed) == changed
    assert store.version == version == store.latest(SERVICES)
    assert store.latest(PODS) == 0
    with pytest.raises(AlreadyExistsError):
        create(store, service_object())
    with pytest.raises(NotFoundError, match='services "none" not found'):
        store.get(SERVICES, NamespacedName("default", "none"))
    with pytest.raises(NotFoundError, match='services "none" not found'):
        remove(store, "none")
    with pytest.raises(NotFoundError, match="no resource of kind"):
        create(store, {"kind": "Unicorn"})


def test_names_are_made_where_a_prefix_is_given():
    made = create(a_store(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "team-"}})
    assert made["metadata"]["name"].startswith("team-")
    assert len(made["metadata"]["name"]) == len("team-") + 5


def test_a_watch_goes_on_from_a_version_and_says_when_it_is_too_old():
    store = a_store()
    create(store, service_object("a"))
    version = store.version
    seen = []
    end = store.subscribe(seen.append)
    create(store, service_object("b"))
    remove(store, "a")
    end()
    create(store, service_object("c"))
    assert [(e.type, e.obj["metadata"]["name"]) for e in seen] == [("ADDED", "b"), ("DELETED", "a")]
    assert [e.type for e in store.since(version)] == ["ADDED", "DELETED", "ADDED"]
    assert [e.version for e in store.since(0)] == [1, 2, 3, 4]
    assert list(store.since(store.version)) == []
    with pytest.raises(ExpiredError):
        store.since(-1)
    with pytest.raises(ExpiredError, match="too large resource version: 99"):  # of a store that has lost its past
        store.since(99)


def test_everything_is_there_after_a_crash(tmp_path):
    file = str(tmp_path / "state.db")
    backing = SqliteBacking(file)
    store = a_store(backing)
    with store.transaction() as change:
        change.create(service_object("a"))
        change.create(service_object("b"))
    gone = create(store, service_object("c"))
    remove(store, "c")
    shutil.copytree(tmp_path, tmp_path / "after")
    after = SqliteBacking(str(tmp_path / "after" / "state.db"))
    again = a_store(after)
    assert [o["metadata"]["name"] for o in again.list(SERVICES)] == ["a", "b"]
    assert again.version == store.version > int(gone["metadata"]["resourceVersion"])
    with pytest.raises(ExpiredError):
        again.since(0)
    after.close()
    backing.close()


def test_an_object_of_a_kind_that_is_no_longer_served_is_left_out(caplog):
    backing = Backing()
    backing.rows["x"] = {"apiVersion": "old/v1", "kind": "Old", "metadata": {"name": "x"}}
    assert a_store(backing).count(SERVICES) == 0
    assert "old/v1" in caplog.text


def test_a_transaction_shows_its_own_writes_and_nobody_else_sees_them():
    store = a_store()
    create(store, service_object("a"))
    create(store, service_object("b"))
    with store.transaction() as change:
        assert [name(obj) for obj in change.list(SERVICES)] == ["a", "b"]
        assert list(change.list(SERVICES, "other")) == []
        assert len(list(change.all(SERVICES))) == 2
        change.create(service_object("0"))
        change.remove(SERVICES, NamespacedName("default", "a"))
        assert [name(obj) for obj in change.list(SERVICES, "default")] == ["0", "b"]
        assert list(change.list(SERVICES, "other")) == []
        assert change.find(SERVICES, NamespacedName("default", "a")) is None
        assert [name(obj) for obj in store.list(SERVICES)] == ["a", "b"]
    assert [name(obj) for obj in store.list(SERVICES)] == ["0", "b"]
    assert [name(obj) for obj in store.all(SERVICES)] == ["b", "0"]


def test_a_transaction_that_raises_changes_nothing():
    store = a_store(Backing())
    seen = []
    store.subscribe(seen.append)
    with pytest.raises(RuntimeError):
        fail(store, lambda change: change.create(service_object()))
    assert (store.version, store.count(SERVICES), seen) == (0, 0, [])
    assert create(store, service_object())["metadata"]["resourceVersion"] == "1"


def test_what_cannot_be_made_durable_is_nowhere_and_can_be_written_again():
    backing = Backing()
    store = a_store(backing)
    index, seen = Names(), []
    store.index(SERVICES, index)
    store.subscribe(seen.append)
    backing.failing = True
    with pytest.raises(StorageError):
        create(store, service_object())
    assert (store.version, store.count(SERVICES), seen, index.by_app) == (0, 0, [], {"web": set()})
    assert list(store.since(0)) == []
    backing.failing = False
    create(store, service_object())
    assert [e.type for e in seen] == ["ADDED"]
    assert index.by_app == {"web": {"web"}}
    assert backing.load() == list(store.all(SERVICES))


def test_a_dry_run_is_seen_inside_and_nowhere_else():
    store = a_store()
    with store.transaction(dry_run=True) as change:
        change.create(service_object())
        assert change.find(SERVICES, WEB)
    assert store.find(SERVICES, WEB) is None
    assert store.version == 0


def test_a_part_that_raises_or_is_dry_is_taken_back_alone():
    store = a_store()
    index = Names()
    store.index(SERVICES, index)

    def both(change):
        change.create(service_object("b"))
        change.replace(service_object("a", selector={"app": "z"}))

    with store.transaction() as outer:
        outer.create(service_object("a"))
        with pytest.raises(RuntimeError):
            fail(store, both)
        assert index.by_app == {"a": {"a"}, "b": set(), "z": set()}
        with store.transaction(dry_run=True) as inner:
            inner.remove(SERVICES, NamespacedName("default", "a"))
        with store.transaction() as inner:
            inner.create(service_object("c"))
    assert [name(obj) for obj in store.list(SERVICES)] == ["a", "c"]
    assert [e.version for e in store.since(0)] == [1, 2]


def test_an_index_knows_what_was_there_and_follows_every_write():
    store = a_store()
    create(store, service_object("a"))
    index = Names()
    store.index(SERVICES, index)
    assert index.by_app == {"a": {"a"}}
    create(store, service_object("b"))
    replace(store, service_object("b", selector={"app": "a"}))
    create(store, pod_object())
    assert index.by_app == {"a": {"a", "b"}, "b": set()}
    remove(store, "a")
    with pytest.raises(RuntimeError):
        fail(store, lambda change: change.remove(SERVICES, NamespacedName("default", "b")))
    assert index.by_app["a"] == {"b"}


def test_who_writes_while_listening_is_heard_in_order_by_everybody():
    store = a_store()
    heard = []

    def answers(event):
        if name(event.obj) == "a":
            create(store, service_object("b"))

    store.subscribe(answers)
    store.subscribe(lambda event: heard.append(event.version))
    create(store, service_object("a"))
    assert heard == [1, 2]


def test_a_listener_that_fails_harms_nobody(caplog):
    store = a_store(Backing())
    heard = []

    def fails(event):
        raise RuntimeError("no")

    store.subscribe(fails)
    store.subscribe(heard.append)
    create(store, service_object("a"))
    create(store, service_object("b"))
    assert [event.version for event in heard] == [1, 2]
    assert "a listener failed at version 1 (services)" in caplog.text


def test_a_kind_of_two_groups_is_kept_once():
    store = a_store()
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}}
    create(store, event)
    with pytest.raises(AlreadyExistsError):
        create(store, {**event, "apiVersion": "events.k8s.io/v1"})
    assert list(store.all(EVENTS)) == list(store.all(EVENTS_V1))
    assert store.since(0)[0].resource is EVENTS


def test_marking_an_object_twice_with_the_same_words_writes_once():
    store = a_store()
    create(store, pod_object(metadata={"generation": 1}))
    at = NamespacedName("default", "web-1")
    with store.transaction() as change:
        first = change.mark_deleted(PODS, at, at="t", grace_s=3, changes={})
        again = change.mark_deleted(PODS, at, at="t", grace_s=3, changes={})
        later = change.mark_deleted(PODS, at, at="s", grace_s=2, changes={})
    assert first is again
    assert first["metadata"]["generation"] == later["metadata"]["generation"] == 2
    assert later["metadata"]["deletionGracePeriodSeconds"] == 2
    assert store.version == 3


def test_lists_of_earlier_versions_are_what_they_were():
    store, seen = a_store(), {}
    for name_of, at in (("b", "x"), ("a", "x"), ("a", "x-y"), ("c", "y")):
        create(store, service_object(name_of, namespace=at))
        seen[store.version] = list(store.list(SERVICES))
    create(store, pod_object())
    replace(store, {**service_object("b", namespace="x"), "spec": {}})
    with store.transaction() as change:
        change.remove(SERVICES, NamespacedName("x", "a"))
    for version, found in seen.items():
        assert list(store.list_at(SERVICES, version)) == found
        for at in ("x", "x-y", "y", "none"):
            there = [obj for obj in found if obj["metadata"]["namespace"] == at]
            assert list(store.list_at(SERVICES, version, at)) == there
            assert list(store.list_at(SERVICES, version, at, start="b")) == [obj for obj in there if name(obj) >= "b"]
    assert list(store.list_at(SERVICES, store.version)) == list(store.list(SERVICES))
    assert [obj["metadata"]["namespace"] for obj in store.list(SERVICES)] == ["x-y", "x", "y"]
    assert [obj["metadata"]["namespace"] for obj in store.list(SERVICES, start="x/")] == ["x", "y"]


def test_equal_parts_of_managed_fields_are_kept_once_and_learnt_anew_when_there_are_many():
    shared = Shared(most=3)
    one, two = (
        shared.entries([{"fieldsV1": {"f:status": {"f:a": {"x": {}}, "k:own": {n: {}}}, "v:1": 5}}]) for n in "ab"
    )
    assert one[0]["fieldsV1"]["f:status"]["f:a"] is two[0]["fieldsV1"]["f:status"]["f:a"]
    assert one[0]["fieldsV1"]["f:status"]["k:own"] == {"a": {}}
    for n in range(9):
        assert shared.entries([{"fieldsV1": {"f:spec": {str(n): {}}}}]) == [{"fieldsV1": {"f:spec": {str(n): {}}}}]
    assert shared.entries([{"manager": "odd", "fieldsV1": 5}, {}]) == [{"manager": "odd", "fieldsV1": 5}, {}]
