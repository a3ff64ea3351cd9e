"""What is left behind goes: dependents of owners, content of Namespaces, Pods of nodes; and nothing else."""

import pytest
from support.build import pod_object, service_object
from support.world import STORED, World

from netproxy.controllers import ALL
from netproxy.controllers.garbage import FOREGROUND, GARBAGE_COLLECTOR, ORPHAN
from netproxy.controllers.namespace import NAMESPACE_CONTROLLER
from netproxy.controllers.ownership import owner_reference
from netproxy.controllers.podgarbage import POD_GARBAGE_COLLECTOR
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Delete, Event, Identity, Update
from netproxy.objects.kinds import CONFIG_MAPS, DEPLOYMENTS, ENDPOINT_SLICES, EVENTS, NAMESPACES, NODES, PODS
from netproxy.objects.meta import is_deleting, key, metadata, name, uid


def at(named, namespace="default"):
    return NamespacedName(namespace, named)


def thing(named, *owners, namespace="default", blocks=True, **meta):
    references = [{**owner_reference(owner), "controller": False, "blockOwnerDeletion": blocks} for owner in owners]
    more = {"ownerReferences": references} if references else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": named, "namespace": namespace, **more, **meta},
    }


def delete(world, obj, policy="Background"):
    world.make(Delete({"ConfigMap": CONFIG_MAPS, "Pod": PODS, "Namespace": NAMESPACES}[obj["kind"]], key(obj), uid(obj),
                      {"propagationPolicy": policy}))  # fmt: skip


def left(world):
    return {name(obj) for obj in world.list(CONFIG_MAPS)}


def collect(world):
    return world.settle(GARBAGE_COLLECTOR)


def owners_of(world, named):
    return [ref["name"] for ref in metadata(world.find(CONFIG_MAPS, at(named))).get("ownerReferences") or ()]


# --- the garbage collector


def test_dependents_of_an_owner_that_is_gone_go_and_theirs_too():
    world = World()
    owner = world.put(thing("owner"))
    child = world.put(thing("child", owner))
    world.put(thing("grandchild", child))
    world.put(thing("free"))
    assert collect(world) == 0
    delete(world, owner)
    collect(world)
    assert left(world) == {"free"}


def test_an_owner_of_the_same_name_is_another_one():
    world = World()
    owner = world.put(thing("owner"))
    world.put(thing("child", owner))
    world.remove(CONFIG_MAPS, key(owner))
    world.put(thing("owner"))
    collect(world)
    assert left(world) == {"owner"}


def test_it_acts_only_when_the_api_lacks_the_owner_too():
    world = World()
    owner = world.put(thing("owner"))
    child = world.put(thing("child", owner))
    late = World()
    late.put(child)
    outcome = GARBAGE_COLLECTOR.reconcile(late, Identity(CONFIG_MAPS, key(child)), 0)
    assert outcome.absent == (Identity(CONFIG_MAPS, key(owner), uid(owner)),)
    assert world.is_there(outcome.absent[0])


def test_one_owner_that_lives_is_enough_and_the_others_are_struck_off():
    world = World()
    first, second = world.put(thing("first")), world.put(thing("second"))
    world.put(thing("child", first, second))
    delete(world, first)
    collect(world)
    assert left(world) == {"second", "child"}
    assert owners_of(world, "child") == ["second"]
    delete(world, second)
    collect(world)
    assert left(world) == set()


def test_an_owner_of_another_namespace_is_none():
    world = World()
    owner = world.put(thing("owner", namespace="other"))
    world.put(thing("child", owner))
    collect(world)
    assert left(world) == {"owner"}


