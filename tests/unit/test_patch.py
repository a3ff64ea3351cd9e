"""Patches: JSON, merge, strategic, as the API server applies them, and what it says of those that do not fit."""

import pytest

from netproxy.core.errors import ApiError
from netproxy.registry.jsonpatch import json_patch, merge
from netproxy.registry.options import WriteOptions
from netproxy.registry.patch import MOST_OPERATIONS, Patch, patched
from netproxy.registry.restored import fault
from netproxy.registry.strategic import strategic

JSON, MERGE, STRATEGIC = (f"application/{kind}+json" for kind in ("json-patch", "merge-patch", "strategic-merge-patch"))
NOT_APPLIED = (422, "the server rejected our request due to an error in our request")


def pod(**spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": ["a", "b"]}, "spec": spec}


def config(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": "u"}, "data": data}


def containers(*names):
    return [{"name": name, "image": "i"} for name in names]


def names(obj, field="containers"):
    return [item["name"] for item in obj["spec"][field]]


def after(obj, value, kind=MERGE, validation="Warn", told=()):
    warned = []
    new = patched(obj, Patch(kind, value, told), WriteOptions(field_validation=validation, warn=warned.append))
    return new, warned


def refusal(run):
    with pytest.raises(ApiError) as error:
        run()
    return error.value.code, str(error.value)


# --- JSON patch and merge patch


def test_a_merge_patch_replaces_lists_and_null_removes():
    old = {"a": {"b": 1}, "l": [1], "n": None}
    assert merge(old, {"a": {"c": None, "d": 2}, "l": [{"x": None}], "n": {"y": None}, "new": {"z": None, "k": [None]}}) == {
        "a": {"b": 1, "d": 2}, "l": [{}], "n": {}, "new": {"k": [None]},
    }  # fmt: skip
    assert merge({"a": {"b": 1}}, {"a": 5}) == {"a": 5}
    assert merge({"a": 5}, {"a": {"b": None, "c": [{"d": None}]}}) == {"a": {"c": [{}]}}


def test_the_operations_of_a_json_patch():
    operations = [
        {"op": "test", "path": "/a", "value": 1}, {"op": "add", "path": "/l/-", "value": 3}, {"op": "add", "path": "/l/0", "value": 0},
        {"op": "replace", "path": "/l/1", "value": 9}, {"op": "remove", "path": "/l/2"}, {"op": "copy", "from": "/a", "path": "/m~1n"},
        {"op": "move", "from": "/a", "path": "/d/e"}, {"op": "remove", "path": "/d/x"}, {"op": "replace", "path": "/o/0/p", "value": 2},
        {"op": "replace", "path": "/d/new", "value": 1}, {"op": "remove", "path": "/o/-1"}, {"op": "add", "path": "/o/-1", "value": 4},
        {"op": "add", "path": "without/slash", "value": 5}, {"op": "add", "path": "/null"},
        {"op": "test", "path": "/d", "value": {"new": 1, "e": 1}}, {"op": "test", "path": "/nowhere"},
        {"op": "test", "path": "/l", "value": [0, 9, 3]}, {"op": "copy", "from": "/nowhere", "path": "/copied"},
    ]  # fmt: skip
    start = {"a": 1, "l": [1, 2], "d": {"x": 1}, "o": [{"p": 1}]}
    assert json_patch(start, operations) == {
        "l": [0, 9, 3], "d": {"e": 1, "new": 1}, "m/n": 1, "o": [4], "slash": 5, "null": None, "copied": None,
    }  # fmt: skip
    assert start == {"a": 1, "l": [1, 2], "d": {"x": 1}, "o": [{"p": 1}]}
    assert json_patch({"a": 1}, [{"op": "test", "path": "", "value": {"a": 1}}]) == {"a": 1}
    assert json_patch(
        {"a": 1}, [{"op": "replace", "path": "", "value": [1]}, {"op": "add", "path": "/0", "value": 0}]
    ) == [0, 1]


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "test", "path": "/a", "value": 1.0}],
        [{"op": "test", "path": "/l", "value": [1, 1]}],
        [{"op": "test", "path": "", "value": {}}],
        [{"op": "remove", "path": "/zz"}],
        [{"op": "remove", "path": ""}],
        [{"op": "remove", "path": "/l/1"}],
        [{"op": "add", "path": "/x/y/z", "value": 1}],
        [{"op": "add", "path": "/a/b", "value": 1}],
        [{"op": "fly", "path": "/a"}],
        [{"path": "/a", "value": 1}],
        [{"op": "add", "value": 1}],
        [{"op": "add", "path": 5, "value": 1}],
        [{"op": "add", "path": "", "value": {}}],
        [{"op": "replace", "path": "a", "value": 1}],
        [{"op": "replace", "path": "", "value": 1}],
        [{"op": "replace", "path": "/l/-", "value": 1}],
        [{"op": "add", "path": "/l/x", "value": 1}],
        [{"op": "add", "path": "/l/2", "value": 1}],
        [{"op": "add", "path": "/l/-3", "value": 1}],
        [{"op": "move", "from": "/zz", "path": "/a"}],
        ["add"],
        [None],
        [5],
    ],
)
def test_an_operation_that_does_not_fit_is_refused(operations):
    assert refusal(lambda: json_patch({"a": 1, "l": [1]}, operations)) == NOT_APPLIED


