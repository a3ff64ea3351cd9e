"""Controllers: what they want changed for what they see."""

import pytest
from support.build import pod_object, service_object
from support.world import World

from netproxy.controllers.deployment import DEPLOYMENT_CONTROLLER, HASH_LABEL
from netproxy.controllers.endpointslice import ENDPOINT_SLICE_CONTROLLER
from netproxy.controllers.replicaset import DELETION_COST, REPLICA_SET_CONTROLLER, REPLICATION_CONTROLLER
from netproxy.controllers.scheduler import SCHEDULER
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Bind, Create, Delete, Update
from netproxy.objects.kinds import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICES,
)
from netproxy.objects.meta import controller_of, key, name, spec, status, uid

WEB = NamespacedName("default", "web")
WORKLOADS = (DEPLOYMENT_CONTROLLER, REPLICA_SET_CONTROLLER)


def deployment(replicas=2, image="a", **more):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template, **more}}  # fmt: skip


def replica_set(replicas=2, **more):
    return {**deployment(replicas, **more), "kind": "ReplicaSet"}


def pods(world):
    return list(world.list(PODS))


def ready(pod, *, since="2026-01-01T00:00:00Z"):
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    return {**pod, "status": {"phase": "Running", "conditions": [condition]}}


# --- Deployments and ReplicaSets


def test_a_deployment_makes_its_pods_and_scales():
    world = World(deployment(3))
    world.settle(*WORKLOADS)
    assert len(pods(world)) == 3
    assert all(HASH_LABEL in pod["metadata"]["labels"] for pod in pods(world))
    world.put(deployment(1))
    world.settle(*WORKLOADS)
    assert len(pods(world)) == 1
    (rs,) = world.list(REPLICA_SETS)
    assert controller_of(pods(world)[0])["uid"] == uid(rs)
    assert status(world.find(DEPLOYMENTS, WEB))["replicas"] == 1


def replication_controller(replicas=2, image="a"):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"app": "web"}, "template": template}}  # fmt: skip


def test_a_replication_controller_has_as_many_pods_as_it_asks_for():
    orphan, other = pod_object("orphan", node=""), pod_object("other", metadata={"labels": {"app": "other"}})
    world = World(replication_controller(3), orphan, other)
    world.settle(REPLICATION_CONTROLLER, REPLICA_SET_CONTROLLER)
    (owner,) = world.list(REPLICATION_CONTROLLERS)
    mine = [pod for pod in pods(world) if controller_of(pod)]
    assert len(mine) == 3
    assert name(mine[0]) == "orphan", "a Pod that is there is taken over"
    assert all(controller_of(pod)["kind"] == "ReplicationController" for pod in mine)
    assert status(owner)["replicas"] == status(owner)["fullyLabeledReplicas"] == 3
    world.put({**mine[1], "metadata": {**mine[1]["metadata"], "labels": {"app": "freed"}}})
    world.settle(REPLICATION_CONTROLLER)
    assert not controller_of(world.find(PODS, key(mine[1]))), "one that is no longer picked is let go"
    world.put(replication_controller(1))
    world.settle(REPLICATION_CONTROLLER)
    assert len([pod for pod in pods(world) if controller_of(pod)]) == 1
    assert world.settle(REPLICATION_CONTROLLER) == 0


def test_a_second_pass_does_nothing():
    world = World(deployment(3), service(), node("node1"))
    everyone = (*WORKLOADS, SCHEDULER, ENDPOINT_SLICE_CONTROLLER)
    assert world.settle(*everyone) > 0
    assert world.settle(*everyone) == 0


def test_a_lost_pod_comes_back_and_a_finished_one_is_replaced():
    world = World(deployment(2))
    world.settle(*WORKLOADS)
    world.remove(PODS, key(pods(world)[0]))
    world.settle(*WORKLOADS)
    assert len(pods(world)) == 2
    world.put({**pods(world)[0], "status": {"phase": "Failed"}})
    world.settle(*WORKLOADS)
    assert len(pods(world)) == 3


def test_a_new_template_replaces_the_old_pods_once_the_new_ones_are_ready():
    world = World(deployment(1, "a"))
    world.settle(*WORKLOADS)
    world.put(deployment(1, "b"))
    world.settle(*WORKLOADS)
    assert len(pods(world)) == 2
    for pod in pods(world):
        if pod["spec"]["containers"][0]["image"] == "b":
            world.put(ready(pod))
    world.settle(*WORKLOADS)
    assert [pod["spec"]["containers"][0]["image"] for pod in pods(world)] == ["b"]
    revisions = [rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for rs in world.list(REPLICA_SETS)]
    assert sorted(revisions) == ["1", "2"]


