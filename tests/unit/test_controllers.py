"""Controllers: what they want changed for what they see."""

import pytest
from support.build import pod_object, service_object

from netproxy.controllers.endpointslice import reconcile_service
from netproxy.controllers.scheduler import reconcile_pod
from netproxy.controllers.workload import HASH_LABEL, adopts, reconcile_deployment, reconcile_replica_set
from netproxy.core.names import NamespacedName
from netproxy.manager.queue import Queue
from netproxy.objects.change import Create, Delete, Update
from netproxy.objects.defaults import with_defaults
from netproxy.objects.kinds import DEPLOYMENTS, ENDPOINT_SLICES, PODS, REPLICA_SETS, SERVICES, resource_of
from netproxy.objects.meta import key

WEB = NamespacedName("default", "web")


class World:
    """Objects by kind; applies what a controller wants."""

    def __init__(self, *objects):
        self.objects = {}
        self.made = 0
        for obj in objects:
            self.put(obj)

    def put(self, obj):
        meta = dict(obj["metadata"])
        meta.setdefault("uid", f"uid-{obj['kind']}-{meta['name']}")
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        obj = with_defaults({**obj, "metadata": meta})
        self.objects[resource_of(obj), key(obj)] = obj

    def find(self, kind, name):
        return self.objects.get((kind, name))

    def list(self, kind, in_namespace=""):
        return iter(
            [
                o
                for (k, at), o in sorted(self.objects.items(), key=lambda i: str(i[0]))
                if k == kind and (not in_namespace or at.namespace == in_namespace)
            ]
        )

    def all(self, kind):
        return self.list(kind)

    def apply(self, changes):
        for change in changes:
            if isinstance(change, Delete):
                self.objects.pop((change.resource, change.name))
            else:
                self.put(change.obj)
        return changes


def deployment(replicas=2, image="a"):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}}  # fmt: skip


def settle(world, at=WEB):
    for _ in range(10):
        changes = world.apply(reconcile_deployment(world, at))
        for rs in list(world.list(REPLICA_SETS)):
            changes = [*changes, *world.apply(reconcile_replica_set(world, key(rs)))]
        if not changes:
            return
    raise AssertionError("it never settles")


def test_a_deployment_makes_its_pods_and_scales():
    world = World(deployment(3))
    settle(world)
    pods = list(world.list(PODS))
    assert len(pods) == 3
    assert all(HASH_LABEL in p["metadata"]["labels"] for p in pods)
    world.put({**world.find(DEPLOYMENTS, WEB), "spec": {**world.find(DEPLOYMENTS, WEB)["spec"], "replicas": 1}})
    settle(world)
    assert len(list(world.list(PODS))) == 1
    (rs,) = world.list(REPLICA_SETS)
    assert adopts(rs, next(world.list(PODS)))


def test_a_lost_pod_comes_back_and_a_finished_one_is_replaced():
    world = World(deployment(2))
    settle(world)
    first = next(world.list(PODS))
    world.apply([Delete(PODS, key(first))])
    settle(world)
    assert len(list(world.list(PODS))) == 2
    world.put({**next(world.list(PODS)), "status": {"phase": "Failed"}})
    settle(world)
    assert len(list(world.list(PODS))) == 3