@pytest.mark.parametrize(
    ("kind", "body", "code", "message"),
    [
        (JSON, {}, 400, "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (JSON, 5, 400, "error decoding patch: json: cannot unmarshal number into Go value of type []handlers.jsonPatchOp"),
        (STRATEGIC, "x", 400, "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}"),
        ("text/plain", {}, 415, "415: Unsupported Media Type"),
        (JSON, [{}] * (MOST_OPERATIONS + 1), 413, "The allowed maximum operations in a JSON patch is 10000, got 10001"),
    ],
)  # fmt: skip
def test_what_is_no_patch_is_refused(kind, body, code, message):
    assert refusal(lambda: after(pod(), body, kind)) == (code, message)


def test_a_kind_without_a_schema_takes_no_strategic_patch():
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "i"}}
    assert refusal(lambda: after(thing, {}, STRATEGIC))[0] == 415
    assert after(thing, {"a": 1})[0] == {**thing, "a": 1}


# --- what is left has to be such an object


@pytest.mark.parametrize(
    ("value", "kind", "shown", "why"),
    [
        ({"data": {"n": 5, "a": "1"}}, MERGE, '{"apiVersion":"v1","data":{"a":"1","n":5},"kind":"ConfigMap","metadata":{"name":"c","uid":"u"}}',
         "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        ([{"op": "add", "path": "/data/<a>", "value": 5}], JSON, '{"apiVersion":"v1","data":{"\\u003ca\\u003e":5},"kind":"ConfigMap","metadata":{"name":"c","uid":"u"}}',
         "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        ([{"op": "replace", "path": "", "value": [{"b": 1}]}], JSON, '[{"b":1}]',
         ("couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion"
         ' string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }')),
        ({"kind": 5, "data": None}, MERGE, '{"apiVersion":"v1","kind":5,"metadata":{"name":"c","uid":"u"}}',
         "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string"),
        ({"apiVersion": "a/b/c", "data": None}, MERGE, '{"apiVersion":"a/b/c","kind":"ConfigMap","metadata":{"name":"c","uid":"u"}}',
         "unexpected GroupVersion string: a/b/c"),
        ({"apiVersion": "v9", "data": None}, MERGE, '{"apiVersion":"v9","kind":"ConfigMap","metadata":{"name":"c","uid":"u"}}',
         'no kind "ConfigMap" is registered for version "v9" in scheme "pkg/api/legacyscheme/scheme.go:30"'),
        ({"kind": "Pod", "data": None}, MERGE, '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c","uid":"u"}}',
         "converting (v1.Pod) to (core.ConfigMap): unknown conversion"),
    ],
)  # fmt: skip
def test_a_patch_that_leaves_another_thing_is_refused_with_it(value, kind, shown, why):
    quoted = '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
    with pytest.raises(ApiError) as error:
        after(config(), value, kind)
    assert str(error.value) == f' "" is invalid: patch: Invalid value: {quoted}: {why}'
    assert error.value.details == {
        "causes": [{"reason": "FieldValueInvalid", "message": f"Invalid value: {quoted}: {why}", "field": "patch"}]
    }