def test_a_cluster_wide_owner_has_dependents_everywhere():
    world = World()
    owner = world.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    world.put(thing("a", owner, namespace="x"))
    world.put(thing("b", owner, namespace="y"))
    collect(world)
    assert left(world) == {"a", "b"}
    world.remove(NODES, key(owner))
    collect(world)
    assert left(world) == set()


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param({"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "u"}, id="an unknown kind"),
        pytest.param(
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "w", "uid": "u"}, id="it has no namespace to be in"
        ),
    ],
)
def test_who_cannot_be_looked_up_is_not_taken_for_gone(owner):
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "ownerReferences": [owner]}}
    unknown = thing("child")
    unknown["metadata"]["ownerReferences"] = [{**owner, "apiVersion": "example.com/v1"}]
    world = World(node, unknown)
    assert collect(world) == 0


def test_in_the_foreground_the_owner_waits_for_those_that_block_it():
    world = World()
    owner = world.put(thing("owner"))
    held = world.put(thing("held", owner, finalizers=["somebody/holds"]))
    world.put(thing("loose", owner, blocks=False, finalizers=["somebody/holds"]))
    world.put(thing("quick", owner))
    delete(world, owner, "Foreground")
    collect(world)
    assert left(world) == {"owner", "held", "loose"}
    assert all(is_deleting(obj) for obj in world.all(CONFIG_MAPS))
    assert metadata(world.find(CONFIG_MAPS, at("owner")))["finalizers"] == [FOREGROUND]
    freed = world.find(CONFIG_MAPS, key(held))
    world.make(Update({**freed, "metadata": {**metadata(freed), "finalizers": []}}))
    collect(world)
    assert left(world) == {"loose"}


def test_the_end_of_the_last_dependent_wakes_the_owner_that_waits():
    world = World()
    owner = world.put(thing("owner"))
    child = world.put(thing("child", owner))
    delete(world, owner, "Foreground")
    watch = GARBAGE_COLLECTOR.watches[CONFIG_MAPS]
    assert list(watch(world, Event("DELETED", child, child, CONFIG_MAPS))) == [Identity(CONFIG_MAPS, key(owner))] * 2
    freed = {**child, "metadata": {"name": "child", "namespace": "default"}}
    assert Identity(CONFIG_MAPS, key(owner)) in list(watch(world, Event("MODIFIED", freed, child, CONFIG_MAPS)))


def test_the_foreground_goes_down_all_the_way():
    world = World()
    owner = world.put(thing("owner"))
    child = world.put(thing("child", owner))
    world.put(thing("grandchild", child, finalizers=["somebody/holds"]))
    delete(world, owner, "Foreground")
    collect(world)
    assert left(world) == {"owner", "child", "grandchild"}
    assert metadata(world.find(CONFIG_MAPS, at("child")))["finalizers"] == [FOREGROUND]


def test_a_circle_comes_to_an_end():
    world = World()
    first = world.put(thing("first"))
    second = world.put(thing("second", first))
    world.put(thing("first", second))
    assert collect(world) == 0
    delete(world, first, "Foreground")
    collect(world)
    assert left(world) == set()


def test_a_waiting_owner_is_struck_off_where_another_one_lives():
    world = World()
    first, second = world.put(thing("first")), world.put(thing("second"))
    world.put(thing("child", first, second))
    delete(world, first, "Foreground")
    collect(world)
    assert left(world) == {"second", "child"}
    assert owners_of(world, "child") == ["second"]


def test_orphans_live_on_without_the_owner():
    world = World()
    owner, other = world.put(thing("owner")), world.put(thing("other"))
    world.put(thing("child", owner))
    world.put(thing("shared", owner, other))
    delete(world, owner, "Orphan")
    collect(world)
    assert left(world) == {"child", "other", "shared"}
    assert owners_of(world, "child") == []
    assert owners_of(world, "shared") == ["other"]


@pytest.mark.parametrize(("finalizer", "rest"), [(ORPHAN, {"grandchild"}), (FOREGROUND, set())])
def test_a_dependents_own_wish_is_respected(finalizer, rest):
    world = World()
    owner = world.put(thing("owner"))
    child = world.put(thing("child", owner, finalizers=[finalizer]))
    world.put(thing("grandchild", child))
    delete(world, owner)
    collect(world)
    assert left(world) == rest


