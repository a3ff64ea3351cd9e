"""Volumes and claims stay as long as somebody uses them."""

import pytest
from support.build import pod_object
from support.world import World

from netproxy.controllers.protection import PROTECTION_CONTROLLER
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Delete, Event
from netproxy.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, resource_of
from netproxy.objects.meta import key, metadata, uid

CLAIM, VOLUME = NamespacedName("default", "data"), NamespacedName("", "disk")


def a_world(obj, *others):
    """A world in which the object is to go."""
    world = World(obj, *others)
    kept = world.find(resource_of(obj), key(obj))
    world.make(Delete(resource_of(obj), key(obj), uid(kept), {}))
    return world


def a_claim():
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "default", "finalizers": ["kubernetes.io/pvc-protection", "a/b"]},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip


def a_volume(phase):
    return {"apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": "disk", "finalizers": ["kubernetes.io/pv-protection"]},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}},
            "status": {"phase": phase}}  # fmt: skip


def a_pod(phase, *claims):
    volumes = [{"name": f"v{at}", "persistentVolumeClaim": {"claimName": claim}} for at, claim in enumerate(claims)]
    made = pod_object(
        spec={"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "e", "emptyDir": {}}, *volumes]}
    )
    return {**made, "status": {"phase": phase}}  # fmt: skip


def finalizers(world, resource, at):
    found = world.find(resource, at)
    return None if found is None else metadata(found).get("finalizers")


@pytest.mark.parametrize(
    ("pods", "kept"),
    [
        ((), ["a/b"]),
        ((a_pod("Running", "other"),), ["a/b"]),
        ((a_pod("Succeeded", "data"),), ["a/b"]),
        ((a_pod("Running", "data"),), ["kubernetes.io/pvc-protection", "a/b"]),
    ],
)
def test_a_claim_stays_as_long_as_a_pod_uses_it(pods, kept):
    world = a_world(a_claim(), *pods)
    world.settle(PROTECTION_CONTROLLER)
    assert finalizers(world, PERSISTENT_VOLUME_CLAIMS, CLAIM) == kept


def test_a_claim_that_is_not_deleted_stays_as_it_is():
    world = World(a_claim())
    assert world.settle(PROTECTION_CONTROLLER) == 0
    assert finalizers(world, PERSISTENT_VOLUME_CLAIMS, CLAIM) == ["kubernetes.io/pvc-protection", "a/b"]


def test_a_claim_goes_when_the_pod_that_used_it_does():
    world = a_world(a_claim(), a_pod("Running", "data"))
    (pod,) = world.by_namespace(PODS, "default")
    watched = PROTECTION_CONTROLLER.watches[PODS](world, Event("DELETED", pod, None, PODS))
    assert list(watched) == [(PERSISTENT_VOLUME_CLAIMS, CLAIM)]
    world.remove(PODS, NamespacedName("default", metadata(pod)["name"]))
    world.look(PROTECTION_CONTROLLER, (PERSISTENT_VOLUME_CLAIMS, CLAIM))
    assert finalizers(world, PERSISTENT_VOLUME_CLAIMS, CLAIM) == ["a/b"]


@pytest.mark.parametrize("phase", ["Bound", "Available", "Released"])
def test_a_volume_stays_as_long_as_a_claim_has_it(phase):
    world = a_world(a_volume(phase))
    world.settle(PROTECTION_CONTROLLER)
    expected = ["kubernetes.io/pv-protection"] if phase == "Bound" else None
    assert finalizers(world, PERSISTENT_VOLUMES, VOLUME) == expected


def test_of_what_is_gone_nobody_looks():
    world, gone = World(), a_volume("Available")
    watched = PROTECTION_CONTROLLER.watches[PERSISTENT_VOLUMES](world, Event("DELETED", gone, None, PERSISTENT_VOLUMES))
    assert list(watched) == []
    assert world.look(PROTECTION_CONTROLLER, (PERSISTENT_VOLUMES, VOLUME)).changes == ()
