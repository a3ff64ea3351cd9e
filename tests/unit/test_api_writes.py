"""What the API says of writes that no recording has."""

import pytest
import yaml
from support.api import Client
from support.build import pod_object, service_object

from netproxy.apiserver.body import MOST_BYTES
from netproxy.apiserver.request import Request
from netproxy.apiserver.yamlbody import yaml_value
from netproxy.objects.kinds import IP_ADDRESSES
from netproxy.objects.meta import labels, name
from netproxy.registry.scale import selector_text

PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
MERGE = "application/merge-patch+json"


def a_budget(called="b", selector=None):
    spec = {"minAvailable": 1, "selector": selector or {"matchLabels": {"app": "web"}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": called}, "spec": spec}


def an_eviction(**more):
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}, **more}


@pytest.fixture
def ask():
    """A client of a cluster with a Pod that runs."""
    client = Client()
    assert client("POST", PODS, pod_object("web", labels={"app": "web"}))[0] == 201
    assert client("PATCH", f"{PODS}/web/status", {"status": {"phase": "Running"}}, MERGE)[0] == 200
    return client


def test_a_pod_with_two_budgets_is_not_evicted(ask):
    for called in ("one", "two"):
        assert ask("POST", BUDGETS, a_budget(called))[0] == 201
    status, answer = ask("POST", f"{PODS}/web/eviction", an_eviction())
    assert status == 500
    assert "more than one PodDisruptionBudget" in answer["message"]


@pytest.mark.parametrize(
    ("seen", "code", "said"),
    [
        ({"disruptionsAllowed": 1}, 429, "is still being processed by the server"),
        ({"observedGeneration": 1, "disruptionsAllowed": -1}, 403, "pdb disruptions allowed is negative"),
        ({"observedGeneration": 1, "disruptionsAllowed": 0}, 429, "needs 0 healthy pods and has 0 currently"),
        ({"observedGeneration": 1, "disruptionsAllowed": 1}, 201, ""),
        (
            {"observedGeneration": 1, "disruptionsAllowed": 1, "disruptedPods": {f"p{at}": None for at in range(2001)}},
            403, "DisruptedPods map too big",
        ),
    ],
)  # fmt: skip
def test_what_a_budget_says_of_an_eviction(ask, seen, code, said):
    ask("POST", BUDGETS, a_budget())
    budget = ask("GET", f"{BUDGETS}/b")[1]
    with ask.registry.transaction() as change:  # no client could say all of it
        change.replace({**budget, "status": seen})
    status, answer = ask("POST", f"{PODS}/web/eviction", an_eviction())
    causes = (answer.get("details") or {}).get("causes") or [{}]
    assert status == code
    assert said in causes[0].get("message", "") + answer["message"] if said else answer["status"] == "Success"


def test_dry_runs_of_an_eviction_agree(ask):
    evict = (f"{PODS}/web/eviction", an_eviction(deleteOptions={"dryRun": ["All"]}))
    assert ask("POST", *evict, dryRun="All")[0] == 201
    assert ask("POST", *evict)[0] == 201
    assert ask("GET", f"{PODS}/web")[0] == 200
    other = an_eviction(deleteOptions={"dryRun": ["all"]})
    status, answer = ask("POST", f"{PODS}/web/eviction", other, dryRun="All")
    assert status == 500
    assert answer["message"] == "Non-matching dry-run options in request and content: [All] and [all]"


def test_the_words_of_a_selector():
    expressions = [
        {"key": "tier", "operator": "In", "values": ["b", "a"]}, {"key": "env", "operator": "NotIn", "values": ["x"]},
        {"key": "there", "operator": "Exists"}, {"key": "gone", "operator": "DoesNotExist"},
    ]  # fmt: skip
    text = selector_text({"matchLabels": {"app": "web"}, "matchExpressions": expressions})
    assert text == "app=web,env notin (x),!gone,there,tier in (a,b)"


def test_options_of_a_deletion_in_yaml(ask):
    answer = ask.api.handle(Request("DELETE", f"{PODS}/web", {}, b"dryRun: [All]\n", "application/yaml", ""))
    assert answer.status == 200
    assert ask("GET", f"{PODS}/web")[0] == 200


