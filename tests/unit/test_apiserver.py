"""The API: paths, verbs, answers."""

import pytest
from support.api import Client
from support.build import pod_object, service_object, slice_object

from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.tables import node_status
from netproxy.objects.kinds import PODS
from netproxy.objects.manifest import Loaded


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
    ask.registry.apply([Loaded(pod_object(), "x")])
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


@pytest.mark.parametrize(
    ("conditions", "shown"),
    [
        pytest.param([], "NotReady", id="nothing is known"),
        pytest.param([{"type": "Ready", "status": "True"}], "Ready", id="ready"),
        pytest.param([{"type": "Ready", "status": "Unknown"}], "NotReady", id="unknown"),
        pytest.param([{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "True", "reason": "RulesNotWritten"}],
                     "NotReady,RulesNotWritten", id="its rules cannot be written"),
        pytest.param([{"type": "NetworkUnavailable", "status": "True"}], "NotReady,NetworkUnavailable", id="no reason"),
        pytest.param([{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "False"}], "Ready", id="they are again"),
    ],
)  # fmt: skip
def test_a_node_whose_rules_cannot_be_written_is_not_ready(conditions: list[dict[str, str]], shown: str):
    assert node_status({"kind": "Node", "status": {"conditions": conditions}}) == shown
