"""Server-side apply: what is merged, what is pruned, who conflicts with whom, and what kubectl noted before."""

import json

import pytest
from support.api import a_registry

from netproxy.core.errors import ApiError, ConflictError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    NAMESPACES,
    PODS,
    SERVICES,
)
from netproxy.registry.applying import LAST_APPLIED, MOST_ANNOTATION_BYTES, ApplyConflictError, applied
from netproxy.registry.managed import Kind, Write
from netproxy.registry.merging import merged, without
from netproxy.registry.options import WriteOptions
from netproxy.registry.shape import FOUND, Owned, Shape, shape_of
from netproxy.registry.typed import type_error

MERGE = "application/merge-patch+json"
AT = NamespacedName("default", "c")
PORTS = shape_of({"apiVersion": "v1", "kind": "Service"}).within("spec").within("ports")
DEPLOYMENT = shape_of({"apiVersion": "apps/v1", "kind": "Deployment"})


def config(data=None, **meta):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", **meta},
        **({"data": data} if data else {}),
    }


def apply(registry, obj, manager="one", *, resource=CONFIG_MAPS, at=AT, force=False, subresource=""):
    options = WriteOptions(manager=manager, force=force)
    return registry.apply_configuration(resource, at, obj, options, subresource=subresource)[0]


def refusal(run):
    with pytest.raises(ApiError) as error:
        run()
    return error.value.code, str(error.value)


def owners(obj):
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", ())
    }


# --- create, merge, prune


def test_what_is_applied_is_made_or_merged_in():
    registry = a_registry()
    made, is_new = registry.apply_configuration(CONFIG_MAPS, AT, config({"a": "1"}), WriteOptions(manager="one"))
    assert (is_new, made["data"], made["metadata"]["namespace"]) == (True, {"a": "1"}, "default")
    assert owners(made) == {("one", "Apply"): {"f:data": {"f:a": {}}}}
    registry.patch(CONFIG_MAPS, AT, {"data": {"b": "2"}}, MERGE, WriteOptions(manager="ed"))
    again, is_new = registry.apply_configuration(CONFIG_MAPS, AT, config({"a": "3"}), WriteOptions(manager="one"))
    assert (is_new, again["data"]) == (False, {"a": "3", "b": "2"})


def test_what_is_applied_no_more_goes_unless_somebody_else_claims_it():
    registry = a_registry()
    apply(registry, config({"a": "1", "b": "1", "c": "1"}, labels={"x": "y"}, finalizers=["k/a", "k/b"]))
    apply(registry, config({"a": "1"}, finalizers=["k/a"]), "two")
    registry.patch(CONFIG_MAPS, AT, {"data": {"b": "2"}}, MERGE, WriteOptions(manager="ed"))
    left = apply(registry, config({"c": "1"}))
    assert (left["data"], left["metadata"]["finalizers"]) == ({"a": "1", "b": "2", "c": "1"}, ["k/a"])
    assert "labels" not in left["metadata"]
    last = apply(registry, config())
    assert last["data"] == {"a": "1", "b": "2"}
    assert ("one", "Apply") not in owners(last)


def test_an_apply_that_changes_nothing_is_none():
    registry = a_registry()
    made = apply(registry, config({"a": "1"}))
    registry.store.clock.time += 60
    assert apply(registry, config({"a": "1"})) == made
    claimed = apply(registry, config({"a": "1"}), "two")
    assert [entry.get("time") for entry in claimed["metadata"]["managedFields"] if entry["manager"] == "two"] == [None]


def test_a_null_is_owned_and_changes_nothing():
    registry = a_registry()
    made = apply(registry, {**config(), "data": None})
    assert (owners(made), "data" in made) == ({("one", "Apply"): {"f:data": {}}}, False)
    registry.patch(CONFIG_MAPS, AT, {"data": {"b": "2"}}, MERGE)
    assert apply(registry, {**config(), "data": None})["data"] == {"b": "2"}


