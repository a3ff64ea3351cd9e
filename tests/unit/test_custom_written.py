"""Definitions on their way out, and objects that are managed in several of their versions."""

import pytest
from support.api import Client

from netproxy.core.names import NamespacedName

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = "widgets.example.com"
MERGE = "application/merge-patch+json"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
SIZE = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}


def version(name, *, storage=False, scaled=False):
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": SIZE},
            **({"subresources": {"scale": scale}} if scaled else {})}  # fmt: skip


def a_definition(name=NAME, kind="Widget", finalizers=()):
    plural = name.partition(".")[0]
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": name, "finalizers": list(finalizers)},
            "spec": {"group": "example.com", "scope": "Cluster", "names": {"plural": plural, "singular": plural[:-1], "kind": kind},
                     "versions": [version("v1", storage=True, scaled=True), version("v2")]}}  # fmt: skip


@pytest.fixture
def ask():
    client = Client()
    status, made = client("POST", DEFINITIONS, a_definition())
    assert status == 201, made
    return client


def finalizers(answer):
    return answer[1]["metadata"].get("finalizers")


def test_a_definition_that_somebody_holds_stays_when_its_objects_are_gone():
    ask = Client()
    ask("POST", DEFINITIONS, a_definition(finalizers=["example.com/mine"]))
    ask(
        "POST",
        "/apis/example.com/v1/widgets",
        {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}},
    )
    ask("DELETE", f"{DEFINITIONS}/{NAME}")
    assert ask("GET", "/apis/example.com/v1/widgets")[1]["items"] == []
    assert finalizers(ask("GET", f"{DEFINITIONS}/{NAME}")) == ["example.com/mine"]
    held = ask("PATCH", f"{DEFINITIONS}/{NAME}", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    assert (held[0], finalizers(held)) == (200, ["example.com/mine"])
    ask("PATCH", f"{DEFINITIONS}/{NAME}", {"metadata": {"finalizers": None}}, MERGE)
    assert ask("GET", f"{DEFINITIONS}/{NAME}")[0] == 404


def test_a_definition_whose_names_are_taken_has_nothing_to_end(ask):
    status, _ = ask("POST", DEFINITIONS, a_definition("others.example.com", finalizers=[CLEANUP]))
    conditions = {
        item["type"]: item["status"]
        for item in ask("GET", f"{DEFINITIONS}/others.example.com")[1]["status"]["conditions"]
    }
    assert (status, conditions["NamesAccepted"]) == (201, "False")
    ask("DELETE", f"{DEFINITIONS}/others.example.com")
    assert ask("GET", f"{DEFINITIONS}/others.example.com")[0] == 404
    assert ask("GET", f"{DEFINITIONS}/{NAME}")[0] == 200


def managers(answer):
    return {
        (entry["manager"], entry["apiVersion"], entry.get("subresource", "")): entry["fieldsV1"]
        for entry in answer[1]["metadata"]["managedFields"]
    }


def test_each_manager_has_fields_in_the_version_that_it_wrote(ask):
    path, size = "/apis/example.com/{}/widgets/a", {"f:spec": {".": {}, "f:size": {}}}
    ask("POST", "/apis/example.com/v2/widgets",
        {"apiVersion": "example.com/v2", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}}, fieldManager="one")  # fmt: skip
    seen = ask("PATCH", path.format("v1"), {"metadata": {"labels": {"x": "y"}}}, MERGE, fieldManager="two")
    labels = {"f:metadata": {"f:labels": {".": {}, "f:x": {}}}}
    assert managers(seen) == {("one", "example.com/v2", ""): size, ("two", "example.com/v1", ""): labels}
    more = ask("PATCH", path.format("v2"), {"spec": {"size": 2}}, MERGE, fieldManager="three")
    assert managers(more)["three", "example.com/v2", ""] == {"f:spec": {"f:size": {}}}
    status, scale = ask("PATCH", f"{path.format('v1')}/scale", {"spec": {"replicas": 5}}, MERGE, fieldManager="four")
    assert (status, scale["spec"]) == (200, {"replicas": 5})
    assert managers(ask("GET", path.format("v1"))) == managers(
        more
    )  # as kube-apiserver, which cannot tell a scale in v2


def test_who_manages_a_version_that_is_no_more_is_forgotten_with_the_scale(ask):
    entry = {"manager": "old", "operation": "Update", "apiVersion": "example.com/v9", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:spec": {"f:size": {}}}}  # fmt: skip
    ask("POST", "/apis/example.com/v1/widgets",
        {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}}, fieldManager="one")  # fmt: skip
    path = "/apis/example.com/v1/widgets/a"
    with ask.registry.transaction() as change:
        resource = ask.registry.customs.by_path("example.com/v1", "widgets")
        obj = change.get(resource, NamespacedName("", "a"))
        entries = [*obj["metadata"]["managedFields"], entry]
        change.replace({**obj, "metadata": {**obj["metadata"], "managedFields": entries}}, resource)
    ask("PATCH", f"{path}/scale", {"spec": {"replicas": 2}}, MERGE, fieldManager="two")
    assert {(who, way) for who, _, way in managers(ask("GET", path))} == {("one", ""), ("two", "scale")}
