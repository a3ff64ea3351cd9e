"""ResourceQuotas and LimitRanges: what is counted, by whom, and which of it no recording has (tests/cases/api-writes has the rest)."""

import re

import pytest
from support.api import a_registry
from support.build import pod_object
from support.world import World

from netproxy.controllers.resourcequota import RESOURCE_QUOTA_CONTROLLER
from netproxy.core.errors import AlreadyExistsError, ApiError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import CONFIG_MAPS, DEPLOYMENTS, PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES
from netproxy.objects.usage import concerned, is_in_scope, overdue_at, unsaid, usage
from netproxy.registry.limits import check_sizes

QUOTA = NamespacedName("default", "q")


def a_quota(hard, name="q", **more):
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "default"},
            "spec": {"hard": hard, **more}}  # fmt: skip


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


def used(world):
    return world.find(RESOURCE_QUOTAS, QUOTA)["status"].get("used") or {}


def a_pod(requests=None, name="web-1", **spec):
    container = {"name": "c", "image": "i", "resources": {"requests": requests or {}, "limits": {}}}
    return {**pod_object(name), "spec": {"containers": [container], **spec}}


def written(amounts):
    return {name: str(found) for name, found in amounts.items()}


# --- the controller


def test_a_new_quota_knows_what_was_there_before():
    world = World(
        config_map("a"), config_map("b"), pod_object("web-1"), a_quota({"configmaps": "5", "count/pods": "3"})
    )
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    assert used(world) == {"configmaps": "2", "count/pods": "1"}
    assert world.settle(RESOURCE_QUOTA_CONTROLLER) == 0


def test_what_goes_is_given_back():
    world = World(config_map("a"), a_quota({"configmaps": "1"}))
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    with pytest.raises(
        ApiError, match="exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1"
    ):
        world.registry.create(config_map("b"))
    world.remove(CONFIG_MAPS, NamespacedName("default", "a"))
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    world.registry.create(config_map("b"))
    assert used(world) == {"configmaps": "1"}
    assert world.settle(RESOURCE_QUOTA_CONTROLLER) == 0


def test_a_quota_that_becomes_another_one_forgets_what_it_is_no_longer_about():
    world = World(config_map("a"), a_quota({"configmaps": "1", "pods": "1"}))
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    world.registry.replace(a_quota({"configmaps": "2"}))
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    assert world.find(RESOURCE_QUOTAS, QUOTA)["status"] == {"hard": {"configmaps": "2"}, "used": {"configmaps": "1"}}


def test_only_what_is_in_scope_is_counted():
    small = a_pod(name="small")
    large = a_pod({"cpu": "100m"}, name="large")
    world = World(small, large, a_quota({"pods": "5"}, scopes=["BestEffort"]))
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    assert used(world) == {"pods": "1"}


def test_a_pod_that_should_have_ended_is_not_counted_any_longer():
    world = World(
        pod_object("web-1", spec={"nodeName": "node1", "terminationGracePeriodSeconds": 30}), a_quota({"pods": "5"})
    )
    going = world.registry.delete(PODS, NamespacedName("default", "web-1"))
    assert world.look(RESOURCE_QUOTA_CONTROLLER, QUOTA).again_at == overdue_at(going) == int(world.clock.now()) + 60
    assert used(world) == {"pods": "1"}
    late = RESOURCE_QUOTA_CONTROLLER.reconcile(world, QUOTA, overdue_at(going) + 1)
    assert (late.changes[0].obj["status"]["used"], late.again_at) == ({"pods": "0"}, None)


def test_nobody_looks_for_nothing():
    world = World(config_map("a"), a_quota({"configmaps": "1"}), a_quota({"pods": "1"}, "other"))
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    told = []
    world.subscribe(lambda event: told.append(list(RESOURCE_QUOTA_CONTROLLER.watches[event.resource](world, event))))
    world.registry.replace({**config_map("a"), "data": {"x": "y"}})
    world.registry.replace(a_quota({"configmaps": "2"}))
    world.registry.delete(CONFIG_MAPS, NamespacedName("default", "a"))
    both = [NamespacedName("default", "other"), QUOTA]
    assert [sorted(keys) for keys in told] == [[], [QUOTA], both]
    assert not RESOURCE_QUOTA_CONTROLLER.reconcile(world, NamespacedName("default", "none"), 0).changes


# --- what a write does