def test_what_a_patch_does_not_open_is_shown_in_the_order_of_the_types():
    old = {
        "kind": "Service", "apiVersion": "v1",
        "metadata": {
            "labels": {"b": "1", "a": "2"}, "name": "s",
            "managedFields": [{"fieldsV1": {"f:b": {}, "f:a": {}}, "apiVersion": "v1", "manager": "m", "operation": "Update"}],
        },
        "spec": {"type": "ClusterIP", "ports": [{"port": 80, "name": "a"}], "unknown": 1}, "status": None,
    }  # fmt: skip
    _, message = refusal(lambda: after(old, {"apiVersion": "v9"}))
    assert (
        message.replace("\\", "")
        .partition("Invalid value: ")[2]
        .startswith(
            '"{"apiVersion":"v9","kind":"Service","metadata":{"name":"s","labels":{"a":"2","b":"1"},"managedFields":[{"manager":"m",'
            '"operation":"Update","apiVersion":"v1","fieldsV1":{"f:a":{},"f:b":{}}}]},"spec":{"ports":[{"name":"a","port":80}],'
            '"type":"ClusterIP","unknown":1},"status":null}"'
        )
    )


def test_unknown_fields_are_told_or_refused():
    value = {"foo": {"a": 1}, "metadata": {"bar": 2}}
    assert after(config(), value) == (config(), ['unknown field "foo"', 'unknown field "metadata.bar"'])
    assert after(config(), value, validation="Ignore") == (config(), [])
    assert after(config(), {"foo": 1}) == (config(), ['unknown field "foo"'])
    assert after(config(), {}, told=('duplicate field "x"',)) == (config(), ['duplicate field "x"'])
    message = refusal(lambda: after(config(), value, validation="Strict"))[1]
    assert message.endswith(': strict decoding error: unknown field "foo", unknown field "metadata.bar"')


def test_what_says_nothing_of_its_kind_is_no_object():
    assert after(config(), {"apiVersion": None, "kind": None}) == (
        {"apiVersion": "v1", "kind": "ConfigMap"}, ['unknown field "data"', 'unknown field "metadata"'],
    )  # fmt: skip
    assert after(config(), {"kind": None})[0] == config()


@pytest.mark.parametrize(
    ("value", "shown", "why"),
    [
        ({"spec": "x"}, "map[spec:x]", "cannot restore struct from: string"),
        ({"spec": {"containers": {}}}, "map[spec:map[containers:map[]]]", "cannot restore slice from map"),
        ({"metadata": {"labels": [True]}}, "map[metadata:map[labels:[true]]]", "cannot restore map from slice"),
        ({"metadata": {"labels": {"b": None, "a": 5}}}, "map[metadata:map[labels:map[a:5 b:<nil>]]]", "cannot convert int64 to string"),
        ({"spec": {"containers": [{"name": "a", "command": {}}]}}, "map[spec:map[containers:[map[command:map[] name:a]]]]",
         "cannot restore slice from map"),
        ({"spec": {"hostNetwork": "x"}}, "map[spec:map[hostNetwork:x]]", "unrecognized type: bool"),
        ({"spec": {"priority": 1.5}}, "map[spec:map[priority:1.5]]", "cannot convert float64 to int32"),
        ({"spec": {"terminationGracePeriodSeconds": "1"}}, "map[spec:map[terminationGracePeriodSeconds:1]]", "unrecognized type: int64"),
        ({"spec": {"restartPolicy": 5}}, "map[spec:map[restartPolicy:5]]", "cannot convert int64 to v1.RestartPolicy"),
        ({"metadata": {"creationTimestamp": 5}}, "map[metadata:map[creationTimestamp:5]]", "json: cannot unmarshal number into Go value of type string"),
        ({"spec": {"overhead": {"cpu": []}}}, "map[spec:map[overhead:map[cpu:[]]]]",
         "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ({"metadata": {"creationTimestamp": "x"}}, "map[metadata:map[creationTimestamp:x]]",
         'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'),
    ],
)  # fmt: skip
def test_a_strategic_patch_that_leaves_another_thing_is_refused_in_words_of_its_own(value, shown, why):
    assert refusal(lambda: after(pod(), value, STRATEGIC)) == (
        422, f' "" is invalid: patch: Invalid value: "{shown}": {why}',
    )  # fmt: skip