def test_a_pod_is_available_when_it_has_been_ready_for_long_enough():
    world = World(deployment(1, minReadySeconds=60))
    world.settle(*WORKLOADS)
    world.put(ready(pods(world)[0], since="1970-01-12T13:46:40Z"))  # now
    (rs,) = world.list(REPLICA_SETS)
    look = world.look(REPLICA_SET_CONTROLLER, key(rs))
    assert look.again_at == world.clock.now() + 60
    assert "availableReplicas" not in status(world.find(REPLICA_SETS, key(rs)))
    world.clock.time += 60
    assert world.look(REPLICA_SET_CONTROLLER, key(rs)).again_at is None
    world.settle(*WORKLOADS)
    assert status(world.find(DEPLOYMENTS, WEB))["conditions"][0]["status"] == "True"


def test_a_relabelled_pod_is_released_and_replaced():
    world = World(replica_set(1))
    world.settle(*WORKLOADS)
    (pod,) = pods(world)
    world.put({**pod, "metadata": {**pod["metadata"], "labels": {"app": "debug"}}})
    world.settle(*WORKLOADS)
    free = world.find(PODS, key(pod))
    assert "ownerReferences" not in free["metadata"]
    assert [name(p) for p in pods(world) if controller_of(p)] != [name(pod)]
    assert len(pods(world)) == 2


def test_a_matching_orphan_is_adopted_and_counts():
    world = World(replica_set(1))
    world.put(pod_object("stray", node=""))
    world.put(pod_object("finished", node="", status={"phase": "Succeeded"}))
    world.put(pod_object("elsewhere", node="", metadata={"namespace": "other"}))
    world.settle(*WORKLOADS)
    assert {name(p) for p in pods(world) if controller_of(p)} == {"stray"}
    world.put(pod_object("another", node=""))
    world.settle(*WORKLOADS)
    assert {name(p) for p in pods(world) if controller_of(p)} == {"stray"}, "one too many is deleted: the newest"


def test_an_orphan_is_found_by_an_expression_too():
    expression = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}
    world = World(replica_set(1, selector=expression))
    world.settle(*WORKLOADS)
    world.remove(PODS, key(pods(world)[0]))
    world.put(pod_object("stray", node=""))
    world.settle(*WORKLOADS)
    assert [name(p) for p in pods(world)] == ["stray"]


def test_a_deployment_adopts_the_replica_set_of_its_template():
    world = World(deployment(1))
    world.settle(*WORKLOADS)
    (rs,) = world.list(REPLICA_SETS)
    meta = {k: v for k, v in rs["metadata"].items() if k != "ownerReferences"}
    world.put({**rs, "metadata": meta})
    world.settle(*WORKLOADS)
    (again,) = world.list(REPLICA_SETS)
    assert controller_of(again)["kind"] == "Deployment"


def test_a_name_that_somebody_else_has_is_left_to_them():
    probe = World(deployment(1))
    probe.settle(DEPLOYMENT_CONTROLLER)
    (taken,) = probe.list(REPLICA_SETS)
    foreign = {
        **replica_set(0, selector={"matchLabels": {"app": "x"}}),
        "metadata": {**taken["metadata"], "labels": {"app": "x"}},
    }
    foreign["metadata"].pop("ownerReferences")
    world = World(foreign, deployment(1))
    world.settle(*WORKLOADS)
    assert len(list(world.list(REPLICA_SETS))) == 2
    assert len(pods(world)) == 1


def on_a_node(pod):
    return {**pod, "spec": {**spec(pod), "nodeName": "n"}}


def cheap(pod):
    return {**pod, "metadata": {**pod["metadata"], "annotations": {DELETION_COST: "-5"}}}


def muddled(pod):
    return {**pod, "metadata": {**pod["metadata"], "annotations": {DELETION_COST: "much"}}}