def test_what_is_refused_for_another_reason_is_not_counted():
    world = World(config_map("a"), a_quota({"configmaps": "5"}))
    world.settle(RESOURCE_QUOTA_CONTROLLER)
    with pytest.raises(AlreadyExistsError):
        world.registry.create(config_map("a"))
    assert used(world) == {"configmaps": "1"}


def test_a_quota_that_nobody_has_counted_yet_limits_nothing():
    registry = a_registry()
    registry.create(a_quota({"configmaps": "0"}))
    assert registry.create(config_map("a"))


def test_a_pod_that_is_to_go_may_have_any_size():
    registry = a_registry()
    registry.create(pod_object("web-1", spec={"nodeName": "node1", "terminationGracePeriodSeconds": 30}))
    limits = [{"type": "Container", "max": {"cpu": "1m"}}]
    registry.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": limits}})
    going = registry.delete(PODS, NamespacedName("default", "web-1"))
    assert registry.replace_part({**going, "metadata": {**going["metadata"], "resourceVersion": ""}}, "resize")


@pytest.mark.parametrize(
    ("limit", "requests", "limits", "why"),
    [
        ({"max": {"cpu": "1"}, "type": "Pod"}, "1100m", "1", "maximum cpu usage per Pod is 1, but request is 1100m"),
        ({"min": {"cpu": "1"}, "type": "Pod"}, "1", "900m", "minimum cpu usage per Pod is 1, but limit is 900m"),
        ({"maxLimitRequestRatio": {"cpu": "2"}, "type": "Pod"}, "1", "0",
         "cpu max limit to request ratio per Pod is 2, but no limit is specified or limit is 0"),
        ({"maxLimitRequestRatio": {"cpu": "1e16"}, "type": "Pod"}, "1m", "1e18",
         "cpu max limit to request ratio per Pod is 10e15, but provided ratio is 1000000000000000000.000000"),
        ({"maxLimitRequestRatio": {"cpu": "1e16"}, "type": "Pod"}, "1", "2", ""),
        ({"max": {"storage": "1"}, "type": "PersistentVolumeClaim"}, None, None,
         "maximum storage usage per PersistentVolumeClaim is 1.  No request is specified"),
    ],
)  # fmt: skip
def test_sizes_are_compared_with_each_bound(limit, requests, limits, why):
    resource = PODS if limit["type"] == "Pod" else PERSISTENT_VOLUME_CLAIMS
    obj = {"metadata": {"name": "x"}, "spec": {"containers": [
        {"name": "c", "resources": {"requests": {"cpu": requests or "1"}, "limits": {"cpu": limits or "1"}}}
    ]}}  # fmt: skip
    ranges = [{"spec": {"limits": [limit]}}]
    if not why:
        check_sizes(resource, obj, ranges)
        return
    with pytest.raises(ApiError, match=re.escape(f'"x" is forbidden: {why}')):
        check_sizes(resource, obj, ranges)


# --- what is used


@pytest.mark.parametrize(
    ("statuses", "conditions", "cpu"),
    [
        ([], [], "100m"),
        ([{"name": "c", "resources": {"requests": {"cpu": "300m"}}}], [], "300m"),
        ([{"name": "c", "resources": {"requests": {"cpu": "50m"}}, "allocatedResources": {"cpu": "200m"}}], [], "200m"),
        ([{"name": "c", "resources": {"requests": {"cpu": "50m"}}}], [("PodResizePending", "Infeasible")], "50m"),
        ([{"name": "c", "resources": {"requests": {"cpu": "50m"}}}], [("PodResizePending", "Deferred")], "100m"),
    ],
)
def test_a_pod_uses_the_most_of_what_it_asks_for_has_and_is_given(statuses, conditions, cpu):
    told = [{"type": kind, "reason": reason} for kind, reason in conditions]
    pod = {**a_pod({"cpu": "100m"}), "status": {"containerStatuses": statuses, "conditions": told}}
    assert str(usage(PODS, pod, 0)["requests.cpu"]) == cpu


@pytest.mark.parametrize(
    ("conditions", "cpu"), [([], "2"), ([{"type": "PodResizePending", "reason": "Infeasible"}], "1")]
)
def test_the_limits_of_a_sidecar_are_those_that_it_runs_with(conditions, cpu):
    side = {"name": "s", "image": "i", "restartPolicy": "Always", "resources": {"limits": {"cpu": "2"}}}
    once = {"name": "once", "image": "i", "resources": {"limits": {"cpu": "500m"}}}
    running = [{"name": name, "resources": {"limits": {"cpu": "1"}}} for name in ("s", "once")]
    pod = {**a_pod(initContainers=[once, side]), "status": {"initContainerStatuses": running, "conditions": conditions}}
    assert str(usage(PODS, pod, 0)["limits.cpu"]) == cpu


