"""PodDisruptionBudgets: what they count, and what they allow."""

from __future__ import annotations

from typing import Any

import pytest
from support.build import pod_object
from support.world import World

from netproxy.controllers.deployment import DEPLOYMENT_CONTROLLER
from netproxy.controllers.disruption import DISRUPTION_CONTROLLER
from netproxy.controllers.ownership import owner_reference
from netproxy.controllers.replicaset import REPLICA_SET_CONTROLLER
from netproxy.core.clock import timestamp
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Event
from netproxy.objects.kinds import POD_DISRUPTION_BUDGETS, PODS
from netproxy.objects.meta import key, name

AT = NamespacedName("default", "b")
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}}


def budget(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec}}  # fmt: skip


def workload(kind: str = "Deployment", replicas: int = 4) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}}  # fmt: skip


def counts(world: World) -> tuple[int, ...]:
    """Expected, desired, healthy, allowed."""
    world.settle(DISRUPTION_CONTROLLER)
    assert world.settle(DISRUPTION_CONTROLLER) == 0
    status = world.find(POD_DISRUPTION_BUDGETS, AT)["status"]
    return tuple(status[field] for field in ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"))


def told(world: World) -> tuple[str, str, str]:
    (condition,) = world.find(POD_DISRUPTION_BUDGETS, AT)["status"]["conditions"]
    assert condition["type"] == "DisruptionAllowed"
    return condition["status"], condition["reason"], condition["message"]


def deployed(**spec: Any) -> World:
    """Four Pods of a Deployment, three of them ready."""
    world = World(workload(), budget(**spec))
    world.settle(DEPLOYMENT_CONTROLLER, REPLICA_SET_CONTROLLER)
    for pod in list(world.all(PODS))[1:]:
        world.put({**pod, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
    return world


@pytest.mark.parametrize(
    ("spec", "counted"),
    [
        ({"maxUnavailable": "30%"}, (4, 2, 3, 1)), ({"maxUnavailable": 1}, (4, 3, 3, 0)), ({"maxUnavailable": 9}, (4, 0, 3, 3)),
        ({"minAvailable": 1}, (4, 1, 3, 2)), ({"minAvailable": "51%"}, (4, 3, 3, 0)), ({"minAvailable": "0%"}, (4, 0, 3, 3)),
        ({}, (0, 0, 3, 0)), ({"maxUnavailable": 1, "selector": None}, (0, 0, 0, 0)), ({"maxUnavailable": 2, "selector": {}}, (4, 2, 3, 1)),
        ({"minAvailable": 0, "selector": {"matchLabels": {"app": "other"}}}, (0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_what_a_budget_counts(spec: dict[str, Any], counted: tuple[int, ...]) -> None:
    world = deployed(**spec)
    assert counts(world) == counted
    assert told(world) == (("True", "SufficientPods", "") if counted[-1] else ("False", "InsufficientPods", ""))


def test_pods_that_are_to_go_are_not_healthy_until_they_should_be_gone() -> None:
    world = deployed(maxUnavailable=2)
    assert counts(world) == (4, 2, 3, 1)
    ready = list(world.all(PODS))[-1]
    found = world.find(POD_DISRUPTION_BUDGETS, AT)
    going = {name(ready): timestamp(world.clock.now()), "gone-already": timestamp(world.clock.now())}
    world.put({**found, "status": {**found["status"], "disruptedPods": going}})
    assert counts(world) == (4, 2, 2, 0)
    assert set(world.find(POD_DISRUPTION_BUDGETS, AT)["status"]["disruptedPods"]) == {name(ready)}
    assert DISRUPTION_CONTROLLER.reconcile(world, AT, world.clock.now()).again_at == world.clock.now() + 120
    world.clock.time += 121
    world.settle(DISRUPTION_CONTROLLER)
    assert counts(world) == (4, 2, 3, 1)
    assert "disruptedPods" not in world.find(POD_DISRUPTION_BUDGETS, AT)["status"]


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    world = deployed(maxUnavailable=2)
    counts(world)
    (first,) = world.find(POD_DISRUPTION_BUDGETS, AT)["status"]["conditions"]
    world.clock.time += 5
    world.put({**world.find(POD_DISRUPTION_BUDGETS, AT), "spec": budget(minAvailable=1)["spec"]})
    assert counts(world)[-1] == 2
    (second,) = world.find(POD_DISRUPTION_BUDGETS, AT)["status"]["conditions"]
    assert second["lastTransitionTime"] == first["lastTransitionTime"]
    world.put({**world.find(POD_DISRUPTION_BUDGETS, AT), "spec": budget(minAvailable=3)["spec"]})
    counts(world)
    (third,) = world.find(POD_DISRUPTION_BUDGETS, AT)["status"]["conditions"]
    assert (third["status"], third["lastTransitionTime"]) == ("False", timestamp(world.clock.now()))


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (workload("DaemonSet"), "daemonsets.apps does not implement the scale subresource"),
        ({"apiVersion": "example.com/v1", "kind": "Gadget"}, 'found no controllers for pod "p"'),
        (workload("ReplicaSet"), 'found no controllers for pod "p"'),
    ],
)  # fmt: skip
def test_who_cannot_be_counted_allows_nothing(owner: dict[str, Any], why: str) -> None:
    reference = {
        **owner_reference({"metadata": {"name": "web", "uid": "other"}, **owner, "kind": owner["kind"]}),
        "name": "web",
        "uid": "other",
    }
    world = World(
        workload("ReplicaSet"), budget(maxUnavailable="50%"), pod_object("p", metadata={"ownerReferences": [reference]})
    )
    world.settle(DISRUPTION_CONTROLLER)
    status = world.find(POD_DISRUPTION_BUDGETS, AT)["status"]
    assert status["disruptionsAllowed"] == 0
    assert told(world) == ("False", "SyncFailed", why)
    assert world.settle(DISRUPTION_CONTROLLER) == 0


def test_pods_of_nobody_do_not_count_where_a_scale_is_needed() -> None:
    world = World(budget(maxUnavailable="50%"), pod_object("p"))
    assert counts(world) == (0, 0, 1, 0)


def test_whose_budgets_are_looked_at() -> None:
    world = World(budget(), {**budget(), "metadata": {"name": "all", "namespace": "default"}, "spec": {"selector": {}}},
                  {**budget(), "metadata": {"name": "none", "namespace": "default"}, "spec": {}})  # fmt: skip
    look = DISRUPTION_CONTROLLER.watches[PODS]
    pod, other = pod_object(), pod_object(metadata={"labels": {"app": "other"}})
    assert {at.name for at in look(world, Event("ADDED", pod, None, PODS))} == {"b", "all"}
    assert {at.name for at in look(world, Event("MODIFIED", other, pod, PODS))} == {"b", "all"}
    assert {at.name for at in look(world, Event("DELETED", other, None, PODS))} == {"all"}
    assert DISRUPTION_CONTROLLER.reconcile(world, key(pod), 0).changes == ()