def test_a_new_template_replaces_the_old_pods_once_the_new_ones_are_ready():
    world = World(deployment(1, "a"))
    settle(world)
    world.put({**world.find(DEPLOYMENTS, WEB), "spec": deployment(1, "b")["spec"]})
    settle(world)
    assert len(list(world.list(PODS))) == 2
    for pod in list(world.list(PODS)):
        if pod["spec"]["containers"][0]["image"] == "b":
            world.put({**pod, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    settle(world)
    assert [p["spec"]["containers"][0]["image"] for p in world.list(PODS)] == ["b"]


def test_what_is_gone_or_going_is_left_alone():
    world = World()
    assert reconcile_deployment(world, WEB) == reconcile_replica_set(world, WEB) == reconcile_pod(world, WEB) == []
    world.put({**deployment(), "metadata": {**deployment()["metadata"], "deletionTimestamp": "x"}})
    assert reconcile_deployment(world, WEB) == []


def node(name, **more):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": more.pop("labels", {})},
        "spec": more,
    }


def test_pods_go_to_the_emptiest_node_that_fits():
    pending = pod_object("new", node="")
    world = World(node("a"), node("b"), node("c", unschedulable=True), pod_object("x", node="a"), pending)
    (change,) = reconcile_pod(world, key(pending))
    assert change.obj["spec"]["nodeName"] == "b"
    picky = pod_object("picky", node="", spec={"nodeName": "", "nodeSelector": {"disk": "ssd"}})
    world.put(picky)
    (change,) = reconcile_pod(world, key(picky))
    assert "0/3 nodes are available" in change.obj["status"]["conditions"][0]["message"]
    world.apply([change])
    assert reconcile_pod(world, key(picky)) == []
    world.put(node("d", labels={"disk": "ssd"}))
    (change,) = reconcile_pod(world, key(picky))
    assert change.obj["spec"]["nodeName"] == "d"


def service(**spec):
    return service_object(**{"selector": {"app": "web"}, "ipFamilies": ["IPv4"], **spec})


def slices(world):
    return list(world.list(ENDPOINT_SLICES))


def test_slices_follow_the_pods():
    world = World(service(), node("node1", labels={"topology.kubernetes.io/zone": "z"}), pod_object("p1", "10.0.0.1"))
    world.apply(reconcile_service(world, WEB))
    (made,) = slices(world)
    assert made["endpoints"][0]["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert made["endpoints"][0]["zone"] == "z"
    assert made["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert reconcile_service(world, WEB) == []
    world.put(pod_object("p2", "10.0.0.2", ready=False))
    world.put(pod_object("p3", "10.0.0.3", metadata={"deletionTimestamp": "x"}))
    world.put(pod_object("p4", "10.0.0.4", status={"phase": "Succeeded", "podIPs": [{"ip": "10.0.0.4"}]}))
    (change,) = world.apply(reconcile_service(world, WEB))
    assert isinstance(change, Update)
    ready = {e["addresses"][0]: e["conditions"] for e in change.obj["endpoints"]}
    assert ready["10.0.0.2"] == {"ready": False, "serving": False, "terminating": False}
    assert ready["10.0.0.3"] == {"ready": False, "serving": True, "terminating": True}
    assert "10.0.0.4" not in ready
    for name in ("p1", "p2", "p3"):
        world.apply([Delete(PODS, NamespacedName("default", name))])
    world.apply(reconcile_service(world, WEB))
    assert slices(world)[0]["endpoints"] == []
    world.apply([Delete(SERVICES, WEB)])
    assert [type(c) for c in world.apply(reconcile_service(world, WEB))] == [Delete]


def test_a_hundred_endpoints_fill_a_slice_and_stay_where_they_are():
    world = World(service(), *(pod_object(f"p{n:03}", f"10.0.{n // 200}.{n % 200 + 1}") for n in range(150)))
    world.apply(reconcile_service(world, WEB))
    assert sorted(len(s["endpoints"]) for s in slices(world)) == [50, 100]
    full = next(s for s in slices(world) if len(s["endpoints"]) == 100)
    victim = full["endpoints"][0]["targetRef"]["name"]
    world.apply([Delete(PODS, NamespacedName("default", victim))])
    assert len(world.apply(reconcile_service(world, WEB))) == 1
    for s in slices(world):
        if len(s["endpoints"]) == 50:
            for e in s["endpoints"]:
                world.apply([Delete(PODS, NamespacedName("default", e["targetRef"]["name"]))])
    world.apply(reconcile_service(world, WEB))
    assert len(slices(world)) == 1


def test_a_named_port_may_be_another_number_in_another_pod():
    def with_port(number):
        return {"containers": [{"name": "c", "image": "x", "ports": [{"name": "web", "containerPort": number}]}]}

    target = [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]
    world = World(service(ports=target), pod_object("p1", "10.0.0.1", spec={"nodeName": "n", **with_port(1)}),
                  pod_object("p2", "10.0.0.2", spec={"nodeName": "n", **with_port(2)}))  # fmt: skip
    world.apply(reconcile_service(world, WEB))
    assert sorted(s["ports"][0]["port"] for s in slices(world)) == [1, 2]
    world.put(pod_object("p2", "10.0.0.2", spec={"nodeName": "n", **with_port(1)}))
    world.apply(reconcile_service(world, WEB))
    assert len(slices(world)) == 1


@pytest.mark.parametrize(
    ("spec", "hints"),
    [
        ({"trafficDistribution": "PreferSameZone"}, {"forZones": [{"name": "z"}]}),
        ({"trafficDistribution": "PreferSameNode"}, {"forZones": [{"name": "z"}], "forNodes": [{"name": "node1"}]}),
        ({}, None),
    ],
)
def test_hints(spec, hints):
    world = World(
        service(**spec), node("node1", labels={"topology.kubernetes.io/zone": "z"}), pod_object("p1", "10.0.0.1")
    )
    world.apply(reconcile_service(world, WEB))
    assert slices(world)[0]["endpoints"][0].get("hints") == hints


def test_headless_hostnames_publishing_and_foreign_slices():
    foreign = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [],
               "metadata": {"name": "given", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}}  # fmt: skip
    pod = pod_object("p1", "10.0.0.1", ready=False, spec={"hostname": "db-0", "subdomain": "web", "nodeName": "n"})
    world = World(service(clusterIP="None", publishNotReadyAddresses=True), foreign, pod)
    (change,) = world.apply(reconcile_service(world, WEB))
    assert isinstance(change, Create)
    assert change.obj["endpoints"][0]["hostname"] == "db-0"
    assert change.obj["endpoints"][0]["conditions"]["ready"] is True
    assert change.obj["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert reconcile_service(World(service(selector=None)), WEB) == []


def test_the_queue_backs_off():
    queue = Queue()
    queue.add("a")
    queue.add("a", at=9)
    assert queue.take(0) == ["a"]
    queue.failed("a", 0)
    first = queue.next_at()
    assert queue.take(0) == []
    assert queue.take(first) == ["a"]
    queue.failed("a", 0)
    assert queue.next_at() == 2 * first
    queue.done("a")
    assert Queue().next_at() is None
