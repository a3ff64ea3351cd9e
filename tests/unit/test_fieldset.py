"""Sets of field paths: what an object owns under the shape of its kind, and how sets are put together and written."""

import pytest

from netproxy.registry.fieldset import (
    NOTHING,
    all_of,
    compare,
    difference,
    element_of,
    intersection,
    leaves_of,
    named,
    outside,
    paths,
    read,
    union,
)
from netproxy.registry.shape import FOUND, Owned, Shape, shape_of

DEPLOYMENT = shape_of({"apiVersion": "apps/v1", "kind": "Deployment"})
POD_SPEC = shape_of({"apiVersion": "v1", "kind": "Pod"}).within("spec")
METADATA = DEPLOYMENT.within("metadata")
PORTS = shape_of({"apiVersion": "v1", "kind": "Service"}).within("spec").within("ports")
HTTP, DNS = {"port": 80, "name": "a"}, {"port": 53, "protocol": "UDP"}
OF_HTTP, OF_DNS = 'k:{"port":80,"protocol":"TCP"}', 'k:{"port":53,"protocol":"UDP"}'


@pytest.mark.parametrize(
    ("item", "shape", "element"),
    [
        (HTTP, PORTS, OF_HTTP),
        ({"name": "<a>&"}, POD_SPEC.within("containers"), 'k:{"name":"\\u003ca\\u003e\\u0026"}'),
        ({}, POD_SPEC.within("containers"), 'k:{"name":""}'),
        ({"containerPort": 80}, POD_SPEC.within("containers").items.within("ports"), 'k:{"containerPort":80,"protocol":"TCP"}'),
        ({"kind": "Secret"}, shape_of({"apiVersion": "v1", "kind": "ServiceAccount"}).within("secrets"), "k:{}"),
        ("a/b", METADATA.within("finalizers"), 'v:"a/b"'),
    ],
)  # fmt: skip
def test_an_item_is_told_apart_by_its_keys_or_its_value(item, shape, element):
    assert element_of(item, shape) == element


@pytest.mark.parametrize(
    ("old", "new", "shape", "changed", "removed"),
    [
        pytest.param({}, {"ports": [HTTP]}, Shape(Owned.FIELDS, fields=lambda: {"ports": PORTS}),
                     {"f:ports": {".": {}, OF_HTTP: {".": {}, "f:name": {}, "f:port": {}}}}, {}, id="a list that is new"),
        pytest.param([HTTP], [{**HTTP, "name": "b"}, DNS], PORTS,
                     {OF_HTTP: {"f:name": {}}, OF_DNS: {".": {}, "f:port": {}, "f:protocol": {}}}, {}, id="items by their keys"),
        pytest.param([HTTP, DNS], [{"port": 80}], PORTS, {},
                     {OF_HTTP: {"f:name": {}}, OF_DNS: {".": {}, "f:port": {}, "f:protocol": {}}}, id="what goes"),
        pytest.param([HTTP], [HTTP, HTTP], PORTS, {OF_HTTP: {}}, {OF_HTTP: {".": {}, "f:name": {}, "f:port": {}}}, id="twice now"),
        pytest.param([HTTP, HTTP], [HTTP], PORTS, {OF_HTTP: {".": {}, "f:name": {}, "f:port": {}}}, {OF_HTTP: {}}, id="no more twice"),
        pytest.param([HTTP, HTTP], [HTTP, {"port": 80}], PORTS, {OF_HTTP: {}}, {}, id="twice, and otherwise"),
        pytest.param([HTTP, HTTP], [HTTP, HTTP], PORTS, {}, {}, id="twice, as before"),
        pytest.param([DNS, HTTP, HTTP], [], PORTS, {}, {OF_HTTP: {}, OF_DNS: {".": {}, "f:port": {}, "f:protocol": {}}}, id="all go"),
        pytest.param({"finalizers": ["a"]}, {"finalizers": ["b"]}, METADATA,
                     {"f:finalizers": {'v:"b"': {}}}, {"f:finalizers": {'v:"a"': {}}}, id="a set"),
        pytest.param({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, METADATA, {"f:labels": {"f:a": {}}}, {}, id="a map"),
        pytest.param({"labels": None}, {"labels": {}}, METADATA, {"f:labels": {}}, {}, id="nothing and empty"),
        pytest.param({"labels": None}, {"labels": {"a": "1"}}, METADATA, {"f:labels": {"f:a": {}}}, {}, id="from nothing"),
        pytest.param({"labels": {"a": "1"}}, {"labels": {}}, METADATA, {}, {"f:labels": {"f:a": {}}}, id="to nothing"),
        pytest.param({"ownerReferences": [{"uid": "u", "name": "a"}]}, {"ownerReferences": [{"uid": "u", "name": "b"}]}, METADATA,
                     {"f:ownerReferences": {'k:{"uid":"u"}': {}}}, {}, id="an item that is owned as a whole"),
        pytest.param({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"b": "1"}}, POD_SPEC, {"f:nodeSelector": {}}, {}, id="an atomic map"),
        pytest.param({"a": {"b": [1]}, "c": 1}, {"a": {"b": [2]}, "c": {}}, FOUND, {"f:a": {"f:b": {}}, "f:c": {}}, {}, id="as found"),
        pytest.param(None, {"a": 1}, FOUND, {"f:a": {}}, {}, id="from no object"),
    ],
)  # fmt: skip
def test_what_a_write_changes(old, new, shape, changed, removed):
    assert compare(old, new, shape) == (changed, removed)