def test_an_owner_that_another_finalizer_holds_is_still_there():
    world = World()
    owner = world.put(thing("owner", finalizers=["somebody/holds"]))
    world.put(thing("child", owner))
    delete(world, owner)
    assert collect(world) == 0


# --- Pods of nodes


def test_pods_of_a_node_that_is_gone_go_at_once():
    world = World({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}, pod_object("here", node="n"),
                  pod_object("lost", node="gone"), pod_object("pending", node=""))  # fmt: skip
    world.settle(POD_GARBAGE_COLLECTOR)
    assert [name(pod) for pod in world.list(PODS)] == ["here", "pending"]
    watch = POD_GARBAGE_COLLECTOR.watches[NODES]
    node = world.find(NODES, at("n", ""))
    assert list(watch(world, Event("MODIFIED", node, node, NODES))) == []
    assert list(watch(world, Event("DELETED", node, node, NODES))) == [at("here")]


def test_a_pod_that_is_ending_and_has_no_node_ends():
    world = World(pod_object("pending", node="", metadata={"finalizers": ["somebody/holds"]}))
    pod = world.find(PODS, at("pending"))
    with world.store.transaction() as change:
        change.mark_deleted(PODS, key(pod), at="2026-01-01T00:00:30Z", grace_s=30, changes={})
    assert len(world.look(POD_GARBAGE_COLLECTOR, key(pod)).changes) == 1
    assert world.look(POD_GARBAGE_COLLECTOR, key(pod)).changes == (), "its finalizer is not ours"
    assert world.look(POD_GARBAGE_COLLECTOR, at("nobody")).changes == ()


# --- Namespaces


def space(named="shop", **more):
    spec = {"finalizers": ["kubernetes"]}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": named}, "spec": spec, **more}


def full_world():
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}}
    work = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}}  # fmt: skip
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    return World(space(), space("default"), node, thing("config", namespace="shop"), thing("other"), event, work,
                 service_object(namespace="shop", ipFamilies=["IPv4"]))  # fmt: skip


def content(world, namespace="shop"):
    return [f"{obj['kind']}/{name(obj)}" for resource in STORED for obj in world.by_namespace(resource, namespace)]


FINE = (
    ("ResourcesDiscovered", "All resources successfully discovered"),
    ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    ("ContentRemoved", "All content successfully removed"),
    ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
)


def told(world):
    conditions = world.find(NAMESPACES, at("shop", ""))["status"]["conditions"]
    return {item["type"]: (item["status"], item["reason"], item["message"]) for item in conditions}


def test_nothing_is_left_in_a_namespace_that_is_deleted():
    world = full_world()
    world.settle(*ALL)
    assert len(content(world)) == 9
    delete(world, world.find(NAMESPACES, at("shop", "")))
    world.settle(*ALL)
    assert len(content(world)) == 9, "Pods have their grace, and go first"
    assert all(is_deleting(pod) for pod in world.all(PODS))
    assert world.find(NAMESPACES, at("shop", ""))["status"]["phase"] == "Terminating"
    assert {*told(world).values()} == {("False", *fine) for fine in FINE}
    for pod in list(world.all(PODS)):
        world.remove(PODS, key(pod))
    world.settle(*ALL)
    assert content(world) == []
    assert world.find(NAMESPACES, at("shop", "")) is None
    assert left(world) == {"other"}
    assert world.settle(*ALL) == 0


def test_what_holds_a_namespaces_content_holds_the_namespace():
    world = World(space(), thing("held", namespace="shop", finalizers=["somebody/holds"]))
    delete(world, world.find(NAMESPACES, at("shop", "")))
    world.settle(NAMESPACE_CONTROLLER)
    assert content(world) == ["ConfigMap/held"]
    remaining = ("True", "SomeResourcesRemain", "Some resources are remaining: configmaps. has 1 resource instances")
    holders = "Some content in the namespace has finalizers remaining: somebody/holds in 1 resource instances"
    assert told(world)["NamespaceContentRemaining"] == remaining
    assert told(world)["NamespaceFinalizersRemaining"] == ("True", "SomeFinalizersRemain", holders)
    assert told(world)["NamespaceDeletionContentFailure"] == ("False", *FINE[2])
    world.settle(NAMESPACE_CONTROLLER)
    assert world.settle(NAMESPACE_CONTROLLER) == 0