def test_a_body_has_its_limits(ask):
    answer = ask.api.handle(Request("POST", PODS, {}, b" " * (MOST_BYTES + 1), "application/json", ""))
    assert answer.status == 413
    assert b"Request entity too large: limit is 3145728" in answer.body


def test_keys_that_are_there_twice_in_yaml():
    value, told = yaml_value(b"list:\n- a: 1\n  a: 2\nb: 1\nb: 2\n")
    assert value == {"list": [{"a": 2}], "b": 2}
    assert list(told) == ['line 3: key "a" already set in map', 'line 5: key "b" already set in map']
    with pytest.raises(ValueError, match=r"yaml: .*key"):
        yaml_value(b"[a]: 1\nb: 1\nb: 2\n")


def test_addresses_of_a_service_may_have_been_made_and_removed_before():
    ask, base = Client(), "/api/v1/namespaces/default/services"
    addresses = "/apis/networking.k8s.io/v1/ipaddresses"
    service = ask("POST", base, service_object())[1]
    (ip,) = (name(item) for item in ask.registry.store.all(IP_ADDRESSES) if labels(item))
    assert ip == service["spec"]["clusterIP"]
    assert ask("DELETE", f"{addresses}/{ip}")[0] == 200
    assert ask("DELETE", f"{base}/web")[0] == 200
    assert [name(item) for item in ask.registry.store.all(IP_ADDRESSES)] == []
    parent = {"resource": "services", "namespace": "default", "name": "web"}
    early = {"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": ip}}
    assert ask("POST", addresses, {**early, "spec": {"parentRef": parent}})[0] == 201
    assert ask("POST", base, service_object(clusterIP=ip))[0] == 201
    assert [name(item) for item in ask.registry.store.all(IP_ADDRESSES)] == [ip]


def test_the_same_once_more_is_no_new_state(ask):
    pod = ask("GET", f"{PODS}/web")[1]
    body = yaml.safe_dump({"metadata": {"labels": {"app": "web"}}}).encode()
    assert ask.api.handle(Request("PATCH", f"{PODS}/web", {}, body, MERGE, "")).status == 400
    again = ask("PATCH", f"{PODS}/web", {"metadata": {"labels": {"app": "web"}}}, MERGE)[1]
    assert again["metadata"]["resourceVersion"] == pod["metadata"]["resourceVersion"]


@pytest.mark.parametrize("kind", ["Cluster", "Image"])
def test_metadata_of_our_own_kinds_have_the_types_of_all_metadata(ask, kind):
    body = {"apiVersion": "netproxy.dev/v1alpha1", "kind": kind, "metadata": {"name": "a", "labels": {"a": True}}}
    status, answer = ask("POST", f"/apis/netproxy.dev/v1alpha1/{kind.lower()}s", body)
    assert status == 400
    assert (
        "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string"
        in answer["message"]
    )


@pytest.mark.parametrize(
    ("path", "kind", "right", "wrong", "place"),
    [
        ("/apis/kubeproxy.config.k8s.io/v1alpha1/kubeproxyconfigurations", "KubeProxyConfiguration", {},
         {"iptables": {"masqueradeBit": -1}}, "masqueradeBit"),
        ("/apis/netproxy.dev/v1alpha1/clusters", "Cluster", {"spec": {"nodes": 1}}, {"spec": {"nodes": 0}}, "spec.nodes"),
    ],
)  # fmt: skip
def test_our_own_kinds_are_checked_when_they_come_and_when_they_change(ask, path, kind, right, wrong, place):
    obj = {"apiVersion": path.split("/", 2)[2].rpartition("/")[0], "kind": kind, "metadata": {"name": "x"}}
    code, said = ask("POST", path, {**obj, **wrong})
    assert (code, place in said["message"]) == (422, True), said
    assert ask("POST", path, {**obj, **right})[0] == 201
    assert ask("PUT", f"{path}/x", {**obj, **wrong})[0] == 422
    assert ask("PATCH", f"{path}/x", wrong, "application/merge-patch+json")[0] == 422