def test_a_strategic_patch_that_leaves_no_bytes_is_refused():
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {}}
    assert refusal(lambda: after(secret, {"data": {"a": "*"}}, STRATEGIC)) == (
        422, ' "" is invalid: patch: Invalid value: "map[data:map[a:*]]": error decoding from json: illegal base64 data at input byte 0',
    )  # fmt: skip


def test_anything_may_be_where_the_type_says_so():
    assert fault({"data": {"a": [1]}, "revision": None}, "apps.v1.ControllerRevision") == ""
    assert fault({"revision": 5, "metadata": {"labels": {"a": "b"}}}, "apps.v1.ControllerRevision") == ""
    port = {"spec": {"ports": [{"targetPort": True}]}}
    assert fault(port, "core.v1.Service") == "json: cannot unmarshal bool into Go value of type int32"


def test_a_strategic_patch_is_of_the_kind_that_it_is_sent_for():
    value = {"kind": "Node", "spec": {"x": 1, "hostname": "h", "overhead": {"cpu": "1"}}, "a": {}}
    new, warned = after(pod(), value, STRATEGIC, told=('duplicate field "q"',))
    assert (new["kind"], new["spec"]) == ("Pod", {"hostname": "h", "overhead": {"cpu": "1"}})
    assert warned == ['duplicate field "q"', 'unknown field "a"', 'unknown field "spec.x"']
    assert after(pod(), value, STRATEGIC, "Ignore")[1] == []
    odd = {"spec": {"overhead": {"cpu": 1.5, "memory": 5}, "affinity": {"podAffinity": None}, "containers": [None]}}
    assert after(pod(), odd, STRATEGIC)[0]["spec"]["overhead"] == {"cpu": 1.5, "memory": 5}
    message = refusal(lambda: after(pod(), {"a": 1}, STRATEGIC, "Strict"))[1]
    assert message == ' "" is invalid: patch: Invalid value: "map[a:1]": strict decoding error: unknown field "a"'


# --- strategic merge patch


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
        ([], ["a", "b", "c"]),
        ([{"name": "c"}, {"name": "a"}], ["b", "c", "a"]),
        ([{"name": "c"}], ["a", "b", "c"]),
    ],
)
def test_lists_of_objects(patch, left):
    new = strategic(pod(containers=containers("a", "b", "c")), {"spec": {"containers": patch}})
    assert (names(new) if "containers" in new["spec"] else None) == left
    assert strategic(pod(containers=[]), {"spec": {"containers": []}})["spec"]["containers"] == []


def test_an_order_can_be_asked_for():
    old = pod(containers=containers("a", "b", "c"))
    order = {
        "$setElementOrder/containers": [{"name": "new"}, {"name": "c"}, {"name": "a"}],
        "containers": [*containers("new"), {"name": "b", "$patch": "delete"}],
    }
    assert names(strategic(old, {"spec": order})) == ["new", "c", "a"]
    only = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}}
    assert names(strategic(old, only)) == ["b", "c", "a"]
    assert strategic(pod(), only)["spec"] == {}
    assert names(strategic(pod(), {"spec": order})) == ["new"]


def test_lists_of_scalars_are_sets_where_the_schema_says_so():
    def finalizers(**patch):
        return strategic(pod(), {"metadata": patch})["metadata"].get("finalizers")

    assert finalizers(finalizers=["c", "b"]) == ["c", "a", "b"]
    assert finalizers(**{"$deleteFromPrimitiveList/finalizers": ["a", "zz"]}) == ["b"]
    assert finalizers(**{"$deleteFromPrimitiveList/finalizers": None}) is None
    assert finalizers(**{"$deleteFromPrimitiveList/finalizers": "a"}) == ["a", "b"]
    assert finalizers(**{"$deleteFromPrimitiveList/other": ["a"]}) == ["a", "b"]
    assert finalizers(**{"$setElementOrder/finalizers": ["b", "a"]}) == ["b", "a"]
    assert strategic({**pod(), "metadata": {"finalizers": []}}, {"metadata": {"$deleteFromPrimitiveList/finalizers": []}})[
        "metadata"] == {"finalizers": []}  # fmt: skip
    new = strategic(
        pod(containers=[{"name": "a", "args": ["x"]}]), {"spec": {"containers": [{"name": "a", "args": ["y"]}]}}
    )
    assert new["spec"]["containers"][0]["args"] == ["y"]


