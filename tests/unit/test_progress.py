"""Deployments: what their conditions say of a rollout."""

import pytest
from support.world import World

from netproxy.controllers.deployment import DEPLOYMENT_CONTROLLER
from netproxy.controllers.progress import max_unavailable
from netproxy.controllers.replicaset import REPLICA_SET_CONTROLLER
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from netproxy.objects.meta import condition, name, status

WEB = NamespacedName("default", "web")
BOTH = (DEPLOYMENT_CONTROLLER, REPLICA_SET_CONTROLLER)


def deployment(replicas=2, image="a", **more):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template, **more}}  # fmt: skip


class Rollout(World):
    """A Deployment and its controllers; Pods become ready when that is said."""

    def __init__(self, **spec):
        super().__init__(deployment(**spec))
        self.settle(*BOTH)

    def become_ready(self, count):
        waiting = [pod for pod in self.list(PODS) if not status(pod).get("conditions")]
        for pod in waiting[:count]:
            since = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            self.put({**pod, "status": {"phase": "Running", "conditions": [since]}})
        self.settle(*BOTH)

    def change(self, **more):
        old = self.find(DEPLOYMENTS, WEB)
        self.put({**old, "spec": {**old["spec"], **more}})
        self.settle(*BOTH)

    def says(self, kind):
        found = condition(self.find(DEPLOYMENTS, WEB), kind)
        return found.get("status"), found.get("reason"), found.get("message")

    @property
    def replica_sets(self):
        return [name(rs) for rs in self.list(REPLICA_SETS)]


def test_a_rollout_from_its_start_to_its_end():
    world = Rollout(replicas=2)
    (rs,) = world.replica_sets
    assert world.says("Available") == (
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
    )
    assert world.says("Progressing") == ("True", "ReplicaSetUpdated", f'ReplicaSet "{rs}" is progressing.')
    assert status(world.find(DEPLOYMENTS, WEB))["unavailableReplicas"] == 2
    world.become_ready(1)
    assert world.says("Available")[0] == "False"
    world.become_ready(1)
    assert world.says("Available") == ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    assert world.says("Progressing") == (
        "True",
        "NewReplicaSetAvailable",
        f'ReplicaSet "{rs}" has successfully progressed.',
    )
    assert "unavailableReplicas" not in status(world.find(DEPLOYMENTS, WEB))


def test_the_first_word_is_of_the_new_replica_set():
    world = World(deployment())
    world.look(DEPLOYMENT_CONTROLLER, WEB)
    (rs,) = world.list(REPLICA_SETS)
    found = condition(world.find(DEPLOYMENTS, WEB), "Progressing")
    assert (found["reason"], found["message"]) == ("NewReplicaSetCreated", f'Created new replica set "{name(rs)}"')


def test_a_condition_says_since_when_it_is_so():
    world = Rollout(replicas=1)
    world.clock.time += 10
    world.become_ready(1)
    done = world.find(DEPLOYMENTS, WEB)
    available, progressing = condition(done, "Available"), condition(done, "Progressing")
    assert available["lastTransitionTime"] == available["lastUpdateTime"] == progressing["lastUpdateTime"]
    assert progressing["lastTransitionTime"] < progressing["lastUpdateTime"]
    world.clock.time += 10
    assert world.settle(*BOTH) == 0


def test_a_scaled_deployment_is_not_rolled_out_again():
    world = Rollout(replicas=1)
    world.become_ready(1)
    world.change(replicas=9)
    assert world.says("Progressing")[1] == "NewReplicaSetAvailable"
    assert world.says("Available")[0] == "False"
    world.become_ready(6)  # of nine, two may be missing
    assert world.says("Available")[0] == "True"


