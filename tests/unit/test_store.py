"""The store, admission, allocation, patches, and the API over them."""

import json

import pytest
from support.build import FixedClock, pod_object, service_object, slice_object

from netproxy.apiserver.request import Request, Response, Watch
from netproxy.apiserver.routes import Api
from netproxy.core.errors import AlreadyExistsError, ConflictError, ExpiredError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.cluster import cluster_spec
from netproxy.objects.kinds import PODS, SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.registry.allocate import free_address, free_port, pod_address
from netproxy.registry.patch import json_patch, merge, strategic
from netproxy.registry.registry import Registry
from netproxy.store.sqlite import SqliteBacking
from netproxy.store.store import Store

WEB = NamespacedName("default", "web")


def a_store(backing=None):
    numbers = iter(range(1 << 20))
    return Store(FixedClock(), lambda: f"uid-{next(numbers):05}", backing)


def a_registry(store=None, **cluster):
    return Registry(store or a_store(), cluster_spec([{"kind": "Cluster", "spec": cluster}]))


def test_versions_generations_and_conflicts():
    store = a_store()
    first = store.create(service_object())
    assert first["metadata"]["generation"] == 1
    same = store.replace({**first, "status": {"a": 1}})
    assert same["metadata"]["generation"] == 1
    changed = store.replace({**same, "spec": {"other": 1}})
    assert changed["metadata"]["generation"] == 2
    with pytest.raises(ConflictError, match="the object has been modified"):
        store.replace({**first, "spec": {}})
    assert store.replace(changed) is changed or store.replace(changed) == changed
    with pytest.raises(AlreadyExistsError):
        store.create(service_object())
    with pytest.raises(NotFoundError, match='services "none" not found'):
        store.get(SERVICES, NamespacedName("default", "none"))


def test_a_watch_goes_on_from_a_version_and_says_when_it_is_too_old():
    store = a_store()
    store.create(service_object("a"))
    version = store.version
    seen = []
    end = store.subscribe(seen.append)
    store.create(service_object("b"))
    store.delete(SERVICES, NamespacedName("default", "a"))
    end()
    store.create(service_object("c"))
    assert [(e.type, e.obj["metadata"]["name"]) for e in seen] == [("ADDED", "b"), ("DELETED", "a")]
    assert [e.type for e in store.since(version)] == ["ADDED", "DELETED", "ADDED"]
    with pytest.raises(ExpiredError):
        store.since(-1)


def test_everything_is_there_after_a_crash(tmp_path):
    file = str(tmp_path / "state.db")
    backing = SqliteBacking(file)
    store = a_store(backing)
    with store.transaction():
        store.create(service_object("a"))
        store.create(service_object("b"))
    gone = store.create(service_object("c"))
    store.delete(SERVICES, NamespacedName("default", "c"))
    again = a_store(SqliteBacking(file))
    assert [o["metadata"]["name"] for o in again.list(SERVICES)] == ["a", "b"]
    assert again.version == store.version > int(gone["metadata"]["resourceVersion"])
    with pytest.raises(ExpiredError):
        again.since(0)
    backing.close()


def test_addresses_and_ports_come_from_the_dynamic_band_and_run_out():
    assert free_address("10.96.0.0/16", ["10.96.1.0"]) == "10.96.1.1"
    assert free_address("fd00::/112", []) == "fd00::100"
    assert free_address("10.0.0.0/30", ["10.0.0.1"]) == "10.0.0.2"
    with pytest.raises(ConflictError, match="is full"):
        free_address("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"])
    assert free_port(30000, 32767, {30086}) == 30087
    assert free_port(1, 2, {1}) == 2
    with pytest.raises(ConflictError):
        free_port(1, 2, {1, 2})
    with pytest.raises(ConflictError):
        pod_address("10.0.0.0/30", {"10.0.0.2"})


