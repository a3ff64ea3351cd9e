"""Paths that name no resource: what is served, what it looks like, how the server is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.build import FixedClock

from netproxy.apiserver import discovery, openapi
from netproxy.apiserver.pages import page, paths
from netproxy.apiserver.paths import target_of
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.tokens import CONFIGURATION, KEYS
from netproxy.core.errors import ApiError
from netproxy.objects.kinds import PODS, RESOURCES, Resource
from netproxy.serve.metrics import Requests, text
from netproxy.store.store import Store

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
KUBECTL = f"{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"


def ask(path: str, *, method: str = "GET", accept: str = "application/json", **query: str) -> Response:
    found = page(Request(method, path, query, accept=accept), RESOURCES)
    assert found is not None
    return found


def body(path: str, **how: Any) -> Any:
    return json.loads(ask(path, **how).body)


def test_every_path_that_is_listed_leads_somewhere():
    for path in paths(RESOURCES):
        if path not in ("/metrics", CONFIGURATION, KEYS):  # whoever has the numbers and the key answers those
            assert ask(path).status == 200, path
    assert set(body("/")["paths"]) >= {"/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/openapi/v3/apis/apps/v1"}


def test_the_plain_and_the_aggregated_form_say_the_same():
    plain = {}
    for version in ("v1", *(f"{g}/{v}" for g in discovery.groups(RESOURCES) for v in discovery.versions(RESOURCES, g))):
        for item in body(f"/api/{version}" if version == "v1" else f"/apis/{version}")["resources"]:
            plain[version, item["name"]] = set(item["verbs"])
    whole = {}
    for root in ("/api", "/apis"):
        for group in body(root, accept=AGGREGATED)["items"]:
            for version in group["versions"]:
                at = f"{group['metadata']['name']}/{version['version']}" if group["metadata"] else version["version"]
                for item in version["resources"]:
                    whole[at, item["resource"]] = set(item["verbs"])
                    for part in item.get("subresources", ()):
                        whole[at, f"{item['resource']}/{part['subresource']}"] = set(part["verbs"])
    assert plain == whole


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [(KUBECTL, AGGREGATED), ("application/json", "application/json"), ("*/*", "application/json"), ("", "application/json"),
     (f"{AGGREGATED};profile=local", AGGREGATED), ("text/plain, application/json", "application/json")],
)  # fmt: skip
def test_the_first_form_that_is_known_is_answered(accept, content_type):
    assert ask("/apis", accept=accept).content_type == content_type


def test_a_form_that_is_not_known_is_refused():
    with pytest.raises(ApiError, match="only the following media types are accepted"):
        ask("/apis", accept="application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/apis/nope", 404), ("/apis/nope/v1", 404), ("/apis//apps", 404), ("/api//v1", 404), ("/apis/apps", 200), ("/nope", 404), ("/openapi", 404), ("/openapi/v3/apis/nope/v1", 404),
     ("/openapi/v3/", 404), ("/healthz/ping", 200), ("/healthz/nope", 404), ("/version/", 200), ("/version/x", 404)],
)  # fmt: skip
def test_other_paths(path, status):
    assert ask(path).status == status


@pytest.mark.parametrize("path", ["/apis/apps/v1/deployments", "/api/v1/pods", "/apis/apps/v9", "/api/v2"])
def test_a_path_of_a_resource_is_no_page(path):
    assert page(Request("GET", path), RESOURCES) is None


@pytest.mark.parametrize("path", ["/version", "/apis/apps/v1"])
def test_what_is_only_read_is_not_written(path):
    assert ask(path, method="POST").status == 405


def test_health_tells_its_checks_when_it_is_asked():
    assert ask("/readyz").body == b"ok"
    said = ask("/livez", verbose="", exclude="etcd").body.decode().splitlines()
    assert said == ["[+]ping ok", "[+]log ok", "[+]etcd excluded: ok", "livez check passed"]


def test_a_group_without_a_place_of_its_own_comes_last():
    strange = Resource("example.com", "v1", "things", "Thing")
    assert discovery.groups([PODS, strange])[-1] == "example.com"
    assert discovery.one_group([strange], "example.com")["preferredVersion"]["groupVersion"] == "example.com/v1"


# --- OpenAPI


def references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {name for item in schema for name in references(item)}
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return own | {name for value in schema.values() for name in references(value)}


def test_a_document_is_whole_and_its_url_is_that_of_the_index():
    for name, entry in body("/openapi/v3")["paths"].items():
        path, _, found = entry["serverRelativeURL"].partition("?hash=")
        document = body(path, hash=found)
        there = {f"#/components/schemas/{schema}" for schema in document["components"]["schemas"]}
        assert references(document) <= there, name


def test_an_old_url_of_a_document_leads_to_the_new_one():
    moved = ask("/openapi/v3/apis/apps/v1", hash="00")
    assert moved.status == 301
    assert dict(moved.headers)["Location"] == openapi.index(RESOURCES)["paths"]["apis/apps/v1"]["serverRelativeURL"]


def _nothings(document: Any, at: str = "") -> list[str]:
    """Where a document has a list or a map of nothing: who reads it into Go's types and writes it again does not."""
    if isinstance(document, list):
        return [at] * (not document) + [place for item in document for place in _nothings(item, at)]
    if isinstance(document, dict):
        return [at] * (not document) + [
            place for key, item in document.items() for place in _nothings(item, f"{at}/{key}")
        ]
    return []