def test_what_a_namespace_is_told_has_the_time_of_its_last_change():
    held = [
        thing(name, namespace="shop", finalizers=finalizers)
        for name, finalizers in (("a", ["z/z", "a/a"]), ("b", ["a/a"]))
    ]
    world = World(space(), *held)
    delete(world, world.find(NAMESPACES, at("shop", "")))
    world.settle(NAMESPACE_CONTROLLER)
    first = world.find(NAMESPACES, at("shop", ""))["status"]["conditions"]
    assert told(world)["NamespaceFinalizersRemaining"][2].endswith(
        ": a/a in 2 resource instances, z/z in 1 resource instances"
    )
    world.clock.time += 5
    world.remove(CONFIG_MAPS, at("a", "shop"))
    world.settle(NAMESPACE_CONTROLLER)
    second = world.find(NAMESPACES, at("shop", ""))["status"]["conditions"]
    assert told(world)["NamespaceFinalizersRemaining"][2].endswith(": a/a in 1 resource instances")
    assert [item["lastTransitionTime"] for item in second] == [item["lastTransitionTime"] for item in first]
    assert [item["type"] for item in second] == [item["type"] for item in first]


def test_pods_go_before_all_else():
    world = World(
        space(),
        thing("config", namespace="shop"),
        pod_object("held", metadata={"namespace": "shop", "finalizers": ["a/a"]}),
    )
    delete(world, world.find(NAMESPACES, at("shop", "")))
    world.settle(NAMESPACE_CONTROLLER)
    assert sorted(content(world)) == ["ConfigMap/config", "Pod/held"]
    assert not is_deleting(world.find(CONFIG_MAPS, at("config", "shop")))
    assert told(world)["NamespaceContentRemaining"] == ("False", *FINE[3]), "Pods are not counted"
    world.remove(PODS, at("held", "shop"))
    world.settle(NAMESPACE_CONTROLLER)
    assert world.find(NAMESPACES, at("shop", "")) is None


def test_a_namespace_that_others_finalize_waits_for_them():
    world = World(space(spec={"finalizers": ["kubernetes", "example.com/other"]}))
    delete(world, world.find(NAMESPACES, at("shop", "")))
    world.settle(NAMESPACE_CONTROLLER)
    assert world.find(NAMESPACES, at("shop", ""))["spec"]["finalizers"] == ["example.com/other"]
    assert world.settle(NAMESPACE_CONTROLLER) == 0


def test_what_came_too_late_goes_after_its_namespace():
    world = World(thing("late", namespace="shop"), thing("other"), space("default"))
    outcome = world.look(NAMESPACE_CONTROLLER, at("shop", ""))
    assert outcome.absent == (Identity(NAMESPACES, at("shop", "")),)
    assert left(world) == {"other"}


def test_events_are_content_but_no_garbage():
    assert EVENTS in NAMESPACE_CONTROLLER.watches
    assert EVENTS not in GARBAGE_COLLECTOR.watches
    assert {DEPLOYMENTS, ENDPOINT_SLICES, PODS} < set(GARBAGE_COLLECTOR.watches)


def test_a_namespace_that_lives_is_left_alone():
    world = World(space(), thing("config", namespace="shop"))
    assert world.look(NAMESPACE_CONTROLLER, at("shop", "")).changes == ()


def test_what_is_there_before_an_everlasting_namespace_stays():
    world = World(thing("early"))
    assert world.settle(NAMESPACE_CONTROLLER) == 0
