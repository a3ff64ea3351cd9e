"""Who manages which fields: what every way to write leaves in `metadata.managedFields`."""

import pytest
from support.api import a_registry
from support.build import config_map, deployment, namespace_object, pod_object, service_object

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS_V1,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    IMAGES,
    PODS,
)
from netproxy.registry.managed import MOST_UPDATERS, capped, clean, is_timely
from netproxy.registry.options import WriteOptions

MERGE, JSON = "application/merge-patch+json", "application/json-patch+json"
AT = NamespacedName("default", "c")


def by(manager, **more):
    return WriteOptions(manager=manager, **more)


def entries(obj):
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry["fieldsV1"]
        for entry in obj["metadata"].get("managedFields", ())
    }


def test_who_creates_an_object_manages_what_it_said_and_what_was_filled_in():
    made = a_registry().create(service_object(), by("maker"))
    (entry,) = made["metadata"]["managedFields"]
    fields = entry["fieldsV1"]["f:spec"]
    assert (entry["apiVersion"], entry["fieldsType"], "time" in entry) == ("v1", "FieldsV1", True)
    assert {"f:sessionAffinity", "f:type", "f:internalTrafficPolicy"} <= set(fields)
    assert "f:clusterIP" not in fields, "the server gave it"
    assert "." in fields["f:ports"]


def test_fields_that_are_always_written_are_not_owned_themselves():
    fields = entries(a_registry().create(deployment(), by("m")))["m", "Update", ""]["f:spec"]
    assert "." not in fields
    assert "." not in fields["f:template"]["f:spec"]["f:containers"]
    assert "." in fields["f:strategy"]["f:rollingUpdate"]
    item = next(iter(fields["f:template"]["f:spec"]["f:containers"].values()))
    assert "." in item


def test_a_writer_takes_the_fields_that_it_changes_from_all_others():
    registry = a_registry()
    registry.create({**config_map(), "data": {"a": "1", "b": "2"}}, by("maker"))
    changed = registry.patch(CONFIG_MAPS, AT, {"data": {"a": "9", "c": "3"}}, MERGE, by("ed"))
    assert entries(changed) == {
        ("maker", "Update", ""): {"f:data": {".": {}, "f:b": {}}},
        ("ed", "Update", ""): {"f:data": {"f:a": {}, "f:c": {}}},
    }
    gone = registry.patch(CONFIG_MAPS, AT, {"data": {"c": None, "a": None}}, MERGE, by("maker"))
    assert entries(gone) == {("maker", "Update", ""): {"f:data": {".": {}, "f:b": {}}}}


def test_a_write_that_changes_nothing_is_none():
    registry = a_registry()
    made = registry.create({**config_map(), "data": {"a": "1"}}, by("maker"))
    registry.store.clock.time += 60
    assert registry.replace({**config_map(), "data": {"a": "1"}}, by("other")) == made
    assert registry.patch(CONFIG_MAPS, AT, {"metadata": {"labels": {}}}, MERGE, by("maker")) == made


