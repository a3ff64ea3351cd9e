"""Custom kinds: what tests/cases/api-crd does not ask, by the same code."""

import re
from unittest.mock import ANY

import pytest
from support.api import Backing, Client, a_registry, a_store

from netproxy.apiserver.customschema import custom_definitions
from netproxy.apiserver.request import Request
from netproxy.apiserver.tables.custom import custom_printer
from netproxy.core.errors import ApiError, ManifestError
from netproxy.objects.custom.check import NONE, schema_problems
from netproxy.objects.custom.definition import Definition, Scale, precedence
from netproxy.objects.custom.formats import has_format
from netproxy.objects.custom.goregex import matches
from netproxy.objects.custom.jsonpath import found_at
from netproxy.objects.custom.lists import embedded_problems, list_problems
from netproxy.objects.custom.numbers import go_number, whole
from netproxy.objects.custom.rules import rule_problems, typed
from netproxy.objects.custom.structure import pruned, without_nulls
from netproxy.objects.defaulting.definitions import FILLERS
from netproxy.objects.validation.openapischema import internal_form
from netproxy.registry.custompatch import custom_patched
from netproxy.registry.customscale import counts, with_copies
from netproxy.registry.customshape import custom_shape
from netproxy.registry.options import WriteOptions
from netproxy.registry.patch import Patch

ANY_FIELDS = {"x-kubernetes-preserve-unknown-fields": True}
SPEC = {"type": "object", "properties": {"size": {"type": "integer"}, "free": {"type": "object"}}}
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NO_OVERLOAD = (
    "<nil>: Invalid value: \"string\": 'no such overload': call arguments did not match a supported operator, "
    "function or macro signature for rule: self + 1 == 2"
)
TOYS = "/apis/example.com/v1/namespaces/default/toys"


def definition(scope="Namespaced", columns=(), **spec):
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, **spec}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "toys.example.com"},
        "spec": {
            "group": "example.com", "scope": scope, "names": {"plural": "toys", "kind": "Toy"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": schema, "additionalPrinterColumns": [*columns]},
            ],
        },
    }  # fmt: skip


def version(**more):
    obj = definition(**more)
    return Definition({**obj, "status": {"acceptedNames": {**obj["spec"]["names"], "listKind": "ToyList"}}}).version(
        "v1"
    )


def toy(name="a", **more):
    return {"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": name}, **more}


@pytest.fixture
def client():
    client = Client(a_registry(a_store(Backing())))
    assert client("POST", DEFINITIONS, definition())[0] == 201
    return client


def said(problems):
    return [f"{problem.path}: {problem.message}" for problem in problems]


# --- schemas


@pytest.mark.parametrize(
    ("value", "schema", "words"),
    [
        ({"a": 1}, {"allOf": [{"required": ["b"]}, {"required": ["b"]}]}, [
            "b: Required value",
            '<nil>: Invalid value: "": "" must validate all the schemas (allOf). None validated',
        ]),
        ({"a": 1}, {"allOf": [{"required": ["a"]}], "anyOf": [{"required": ["a"]}], "oneOf": [{"required": ["a"]}]}, []),
        ({"a": 1}, {"anyOf": [{"required": ["b"]}]}, [
            '<nil>: Invalid value: "": "" must validate at least one schema (anyOf)', "b: Required value",
        ]),
        ({"a": 1}, {"additionalProperties": False}, ['<nil>: Invalid value: "a": .a in body is a forbidden property']),
        ({"a": "b"}, {"properties": {"a": {"pattern": r"\pN\Q"}}}, []),
        ({"a": [1, 1]}, {"properties": {"a": {"uniqueItems": True}}}, [
            'a: Invalid value: "": a in body shouldn\'t contain duplicates',
        ]),
    ],
)  # fmt: skip
def test_a_schema_refuses(value, schema, words):
    assert said(schema_problems(value, schema)) == words


def test_what_was_wrong_before_and_is_still_the_same_is_no_problem():
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    assert said(schema_problems({"a": 1, "b": 2}, schema, {"a": 1, "b": 1})) == [
        'b: Invalid value: "integer": b in body must be of type string: "integer"'
    ]


