"""Patches: JSON, merge, strategic, as the API server applies them."""

import pytest

from netproxy.core.errors import ApiError, ManifestError
from netproxy.registry.patch import MOST_OPERATIONS, json_patch, merge, patched
from netproxy.registry.strategic import strategic

JSON, MERGE, STRATEGIC = (f"application/{kind}+json" for kind in ("json-patch", "merge-patch", "strategic-merge-patch"))


def pod(**spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": ["a", "b"]}, "spec": spec}


def containers(*names):
    return [{"name": name, "image": "i"} for name in names]


def names(obj, field="containers"):
    return [item["name"] for item in obj["spec"][field]]


def test_a_merge_patch_replaces_lists_and_null_removes():
    assert merge({"a": {"b": 1}, "l": [1]}, {"a": {"c": None, "d": 2}, "l": [2]}) == {"a": {"b": 1, "d": 2}, "l": [2]}
    assert patched(pod(), {"spec": 5}, MERGE + "; charset=utf-8")["spec"] == 5


def test_the_operations_of_a_json_patch():
    operations = [
        {"op": "test", "path": "/a", "value": 1}, {"op": "add", "path": "/l/-", "value": 3}, {"op": "add", "path": "/l/0", "value": 0},
        {"op": "replace", "path": "/l/1", "value": 9}, {"op": "remove", "path": "/l/2"}, {"op": "copy", "from": "/a", "path": "/m~1n"},
        {"op": "move", "from": "/a", "path": "/d/e"}, {"op": "remove", "path": "/d/x"}, {"op": "replace", "path": "/o/0/p", "value": 2},
        {"op": "replace", "path": "/d/new", "value": 1},
    ]  # fmt: skip
    start = {"a": 1, "l": [1, 2], "d": {"x": 1}, "o": [{"p": 1}]}
    assert json_patch(start, operations) == {"l": [0, 9, 3], "d": {"e": 1, "new": 1}, "m/n": 1, "o": [{"p": 2}]}
    assert start == {"a": 1, "l": [1, 2], "d": {"x": 1}, "o": [{"p": 1}]}
    assert json_patch({}, [{"op": "add", "path": "", "value": 7}]) == 7


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/zz"}],
        [{"op": "add", "path": "/x/y/z", "value": 1}],
        [{"op": "fly", "path": "/a"}],
        [{"path": "/a", "value": 1}],
        [{"op": "add", "value": 1}],
        [{"op": "add", "path": 5, "value": 1}],
        [{"op": "add", "path": "/a"}],
        [{"op": "replace", "path": "a", "value": 1}],
        [{"op": "add", "path": "/l/x", "value": 1}],
        ["add"],
        [None],
        [5],
    ],
)
def test_an_operation_that_does_not_fit_is_refused(operations):
    with pytest.raises(ApiError) as error:
        json_patch({"a": 1, "l": [1]}, operations)
    assert (error.value.code, str(error.value)) == (
        422,
        "the server rejected our request due to an error in our request",
    )


@pytest.mark.parametrize(
    ("kind", "body", "code", "message"),
    [
        (JSON, {}, 400, "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (JSON, 5, 400, "error decoding patch: json: cannot unmarshal number into Go value of type []handlers.jsonPatchOp"),
        (MERGE, [], 400, "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (STRATEGIC, "x", 400, "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}"),
        ("text/plain", {}, 415, ("the body of the request was in an unknown format - accepted media types include: "
         "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json")),
        (JSON, [{}] * (MOST_OPERATIONS + 1), 413, "The allowed maximum operations in a JSON patch is 10000, got 10001"),
    ],
)  # fmt: skip
def test_what_is_no_patch_is_refused(kind, body, code, message):
    with pytest.raises(ApiError) as error:
        patched(pod(), body, kind)
    assert (error.value.code, str(error.value)) == (code, message)


def test_a_kind_without_a_schema_takes_no_strategic_patch():
    image = {"apiVersion": "netproxy.dev/v1alpha1", "kind": "Image", "metadata": {"name": "i"}}
    with pytest.raises(
        ApiError, match=r"accepted media types include: application/json-patch\+json, application/merge-patch\+json$"
    ):
        patched(image, {}, STRATEGIC)
    assert patched(image, {"a": 1}, MERGE)["a"] == 1


def test_items_with_the_same_key_are_merged_and_new_ones_come_in_the_patchs_order():
    old = pod(containers=[{"name": "web", "image": "x", "ports": [{"containerPort": 80}]}, {"name": "log"}])
    new = strategic(
        old, {"spec": {"containers": [{"name": "extra"}, {"name": "web", "ports": [{"containerPort": 81}]}]}}
    )
    assert names(new) == ["extra", "web", "log"]
    assert new["spec"]["containers"][1] == {
        "name": "web",
        "image": "x",
        "ports": [{"containerPort": 81}, {"containerPort": 80}],
    }
    assert old["spec"]["containers"][0]["ports"] == [{"containerPort": 80}]


@pytest.mark.parametrize(
    ("patch", "left"),
    [
        ([{"name": "b", "$patch": "delete"}], ["a", "c"]),
        ([{"name": "z", "$patch": "delete"}], ["a", "b", "c"]),
        ([{"$patch": "replace"}, {"name": "one"}], ["one"]),
        (None, None),
        ([{"name": "c"}, {"name": "a"}], ["b", "c", "a"]),
        ([{"name": "c"}], ["a", "b", "c"]),
    ],
)
def test_lists_of_objects(patch, left):
    new = strategic(pod(containers=containers("a", "b", "c")), {"spec": {"containers": patch}})
    assert (names(new) if "containers" in new["spec"] else None) == left


def test_an_order_can_be_asked_for():
    old = pod(containers=containers("a", "b", "c"))
    order = {
        "$setElementOrder/containers": [{"name": "new"}, {"name": "c"}, {"name": "a"}],
        "containers": containers("new"),
    }
    assert names(strategic(old, {"spec": order})) == ["new", "b", "c", "a"]
    assert names(strategic(old, {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}})) == [
        "b",
        "c",
        "a",
    ]