def test_times_alone_make_no_new_version():
    registry = a_registry()
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "c", "namespace": "default"},
              "addressType": "IPv4", "endpoints": []}  # fmt: skip
    made = registry.create(slice_, by("m"))
    registry.store.clock.time += 60
    assert registry.replace(slice_, by("m")) == made, (
        "an empty list is kept as null: to say it again is a change, and none"
    )
    assert registry.replace(slice_, by("other"))["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


def test_a_status_is_managed_apart():
    registry = a_registry()
    registry.create(pod_object(), by("maker"))
    at = NamespacedName("default", "web-1")
    status = {"spec": {"nodeName": "x"}, "status": {"phase": "Running"}, "metadata": {"labels": {"new": "1"}}}
    seen = entries(registry.patch(PODS, at, status, MERGE, by("kubelet"), subresource="status"))
    assert seen["kubelet", "Update", "status"] == {
        "f:status": {"f:phase": {}},
        "f:metadata": {"f:labels": {"f:new": {}}},
    }
    assert "f:status" not in seen["maker", "Update", ""]
    assert entries(registry.patch(PODS, at, {"status": {"phase": "Failed"}}, MERGE, by("maker")))[
        "kubelet", "Update", "status"]["f:status"] == {"f:phase": {}}  # fmt: skip


def test_finalizers_of_a_namespace_are_managed_apart_too():
    registry = a_registry()
    made = registry.create(namespace_object(), by("maker"))
    assert entries(made) == {
        ("maker", "Update", ""): {"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}}
    }
    seen = registry.finalize({**made, "spec": {"finalizers": ["a/b"]}}, by("ctl"))
    assert entries(seen)["ctl", "Update", "finalize"] == {"f:spec": {"f:finalizers": {}}}


def test_entries_can_be_given_and_let_go():
    registry = a_registry()
    registry.create({**config_map(), "data": {"a": "1"}}, by("maker"))
    mine = {
        "manager": "x",
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:a": {}}},
    }
    given = registry.patch(CONFIG_MAPS, AT, {"metadata": {"managedFields": [mine]}}, MERGE, by("ed"))
    assert given["metadata"]["managedFields"] == [mine]
    lasting = registry.patch(
        CONFIG_MAPS, AT, {"metadata": {"managedFields": [{**mine, "operation": "No"}]}}, MERGE, by("ed")
    )
    assert lasting["metadata"]["managedFields"] == [mine], "what cannot be read does not count"
    gone = {**mine, "apiVersion": "v9"}
    assert entries(registry.patch(CONFIG_MAPS, AT, {"metadata": {"managedFields": [mine, gone]}}, MERGE)) == entries(
        given
    )
    for nothing in ([], [{}]):
        registry.patch(CONFIG_MAPS, AT, {"metadata": {"managedFields": [mine]}}, MERGE, by("ed"))
        free = registry.patch(CONFIG_MAPS, AT, {"metadata": {"managedFields": nothing}}, MERGE, by("ed"))
        assert "managedFields" not in free["metadata"]
        assert "managedFields" not in registry.patch(CONFIG_MAPS, AT, {"data": {"a": "5"}}, MERGE, by("ed"))["metadata"]
        registry.replace({**config_map(), "metadata": {**config_map()["metadata"], "managedFields": [mine]}}, by("ed"))


def test_a_new_object_may_bring_entries():
    mine = {
        "manager": "x",
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:z": {}}},
    }
    obj = {**config_map(), "data": {"a": "1"}}
    made = a_registry().create({**obj, "metadata": {**obj["metadata"], "managedFields": [mine]}}, by("maker"))
    assert set(entries(made)) == {("x", "Update", ""), ("maker", "Update", "")}


def test_a_manager_is_known_in_the_version_in_which_it_writes():
    registry, at = a_registry(), NamespacedName("default", "h")
    old = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h", "namespace": "default"},
           "spec": {"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}, "targetCPUUtilizationPercentage": 50}}  # fmt: skip
    registry.create(old, by("old"))
    change = {"spec": {"maxReplicas": 6, "metrics": None}}
    new = {**old, "apiVersion": "autoscaling/v2", "spec": {**old["spec"], **change["spec"]}}
    del new["spec"]["targetCPUUtilizationPercentage"]
    made = registry.replace(new, by("new"))
    seen = {
        entry["manager"]: (entry["apiVersion"], entry["fieldsV1"]["f:spec"])
        for entry in made["metadata"]["managedFields"]
    }
    assert seen["old"] == ("autoscaling/v1", {"f:minReplicas": {}, "f:scaleTargetRef": {}})
    assert seen["new"][0] == "autoscaling/v2"
    assert "f:maxReplicas" in seen["new"][1]
    shown = registry.patch(HORIZONTAL_POD_AUTOSCALERS_V1, at, {"spec": {"minReplicas": 2}}, MERGE, by("old"))
    assert {entry["manager"]: entry["apiVersion"] for entry in shown["metadata"]["managedFields"]}[
        "old"
    ] == "autoscaling/v1"


@pytest.mark.parametrize(
    ("obj", "fields"),
    [
        ({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [], "ports": None},
         {"f:addressType": {}, "f:endpoints": {}}),
        ({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": []}, {"f:rules": {}}),
        ({"apiVersion": "v1", "kind": "LimitRange", "spec": {"limits": []}}, {"f:spec": {"f:limits": {}}}),
    ],
)  # fmt: skip
def test_who_says_that_a_list_is_empty_manages_it_though_it_is_kept_as_null(obj, fields):
    made = a_registry().create({**obj, "metadata": {"name": "c", "namespace": "default"}}, by("m"))
    assert entries(made) == {("m", "Update", ""): fields}
    assert [] not in (made.get("endpoints"), made.get("rules"), (made.get("spec") or {}).get("limits"))


def test_the_single_address_of_a_pod_counts():
    registry, at = a_registry(), NamespacedName("default", "web-1")
    registry.create(pod_object())
    status = {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.2"}]}
    seen = registry.patch(PODS, at, {"status": status}, MERGE, by("kubelet"), subresource="status")
    assert seen["status"]["podIPs"] == [{"ip": "10.0.0.1"}]
    owned = entries(seen)["kubelet", "Update", "status"]["f:status"]["f:podIPs"]
    assert owned == {".": {}, 'k:{"ip":"10.0.0.1"}': {".": {}, "f:ip": {}}}
    same = {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}
    dual = registry.patch(PODS, at, {"status": same}, MERGE, by("kubelet"), subresource="status")
    assert dual["status"]["podIPs"] == same["podIPs"]


def test_a_kind_without_an_official_type_is_managed_as_it_is_found():
    image = {
        "apiVersion": "netproxy.dev/v1alpha1",
        "kind": "Image",
        "metadata": {"name": "i"},
        "spec": {"image": "a", "command": ["b"]},
    }
    registry = a_registry()
    assert entries(registry.create(image, by("m"))) == {
        ("m", "Update", ""): {"f:spec": {".": {}, "f:image": {}, "f:command": {}}}
    }
    new = registry.patch(IMAGES, NamespacedName("", "i"), {"spec": {"command": ["c"]}}, MERGE, by("n"))
    assert entries(new)["n", "Update", ""] == {"f:spec": {"f:command": {}}}


def test_one_kind_in_two_groups_knows_its_managers_in_both():
    registry = a_registry()
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "c", "namespace": "default"}, "message": "a",
             "involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"}, "type": "Normal"}  # fmt: skip
    registry.create(event, by("core"))
    series = {"count": 2, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}
    seen = registry.patch(EVENTS_V1, AT, {"series": series}, MERGE, by("new"))
    assert {entry["manager"]: entry["apiVersion"] for entry in seen["metadata"]["managedFields"]} == {
        "core": "v1", "new": "events.k8s.io/v1",
    }  # fmt: skip


def updaters(count, version="v1"):
    return [
        {"manager": f"m{index:02}", "operation": "Update", "apiVersion": version, "time": f"2026-01-01T00:00:{index:02}Z",
         "fieldsType": "FieldsV1", "fieldsV1": {f"f:{index}": {}}}
        for index in range(count)
    ]  # fmt: skip


def test_only_so_many_updaters_are_told_apart():
    few = [*updaters(MOST_UPDATERS), {"manager": "a", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {}}]
    assert capped(few) == few
    left = {entry["manager"]: entry for entry in capped(updaters(MOST_UPDATERS + 3))}
    assert sorted(left) == ["ancient-changes", *(f"m{index:02}" for index in range(4, MOST_UPDATERS + 3))]
    assert left["ancient-changes"]["fieldsV1"] == {f"f:{index}": {} for index in range(4)}
    assert left["ancient-changes"]["time"] == "2026-01-01T00:00:03Z"


def test_the_oldest_of_each_version_become_one():
    mixed = [
        *updaters(3, "v2"),
        *({**entry, "manager": f"x{entry['manager']}"} for entry in updaters(MOST_UPDATERS - 1)),
    ]
    for entry in mixed:
        entry.pop("time", None)
    left = capped(mixed)
    assert sorted(entry["apiVersion"] for entry in left if entry["manager"] == "ancient-changes") == ["v2"]
    assert len(left) == MOST_UPDATERS
    assert all("time" not in entry for entry in left)


def test_updaters_of_versions_of_their_own_stay():
    many = [{**entry, "apiVersion": f"v{index}"} for index, entry in enumerate(updaters(MOST_UPDATERS + 1))]
    assert capped(many) == many


@pytest.mark.parametrize(
    "change", [{"operation": "x"}, {"apiVersion": ""}, {"fieldsType": "No"}, {"fieldsV1": {"x": {}}}]
)
def test_entries_that_cannot_be_read(change):
    assert clean([{**updaters(1)[0], **change}]) is None


def test_entries_that_can_be_read_are_put_in_order():
    first, second = updaters(2)
    empty = {**first, "manager": "nobody", "fieldsV1": None}
    assert clean([second, first, empty, {**second, "fieldsV1": {"f:last": {}}}]) == [
        first,
        {**second, "fieldsV1": {"f:last": {}}},
    ]


def test_times_are_all_that_differs():
    one = updaters(2)
    later = [{**entry, "time": "2027-01-01T00:00:00Z"} for entry in one]
    assert is_timely(later, one)
    assert not is_timely(one, one)
    assert not is_timely(one[:1], one)


# --- scales


def scale(replicas):
    return {"spec": {"replicas": replicas}}


def test_who_scales_takes_the_replicas_only():
    registry, at = a_registry(), NamespacedName("default", "web")
    registry.create({**deployment(), "spec": {**deployment()["spec"], "replicas": 2}}, by("maker"))
    registry.patch(DEPLOYMENTS, at, scale(3), MERGE, by("scaler"), subresource="scale")
    seen = entries(registry.store.get(DEPLOYMENTS, at))
    assert seen["scaler", "Update", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in seen["maker", "Update", ""]["f:spec"]
    registry.patch(DEPLOYMENTS, at, scale(0), MERGE, by("scaler"), subresource="scale")
    assert list(entries(registry.store.get(DEPLOYMENTS, at))) == [("maker", "Update", "")], "nobody wants none"
    registry.patch(DEPLOYMENTS, at, scale(2), MERGE, by("scaler"), subresource="scale")
    assert list(entries(registry.store.get(DEPLOYMENTS, at))) == [("maker", "Update", "")], (
        "what nobody manages stays so"
    )


def test_a_scale_that_stays_splits_the_entry_of_who_made_the_object():
    registry, at = a_registry(), NamespacedName("default", "web")
    registry.create({**deployment(), "spec": {**deployment()["spec"], "replicas": 2}}, by("maker"))
    registry.patch(DEPLOYMENTS, at, scale(2), MERGE, by("scaler"), subresource="scale")
    split = registry.store.get(DEPLOYMENTS, at)["metadata"]["managedFields"]
    assert [entry["manager"] for entry in split] == ["maker", "maker"]
    assert split[0]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    later = registry.patch(DEPLOYMENTS, at, {"spec": {"paused": True}}, MERGE, by("maker"))["metadata"]["managedFields"]
    assert [("f:replicas" in entry["fieldsV1"]["f:spec"]) for entry in later] == [False]


def test_entries_of_other_versions_are_lost_by_a_scale():
    registry, at = a_registry(), NamespacedName("default", "web")
    registry.create(deployment(), by("maker"))
    old = registry.store.get(DEPLOYMENTS, at)
    odd = {**old["metadata"]["managedFields"][0], "manager": "odd", "apiVersion": "v1"}
    with registry.transaction() as change:
        change.replace(
            {**old, "metadata": {**old["metadata"], "managedFields": [*old["metadata"]["managedFields"], odd]}}
        )
    registry.patch(DEPLOYMENTS, at, scale(7), MERGE, by("scaler"), subresource="scale")
    assert {who for who, _, _ in entries(registry.store.get(DEPLOYMENTS, at))} == {"maker", "scaler"}