@pytest.mark.parametrize(
    ("form", "text"), [("ipv6", "a:b"), ("uri", "http://[x")]
)  # fmt: skip
def test_a_text_has_no_such_format(form, text):
    assert not has_format(form, text)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("a(?i)b|c", "C", True), ("a(?i)b|c", "Ab", False), ("(a(?i)b|c)d", "Cd", True), ("[[:digit:]x[]", "[", True),
        ("(?<n>a)", "a", True), ("^a$", "a\n", False), (r"\pN", "", True),
    ],
)  # fmt: skip
def test_patterns_are_those_of_go(pattern, text, found):
    assert matches(pattern, text) is found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("spec.size", [3]), ("..size", [3]), (".spec.", [{"size": 3, "tags": ["a"]}]), ("..[0]", []), (".spec.tags.[0]", ["a"]),
        (".spec.size[0]", []), (".spec[", []), (".{", []), (r".spec['size']", [3]),
    ],
)  # fmt: skip
def test_places_in_an_object(path, found):
    assert found_at(path, {"spec": {"size": 3, "tags": ["a"]}}) == found


def test_numbers_as_go_has_them():
    assert [go_number(value) for value in (1e21, 1.5e300, 2.0, 0.0)] == ["1e+21", "1.5e+300", "2", "0"]
    assert [whole(value) for value in (float("nan"), float("inf"), 1e300, 2.0, 0.0, 0.5)] == [
        False, False, False, True, True, False,
    ]  # fmt: skip


def test_items_of_a_list_with_keys_are_objects():
    schema = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object"}}
    assert said(list_problems(["x"], schema, "a")) == [
        'a[0]: Invalid value: "x": must be an object for an array of list-type map'
    ]


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ({}, ["a.apiVersion: Required value", "a.kind: Required value"]),
        ({"apiVersion": "a/b/c", "kind": ""}, [
            'a.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
            'a.kind: Invalid value: "": must not be empty',
        ]),
        ({"apiVersion": "v1", "kind": "A_B", "metadata": {"name": "a/b"}}, [ANY, ANY]),
    ],
)  # fmt: skip
def test_objects_in_objects_have_a_kind_and_a_name(obj, words):
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, **ANY_FIELDS}
    assert said(embedded_problems({"a": obj}, {"properties": {"a": embedded}})) == words


# --- rules


@pytest.mark.parametrize(
    ("value", "schema", "words"),
    [
        (None, {"nullable": True}, []),
        ([1], ANY_FIELDS, []),
        (1, {"type": "integer", "x-kubernetes-validations": [{"rule": "self ==="}]}, []),
        ("a", {"type": "string", "x-kubernetes-validations": [{"rule": "self + 1 == 2"}]}, [
            NO_OVERLOAD,
        ]),
        (1, {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "messageExpression": "1 / 0"}]}, [
            "<nil>: Invalid value: 1: failed rule: self > 1",
        ]),
    ],
)  # fmt: skip
def test_rules_refuse(value, schema, words):
    assert [
        re.sub("overload[^']*'", "overload'", text) for text in said(rule_problems(value, schema, NONE, print))
    ] == words


def test_values_as_expressions_see_them():
    schema = {"properties": {"in": {"format": "byte"}, "when": {"format": "duration"}, "a": {"format": "date"}}}
    assert typed({"in": "x", "when": "y", "a": "z"}, schema) == {"__in__": b"x", "when": "y", "a": "z"}


# --- what is kept


def test_items_of_what_keeps_unknown_fields_keep_them_and_nulls_that_are_filled_stay():
    items = {"type": "object", "properties": {"a": {"type": "object"}}}
    schema = {"properties": {"list": {**ANY_FIELDS, "items": items}, "free": {**ANY_FIELDS}}}
    obj = {"list": [{"a": {"b": 1}, "c": 1}], "free": [{"c": 1}]}
    assert pruned(obj, schema) == ({"list": [{"a": {}, "c": 1}], "free": [{"c": 1}]}, ["list[0].a.b"])
    filled = {"properties": {"a": {"type": "string", "default": "x"}, "b": {"type": "string"}}}
    assert without_nulls({"a": None, "b": None}, filled) == {"a": None}


