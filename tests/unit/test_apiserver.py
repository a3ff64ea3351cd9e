"""The API: paths, verbs, answers."""

import json

import pytest
from support.api import Client, a_registry
from support.build import pod_object, service_object

from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.status import status_of
from netproxy.core.errors import (
    ApiError,
    ExpiredError,
    KernelError,
    ManifestError,
    Problem,
    StorageError,
    UnavailableError,
    UnsupportedError,
)
from netproxy.objects.kinds import PODS, SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.registry.options import PLAIN
from netproxy.registry.registry import Registry


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
    assert (
        ask("PATCH", f"{base}/web/status", {"status": {"loadBalancer": {}}}, "application/merge-patch+json")[0] == 200
    )
    assert ask("PUT", f"{base}/web", {**merged, "metadata": {**merged["metadata"], "resourceVersion": "1"}})[0] == 409
    assert ask("PUT", f"{base}/web/status", {**service_object(), "status": {"loadBalancer": {}}})[0] == 200
    assert ask("DELETE", f"{base}/web")[0] == 200
    assert ask("DELETE", base)[0] == 200


def test_discovery_and_errors_of_paths():
    ask = Client()
    assert ask("GET", "/api")[1]["versions"] == ["v1"]
    assert "apps" in [g["name"] for g in ask("GET", "/apis")[1]["groups"]]
    assert "deployments" in [r["name"] for r in ask("GET", "/apis/apps/v1")[1]["resources"]]
    assert ask("GET", "/version")[1]["major"] == "1"
    assert isinstance(ask("GET", "/healthz"), Response)
    assert ask("GET", "/nothing").body == b"404 page not found\n"
    for path in ("/api/v1/unicorns", "/apis/apps/v1/pods", "/api/v1/namespaces/default/services/web/scale"):
        assert ask("GET", path)[0] == 404
    assert ask("OPTIONS", "/api/v1/pods")[0] == 405


def test_a_bound_pod_is_marked_and_its_kubelet_finishes():
    ask = Client()
    ask.registry.apply([Loaded(pod_object(), "x")])
    deleted = ask("DELETE", "/api/v1/namespaces/default/pods/web-1", {"gracePeriodSeconds": 3})[1]
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 3
    assert ask.registry.store.count(PODS) == 1


# --- writes

BASE = "/api/v1/namespaces/default"
MERGE = "application/merge-patch+json"


def config_map(**meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}, "data": {"a": "1"}}