def test_lists_of_scalars_are_sets_where_the_schema_says_so():
    def finalizers(**patch):
        return strategic(pod(), {"metadata": patch})["metadata"]["finalizers"]

    assert finalizers(finalizers=["c", "b"]) == ["c", "a", "b"]
    assert finalizers(finalizers=[{"a": 1}, {"a": 1}]) == [{"a": 1}, "a", "b"]
    assert finalizers(**{"$deleteFromPrimitiveList/finalizers": ["a", "zz"]}) == ["b"]
    assert finalizers(**{"$setElementOrder/finalizers": ["b", "a"]}) == ["b", "a"]
    new = strategic(
        pod(containers=[{"name": "a", "args": ["x"]}]), {"spec": {"containers": [{"name": "a", "args": ["y"]}]}}
    )
    assert new["spec"]["containers"][0]["args"] == ["y"]


def test_the_directives_of_objects():
    old = pod(nodeSelector={"a": "b"}, securityContext={"runAsUser": 1}, volumes=[{"name": "v", "emptyDir": {}}])
    patch = {
        "nodeSelector": {"$patch": "replace", "c": "d"}, "securityContext": {"$patch": "delete"},
        "volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c", "items": None}}],
        "dnsConfig": {"$patch": "merge", "searches": ["x", {"a": None}], "options": None},
    }  # fmt: skip
    assert strategic(old, {"spec": patch})["spec"] == {
        "nodeSelector": {"c": "d"}, "securityContext": {}, "volumes": [{"name": "v", "configMap": {"name": "c"}}],
        "dnsConfig": {"searches": ["x", {}]},
    }  # fmt: skip
    assert strategic(pod(a=1), {"spec": {"a": None, "b": None, "hostname": "h"}})["spec"] == {"hostname": "h"}


def test_what_was_of_another_shape_is_replaced():
    assert strategic(pod(containers=5), {"spec": {"containers": containers("a")}})["spec"]["containers"] == containers(
        "a"
    )
    assert strategic(pod(containers=containers("a")), {"spec": {"containers": 5}})["spec"]["containers"] == 5
    assert strategic(pod(), {"spec": {"$setElementOrder/nodeName": ["x"]}})["spec"] == {}


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"containers": [{"image": "nokey"}]}, "map: map[image:nokey] does not contain declared merge key: name"),
        ({"containers": [{"name": "a", "$patch": "frob"}]}, "unknown patch type: frob in map: map[$patch:frob name:a]"),
        ({"containers": ["a"]}, "expected an object with name in a list, got 'a'"),
        ({"$setElementOrder/containers": 5, "containers": []}, "$setElementOrder/containers must be a list, got 5"),
        ({"$retainKeys": "x"}, "$retainKeys must be a list, got 'x'"),
    ],
)
def test_a_directive_that_does_not_fit_is_refused(patch, why):
    with pytest.raises(ManifestError) as error:
        strategic(pod(containers=containers("a")), {"spec": patch})
    assert error.value.problems[0].message == f"Invalid value: {why}"