def test_a_new_value_is_owned_with_everything_in_it():
    assert all_of([DNS, HTTP, HTTP], PORTS) == {".": {}, OF_DNS: {".": {}, "f:port": {}, "f:protocol": {}}, OF_HTTP: {}}
    assert all_of({}, DEPLOYMENT) == all_of(5, DEPLOYMENT) == all_of([1], FOUND) == NOTHING


def test_an_applied_configuration_owns_values_items_and_keys_but_not_the_fields_above():
    config = {
        "metadata": {"labels": {"a": "1"}, "annotations": {}, "finalizers": ["x"]},
        "spec": {
            "replicas": None, "selector": {"matchLabels": {"a": "1"}},
            "template": {"spec": {"containers": [{"name": "c", "args": ["x"], "ports": []}], "volumes": []}},
        },
    }  # fmt: skip
    assert leaves_of(config, DEPLOYMENT) == {
        "f:metadata": {"f:labels": {"f:a": {}}, "f:annotations": {}, "f:finalizers": {'v:"x"': {}}},
        "f:spec": {
            "f:replicas": {}, "f:selector": {},
            "f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:name": {}, "f:args": {}}}}},
        },
    }  # fmt: skip
    assert leaves_of([HTTP, HTTP, DNS], PORTS) == {OF_HTTP: {}, OF_DNS: {".": {}, "f:port": {}, "f:protocol": {}}}
    assert leaves_of({"a": {"b": {"c": 1}}, "l": [{"x": 1}]}, FOUND) == {
        "f:a": {".": {}, "f:b": {".": {}, "f:c": {}}}, "f:l": {},
    }  # fmt: skip
    assert leaves_of(5, FOUND) == {}


def test_sets_are_put_together_and_taken_apart():
    a, ab, abc = {"f:a": {}}, {"f:a": {"f:b": {}}}, {"f:a": {".": {}, "f:b": {"f:c": {}}}}
    assert union(a, ab) == union(ab, a) == {"f:a": {".": {}, "f:b": {}}}
    assert union(ab, abc) == {"f:a": {".": {}, "f:b": {".": {}, "f:c": {}}}}
    assert union(ab, {"f:a": {"f:d": {}}}) == {"f:a": {"f:b": {}, "f:d": {}}}
    assert difference(abc, a) == {"f:a": {"f:b": {"f:c": {}}}}
    assert difference(abc, {"f:a": {"f:b": {"f:c": {}}}}) == a
    assert difference(abc, abc) == difference(ab, ab) == {}
    assert difference(ab, a) == ab
    assert difference(ab, a) is ab
    assert difference(ab, {"f:x": {}, ".": {}}) is ab
    assert difference(a, ab) == a
    assert intersection(abc, ab) == {}
    assert intersection(abc, {"f:a": {".": {}, "f:b": {"f:c": {}}, "f:x": {}}}) == abc
    assert intersection(a, a) == a
    assert outside(abc, a) == {}
    assert outside(abc, {"f:a": {"f:b": {}}, "f:x": {}}) == {"f:a": {".": {}}}
    assert outside({**abc, "f:z": {}}, {"f:a": {"f:b": {}}, "f:z": {}}) == {"f:a": {".": {}}}


def test_named_fields_on_the_way_can_be_added():
    fields = {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': {"f:image": {}}}}}},
        "f:odd": {"f:x": {}},
    }
    assert named(fields, DEPLOYMENT) == {
        "f:spec": {".": {}, "f:template": {".": {}, "f:spec": {".": {}, "f:containers": {".": {}, 'k:{"name":"c"}': {"f:image": {}}}}}},
        "f:odd": {"f:x": {}},
    }  # fmt: skip
    assert named({"f:metadata": {".": {}, "f:labels": {"f:a": {}}}}, DEPLOYMENT)["f:metadata"]["f:labels"] == {
        ".": {},
        "f:a": {},
    }


def test_paths_are_read_by_people():
    fields = {
        "f:z": {}, "f:a": {".": {}, 'k:{"port":2}': {}, 'k:{"port":10}': {"f:x": {}}, 'v:"s"': {}, "v:3": {}, "v:true": {}, "i:0": {}},
    }  # fmt: skip
    assert paths(fields) == [".a", ".z", ".a[port=2]", ".a[=0]", ".a[=3]", '.a[="s"]', ".a[=true]", ".a[port=10].x"]


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"f:a": {".": {}}, "f:b": {"f:c": {}}}, {"f:a": {}, "f:b": {"f:c": {}}}),
        ({'k:{"b": 1, "a": 2}': {}, 'v: "x"': {}, "i:0": {}}, {'k:{"a":2,"b":1}': {}, 'v:"x"': {}, "i:0": {}}),
        ({"z:new": {"odd": 5}, "f:a": {}}, {"f:a": {}}),
        ({"nope": {}}, None),
        ({"": {}}, None),
        ({"f:a": {"nope": {}}}, None),
        ({"f:a": 5}, None),
        ({"k:[1]": {}}, None),
        ({"k:{": {}}, None),
        ({"i:x": {}}, None),
        ({'i:"x"': {}}, None),
        ([], None),
    ],
)
def test_sets_that_clients_write_are_read(given, known):
    assert read(given) == known