def test_a_new_template_is_rolled_out():
    world = Rollout(replicas=1)
    world.become_ready(1)
    template = deployment(image="b")["spec"]["template"]
    world.change(template=template)
    (new,) = [rs for rs in world.list(REPLICA_SETS) if rs["spec"]["template"]["spec"]["containers"][0]["image"] == "b"]
    assert world.says("Progressing") == ("True", "ReplicaSetUpdated", f'ReplicaSet "{name(new)}" is progressing.')
    world.become_ready(1)
    assert world.says("Progressing") == (
        "True", "NewReplicaSetAvailable", f'ReplicaSet "{name(new)}" has successfully progressed.'
    )  # fmt: skip


def test_a_rollout_that_takes_too_long():
    world = Rollout(replicas=1, progressDeadlineSeconds=60)
    (rs,) = world.replica_sets
    look = world.look(DEPLOYMENT_CONTROLLER, WEB)
    assert look.again_at is not None
    world.clock.time = look.again_at - 0.5
    assert world.settle(*BOTH) == 0
    world.clock.time = look.again_at
    assert world.look(DEPLOYMENT_CONTROLLER, WEB).again_at is None
    late = ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{rs}" has timed out progressing.')
    assert world.says("Progressing") == late
    assert world.settle(*BOTH) == 0
    world.become_ready(1)  # better late than never
    assert world.says("Progressing")[:2] == ("True", "NewReplicaSetAvailable")


def test_without_a_deadline_nothing_is_said_of_progress():
    world = Rollout(replicas=1)
    assert world.says("Progressing")[0] == "True"
    world.change(progressDeadlineSeconds=2**31 - 1)
    assert world.says("Progressing") == (None, None, None)
    assert world.says("Available")[0] == "False"


def test_a_replica_set_that_is_found():
    world = Rollout(replicas=1)
    old = world.find(DEPLOYMENTS, WEB)
    world.put({**old, "status": {**status(old), "conditions": []}})
    world.settle(*BOTH)
    (rs,) = world.replica_sets
    assert world.says("Progressing") == ("True", "FoundNewReplicaSet", f'Found new replica set "{rs}"')


def test_nothing_is_said_before_what_is_there_belongs_to_it():
    old = {**deployment(image="old"), "kind": "ReplicaSet"}
    old["metadata"] = {**old["metadata"], "name": "orphan", "labels": {"app": "web"}}
    world = World(deployment(), old)
    world.look(DEPLOYMENT_CONTROLLER, WEB)
    assert [name(rs) for rs in world.list(REPLICA_SETS)] == ["orphan"]
    assert "conditions" not in status(world.find(DEPLOYMENTS, WEB))


def test_conditions_that_somebody_else_wrote_stay():
    world = Rollout(replicas=1)
    old = world.find(DEPLOYMENTS, WEB)
    foreign = {"type": "Blessed", "status": "True"}
    bare = {"type": "Available", "status": "False"}
    world.put({**old, "status": {**status(old), "conditions": [foreign, bare]}})
    world.settle(*BOTH)
    assert world.says("Blessed")[0] == "True"
    assert world.says("Available")[1] == "MinimumReplicasUnavailable"
    world.become_ready(1)
    assert [one["type"] for one in status(world.find(DEPLOYMENTS, WEB))["conditions"]] == [
        "Blessed",
        "Available",
        "Progressing",
    ]


@pytest.mark.parametrize(
    ("replicas", "rolling", "missing"),
    [
        pytest.param(4, {"maxSurge": 0, "maxUnavailable": 3}, 3, id="a number"),
        pytest.param(2, {"maxSurge": 0, "maxUnavailable": 3}, 2, id="not more than there are"),
        pytest.param(3, {"maxSurge": "10%", "maxUnavailable": "10%"}, 0, id="rounded down, when one more may be"),
        pytest.param(3, {"maxSurge": "0%", "maxUnavailable": "10%"}, 1, id="one, or nothing could move"),
        pytest.param(3, None, 0, id="recreated"),
        pytest.param(0, {"maxSurge": 1, "maxUnavailable": 1}, 0, id="none"),
    ],
)
def test_how_many_may_be_missing(replicas, rolling, missing):
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling} if rolling else {"type": "Recreate"}
    assert max_unavailable({"spec": {"replicas": replicas, "strategy": strategy}}) == missing