def test_a_service_gets_what_it_leaves_open_and_keeps_it():
    registry = a_registry()
    (made,) = registry.apply([Loaded(service_object(type="NodePort"), "x")])
    assert made["spec"]["clusterIP"] == "10.96.1.0"
    assert made["spec"]["ports"][0]["nodePort"] == 30086
    (again,) = registry.apply([Loaded(service_object(type="NodePort"), "x")])
    assert again["spec"]["clusterIP"] == "10.96.1.0"
    assert again["spec"]["ports"][0]["nodePort"] == 30086
    (other,) = registry.apply([Loaded(service_object("b", type="LoadBalancer", externalTrafficPolicy="Local"), "x")])
    assert other["spec"]["ports"][0]["nodePort"] == 30087
    assert other["spec"]["healthCheckNodePort"] == 30088
    (plain,) = registry.apply([Loaded(service_object("b", type="ClusterIP"), "x")])
    assert "nodePort" not in plain["spec"]["ports"][0]


def test_one_node_port_serves_two_protocols_of_a_port():
    ports = [{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]
    (made,) = a_registry().apply([Loaded(service_object(type="NodePort", ports=ports), "x")])
    assert {p["nodePort"] for p in made["spec"]["ports"]} == {30086}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"clusterIP": "10.97.0.1"}, "spec.clusterIP: Invalid value: \"10.97.0.1\": the provided IP is not in the valid range"),
        ({"type": "NodePort", "ports": [{"port": 1, "nodePort": 29999}]}, ("spec.ports[0].nodePort: Invalid value: 29999: provided port"
         " is not in the valid range. The range of valid ports is 30000-32767")),
        ({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}]}, "already allocated to default/first; leave it out"),
        ({"clusterIP": "10.96.7.7"}, "already allocated to default/first"),
        ({"ipFamilies": ["IPv6"]}, "not configured on this cluster"),
    ],
)  # fmt: skip
def test_what_is_taken_or_outside_is_refused_and_nothing_is_stored(spec, message):
    registry = a_registry()
    first = service_object("first", type="NodePort", clusterIP="10.96.7.7", ports=[{"port": 1, "nodePort": 30001}])
    with pytest.raises(ManifestError) as error:
        registry.apply([Loaded(first, "x"), Loaded(service_object("second", **spec), "y")])
    assert message in str(error.value)
    assert registry.store.count(SERVICES) == 0


def test_all_problems_of_a_set_are_raised_together():
    with pytest.raises(ManifestError) as error:
        a_registry().apply([Loaded(service_object("a", clusterIP="1.1.1.1"), "x"), Loaded(service_object("b", type="X"), "y"),
                            Loaded(service_object("c"), "z"), Loaded(service_object("c"), "z")])  # fmt: skip
    assert len(error.value.problems) == 3


def test_dual_stack_services():
    registry = a_registry(ipFamilies=["IPv4", "IPv6"])
    (both,) = registry.apply([Loaded(service_object(ipFamilyPolicy="PreferDualStack"), "x")])
    assert [("." in ip) for ip in both["spec"]["clusterIPs"]] == [True, False]
    (one,) = registry.apply([Loaded(service_object("b"), "x")])
    assert one["spec"]["ipFamilies"] == ["IPv4"]
    (six,) = registry.apply([Loaded(service_object("c", ipFamilies=["IPv6"]), "x")])
    assert six["spec"]["clusterIP"].startswith("fd00:10:96::")
    (none,) = registry.apply([Loaded(service_object("d", clusterIP="None"), "x")])
    assert none["spec"]["clusterIPs"] == ["None"]


def test_a_cluster_ip_does_not_change_and_an_external_name_has_none():
    registry = a_registry()
    registry.apply([Loaded(service_object(), "x")])
    with pytest.raises(ManifestError, match="may not change once set"):
        registry.apply([Loaded(service_object(clusterIP="10.96.9.9"), "x")])
    (away,) = registry.apply([Loaded(service_object(type="ExternalName", externalName="a.b"), "x")])
    assert "clusterIP" not in away["spec"]