def test_the_directives_of_objects():
    old = pod(nodeSelector={"a": "b"}, securityContext={"runAsUser": 1}, volumes=[{"name": "v", "emptyDir": {}}])
    patch = {
        "nodeSelector": {"$patch": "replace", "c": "d"}, "securityContext": {"$patch": "delete"},
        "volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c", "items": None}}],
        "dnsConfig": {"searches": ["x"], "options": None, "q": {"$patch": "merge"}}, "affinity": {"$patch": "merge"},
    }  # fmt: skip
    assert strategic(old, {"spec": patch})["spec"] == {
        "nodeSelector": {"c": "d"}, "securityContext": {}, "volumes": [{"name": "v", "configMap": {"name": "c"}}],
        "dnsConfig": {"searches": ["x"]},
    }  # fmt: skip
    assert strategic(pod(a=1), {"spec": {"a": None, "b": None, "hostname": "h"}})["spec"] == {"hostname": "h"}
    assert strategic(pod(affinity=5), {"spec": {"affinity": {"$patch": "delete"}}})["spec"] == {}


def test_what_was_of_another_shape_is_replaced():
    assert strategic(pod(containers=5), {"spec": {"containers": containers("a")}})["spec"]["containers"] == containers(
        "a"
    )
    assert strategic(pod(containers=containers("a")), {"spec": {"containers": 5}})["spec"]["containers"] == 5


@pytest.mark.parametrize(
    ("patch", "code", "why"),
    [
        ({"containers": [{"image": "nokey"}]}, 500, "map: map[image:nokey] does not contain declared merge key: name"),
        ({"containers": [{"$patch": "delete"}]}, 500, "map: map[$patch:delete] does not contain declared merge key: name"),
        ({"containers": [{"name": "a", "$patch": "frob"}]}, 500, "unknown patch type: frob in map: map[$patch:frob name:a]"),
        ({"containers": [{"name": "a", "$patch": "merge"}]}, 500, "merging lists cannot yet be specified in the patch"),
        ({"nodeSelector": {"$patch": 5}}, 500, "unknown patch type: %!s(int64=5) in map: map[$patch:5]"),
        ({"containers": ["a"]}, 500, "list element types are not identical: [[map[image:i name:a]] [a]]"),
        ({"$setElementOrder/containers": 5, "containers": []}, 500, "expected a []interface {}, but received a int64"),
        ({"$setElementOrder/containers": [], "containers": {}}, 500, "expected a []interface {}, but received a map[string]interface {}"),
        ({"$setElementOrder/containers": [5], "containers": containers("a")}, 500, "expected a map[string]interface {}, but received a int64"),
        ({"$setElementOrder/containers": [{}], "containers": containers("a")}, 500, "map: map[] does not contain declared merge key: name"),
        ({"$setElementOrder/containers": [{"name": "b"}], "containers": containers("a")}, 500,
         "The order in patch list:\n[map[image:i name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n"),
        ({"$setElementOrder/tolerations": ["b"], "tolerations": ["a"]}, 500,
         "The order in patch list:\n[a]\n doesn't match $setElementOrder list:\n[b]\n"),
        ({"$setElementOrder/nope": []}, 500, 'unable to find api field in struct PodSpec for the json field "nope"'),
        ({"$setElementOrder": []}, 400, "invalid patch format of setElementOrder list"),
        ({"$deleteFromPrimitiveList": []}, 400, "invalid patch format of primitive list"),
        ({"$retainKeys": "x"}, 400, "invalid patch format of retainKeys"),
        ({"$retainKeys": ["a"], "b": 1}, 400, "invalid patch format of retainKeys"),
        ({"tolerations": [[]], "$setElementOrder/containers": []}, None, ""),
        ({"volumes": [[]]}, 422, NOT_APPLIED[1]),
    ],
)  # fmt: skip
def test_a_directive_that_does_not_fit_is_refused(patch, code, why):
    old = pod(containers=containers("a"), nodeSelector={"a": "b"}, tolerations=["x"], volumes=[])
    if code is None:
        assert strategic(old, {"spec": patch})["spec"]["tolerations"] == [[]]
    else:
        assert refusal(lambda: strategic(old, {"spec": patch})) == (code, why)