def test_an_object_is_shown_though_its_schema_was_another_one():
    old = toy(spec={"size": 1})
    assert version().seen({**old, "apiVersion": "example.com/v0"}) == old
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, **ANY_FIELDS}
    odd = toy(part={"metadata": 1})
    assert version(part=embedded).seen(odd) == odd
    assert precedence("x1") > precedence("v1alpha1")


def test_a_webhook_is_asked_at_its_usual_port():
    client = {"service": {"name": "a"}}
    made = FILLERS["CustomResourceDefinition"]({"spec": {"conversion": {"webhook": {"clientConfig": client}}}})
    assert made["spec"]["conversion"] == {"webhook": {"clientConfig": {"service": {"name": "a", "port": 443}}}}


def test_a_column_of_an_unknown_type_is_empty_and_alternatives_are_published():
    column = {"name": "Size", "type": "other", "jsonPath": ".spec.size"}
    assert custom_printer(version(columns=[column])).cells(toy(spec={"size": 1}), 0.0) == ["a", None]
    made = custom_definitions([version(pick={"anyOf": [{"type": "string"}]}).resource])
    assert {"anyOf": [{"type": "string"}]} in [each.get("properties", {}).get("pick") for each in made.values()]


# --- definitions


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"columns": [{"name": "A", "jsonPath": ".spec"}]}, "additionalPrinterColumns[0].type: Required value: must be one of"),
        ({"fields": [{"jsonPath": ".metadata.name"}], "metadata": {"type": "object", "properties": {"name": {"type": "string"}}}},
         "must not point to fields in metadata"),
        ({"conversion": {"webhook": {}}}, "spec.conversion.strategy: Required value"),
        ({"a": {"type": "object", "$schema": "x"}}, "OpenAPIV3Schema 'schema' is not supported"),
        ({"a": {"type": "string", "pattern": r"\y"}}, "must be a valid regular expression"),
    ],
)  # fmt: skip
def test_a_definition_is_refused(more, words):
    made = definition(**{field: value for field, value in more.items() if field not in ("fields", "conversion")})
    made["spec"]["versions"][0]["selectableFields"] = more.get("fields", [])
    made["spec"] |= {field: value for field, value in more.items() if field == "conversion"}
    status, said = Client()("POST", DEFINITIONS, made)
    assert (status, words in said["message"]) == (422, True), said["message"]


def test_an_approval_may_stay_what_it_is():
    client, unapproved = Client(), {"api-approved.kubernetes.io": "unapproved, a test"}
    made = definition()
    made["spec"]["group"] = "toys.k8s.io"
    made["metadata"] = {"name": "toys.toys.k8s.io", "annotations": unapproved}
    assert client("POST", DEFINITIONS, made)[0] == 201
    patch = {"metadata": {"labels": {"a": "b"}}}
    path = f"{DEFINITIONS}/toys.toys.k8s.io"
    assert client("PATCH", path, patch, content_type="application/merge-patch+json")[0] == 200


def test_the_form_that_the_server_has_of_a_schema():
    made = internal_form({"additionalProperties": {"type": "string"}, "additionalItems": True})
    assert made["AdditionalProperties"]["Schema"]["Type"] == "string"
    assert made["AdditionalItems"] == {"Allows": True, "Schema": None}


def test_what_is_published_has_items_and_a_digest():
    of = version(list={"type": "array", "items": {"type": "string"}})
    made = custom_definitions([of.resource])
    assert {"type": "array", "items": {"type": "string"}} in [
        each.get("properties", {}).get("list") for each in made.values()
    ]
    assert len(of.definition.digest) == 128


# --- scales