@pytest.mark.parametrize(
    ("keep", "drop"),
    [
        pytest.param(on_a_node, lambda pod: pod, id="without a node"),
        pytest.param(ready, lambda pod: pod, id="not ready"),
        pytest.param(lambda pod: pod, cheap, id="cheap to delete"),
        pytest.param(muddled, cheap, id="a cost that is no number is none"),
    ],
)
def test_who_goes_first(keep, drop):
    world = World(replica_set(2))
    world.settle(*WORKLOADS)
    first, second = pods(world)
    for one, other in ((first, second), (second, first)):
        trial = World(replica_set(2))
        trial.settle(*WORKLOADS)
        kept, gone = (next(p for p in pods(trial) if name(p) == name(which)) for which in (one, other))
        trial.put(keep(kept))
        trial.put(drop(gone))
        trial.put(replica_set(1))
        trial.settle(*WORKLOADS)
        assert [name(p) for p in pods(trial)] == [name(one)]


def test_what_is_gone_or_going_is_left_alone():
    world = World()
    for controller in (*WORKLOADS, SCHEDULER, ENDPOINT_SLICE_CONTROLLER):
        assert world.look(controller, WEB).changes == ()
    for going in (deployment(), replica_set(), service()):
        held = {**going, "metadata": {**going["metadata"], "finalizers": ["somebody/holds"]}}
        made = world.put(held)
        world.make(
            Delete({"Deployment": DEPLOYMENTS, "ReplicaSet": REPLICA_SETS, "Service": SERVICES}[made["kind"]], WEB)
        )
    assert world.settle(*WORKLOADS, ENDPOINT_SLICE_CONTROLLER) == 0


def test_nothing_new_is_made_in_a_namespace_that_is_to_go():
    made = [
        {**obj, "metadata": {**obj["metadata"], "namespace": "shop"}}
        for obj in (deployment(), replica_set(), service())
    ]
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop"},
        "spec": {"finalizers": ["kubernetes"]},
    }
    world = World(space, *made)
    world.make(Delete(NAMESPACES, NamespacedName("", "shop")))
    assert world.settle(*WORKLOADS, ENDPOINT_SLICE_CONTROLLER) == 0


def test_a_namespace_that_comes_or_goes_wakes_whoever_makes_things_in_it():
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    world = World(deployment(), replica_set(), service())
    keys = []
    for controller in (*WORKLOADS, ENDPOINT_SLICE_CONTROLLER):
        world.subscribe(lambda event, watch=controller.watches[NAMESPACES]: keys.extend(watch(world, event)))
    world.put(space)
    assert keys == [WEB] * 3
    world.put({**space, "status": {"phase": "Active", "conditions": []}})
    assert keys == [WEB] * 3


# --- the scheduler


def node(named, **more):
    labels = more.pop("labels", {})
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": named, "labels": labels}, "spec": more}


def test_pods_go_to_the_emptiest_node_that_fits():
    world = World(
        node("a"), node("b"), node("c", unschedulable=True), pod_object("x", node="a"),
        pod_object("done", node="b", status={"phase": "Succeeded"}), pod_object("new", node=""),
    )  # fmt: skip
    assert world.look(SCHEDULER, NamespacedName("default", "new")).changes == (
        Bind(NamespacedName("default", "new"), "b"),
    )
    assert world.look(SCHEDULER, NamespacedName("default", "new")).changes == ()


def test_a_pod_that_fits_nowhere_says_so_and_is_placed_when_a_node_comes():
    picky = pod_object("picky", node="", spec={"nodeName": "", "nodeSelector": {"disk": "ssd"}})
    world = World(node("a"), picky)
    world.settle(SCHEDULER)
    (told, *_) = status(world.find(PODS, key(picky)))["conditions"]
    assert told["reason"] == "Unschedulable"
    assert "0/1 nodes are available" in told["message"]
    assert world.settle(SCHEDULER) == 0
    end = world.subscribe(
        lambda event: [world.look(SCHEDULER, at) for at in SCHEDULER.watches[event.resource](world, event)]
    )
    world.put(node("d", labels={"disk": "ssd"}))
    end()
    assert spec(world.find(PODS, key(picky)))["nodeName"] == "d"


def test_a_heartbeat_of_a_node_wakes_nobody():
    world = World(node("a"), pod_object("new", node=""))
    keys = []
    world.subscribe(lambda event: keys.extend(SCHEDULER.watches[NODES](world, event)))
    world.put({**node("a"), "status": {"phase": "Running"}})
    assert keys == []
    world.put({**node("a", unschedulable=True)})
    assert keys == [NamespacedName("default", "new")]


def test_another_schedulers_pod_is_not_ours():
    world = World(node("a"), pod_object("new", node="", spec={"nodeName": "", "schedulerName": "mine"}))
    assert world.settle(SCHEDULER) == 0


# --- EndpointSlices