class Client:
    def __init__(self):
        self.registry = a_registry()
        self.api = Api(self.registry, FixedClock())

    def __call__(self, method, path, body=None, content_type="application/json", accept="application/json", **query):
        data = json.dumps(body).encode() if body is not None else b""
        answer = self.api.handle(Request(method, path, query, data, content_type, accept))
        return (
            answer
            if isinstance(answer, Watch)
            else (answer.status, json.loads(answer.body))
            if answer.content_type == "application/json"
            else answer
        )


def test_the_api_speaks_kubernetes():
    ask = Client()
    base = "/api/v1/namespaces/default/services"
    assert ask("POST", base, service_object())[0] == 201
    status, refused = ask("POST", base, service_object())
    assert (status, refused["reason"]) == (409, "AlreadyExists")
    assert ask("GET", f"{base}/none")[1]["message"] == 'services "none" not found'
    status, wrong = ask("POST", base, service_object("b", ports=[{"port": 70000}]))
    assert (status, wrong["details"]["causes"][0]["field"]) == (422, "spec.ports[0].port")
    listed = ask("GET", "/api/v1/services", labelSelector="!none", fieldSelector="metadata.name=web")[1]
    assert listed["kind"] == "ServiceList"
    assert len(listed["items"]) == 1
    table = ask("GET", base, accept="application/json;as=Table;v=v1;g=meta.k8s.io")[1]
    assert [c["name"] for c in table["columnDefinitions"]][:3] == ["Name", "Type", "Cluster-IP"]
    merged = ask("PATCH", f"{base}/web", {"metadata": {"labels": {"a": "b"}}}, "application/merge-patch+json")[1]
    assert merged["metadata"]["labels"] == {"a": "b"}
    patch = [{"op": "replace", "path": "/spec/selector", "value": {"x": "y"}}]
    assert ask("PATCH", f"{base}/web", patch, "application/json-patch+json")[1]["spec"]["selector"] == {"x": "y"}
    assert ask("PATCH", f"{base}/web", {}, "text/plain")[0] == 415
    assert ask("PUT", f"{base}/web", {**merged, "metadata": {**merged["metadata"], "resourceVersion": "1"}})[0] == 409
    assert ask("PUT", f"{base}/web", service_object("other"))[0] == 422
    assert ask("PUT", f"{base}/web/status", {**service_object(), "status": {"loadBalancer": {}}})[0] == 200
    assert ask("POST", base, {**service_object("c"), "metadata": {"name": "c", "namespace": "other"}})[0] == 422
    assert ask("DELETE", f"{base}/web")[0] == 200
    assert ask("DELETE", base)[0] == 200


def test_discovery_and_errors_of_paths():
    ask = Client()
    assert ask("GET", "/api")[1]["versions"] == ["v1"]
    assert "apps" in [g["name"] for g in ask("GET", "/apis")[1]["groups"]]
    assert "deployments" in [r["name"] for r in ask("GET", "/apis/apps/v1")[1]["resources"]]
    assert ask("GET", "/version")[1]["major"] == "1"
    assert isinstance(ask("GET", "/healthz"), Response)
    for path in ("/nothing", "/api/v1/unicorns", "/apis/apps/v1/pods", "/api/v1/namespaces/default/services/web/scale"):
        assert ask("GET", path)[0] == 404
    assert ask("OPTIONS", "/api/v1/pods")[0] == 405
    answer = ask.api.handle(Request("POST", "/api/v1/namespaces", {}, b"{"))
    assert answer.status == 400
    assert ask("POST", "/api/v1/namespaces", ["x"])[0] == 422


def test_watches_say_what_they_want():
    ask = Client()
    watch = ask("GET", "/api/v1/services", watch="true", resourceVersion="7", timeoutSeconds="5", labelSelector="a")
    assert (watch.resource.kind, watch.version, watch.timeout_s, watch.initial_events) == ("Service", 7, 5.0, False)
    assert ask("GET", "/api/v1/services", watch="1").initial_events
    assert ask("GET", "/api/v1/services", watch="1", resourceVersion="x")[0] == 422