@pytest.mark.parametrize("path", ["apis/apps/v1", "apis/apiextensions.k8s.io/v1", "apis/autoscaling/v2"])
def test_a_document_has_no_list_of_nothing(path: str) -> None:
    assert _nothings(body(f"/openapi/v3/{path}")) == []


def test_a_patch_says_what_kubectl_looks_for():
    document = body("/openapi/v3/apis/apps/v1")
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {parameter["name"] for parameter in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    fields = document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"]["properties"]
    assert fields["spec"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec"}]


def test_documents_say_which_values_a_field_may_have_and_which_types_a_quantity():
    schemas = body("/openapi/v3/api/v1")["components"]["schemas"]
    protocol = schemas["io.k8s.api.core.v1.ServicePort"]["properties"]["protocol"]
    assert protocol["enum"] == ["SCTP", "TCP", "UDP"]
    assert '\n - `"TCP"` is the TCP protocol.' in protocol["description"]
    modes = schemas["io.k8s.api.core.v1.PersistentVolumeClaimSpec"]["properties"]["accessModes"]
    assert modes["items"]["enum"] == ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
    assert "enum" not in schemas["io.k8s.api.core.v1.Service"]["properties"]["kind"]
    quantity, either = (
        f"io.k8s.apimachinery.pkg.{name}" for name in ("api.resource.Quantity", "util.intstr.IntOrString")
    )
    assert schemas[quantity]["oneOf"] == [{"type": "string"}, {"type": "number"}]
    assert schemas[either]["oneOf"] == [{"type": "integer"}, {"type": "string"}]
    assert "type" not in schemas[either]
    older = body("/openapi/v2")["definitions"][either]
    assert (older["type"], older["format"], "oneOf" in older) == ("string", "int-or-string", False)


def test_the_older_document_has_the_same_definitions():
    document = body("/openapi/v2")
    assert document["swagger"] == "2.0"
    assert references(document["definitions"]) <= {f"#/definitions/{name}" for name in document["definitions"]}


# --- metrics


def test_requests_are_counted_by_resource_and_code():
    requests = Requests()
    requests.add("GET", target_of("/api/v1/pods"), 200, 0.003)
    requests.add("GET", target_of("/api/v1/namespaces/a/pods"), 410, 100)
    requests.add("GET", target_of("/api/v1/namespaces/a/pods/b/status"), 200, 1)
    requests.add("GET", None, 200, 1)
    said = text(requests, Store(FixedClock(), lambda: "uid")).decode()
    labels = 'group="",resource="pods",scope="cluster",subresource="",verb="LIST",version="v1"'
    assert f'apiserver_request_total{{code="200",component="apiserver",{labels}}} 1.0' in said
    (first,) = [line for line in said.splitlines() if 'le="0.005"' in line and labels.split(",scope")[1] in line]
    assert first.startswith("apiserver_request_duration_seconds_bucket{")
    assert first.endswith(" 1.0")
    assert 'apiserver_storage_objects{resource="pods"} 0.0' in said