def service(**more):
    return service_object(**{"selector": {"app": "web"}, "ipFamilies": ["IPv4"], **more})


def slices(world):
    return list(world.list(ENDPOINT_SLICES))


def look(world):
    return world.look(ENDPOINT_SLICE_CONTROLLER, WEB).changes


def zoned(zone="z"):
    return node("node1", labels={"topology.kubernetes.io/zone": zone} if zone else {})


def test_slices_are_looked_at_again_when_a_node_is_in_another_zone():
    world = World(service(), zoned("z"), pod_object("p1", "10.0.0.1"))
    keys = []
    world.subscribe(lambda event: keys.extend(ENDPOINT_SLICE_CONTROLLER.watches[NODES](world, event)))
    world.put({**zoned("z"), "status": {"phase": "Running"}})
    assert keys == []
    world.put(zoned("y"))
    assert keys == [WEB]


def test_slices_follow_the_pods():
    world = World(service(), zoned(), pod_object("p1", "10.0.0.1"))
    look(world)
    (made,) = slices(world)
    assert made["endpoints"][0]["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert made["endpoints"][0]["zone"] == "z"
    assert made["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert look(world) == ()
    world.put(pod_object("p2", "10.0.0.2", ready=False))
    world.put(pod_object("p3", "10.0.0.3"))
    world.make(Delete(PODS, NamespacedName("default", "p3")))
    world.put(pod_object("p4", "10.0.0.4", status={"phase": "Succeeded", "podIPs": [{"ip": "10.0.0.4"}]}))
    (change,) = look(world)
    assert isinstance(change, Update)
    shown = {e["addresses"][0]: e["conditions"] for e in change.obj["endpoints"]}
    assert shown["10.0.0.2"] == {"ready": False, "serving": False, "terminating": False}
    assert shown["10.0.0.3"] == {"ready": False, "serving": True, "terminating": True}
    assert "10.0.0.4" not in shown
    for gone in ("p1", "p2", "p3"):
        world.remove(PODS, NamespacedName("default", gone))
    look(world)
    assert slices(world)[0]["endpoints"] is None
    assert look(world) == ()
    assert controller_of(slices(world)[0])["kind"] == "Service", "so it is collected when the Service goes"


def test_a_hundred_endpoints_fill_a_slice_and_stay_where_they_are():
    world = World(service(), *(pod_object(f"p{n:03}", f"10.0.{n // 200}.{n % 200 + 1}") for n in range(150)))
    look(world)
    assert sorted(len(s["endpoints"]) for s in slices(world)) == [50, 100]
    full = next(s for s in slices(world) if len(s["endpoints"]) == 100)
    victim = full["endpoints"][0]["targetRef"]["name"]
    world.remove(PODS, NamespacedName("default", victim))
    assert len(look(world)) == 1
    world.put(pod_object("px", "10.0.9.9"))
    (change,) = look(world)
    assert len(change.obj["endpoints"]) == 100, "a new endpoint fills the gap"
    for s in slices(world):
        if len(s["endpoints"]) == 50:
            for e in s["endpoints"]:
                world.remove(PODS, NamespacedName("default", e["targetRef"]["name"]))
    look(world)
    assert len(slices(world)) == 1


def test_of_several_empty_slices_one_stays():
    world = World(service(), *(pod_object(f"p{n:03}", f"10.0.{n // 200}.{n % 200 + 1}") for n in range(150)))
    look(world)
    for pod in pods(world):
        world.remove(PODS, key(pod))
    look(world)
    assert [s["endpoints"] for s in slices(world)] == [None]


def test_a_named_port_may_be_another_number_in_another_pod():
    def with_port(number):
        other = {"name": "web", "containerPort": 9, "protocol": "UDP"}
        return {"containers": [{"name": "c", "image": "x", "ports": [other, {"name": "web", "containerPort": number}]}]}

    target = [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP", "appProtocol": "http"}]
    world = World(service(ports=target), pod_object("p1", "10.0.0.1", spec={"nodeName": "n", **with_port(1)}),
                  pod_object("p2", "10.0.0.2", spec={"nodeName": "n", **with_port(2)}), pod_object("p3", "10.0.0.3"))  # fmt: skip
    look(world)
    assert sorted(p["port"] for s in slices(world) for p in s["ports"] or ()) == [1, 2]
    assert {p["appProtocol"] for s in slices(world) for p in s["ports"] or ()} == {"http"}
    world.put(pod_object("p2", "10.0.0.2", spec={"nodeName": "n", **with_port(1)}))
    world.remove(PODS, NamespacedName("default", "p3"))
    look(world)
    assert len(slices(world)) == 1


@pytest.mark.parametrize(
    ("spec", "zone", "hints"),
    [
        ({"trafficDistribution": "PreferSameZone"}, "z", {"forZones": [{"name": "z"}]}),
        (
            {"trafficDistribution": "PreferSameNode"},
            "z",
            {"forZones": [{"name": "z"}], "forNodes": [{"name": "node1"}]},
        ),
        ({"trafficDistribution": "PreferSameZone"}, "", None),
        ({}, "z", None),
    ],
)
def test_hints(spec, zone, hints):
    world = World(service(**spec), zoned(zone), pod_object("p1", "10.0.0.1"))
    look(world)
    assert slices(world)[0]["endpoints"][0].get("hints") == hints


def test_headless_hostnames_publishing_and_foreign_slices():
    foreign = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [],
               "metadata": {"name": "given", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}}  # fmt: skip
    pod = pod_object("p1", "10.0.0.1", ready=False, spec={"hostname": "db-0", "subdomain": "web", "nodeName": "n"})
    world = World(service(clusterIP="None", publishNotReadyAddresses=True), foreign, pod)
    (change,) = look(world)
    assert isinstance(change, Create)
    assert change.obj["endpoints"][0]["hostname"] == "db-0"
    assert change.obj["endpoints"][0]["conditions"]["ready"] is True
    assert change.obj["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    for other in ({"selector": None}, {"type": "ExternalName"}):
        assert World(service(**other)).settle(ENDPOINT_SLICE_CONTROLLER) == 0


def test_a_service_that_gives_up_a_family_gives_up_its_slices():
    pod = pod_object("p1", status={"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]})
    world = World(service(ipFamilies=["IPv4", "IPv6"]), pod)
    look(world)
    assert sorted(s["addressType"] for s in slices(world)) == ["IPv4", "IPv6"]
    world.put(service(ipFamilies=["IPv6"]))
    look(world)
    assert [s["addressType"] for s in slices(world)] == ["IPv6"]


def woken(world, change):
    """Which Services a change wakes."""
    keys = set()
    end = world.subscribe(lambda event: keys.update(ENDPOINT_SLICE_CONTROLLER.watches[event.resource](world, event)))
    change()
    end()
    return {at.name for at in keys}


def test_a_change_wakes_the_services_that_it_concerns_and_no_others():
    picky = service_object("picky", selector={"app": "web", "tier": "none of ours"})
    world = World(service(), service_object("api"), picky, zoned(), pod_object("p1", "10.0.0.1"))
    pod = world.find(PODS, NamespacedName("default", "p1"))
    relabelled = {**pod, "metadata": {**pod["metadata"], "labels": {"app": "api"}}}
    assert woken(world, lambda: world.put({**pod, "status": {**pod["status"], "hostIP": "1.1.1.1"}})) == set()
    assert woken(world, lambda: world.put(relabelled)) == {"web", "api"}
    assert woken(world, lambda: world.put(node("node1"))) == {"api"}
    assert woken(world, lambda: world.put({**node("node1"), "status": {"x": 1}})) == set()
    assert woken(world, lambda: world.remove(PODS, key(pod))) == {"api"}
    foreign = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
               "metadata": {"name": "x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}}  # fmt: skip
    assert woken(world, lambda: world.put(foreign)) == {"web"}
    assert woken(world, lambda: world.put({**foreign, "metadata": {"name": "y", "namespace": "default"}})) == set()


def test_a_slice_that_somebody_spoils_is_mended():
    world = World(service(), pod_object("p1", "10.0.0.1"))
    world.settle(ENDPOINT_SLICE_CONTROLLER)
    (made,) = slices(world)
    world.put(
        {**made, "endpoints": [], "metadata": {**made["metadata"], "labels": {**made["metadata"]["labels"], "x": "y"}}}
    )
    assert world.settle(ENDPOINT_SLICE_CONTROLLER) == 1
    (mended,) = slices(world)
    assert mended["endpoints"] == made["endpoints"]
    assert mended["metadata"]["labels"] == made["metadata"]["labels"]


def test_of_very_many_pods_some_are_made_at_each_look():
    world = World(replica_set(10**15))
    assert len([c for c in REPLICA_SET_CONTROLLER.reconcile(world, WEB, 0).changes if isinstance(c, Create)]) == 500