def test_an_object_of_the_right_kind_in_the_right_place():
    ask = Client()
    path = f"{BASE}/configmaps"
    assert ask("POST", path, {"metadata": {"name": "plain"}})[0] == 201
    ask("POST", path, config_map())
    for body, message in (
        (
            {"apiVersion": "apps/v1", "kind": "Deployment"},
            (
                'Deployment in version "v1" cannot be handled as a ConfigMap: '
                "converting (v1.Deployment) to (core.ConfigMap): unknown conversion"
            ),
        ),
        (
            {**config_map(), "apiVersion": "v2"},
            (
                'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version '
                '"v2" in scheme "pkg/api/legacyscheme/scheme.go:30"'
            ),
        ),
        (config_map(name="b"), "the name of the object (b) does not match the name on the URL (c)"),
        (config_map(name=""), "the name of the object (c based on URL) was undeterminable: name must be provided"),
        (
            config_map(namespace="other"),
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ):
        status, answer = ask("PUT", f"{path}/c", body)
        assert (status, answer["reason"], answer["message"]) == (400, "BadRequest", message)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_a_bad_request(body):
    ask = Client()
    for method, path in (
        ("POST", f"{BASE}/configmaps"),
        ("PUT", f"{BASE}/configmaps/c"),
        ("POST", f"{BASE}/pods/web-1/binding"),
    ):
        answer = ask.api.handle(Request(method, path, {}, body))
        assert answer.status == 400
        assert b"couldn't get version/kind; json parse error" in answer.body


@pytest.mark.parametrize(
    "obj",
    [
        {"metadata": 5},
        {"metadata": {"name": "a", "labels": 5}},
        {"metadata": {"name": "a"}, "spec": 5},
        {"metadata": {"name": "a"}, "status": 5},
        {"metadata": {"name": 5}},
        {"metadata": {"name": "a", "resourceVersion": 5}},
        {"metadata": {"name": "a"}, "spec": {"ports": {"a": 1}}},
    ],
)
def test_a_wrong_type_is_a_bad_request_and_says_where(obj):
    status, answer = Client()("POST", f"{BASE}/services", obj)
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert answer["message"].startswith('Service in version "v1" cannot be handled as a Service: ')


def test_what_is_invalid_is_said_in_kubernetes_words():
    ask = Client()
    status, one = ask("POST", f"{BASE}/services", service_object(ports=[{"port": 70000, "targetPort": 1}]))
    assert (status, one["reason"]) == (422, "Invalid")
    assert (
        one["message"]
        == 'Service "web" is invalid: spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive'
    )
    assert one["details"]["kind"], one["details"]["name"] == ("Service", "web")
    two = ask("POST", f"{BASE}/services", service_object(ports=[{"port": 0}, {"port": 1}]))[1]
    assert two["message"].startswith('Service "web" is invalid: [spec.ports[0].name: Required value')
    bad = {"metadata": {"name": "d"}, "spec": {}}
    said = ask("POST", "/apis/apps/v1/namespaces/default/deployments", bad)[1]
    assert said["message"].startswith('Deployment.apps "d" is invalid: ')
    assert said["details"]["group"] == "apps"


def test_what_is_wrong_with_it_names_the_object():
    ask = Client()
    ask("POST", f"{BASE}/configmaps", config_map())
    assert ask("GET", f"{BASE}/configmaps/x")[1]["details"] == {"kind": "configmaps", "name": "x"}
    assert ask("POST", f"{BASE}/configmaps", config_map())[1]["details"] == {"kind": "configmaps", "name": "c"}
    assert ask("GET", "/apis/apps/v1/namespaces/default/deployments/d")[1]["details"]["group"] == "apps"
    status, answer = ask("DELETE", "/api/v1/namespaces/kube-system")
    assert (status, answer["reason"]) == (404, "NotFound")
    ask("POST", "/api/v1/namespaces", {"metadata": {"name": "kube-system"}})
    status, answer = ask("DELETE", "/api/v1/namespaces/kube-system")
    assert (status, answer["details"]) == (403, {"kind": "namespaces", "name": "kube-system"})


def test_a_put_leaves_the_status_and_a_put_of_the_status_the_rest():
    ask = Client()
    made = ask("POST", f"{BASE}/services", service_object(type="LoadBalancer"))[1]
    put = ask("PUT", f"{BASE}/services/web", {**made, "status": {"loadBalancer": {"ingress": []}}})[1]
    assert put == made
    status = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4", "ipMode": "VIP"}]}}
    other = {**made, "spec": {"type": "LoadBalancer"}, "status": status}
    written = ask("PUT", f"{BASE}/services/web/status", other)[1]
    assert (written["spec"], written["status"]) == (made["spec"], status)
    assert ask("GET", f"{BASE}/services/web/status")[1] == written


def test_dry_runs_store_nothing():
    ask = Client()
    assert ask("POST", f"{BASE}/services", service_object("dry"), dryRun="All")[0] == 201
    made = ask("POST", f"{BASE}/services", service_object())[1]
    for method, path, body, kind in (
        ("PUT", "", service_object(selector={"a": "b"}), "application/json"),
        ("PUT", "/status", {**service_object(), "status": {}}, "application/json"),
        ("PATCH", "", {"metadata": {"labels": {"a": "b"}}}, MERGE),
        ("DELETE", "", {"dryRun": ["All"]}, "application/json"),
        ("DELETE", "", None, "application/json"),
    ):
        assert ask(method, f"{BASE}/services/web{path}", body, kind, dryRun="All")[0] == 200
    assert ask("DELETE", f"{BASE}/services", dryRun="All")[0] == 200
    assert ask("GET", f"{BASE}/services/web")[1] == made
    assert len(ask("GET", f"{BASE}/services")[1]["items"]) == 1
    status, answer = ask("POST", f"{BASE}/services", service_object("dry"), dryRun="Server")
    assert (status, answer["message"]) == (
        422, 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Server"]: supported values: "All"'
    )  # fmt: skip
    assert answer["details"]["group"] == "meta.k8s.io"


def test_a_pod_is_bound_by_the_scheduler():
    ask = Client()
    pod = pod_object()
    del pod["spec"]["nodeName"]
    ask("POST", f"{BASE}/pods", pod)
    path = f"{BASE}/pods/web-1/binding"
    binding = {"metadata": {"name": "web-1"}, "target": {"name": "n1"}}
    assert ask("POST", path, {**binding, "metadata": {}})[0] == 400
    assert ask("POST", path, {**binding, "target": {"name": ""}})[0] == 500
    assert ask("POST", path, binding, dryRun="All")[0] == 201
    assert ask("POST", path, binding)[0] == 201
    assert ask("POST", path, {**binding, "target": {"name": "n2"}})[0] == 409
    assert ask("GET", f"{BASE}/pods/web-1")[1]["spec"]["nodeName"] == "n1"
    for method, sub in (("GET", "binding"), ("POST", "status"), ("DELETE", "status")):
        assert ask(method, f"{BASE}/pods/web-1/{sub}")[0] == 405


def test_a_namespace_is_finalized():
    ask = Client()
    made = ask("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})[1]
    assert ask("DELETE", "/api/v1/namespaces/team")[1]["status"]["phase"] == "Terminating"
    status, answer = ask("POST", "/api/v1/namespaces/team/configmaps", config_map())
    assert (status, answer["reason"], answer["details"]["name"]) == (403, "Forbidden", "c")
    assert ask("PUT", "/api/v1/namespaces/team/finalize", {**made, "spec": {}, "metadata": {"name": "team"}})[0] == 200
    assert ask("GET", "/api/v1/namespaces/team")[0] == 404


# --- deletions


def test_a_deletion_answers_that_it_is_done_or_what_is_left():
    ask = Client()
    made = ask("POST", f"{BASE}/configmaps", config_map())[1]
    done = ask("DELETE", f"{BASE}/configmaps/c")[1]
    details = {"kind": "configmaps", "name": "c", "uid": made["metadata"]["uid"]}
    assert (done["kind"], done["status"], done["details"]) == ("Status", "Success", details)
    ask("POST", f"{BASE}/configmaps", config_map(finalizers=["x/a"]))
    held = ask("DELETE", f"{BASE}/configmaps/c")[1]
    assert held["metadata"]["deletionTimestamp"]
    ask("POST", f"{BASE}/services", service_object())
    assert ask("DELETE", f"{BASE}/services/web")[1]["kind"] == "Service"


def test_preconditions_of_a_deletion():
    ask = Client()
    meta = ask("POST", f"{BASE}/configmaps", config_map())[1]["metadata"]
    for wanted in ({"uid": "other"}, {"resourceVersion": "7"}):
        status, answer = ask("DELETE", f"{BASE}/configmaps/c", {"preconditions": wanted})
        assert (status, answer["reason"]) == (409, "Conflict")
    right = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    assert ask("DELETE", f"{BASE}/configmaps/c", {"preconditions": right})[0] == 200


@pytest.mark.parametrize(
    ("body", "query", "finalizers"),
    [
        ({"propagationPolicy": "Foreground"}, {}, ["foregroundDeletion"]),
        (None, {"propagationPolicy": "Orphan"}, ["orphan"]),
        ({"orphanDependents": True}, {}, ["orphan"]),
        (None, {"orphanDependents": "false"}, None),
        ({}, {}, None),
    ],
)
def test_propagation_of_a_deletion(body, query, finalizers):
    ask = Client()
    ask("POST", f"{BASE}/configmaps", config_map())
    gone = ask("DELETE", f"{BASE}/configmaps/c", body, **query)[1]
    assert gone["metadata"].get("finalizers") == finalizers


@pytest.mark.parametrize(
    ("body", "query", "status"),
    [
        ("{", {}, 400),
        ("[]", {}, 400),
        ('{"gracePeriodSeconds": "abc"}', {}, 400),
        ('{"gracePeriodSeconds": 1.5}', {}, 400),
        ('{"preconditions": 5}', {}, 400),
        ('{"preconditions": {"uid": 5}}', {}, 400),
        ('{"propagationPolicy": 5}', {}, 400),
        ('{"dryRun": "All"}', {}, 400),
        ('{"orphanDependents": "x"}', {}, 400),
        ('{"propagationPolicy": "Sideways"}', {}, 422),
        ('{"propagationPolicy": "Orphan", "orphanDependents": true}', {}, 422),
        ('{"dryRun": ["Some"]}', {}, 422),
        ("", {"gracePeriodSeconds": "abc"}, 400),
        ("", {"gracePeriodSeconds": "\u00b2"}, 400),
        ("", {"gracePeriodSeconds": "9" * 30}, 400),
        ("", {"propagationPolicy": "x"}, 422),
        ("", {"dryRun": ""}, 422),
    ],
)
def test_options_of_a_deletion_that_are_none(body, query, status):
    ask = Client()
    ask("POST", f"{BASE}/configmaps", config_map())
    answer = ask.api.handle(Request("DELETE", f"{BASE}/configmaps/c", query, body.encode()))
    assert answer.status == status
    assert ask("GET", f"{BASE}/configmaps/c")[0] == 200


EVENT = {
    "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "n", "reason": "R",
    "type": "Normal", "action": "a", "reportingController": "c", "reportingInstance": "i",
    "eventTime": "2020-01-01T00:00:00.000000Z",
}  # fmt: skip


def test_options_of_the_deletion_of_many_are_looked_at_before_any():
    ask = Client()
    assert ask("DELETE", f"{BASE}/configmaps", {"gracePeriodSeconds": "x"})[0] == 400
    new = "/apis/events.k8s.io/v1/namespaces/default/events"
    for name, reason in (("a", "R"), ("b", "S")):
        ask("POST", new, {**EVENT, "metadata": {"name": name}, "reason": reason})
    gone = ask("DELETE", new, fieldSelector="reason=R")[1]["items"]
    assert [(event["metadata"]["name"], event["note"]) for event in gone] == [("a", "n")]
    assert len(ask("GET", new)[1]["items"]) == 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("limit", "x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("limit", "", 'strconv.ParseInt: parsing "": invalid syntax'),
        ("limit", "\u00b2", 'strconv.ParseInt: parsing "\u00b2": invalid syntax'),
        ("limit", "9" * 20, f'strconv.ParseInt: parsing "{"9" * 20}": value out of range'),
        ("timeoutSeconds", "1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ("fieldSelector", "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ("fieldSelector", "metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
        ("fieldSelector", r"metadata.name=a\b", r"invalid field selector: invalid escape sequence: \b"),
        ("fieldSelector", "metadata.name=a\\", "invalid field selector: invalid escape sequence: \\"),
        ("fieldSelector", "spec.foo=bar", '"spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("fieldSelector", " metadata.name=a", '" metadata.name" is not a known field selector: only "metadata.name", "metadata.namespace"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("method", "more"), [("GET", {}), ("GET", {"watch": "1"}), ("DELETE", {})])
def test_what_objects_are_picked_by_must_be_readable(method: str, more: dict, option: str, value: str, said: str):
    ask = Client()
    ask("POST", f"{BASE}/configmaps", config_map())
    status, answer = ask(method, f"{BASE}/configmaps", **{option: value}, **more)
    assert (status, answer["reason"], answer["message"]) == (400, "BadRequest", said)
    assert len(ask("GET", f"{BASE}/configmaps")[1]["items"]) == 1


@pytest.mark.parametrize(
    ("plural", "label", "code"),
    [
        ("pods", "status.podIP", 200),
        ("pods", "spec.replicas", 400),
        ("services", "spec.type", 200),
        ("services", "spec.selector", 400),
        ("events", "involvedObject.name", 200),
        ("events", "note", 400),
        ("endpoints", "metadata.namespace", 200),
    ],
)
def test_each_kind_has_its_fields(plural: str, label: str, code: int):
    status, answer = Client()("GET", f"{BASE}/{plural}", fieldSelector=rf"metadata.name!=x\,y,{label}=")
    assert status == code
    assert code == 200 or answer["message"] == f"field label not supported: {label}"


def test_what_a_patch_must_leave():
    ask = Client()
    ask("POST", f"{BASE}/configmaps", config_map())
    for body, code, message in (
        (
            {"metadata": {"name": None}},
            400,
            "the name of the object (c based on URL) was undeterminable: name must be provided",
        ),
        ({"metadata": {"name": "x"}}, 400, "the name of the object (x) does not match the name on the URL (c)"),
        (
            {"metadata": {"namespace": "x"}},
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ):
        status, answer = ask("PATCH", f"{BASE}/configmaps/c", body, MERGE)
        assert (status, answer["message"]) == (code, message)


def test_a_made_up_name_is_known_to_everything_that_is_filled_in():
    made = Client()("POST", "/api/v1/namespaces", {"metadata": {"generateName": "team-"}})[1]["metadata"]
    assert made["labels"] == {"kubernetes.io/metadata.name": made["name"]}


def test_grace_in_the_query():
    ask = Client()
    ask("POST", f"{BASE}/pods", pod_object())
    assert (
        ask("DELETE", f"{BASE}/pods/web-1", gracePeriodSeconds="-1")[1]["metadata"]["deletionGracePeriodSeconds"] == 1
    )


# --- lists and watches


def test_reading_changes_nothing():
    ask = Client()
    ask("POST", f"{BASE}/services", service_object())
    before = ask.registry.store.version, list(ask.registry.store.all(SERVICES))
    for path in ("/services", "/services/web", "/services/web/status"):
        ask("GET", BASE + path)
    assert (ask.registry.store.version, list(ask.registry.store.all(SERVICES))) == before


def test_events_are_the_same_in_both_groups():
    ask = Client()
    new = "/apis/events.k8s.io/v1/namespaces/default/events"
    assert ask("POST", new, EVENT)[1]["note"] == "n"
    assert ask("GET", f"{BASE}/events/e")[1]["message"] == "n"
    assert [e["note"] for e in ask("GET", new)[1]["items"]] == ["n"]
    assert ask("GET", f"{new}/none")[1]["message"] == 'events.events.k8s.io "none" not found'
    assert ask("POST", f"{BASE}/events", {"metadata": {"name": "e"}})[0] == 409
    assert ask("DELETE", f"{new}/e")[1]["details"]["group"] == "events.k8s.io"
    assert ask("GET", f"{BASE}/events")[1]["items"] == []


def test_the_versions_of_a_group():
    ask = Client()
    group = ask("GET", "/apis/autoscaling")[1]
    assert [v["version"] for v in group["versions"]] == ["v2", "v1"]
    assert group["preferredVersion"]["version"] == "v2"
    subs = {r["name"]: r["verbs"] for r in ask("GET", "/api/v1")[1]["resources"]}
    assert (subs["pods/binding"], subs["namespaces/finalize"]) == (["create"], ["update"])
    assert ask("GET", "/api/v1/namespaces/a/nodes")[0] == 404
    assert ask("GET", "/api/v1/nodes/a/status/more")[0] == 404


# --- faults of ours


class Broken(Registry):
    """A registry with a fault."""

    error: Exception = RuntimeError("a fault")

    def create(self, obj, options=PLAIN):
        raise self.error


def test_a_fault_of_ours_is_an_answer_and_is_logged(caplog):
    registry = a_registry()
    ask = Client(Broken(registry.store, registry.cluster))
    status, answer = ask("POST", f"{BASE}/configmaps", config_map())
    assert (status, answer["reason"], answer["message"]) == (500, "InternalError", "a fault")
    assert "POST /api/v1/namespaces/default/configmaps" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (StorageError("no space: free some"), 500, "InternalError"),
        (KernelError("no"), 500, "InternalError"),
        (ExpiredError("old"), 410, "Expired"),
        (UnsupportedError("no"), 415, "UnsupportedMediaType"),
        (UnavailableError(0, "", "later"), 503, None),
        (ApiError(418, "", "tea"), 418, None),
    ],
)
def test_every_error_has_a_status(error, status, reason):
    registry = a_registry()
    broken = Broken(registry.store, registry.cluster)
    broken.error = error
    code, answer = Client(broken)("POST", f"{BASE}/configmaps", config_map())
    assert (code, answer.get("reason"), answer["message"]) == (status, reason, str(error))


def test_outside_of_the_kubernetes_api_each_cause_names_its_object():
    problem = Problem("spec.x", "Invalid value", "Service default/a", "file.yaml")
    answer = json.loads(status_of(ManifestError([problem])).body)
    assert answer["details"]["causes"][0] == {
        "reason": "FieldValueInvalid", "message": "Invalid value", "field": "spec.x", "object": "Service default/a",
        "source": "file.yaml",
    }  # fmt: skip


@pytest.mark.parametrize("patch", ["x", 5, [1]])
def test_a_patch_that_leaves_no_object_is_a_bad_request(patch):
    ask = Client()
    ask("POST", f"{BASE}/services", service_object())
    status, answer = ask("PATCH", f"{BASE}/services/web", patch, content_type="application/merge-patch+json")
    assert (status, answer["reason"]) == (400, "BadRequest")
    whole = [{"op": "replace", "path": "", "value": patch}]
    status, answer = ask("PATCH", f"{BASE}/services/web", whole, content_type="application/json-patch+json")
    assert (status, answer["reason"]) == (422, "Invalid")


def test_a_table_shows_events_whatever_is_in_them():
    ask = Client()
    odd = {**EVENT, "involvedObject": [], "lastTimestamp": "80"}
    assert ask("POST", "/apis/events.k8s.io/v1/namespaces/default/events", odd)[0] == 201
    status, answer = ask("GET", f"{BASE}/events", accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert (status, answer["rows"][0]["cells"][0]) == (200, "<invalid>"), "it will happen"


def test_a_pod_is_bound_to_something_with_a_name():
    ask = Client()
    ask("POST", f"{BASE}/pods", pod_object())
    status, answer = ask("POST", f"{BASE}/pods/{pod_object()['metadata']['name']}/binding", {"target": "node1"})
    assert status == 400
    assert answer["message"].endswith("into Go struct field Binding.target of type v1.ObjectReference")


PODS_PATH = "/api/v1/namespaces/default/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    "status",
    [
        {"podIPs": [{}]},
        {"podIPs": [{"ip": "nonsense"}]},
        {"containerStatuses": [{"name": "c", "restartCount": None}]},
        {"containerStatuses": [{"name": "c", "state": {"waiting": None}}]},
        {"conditions": [{"type": None}]},
    ],
)
def test_no_status_breaks_the_list(status):
    ask = Client()
    ask("POST", PODS_PATH, pod_object())
    assert ask("PUT", f"{PODS_PATH}/web-1/status", {"metadata": {"name": "web-1"}, "status": status})[0] in (200, 422)
    assert ask("GET", PODS_PATH, accept=TABLE)[0] == 200


def test_what_is_null_is_not_there_or_empty():
    ask = Client()
    pod = pod_object(spec={"hostname": None, "containers": [{"name": "c", "image": "a", "args": [None]}]})
    made = ask("POST", PODS_PATH, pod)[1]
    assert "hostname" not in made["spec"]
    assert made["spec"]["containers"][0]["args"] == [""]


def test_a_grace_period_without_an_end_is_a_long_one():
    ask = Client()
    ask.registry.apply([Loaded(pod_object(), "x")])
    code, deleted = ask("DELETE", f"{PODS_PATH}/web-1", gracePeriodSeconds="9" * 18)
    assert (code, deleted["metadata"]["deletionGracePeriodSeconds"]) == (200, 10**10)


def test_what_is_asked_wrong_is_no_failure_of_ours():
    ask = Client()
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "a"}
    code, said = ask("POST", PODS_PATH, pod_object(metadata={"ownerReferences": [owner]}))
    assert (code, said["details"]["causes"][0]["field"]) == (422, "metadata.ownerReferences.uid")
