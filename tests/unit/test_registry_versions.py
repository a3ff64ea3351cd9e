"""Generations, versions and uids: what a write counts as, and which state of which object its writer meant."""

import pytest
from support.api import a_registry
from support.build import config_map, deployment, namespace_object, pod_object, service_object, slice_object

from netproxy.core.errors import ApiError, ConflictError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import PODS, resource_of
from netproxy.registry.patch import MERGE


def lease(**spec):
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": spec}


def generation(obj):
    return obj["metadata"].get("generation")


@pytest.mark.parametrize(
    ("obj", "first"),
    [
        (deployment(), 1), (pod_object(), 1), (slice_object("s", ()), 1), (config_map(), None), (service_object(), None),
        (namespace_object(), None), (lease(), None),
    ],
    ids=lambda obj: obj["kind"] if isinstance(obj, dict) else "",
)  # fmt: skip
def test_who_has_a_generation(obj, first):
    registry = a_registry()
    assert generation(registry.create(obj)) == first


def test_one_that_has_none_keeps_what_it_was_made_with():
    registry = a_registry()
    made = registry.create({**config_map(), "metadata": {"name": "c", "generation": 7}})
    changed = registry.replace({**made, "metadata": {**made["metadata"], "generation": 9}, "data": {"x": "y"}})
    assert (generation(made), generation(changed)) == (7, 7)


@pytest.mark.parametrize(
    ("obj", "changes", "grows"),
    [
        (deployment(), {"metadata": {"labels": {"a": "b"}}}, 0),
        (deployment(), {"metadata": {"annotations": {"a": "b"}}}, 1),
        (deployment(), {"spec": {"replicas": 9}}, 1),
        (deployment(), {"status": {"replicas": 9}}, 0),
        (pod_object(), {"metadata": {"annotations": {"a": "b"}}}, 0),
        (pod_object(), {"spec": {"activeDeadlineSeconds": 9}}, 1),
        (slice_object("s", ()), {"metadata": {"labels": {"a": "b"}}}, 1),
        (slice_object("s", ()), {"metadata": {"annotations": {"a": "b"}}}, 0),
        (slice_object("s", ()), {"ports": [{"port": 9}]}, 1),
    ],
)
def test_what_counts(obj, changes, grows):
    registry = a_registry()
    made = registry.create(obj)
    at = NamespacedName("default", made["metadata"]["name"])
    changed = registry.patch(resource_of(made), at, changes, MERGE)
    assert generation(changed) == generation(made) + grows


def test_a_write_that_changes_nothing_is_none():
    registry = a_registry()
    made = registry.create(deployment())
    assert registry.replace(made) == made


# --- which state


@pytest.mark.parametrize("version", [None, "", "0", "now"])
def test_a_put_may_leave_the_version_out(version):
    registry = a_registry()
    made = registry.create(config_map())
    meta = {"name": made["metadata"]["name"]}
    if version is not None:
        meta["resourceVersion"] = made["metadata"]["resourceVersion"] if version == "now" else version
    assert registry.replace({**config_map(), "metadata": meta, "data": {"x": "y"}})["data"] == {"x": "y"}


def test_an_older_state_is_a_conflict():
    registry = a_registry()
    made = registry.create(config_map())
    registry.replace({**made, "data": {"x": "y"}})
    with pytest.raises(ConflictError, match="please apply your changes to the latest version"):
        registry.replace({**made, "data": {"x": "z"}})


def test_what_is_no_version_is_a_fault():
    registry = a_registry()
    made = registry.create(config_map())
    with pytest.raises(ApiError, match=r'strconv\.ParseUint: parsing "abc": invalid syntax') as error:
        registry.replace({**made, "metadata": {**made["metadata"], "resourceVersion": "abc"}})
    assert error.value.code == 500
    with pytest.raises(ApiError, match="resourceVersion should not be set on objects to be created") as error:
        registry.create({**config_map(), "metadata": {"name": "other", "resourceVersion": "5"}})
    assert error.value.code == 500


def test_some_kinds_need_the_version():
    registry = a_registry()
    made, is_new = registry.put(lease())
    assert is_new
    with pytest.raises(ManifestError, match="must be specified for an update") as error:
        registry.put(lease(holderIdentity="a"))
    assert error.value.details == {"kind": "leases"}
    changed, is_new = registry.put({**made, "spec": {"holderIdentity": "a"}})
    assert (changed["spec"], is_new) == ({"holderIdentity": "a"}, False)


@pytest.mark.parametrize(
    ("obj", "key"),
    [
        (config_map(), "/registry/configmaps/default/c"),
        (service_object(), "/registry/services/specs/default/web"),
        ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}, "/registry/minions/n"),
    ],
)
def test_another_object_of_the_name_is_a_conflict(obj, key):
    registry = a_registry()
    made = registry.create(obj)
    other = {**made, "metadata": {**made["metadata"], "uid": "other"}}
    for write in (registry.replace, registry.put):
        with pytest.raises(ConflictError) as error:
            write(other)
        assert (
            f"Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: other, "
            in str(error.value)
        )


def test_a_put_makes_an_object_only_where_that_is_usual():
    registry = a_registry()
    made, is_new = registry.put(service_object())
    assert is_new
    assert made["spec"]["clusterIP"]
    with pytest.raises(NotFoundError):
        registry.put(config_map())
    with pytest.raises(NotFoundError):
        registry.put(pod_object())
    assert not registry.store.count(PODS)


def test_a_put_of_one_that_is_there_no_more_makes_no_other_one():
    registry = a_registry()
    made = registry.create(service_object())
    registry.delete(resource_of(made), NamespacedName("default", made["metadata"]["name"]))
    with pytest.raises(ConflictError) as caught:
        registry.put(made)
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    assert str(caught.value) == (
        f'Operation cannot be fulfilled on services "{name}": StorageError: invalid object, Code: 4, '
        f"Key: /registry/services/specs/default/{name}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: "
    )
    del made["metadata"]["uid"]
    assert registry.put(made)[1]