def test_a_bound_pod_is_marked_and_its_kubelet_finishes():
    ask = Client()
    ask.registry.store.create(pod_object())
    deleted = ask("DELETE", "/api/v1/namespaces/default/pods/web-1", {"gracePeriodSeconds": 3})[1]
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 3
    assert ask.registry.store.count(PODS) == 1


@pytest.mark.parametrize(
    "kind",
    ["Pod", "Service", "EndpointSlice", "Node", "Deployment", "ReplicaSet", "Namespace", "Event", "Image", "ConfigMap"],
)
def test_every_kind_has_a_table(kind):
    from netproxy.apiserver.tables import table

    objects = {
        "Pod": pod_object(),
        "Service": service_object(type="LoadBalancer"),
        "EndpointSlice": slice_object(addresses=tuple(f"10.0.0.{n}" for n in range(5))),
    }
    obj = objects.get(kind, {"kind": kind, "metadata": {"name": "a"}, "spec": {"replicas": 1}, "status": {}})
    made = table(kind, [obj], 2_000_000_000.0, 1)
    assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"])


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}], "CrashLoopBackOff"),
        ([{"state": {"terminated": {"reason": "Error"}}}], "Error"),
        ([{"state": {"running": {}}}], "Running"),
    ],
)
def test_the_status_column_of_a_pod(states, reason):
    from netproxy.apiserver.tables import pod_reason

    assert pod_reason(pod_object(status={"phase": "Running", "containerStatuses": states})) == reason
    assert pod_reason(pod_object(status={"phase": "Succeeded"})) == "Completed"
    assert pod_reason(pod_object(metadata={"deletionTimestamp": "x"})) == "Terminating"


def test_patches():
    assert merge({"a": {"b": 1}}, {"a": {"c": None, "d": 2}}) == {"a": {"b": 1, "d": 2}}
    target = {
        "containers": [{"name": "a", "ports": [{"containerPort": 1}]}, {"name": "b"}],
        "ports": [{"port": 1, "name": "x"}],
    }
    patch = {"containers": [{"name": "a", "ports": [{"containerPort": 2}]}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
             "ports": [{"port": 1, "name": "y"}], "$setElementOrder/ports": []}  # fmt: skip
    assert strategic(target, patch) == {
        "containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 2}]}, {"name": "c"}], "ports": [{"port": 1, "name": "y"}],
    }  # fmt: skip
    assert strategic({"a": {"b": 1}, "l": [1]}, {"a": {"$patch": "replace", "c": 2}, "l": [2], "x": None}) == {
        "a": {"c": 2},
        "l": [2],
    }
    operations = [
        {"op": "test", "path": "/a", "value": 1}, {"op": "add", "path": "/l/-", "value": 3}, {"op": "add", "path": "/l/0", "value": 0},
        {"op": "replace", "path": "/l/1", "value": 9}, {"op": "remove", "path": "/l/2"}, {"op": "copy", "from": "/a", "path": "/m~1n"},
        {"op": "move", "from": "/a", "path": "/d/e"}, {"op": "remove", "path": "/d/x"}, {"op": "replace", "path": "/o/0/p", "value": 2},
        {"op": "remove", "path": "/o/0/q"},
    ]  # fmt: skip
    start = {"a": 1, "l": [1, 2], "d": {"x": 1}, "o": [{"p": 1, "q": 1}]}
    assert json_patch(start, operations) == {"l": [0, 9, 3], "d": {"e": 1}, "m/n": 1, "o": [{"p": 2}]}
    assert json_patch({}, [{"op": "add", "path": "", "value": 7}]) == 7
    for bad in (
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/zz"}],
        [{"op": "fly", "path": "/a"}],
    ):
        with pytest.raises(ManifestError):
            json_patch({"a": 1}, bad)