def test_copies_are_where_the_definition_says():
    scale = Scale(("spec", "size"), ("status", "size"), ("status", "labels"))
    assert counts(toy(spec={"size": 2}, status=None), scale) == (2, 0, "")
    assert counts(toy(), scale, is_new=True) == (0, 0, "")
    with pytest.raises(ApiError, match=r"\.spec\.size accessor error: x is of the type string, expected int64"):
        counts(toy(spec={"size": "x"}), scale)
    with pytest.raises(ApiError, match=r"\.spec is not a map"):
        with_copies(toy(spec=1), scale, 3)
    assert custom_shape(version()).within("spec").within("free")


# --- written and read


def test_a_body_in_protobuf_is_refused_and_what_is_there_twice_is_told(client):
    status, said = client("POST", TOYS, toy(), content_type="application/vnd.kubernetes.protobuf")
    assert (status, said["reason"]) == (415, "UnsupportedMediaType")
    text = '{"apiVersion":"example.com/v1","kind":"Toy","metadata":{"name":"a","finalizers":[]},"spec":{"free":[{"a":1,"a":2}]}}'
    answer = client.api.handle(
        Request("POST", TOYS, {"fieldValidation": "Strict"}, text.encode(), "application/json", "")
    )
    assert b'duplicate field \\"spec.free[0].a\\"' in answer.body


@pytest.mark.parametrize(
    ("kind", "patch", "status", "words"),
    [
        ("json", [{"op": "replace", "path": "", "value": []}], 422, "cannot unmarshal array"),
        ("json", {"a": 1}, 400, "jsonPatchOp"),
        ("json", [{"op": "test", "path": "/kind", "value": "Toy"}] * 10_001, 413, "maximum operations"),
    ],
)
def test_patches_that_leave_no_object_are_refused(client, kind, patch, status, words):
    client("POST", TOYS, toy())
    answer, said = client("PATCH", f"{TOYS}/a", patch, content_type=f"application/{kind}-patch+json")
    assert (answer, words in said["message"]) == (status, True), said


def test_a_patch_may_have_unknown_fields_that_nobody_hears_of(client):
    client("POST", TOYS, toy())
    merge = {"spec": {"size": 1, "odd": 1}}
    kind, ignored = "application/merge-patch+json", {"fieldValidation": "Ignore"}
    assert client("PATCH", f"{TOYS}/a", merge, content_type=kind, **ignored)[1]["spec"] == {"size": 1}


def test_what_is_written_is_read_by_the_schema_and_unknown_kinds_are_refused(client):
    with pytest.raises(ApiError, match="labels"):
        client.registry.create(toy(metadata={"name": "a", "labels": 1}), WriteOptions())
    with pytest.raises(ApiError, match="month out of range"):
        client.registry.create(toy(metadata={"name": "a", "creationTimestamp": "2020-13-01T00:00:00Z"}), WriteOptions())
    with pytest.raises(ApiError, match="jsonPatchOp"):
        custom_patched(toy(), Patch("application/json-patch+json", {}), WriteOptions(), version())
    with pytest.raises(ManifestError, match="Unsupported value"):
        client.registry.customs.served({"apiVersion": "a/v1", "kind": "B"})


def test_an_object_of_a_cluster_has_no_namespace():
    client = Client()
    client("POST", DEFINITIONS, definition(scope="Cluster"))
    path = "/apis/example.com/v1/toys"
    assert client("POST", path, toy())[0] == 201
    patch = {"metadata": {"namespace": "default"}}
    status, made = client("PATCH", f"{path}/a", patch, content_type="application/merge-patch+json")
    assert (status, "namespace" in made["metadata"]) == (200, False)


def test_custom_kinds_and_their_objects_are_there_after_a_restart(client):
    assert client("POST", TOYS, toy(spec={"size": 2}))[0] == 201
    backing = Backing()
    backing.rows, backing.version = client.registry.store._backing.rows, client.registry.store.version
    again = Client(a_registry(a_store(backing)))
    assert again("GET", f"{TOYS}/a")[1]["spec"] == {"size": 2}
    assert [each["metadata"]["name"] for each in again("GET", TOYS)[1]["items"]] == ["a"]
    assert again("DELETE", f"{DEFINITIONS}/toys.example.com")[0] == 200
    assert again("GET", TOYS).status == 404
