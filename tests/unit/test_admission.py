"""What is added to an object as the objects around it say, and what is refused for them."""

import contextlib

import pytest
from support.api import a_registry
from support.build import pod_object

from netproxy.core.errors import ApiError, ConflictError, NetproxyError
from netproxy.core.names import NamespacedName
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.kinds import POD_DISRUPTION_BUDGETS, PODS
from netproxy.registry.deletion import Options
from netproxy.registry.eviction import evict
from netproxy.registry.registry import Registry

WEB = NamespacedName("default", "web-1")
ZONE = "topology.kubernetes.io/zone"


def a_class(api_version, kind, name, *, annotation="", **fields):
    notes = {"annotations": {annotation: "true"}} if annotation else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **notes}, **fields}


def an_ingress_class(name, *, default=True):
    note = "ingressclass.kubernetes.io/is-default-class" if default else ""
    return a_class("networking.k8s.io/v1", "IngressClass", name, annotation=note, spec={"controller": "example.com/c"})


def a_storage_class(name, note="storageclass.kubernetes.io/is-default-class"):
    return a_class("storage.k8s.io/v1", "StorageClass", name, annotation=note, provisioner="example.com/p")


def an_ingress(annotations=None, **spec):
    service = {"name": "web", "port": {"number": 80}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i", "annotations": annotations or {}},
            "spec": {"defaultBackend": {"service": service}, **spec}}  # fmt: skip


def a_claim(**spec):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}}  # fmt: skip


def a_zoned_node():
    labels = {ZONE: "a", "topology.kubernetes.io/region": "r", "other": "x"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "labels": labels}}


@pytest.mark.parametrize(
    ("classes", "obj", "field", "found"),
    [
        ([an_ingress_class("a")], an_ingress(), "ingressClassName", "a"),
        ([an_ingress_class("a", default=False)], an_ingress(), "ingressClassName", None),
        ([an_ingress_class("b"), an_ingress_class("a")], an_ingress(), "ingressClassName", "a"),
        ([an_ingress_class("a")], an_ingress(ingressClassName="mine"), "ingressClassName", "mine"),
        ([an_ingress_class("a")], an_ingress({"kubernetes.io/ingress.class": "old"}), "ingressClassName", None),
        ([], an_ingress(), "ingressClassName", None),
        ([a_storage_class("s")], a_claim(), "storageClassName", "s"),
        (
            [a_storage_class("s", "storageclass.beta.kubernetes.io/is-default-class")],
            a_claim(),
            "storageClassName",
            "s",
        ),
        ([a_storage_class("s")], a_claim(storageClassName=""), "storageClassName", ""),
        ([a_storage_class("s", "")], a_claim(), "storageClassName", None),
    ],
)
def test_who_names_no_class_gets_the_default_one(classes, obj, field, found):
    registry = a_registry()
    for item in classes:
        registry.create(item)
    made = registry.create(obj)
    assert made["spec"].get(field) == found
    assert registry.replace(made)["spec"].get(field) == found


def test_only_one_priority_class_is_the_default():
    registry = a_registry()
    registry.create(a_class("scheduling.k8s.io/v1", "PriorityClass", "a", value=1, globalDefault=True))
    with pytest.raises(ApiError, match="PriorityClass a is already marked as default") as error:
        registry.create(a_class("scheduling.k8s.io/v1", "PriorityClass", "b", value=1, globalDefault=True))
    assert (error.value.code, error.value.details["name"]) == (403, "b")
    other = registry.create(a_class("scheduling.k8s.io/v1", "PriorityClass", "b", value=1))
    with pytest.raises(ApiError, match="Only one default can exist"):
        registry.replace({**other, "globalDefault": True})


def test_a_pod_says_where_its_node_is():
    registry = a_registry()
    registry.create(a_zoned_node())
    pod = pod_object(spec={"nodeName": ""})
    registry.create(pod)
    binding = {
        "metadata": {"name": "web-1", "labels": {ZONE: "b", "mine": "1"}, "annotations": {"a": "b"}},
        "target": {"kind": "Node"},
    }
    bound = registry.bind(NamespacedName("default", "web-1"), "node1", binding=binding)
    assert bound["metadata"]["labels"] == {"app": "web", ZONE: "a", "topology.kubernetes.io/region": "r", "mine": "1"}
    assert bound["metadata"]["annotations"] == {"a": "b"}
    placed = registry.create(pod_object("web-2"))
    assert placed["metadata"]["labels"][ZONE] == "a"


def test_an_eviction_of_another_pod_takes_nothing_from_the_budget():
    registry = a_registry()
    registry.create(pod_object(spec={"nodeName": "node1"}))
    running = {**registry.store.get(PODS, WEB), "status": {"phase": "Running"}}
    registry.replace_status(running)
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"},
              "spec": {"minAvailable": 0, "selector": {}}}  # fmt: skip
    made = registry.create(budget)
    registry.replace_status({**made, "status": {"disruptionsAllowed": 1, "observedGeneration": 1}})
    with pytest.raises(ConflictError, match="does not match the UID in record"):
        evict(registry, WEB, Options(uid="other"))
    (kept,) = registry.store.list(POD_DISRUPTION_BUDGETS)
    assert (kept["status"]["disruptionsAllowed"], "disruptedPods" in kept["status"]) == (1, False)


@pytest.mark.parametrize("gives_accounts", [True, False])
@pytest.mark.parametrize("field", ["containers", "initContainers", "volumes", "tolerations", "topologySpreadConstraints",
                                   "imagePullSecrets", "affinity", "overhead", "resources", "securityContext"])  # fmt: skip
@pytest.mark.parametrize("value", ["null", "empty", "of nulls", "of empty"])
def test_what_is_asked_before_a_pod_is_checked_can_stand_any_shape(field, value, gives_accounts):
    registry = Registry(a_registry().store, ClusterSpec(), gives_accounts=gives_accounts)
    for kind, wanted in (
        ("LimitRange", {"limits": [
            {"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "1m"}},
            {"type": "Container", "max": {"cpu": "1"}, "default": {"memory": "1Mi"}, "defaultRequest": {"memory": "1Mi"}},
        ]}),
        ("ResourceQuota", {"hard": {"pods": "9", "requests.cpu": "9", "limits.memory": "1Gi"}}),
        ("ResourceQuota", {"hard": {"pods": "9"}, "scopes": ["BestEffort"]}),
        ("ResourceQuota", {"hard": {"pods": "9"}, "scopes": ["CrossNamespacePodAffinity"]}),
    ):  # fmt: skip
        name = f"{kind.lower()}-{len(wanted.get('scopes') or '')}{'Cross' in str(wanted)}".lower()
        made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": wanted}
        registry.create(made)
        if kind == "ResourceQuota":
            hard = wanted["hard"]
            registry.replace_status({**made, "status": {"hard": hard, "used": dict.fromkeys(hard, "0")}})
    pod = pod_object("p")
    usual = pod["spec"].get(field)
    shape = {"null": None, "empty": {} if isinstance(usual, dict) else [], "of nulls": [None], "of empty": [{}]}[value]
    if field in ("affinity", "overhead", "resources", "securityContext"):
        shape = None if value == "null" else {}
    with contextlib.suppress(NetproxyError):
        registry.create({**pod, "spec": {**pod["spec"], field: shape}})
