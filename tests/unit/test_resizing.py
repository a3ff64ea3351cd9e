"""Which new sizes of a Pod its node can give: what a real kube-apiserver 1.36.2 answered."""

import copy

import pytest
from support.api import Client

PODS = "/api/v1/namespaces/default/pods"
WHOLE, INIT = "InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"
LARGE = {"allocatable": {"cpu": "4", "memory": "20Mi"}}
SMALL = {"allocatable": {"cpu": "2500m", "memory": "5Mi"}}

UNKNOWN = 'node "n" not found'
LACKS = 'pod update requires features {} which are not available on node "n"'
WINDOWS = 'pod resize is only supported on linux nodes, node "n" is "windows"'
SHORT = "node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: {}; memory, requested: 10485760, allocatable: {}"


def a_container(name, **requests):
    return {"name": name, "image": "i", "resources": {"requests": requests}}


def a_pod(cpu="1", init="1", whole="3"):
    spec = {
        "nodeName": "n",
        "containers": [a_container("c", cpu=cpu, memory="1Mi")],
        "initContainers": [a_container("in", cpu=init), {**a_container("s", cpu="1m"), "restartPolicy": "Always"}],
        "resources": {"requests": {"cpu": whole, "memory": "10Mi"}},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def resized(pod, node=None, labels=None):
    ask = Client()
    if node is not None:
        made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels or {}}}
        ask("POST", "/api/v1/nodes", made)
        ask("PUT", "/api/v1/nodes/n/status", {**made, "status": node})
    assert ask("POST", PODS, a_pod())[0] == 201
    status, said = ask("PUT", f"{PODS}/p/resize", copy.deepcopy(pod))
    why = said.get("message", "").removeprefix('pods "p" is forbidden: ')
    return status, why, [cause["reason"] for cause in (said.get("details") or {}).get("causes", ())]


@pytest.mark.parametrize(
    ("pod", "node", "labels", "why", "reasons"),
    [
        (a_pod(cpu="2"), None, {}, UNKNOWN, []),
        (a_pod(cpu="2"), {}, {}, SHORT.format(0, 0), ["NodeCapacity"]),
        (a_pod(cpu="2"), SMALL, {}, SHORT.format(2500, 5242880), ["NodeCapacity"]),
        (a_pod(cpu="2"), LARGE, {"kubernetes.io/os": "windows"}, WINDOWS, ["UnsupportedPlatform"]),
        (a_pod(init="2"), LARGE, {"kubernetes.io/os": "windows"}, LACKS.format(INIT), []),
        (a_pod(whole="4"), {**LARGE, "declaredFeatures": [INIT]}, {}, LACKS.format(WHOLE), []),
        (a_pod(init="2", whole="4"), LARGE, {}, LACKS.format(f"{WHOLE}, {INIT}"), []),
    ],
)
def test_a_size_that_the_node_cannot_give_is_refused(pod, node, labels, why, reasons):
    assert resized(pod, node, labels) == (403, why, reasons)


@pytest.mark.parametrize(
    ("pod", "node"),
    [
        (a_pod(), None),
        (a_pod(cpu="2"), LARGE),
        (a_pod(init="2", whole="4"), {**LARGE, "declaredFeatures": [WHOLE, INIT]}),
    ],
)
def test_a_size_that_the_node_can_give_is_taken(pod, node):
    assert resized(pod, node, {"kubernetes.io/os": "linux"}) == (200, "", [])


def test_a_pod_without_requests_needs_no_room():
    ask, pod = Client(), a_pod()
    pod["spec"] = {"nodeName": "n", "containers": [{**a_container("c", memory="1Mi"), "resizePolicy": []}]}
    made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    ask("POST", "/api/v1/nodes", made)
    ask("PUT", "/api/v1/nodes/n/status", {**made, "status": {"allocatable": {"memory": "2Mi"}}})
    ask("POST", PODS, pod)
    pod["spec"]["containers"] = [a_container("c", memory="2Mi")]
    assert ask("PUT", f"{PODS}/p/resize", pod)[0] == 200