def test_an_overhead_comes_on_top_of_what_there_is():
    pod = a_pod({"cpu": "1"}, overhead={"cpu": "100m", "memory": "1Mi"})
    pod["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "1"}
    found = written(usage(PODS, pod, 0))
    assert (found["requests.cpu"], found["limits.cpu"], found["memory"]) == ("1100m", "1100m", "1Mi")
    assert "limits.memory" not in found


def test_a_service_uses_node_ports_as_it_asks_for_them():
    ports = [{"port": 1, "nodePort": 30001}, {"port": 2}]
    given = {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": ports}}
    assert written(usage(SERVICES, given, 0))["services.nodeports"] == "1"


@pytest.mark.parametrize(
    ("requirement", "classes", "fits"),
    [
        ({"operator": "Exists"}, ["a"], True),
        ({"operator": "Exists"}, [], False),
        ({"operator": "DoesNotExist"}, [], True),
        ({"operator": "In", "values": ["a"]}, ["b", "a"], True),
        ({"operator": "In", "values": ["a"]}, ["b"], False),
        ({"operator": "NotIn", "values": ["a"]}, ["b"], True),
        ({"operator": "NotIn", "values": ["a"]}, ["a"], False),
        ({"operator": "NotIn", "values": ["a"]}, [], True),
    ],
)
def test_a_claim_is_in_the_scope_of_its_classes(requirement, classes, fits):
    fields = dict(zip(("currentVolumeAttributesClassName", "modifyVolumeStatus"), classes, strict=False))
    if "modifyVolumeStatus" in fields:
        fields["modifyVolumeStatus"] = {"targetVolumeAttributesClassName": fields["modifyVolumeStatus"]}
    quota = a_quota({}, scopeSelector={"matchExpressions": [{"scopeName": "VolumeAttributesClass", **requirement}]})
    assert is_in_scope(PERSISTENT_VOLUME_CLAIMS, quota, {"status": fields}) is fits


def test_scopes_are_of_one_kind():
    assert not is_in_scope(PERSISTENT_VOLUME_CLAIMS, a_quota({}, scopes=["Terminating"]), {})
    assert not is_in_scope(PODS, a_quota({}, scopes=["VolumeAttributesClass"]), a_pod())
    assert not is_in_scope(CONFIG_MAPS, a_quota({}, scopes=["Terminating"]), {})


@pytest.mark.parametrize(
    ("resource", "names", "found"),
    [
        (PODS, ["requests.example.com/gpu", "requests.storage", "services", "pods"], ["pods", "requests.example.com/gpu"]),
        (PODS, ["requests.deviceclass.resource.kubernetes.io/gpu"], ["requests.deviceclass.resource.kubernetes.io/gpu"]),
        (DEPLOYMENTS, ["deployments", "count/deployments.apps"], ["count/deployments.apps"]),
        (CONFIG_MAPS, ["configmaps", "count/configmaps"], ["configmaps", "count/configmaps"]),
        (PERSISTENT_VOLUME_CLAIMS, ["gold.storageclass.storage.k8s.io/requests.storage", "storage"],
         ["gold.storageclass.storage.k8s.io/requests.storage"]),
    ],
)  # fmt: skip
def test_a_name_is_about_objects_of_some_kind(resource, names, found):
    assert concerned(resource, names) == found


def test_every_container_that_says_nothing_is_named():
    pod = a_pod(initContainers=[{"name": "i", "image": "i"}])
    assert unsaid(["requests.cpu", "limits.memory", "pods"], pod) == "limits.memory for: c,i; requests.cpu for: c,i"
    assert unsaid(["requests.cpu"], {"spec": {**pod["spec"], "resources": {"limits": {"hugepages-2Mi": "2Mi"}}}}) == ""


def test_a_claim_is_counted_in_whole_bytes():
    claim = {
        "spec": {"resources": {"requests": {"storage": "1500m"}}},
        "status": {"allocatedResources": {"storage": "1"}},
    }
    assert written(usage(PERSISTENT_VOLUME_CLAIMS, claim, 0))["requests.storage"] == "2"
    assert "requests.storage" not in usage(PERSISTENT_VOLUME_CLAIMS, {}, 0)