def test_items_are_pruned_by_their_keys():
    registry = a_registry()

    def service(*ports):
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}, "spec": {"ports": [*ports]}}

    def ports(obj, manager="one"):
        made = apply(registry, obj, manager, resource=SERVICES)
        return [port["name"] for port in made["spec"]["ports"]]

    http, dns, tcp = {"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}, {"name": "c", "port": 53}
    assert ports(service(http, dns)) == ["a", "b"]
    assert ports(service(tcp), "two") == ["a", "b", "c"]
    assert ports(service(dns)) == ["b", "c"]
    assert ports(service(http)) == ["c", "a"]


def test_an_object_of_a_namespace_or_of_none():
    registry = a_registry()
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c", "namespace": "odd"}}
    made = apply(registry, space, resource=NAMESPACES, at=NamespacedName("", "c"))
    assert "namespace" not in made["metadata"]
    assert refusal(lambda: apply(registry, config(namespace="other")))[0] == 400
    assert refusal(lambda: apply(registry, {**config(), "metadata": {"name": "x"}}))[1].startswith(
        "the name of the object (x)"
    )


def test_a_status_is_applied_by_its_own_way():
    registry, at = a_registry(), NamespacedName("default", "p")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    with pytest.raises(NotFoundError):
        apply(registry, pod, resource=PODS, at=at, subresource="status")
    apply(registry, {**pod, "spec": {"containers": [{"name": "c", "image": "i"}]}}, resource=PODS, at=at)
    ready = {"type": "Ready", "status": "True"}
    status = {**pod, "spec": {"nodeName": "x"}, "status": {"conditions": [ready]}}
    seen = apply(registry, status, "ctl", resource=PODS, at=at, subresource="status")
    assert owners(seen)["ctl", "Apply"] == {
        "f:status": {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:type": {}, "f:status": {}}}}
    }
    assert "nodeName" not in seen["spec"]
    assert (
        apply(registry, {**pod, "status": {"phase": "Failed"}}, "no", resource=PODS, at=at)["status"]["phase"]
        != "Failed"
    )


def test_a_scale_is_applied_by_its_own_way():
    registry, at = a_registry(), NamespacedName("default", "c")
    work = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "c"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }}  # fmt: skip
    apply(registry, work, resource=DEPLOYMENTS, at=at)
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "c"}, "spec": {"replicas": 5}}
    wrong = refusal(lambda: apply(registry, scale, "two", resource=DEPLOYMENTS, at=at, subresource="scale"))
    assert wrong == (409, 'Apply failed with 1 conflict: conflict with "one": .spec.replicas')
    made = apply(registry, scale, "two", resource=DEPLOYMENTS, at=at, subresource="scale", force=True)
    assert (made["kind"], made["spec"]) == ("Scale", {"replicas": 5})
    seen = registry.store.get(DEPLOYMENTS, at)
    assert owners(seen)["two", "Apply"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(seen)["one", "Apply"]["f:spec"]
    assert refusal(lambda: apply(registry, work, resource=DEPLOYMENTS, at=at))[1].endswith(
        'conflict with "two" with subresource "scale": .spec.replicas'
    )
    labelled = {**scale, "metadata": {"name": "c", "labels": {"a": "b"}}, "spec": {}}
    apply(registry, labelled, "three", resource=DEPLOYMENTS, at=at, subresource="scale")
    assert ("three", "Apply") not in owners(registry.store.get(DEPLOYMENTS, at))
    again = apply(registry, scale, "two", resource=DEPLOYMENTS, at=at, subresource="scale")
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


# --- conflicts


def test_who_changes_what_others_manage_is_told_so():
    registry = a_registry()
    apply(registry, config({"a": "1", "b": "1"}, labels={"x": "1"}))
    registry.patch(CONFIG_MAPS, AT, {"data": {"b": "2"}}, MERGE, WriteOptions(manager="ed"))
    with pytest.raises(ApplyConflictError) as error:
        apply(registry, config({"a": "9", "b": "9"}, labels={"x": "9"}), "two")
    assert (error.value.code, error.value.reason) == (409, "Conflict")
    assert str(error.value) == (
        'Apply failed with 3 conflicts: conflicts with "ed" using v1:\n- .data.b\nconflicts with "one":\n- .data.a\n'
        "- .metadata.labels.x"
    )
    assert error.value.details["causes"][0] == {
        "reason": "FieldManagerConflict", "message": 'conflict with "ed" using v1', "field": ".data.b",
    }  # fmt: skip
    taken = apply(registry, config({"a": "9", "b": "9"}, labels={"x": "9"}), "two", force=True)
    assert list(owners(taken)) == [("two", "Apply")]


def test_a_conflict_names_the_way_of_the_other():
    registry, at = a_registry(), NamespacedName("default", "p")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    registry.create({**pod, "metadata": {"name": "p", "namespace": "default"}})
    registry.patch(
        PODS, at, {"status": {"phase": "Running"}}, MERGE, WriteOptions(manager="kubelet"), subresource="status"
    )
    wrong = refusal(
        lambda: apply(registry, {**pod, "status": {"phase": "Failed"}}, "x", resource=PODS, at=at, subresource="status")
    )
    assert wrong[1].endswith('conflict with "kubelet" with subresource "status" using v1: .status.phase')


def test_the_same_value_is_shared_without_a_conflict():
    registry = a_registry()
    apply(registry, config({"a": "1"}))
    assert set(owners(apply(registry, config({"a": "1"}), "two"))) == {("one", "Apply"), ("two", "Apply")}
    assert apply(registry, config())["data"] == {"a": "1"}, "the other has it still"


def test_what_nobody_was_noted_for_belongs_to_before():
    registry = a_registry()
    registry.create({**config({"a": "1"}), "metadata": {"name": "c", "namespace": "default"}})
    registry.patch(CONFIG_MAPS, AT, {"metadata": {"managedFields": [{}]}}, MERGE)
    wrong = refusal(lambda: apply(registry, config({"a": "2"})))
    assert wrong[1].endswith('conflict with "before-first-apply" using v1: .data.a')
    assert owners(apply(registry, config({"a": "1"})))["before-first-apply", "Update"] == {
        "f:data": {".": {}, "f:a": {}}
    }


def test_versions_of_one_kind_are_applied_together():
    registry = a_registry()

    def autoscaler(version, **spec):
        return {"apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "c"},
                "spec": {"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, **spec}}  # fmt: skip

    apply(registry, autoscaler("v1", targetCPUUtilizationPercentage=50), resource=HORIZONTAL_POD_AUTOSCALERS_V1)
    apply(registry, autoscaler("v1", minReplicas=3), "two", resource=HORIZONTAL_POD_AUTOSCALERS_V1, force=True)
    seen = apply(registry, autoscaler("v2"), resource=HORIZONTAL_POD_AUTOSCALERS)
    assert (seen["spec"]["minReplicas"], "f:minReplicas" in owners(seen)["one", "Apply"]["f:spec"]) == (3, False)
    wrong = refusal(lambda: apply(registry, autoscaler("v2", minReplicas=4), resource=HORIZONTAL_POD_AUTOSCALERS))
    assert wrong[1].endswith('conflict with "two": .spec.minReplicas')
    assert apply(registry, autoscaler("v1"), "two", resource=HORIZONTAL_POD_AUTOSCALERS_V1)["spec"]["minReplicas"] == 1


def test_managers_of_versions_that_are_gone_are_forgotten():
    gone = {"manager": "x", "operation": "Apply", "apiVersion": "v0", "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {}}}
    kind = Kind(lambda _: FOUND, lambda obj, version: obj if version == "v1" else None)
    live = {
        "apiVersion": "v1",
        "metadata": {"managedFields": [gone, {**gone, "manager": "y", "apiVersion": "v1"}]},
        "a": 1,
    }
    result = applied(live, {"apiVersion": "v1", "b": 2}, Write("one", "v1", "now", "", {}), kind, force=False)
    assert sorted(who for who, _ in owners({"metadata": {"managedFields": result.entries}})) == ["one", "y"]


# --- kubectl


def noted(data):
    return {LAST_APPLIED: json.dumps({**config(data), "metadata": {"name": "c"}})}


def by_kubectl(registry, data, live=None, **meta):
    notes = {"annotations": noted(data)} if data is not None else {}
    obj = config(live or data, namespace="default", **notes, **meta)
    registry.create(obj, WriteOptions(manager="kubectl-client-side-apply"))


def test_kubectl_takes_over_what_it_applied_before_on_its_own_side():
    registry = a_registry()
    by_kubectl(registry, {"a": "1", "b": "1"})
    made = apply(registry, config({"a": "<2>"}), "kubectl")
    assert made["data"] == {"a": "<2>", "b": "1"}
    assert made["metadata"]["annotations"][LAST_APPLIED] == (
        '{"apiVersion":"v1","data":{"a":"\\u003c2\\u003e"},"kind":"ConfigMap","metadata":{"name":"c"}}\n'
    )
    assert refusal(lambda: apply(registry, config({"b": "3"}), "other"))[0] == 409


def test_kubectl_does_not_take_over_what_others_changed_since():
    registry = a_registry()
    by_kubectl(registry, {"a": "1", "b": "1"})
    registry.patch(CONFIG_MAPS, AT, {"data": {"b": "2"}}, MERGE, WriteOptions(manager="ed"))
    wrong = refusal(lambda: apply(registry, config({"a": "9", "b": "9"}), "kubectl"))
    assert wrong == (409, 'Apply failed with 1 conflict: conflict with "ed" using v1: .data.b')


@pytest.mark.parametrize("note", ["", "{", "[]", '{"apiVersion":"v2"}', '{"apiVersion":"v1","data":{"a":5}}'])
def test_a_note_that_cannot_be_read_allows_nothing(note):
    registry = a_registry()
    registry.create(
        config({"a": "1"}, namespace="default", annotations={LAST_APPLIED: note}), WriteOptions(manager="x")
    )
    assert refusal(lambda: apply(registry, config({"a": "2"}), "kubectl"))[0] == 409


def test_a_note_that_would_be_too_long_is_dropped():
    registry = a_registry()
    by_kubectl(registry, {"a": "1"})
    annotations = {"other": "x", LAST_APPLIED: "mine"}
    made = apply(
        registry, config({"a": "2" * (MOST_ANNOTATION_BYTES - 100)}, annotations=annotations), "kubectl", force=True
    )
    assert made["metadata"]["annotations"] == {"other": "x"}


def test_only_kubectl_keeps_the_note_up_to_date():
    registry = a_registry()
    by_kubectl(registry, {"a": "1"})
    assert apply(registry, config({"b": "2"}), "one")["metadata"]["annotations"] == noted({"a": "1"})
    made = apply(registry, config({"a": "1"}, annotations={LAST_APPLIED: "x", "y": "z"}), "kubectl", force=True)
    assert json.loads(made["metadata"]["annotations"][LAST_APPLIED])["metadata"]["annotations"] == {"y": "z"}


# --- what is no configuration


@pytest.mark.parametrize(
    ("obj", "code", "why"),
    [
        (None, 400, "invalid object type: /, Kind="),
        ({"kind": "ConfigMap"}, 400, "invalid object type: /, Kind=ConfigMap"),
        ({"apiVersion": 5, "kind": "Secret"}, 400, "invalid object type: /, Kind=Secret"),
        ({**config(), "apiVersion": "apps/v1"}, 400, "invalid object type: apps/v1, Kind=ConfigMap"),
        (config(managedFields=[]), 400, "metadata.managedFields must be nil"),
        ({**config(), "data": {"a": 5}}, 500, ("failed to create typed patch object (/c; /v1, Kind=ConfigMap): .data.a: expected"
         " string, got &value.valueUnstructured{Value:5}")),
        ({**config(creationTimestamp=5, namespace="n")}, 500, ("failed to convert new object (n/c; /v1, Kind=ConfigMap) to proper"
         " version: unable to convert unstructured object to /v1, Kind=ConfigMap: json: cannot unmarshal number into Go value"
         " of type string")),
    ],
)  # fmt: skip
def test_what_cannot_be_applied(obj, code, why):
    assert refusal(lambda: apply(a_registry(), obj)) == (code, why)


def test_an_object_that_is_not_there_has_no_uid():
    with pytest.raises(
        ConflictError, match="uid mismatch: the provided object specified uid u, and no existing object was found"
    ):
        apply(a_registry(), config(uid="u"))


def test_what_was_wrong_with_the_text_is_told_when_all_else_is_right():
    warned, told = [], ('line 2: key "a" already set in map',)

    def run(obj, validation):
        options = WriteOptions(manager="one", field_validation=validation, warn=warned.append)
        return a_registry().apply_configuration(CONFIG_MAPS, AT, obj, options, told=told)

    assert refusal(lambda: run(config(), "Strict"))[1].endswith(
        'yaml: unmarshal errors:\n  line 2: key "a" already set in map'
    )
    assert run(config(), "Ignore")[1]
    assert warned == []
    assert run(config(), "Warn")[1]
    assert warned == list(told)


def test_what_is_merged_has_to_be_right():
    with pytest.raises(ManifestError):
        apply(
            a_registry(),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}, "spec": {"ports": []}},
            resource=SERVICES,
        )


CONTAINER = DEPLOYMENT.within("spec").within("template").within("spec").within("containers")


@pytest.mark.parametrize(
    ("value", "shape", "wrong"),
    [
        ("x", DEPLOYMENT, "expected map, got &{x}"),
        ({"a": None}, DEPLOYMENT, ".a: field not declared in schema"),
        ({"spec": {"replicas": "x"}}, DEPLOYMENT, ".spec.replicas: expected numeric (int or float), got string"),
        ({"spec": {"replicas": {}}}, DEPLOYMENT, ".spec.replicas: expected numeric (int or float), got map[string]interface {}"),
        ({"spec": {"paused": [None, 1.5]}}, DEPLOYMENT, ".spec.paused: expected boolean, got &{[<nil> 1.5]}"),
        ({"metadata": {"labels": {"a": {"b": [True, None, "x"]}}}}, DEPLOYMENT,
         '.metadata.labels.a: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"b":[]interface {}{true, interface {}(nil), "x"}}}'),
        ({"metadata": {"finalizers": [{}]}}, DEPLOYMENT, ".metadata.finalizers: element 0: associative list without keys has an element that's a map type"),
        ({"metadata": {"finalizers": [None]}}, DEPLOYMENT, ".metadata.finalizers: element 0: associative list without keys has an element that's an explicit null"),
        ({"metadata": {"finalizers": [[]]}}, DEPLOYMENT, ".metadata.finalizers: element 0: not supported: associative list with lists as elements"),
        ({"metadata": {"finalizers": [5]}}, DEPLOYMENT, ".metadata.finalizers[=5]: expected string, got &value.valueUnstructured{Value:5}"),
        ("x", CONTAINER, "expected list, got &{x}"),
        ([5], CONTAINER, "element 0: associative list with keys may not have non-map elements"),
        ([None], CONTAINER, "element 0: associative list with keys may not have a null element"),
        ([{"name": "a"}, {"name": "a", "args": ["x", 5]}], CONTAINER,
         'errors:\n  duplicate entries for key [name="a"]\n  [name="a"].args[1]: expected string, got &value.valueUnstructured{Value:5}'),
        ([{"name": "a", "resources": {"limits": {"cpu": {"a": 1}}}}], CONTAINER, '[name="a"].resources.limits.cpu: expected any scalar, got &{map[a:1]}'),
        ([{}], Shape(Owned.ITEMS, keys=("a", "b")),
         'element 0: associative list with keys has an element that omits all key fields ["a" "b"] (and doesn\'t have default values for any key fields)'),
        ({"a": [1]}, FOUND, ""),
        (None, DEPLOYMENT, ""),
        ({"spec": {"replicas": 5, "selector": {"matchLabels": {"a": "b"}}}}, DEPLOYMENT, ""),
    ],
)  # fmt: skip
def test_types_are_told_in_the_words_of_the_merger(value, shape, wrong):
    assert type_error(value, shape) == wrong


# --- merging and taking out


@pytest.mark.parametrize(
    ("live", "given", "names"),
    [
        ("abc", "", "abc"),
        ("", "ab", "ab"),
        ("ab", "ba", "ba"),
        ("axb", "bca", "xbca"),
        ("abcd", "db", "adbc"),
        ("aab", "b", "aab"),
        ("aab", "a", "ab"),
    ],
)
def test_lists_have_the_order_of_who_applies_and_keep_what_else_there_was(live, given, names):
    def items(text):
        return [{"port": ord(char), "name": char} for char in text]

    found = merged(items(live), items(given), PORTS)
    if (live, given) == ("abcd", "db"):
        assert sorted(item["name"] for item in found) == list("abcd")
    else:
        assert "".join(item["name"] for item in found) == names


def test_what_is_of_another_shape_is_replaced():
    assert merged({"a": {"b": 1}}, {"a": 5}, FOUND) == {"a": 5}
    assert merged({"a": 5}, {"a": {"b": 1}}, FOUND) == {"a": {"b": 1}}
    assert merged({"a": {"b": 1}}, {"a": None}, FOUND) == {"a": {"b": 1}}
    assert merged({"a": [1]}, {"a": [2]}, FOUND) == {"a": [2]}
    assert merged({}, None, DEPLOYMENT) is None


def test_what_is_emptied_stays_empty():
    fields = {"f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {'v:"x"': {}}}}
    obj = {"metadata": {"labels": {"a": "1"}, "finalizers": ["x"], "name": "n"}, "spec": {}}
    assert without(obj, fields, DEPLOYMENT) == {"metadata": {"labels": {}, "finalizers": [], "name": "n"}, "spec": {}}
    ports = [{"port": 80, "name": "a"}, {"port": 81}]
    assert without(ports, {'k:{"port":80,"protocol":"TCP"}': {"f:name": {}}}, PORTS) == [{"port": 80}, {"port": 81}]
    atomic = Shape(Owned.WHOLE)
    assert without({"a": 1}, {"f:a": {}}, atomic) == {}
    assert without([1], {"f:a": {}}, atomic) == []
    assert without(5, {"f:a": {}}, atomic) == 5
