"""kubectl's columns: what a real kube-apiserver 1.36.2 shows of objects in several states."""

from __future__ import annotations

from typing import Any

import pytest
from support.build import FixedClock

from netproxy.apiserver.answer import many, shaped
from netproxy.apiserver.negotiate import Form
from netproxy.apiserver.tables.core import node_status
from netproxy.apiserver.tables.table import printer_of
from netproxy.objects.kinds import KINDS, PODS, RESOURCES, Resource, resource_of

NOW = FixedClock().now()
TABLE = Form(shape="Table")
SINCE = "2020-01-01T00:00:00Z"
PODS_OF = {
    "spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "j"}]},
    "metadata": {"labels": {"a": "b"}},
}
SELECTOR = {"matchLabels": {"a": "b"}}
ALL_TERMS = {
    "matchLabels": {"a": "b"},
    "matchExpressions": [
        {"key": "z", "operator": "In", "values": ["2", "1"]}, {"key": "b", "operator": "NotIn", "values": ["x"]},
        {"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"},
    ],
}  # fmt: skip
TERMS = "a=b,b notin (x),c,!d,z in (1,2)"
OLD = "?"
"""An age."""


def cells(kind: str, obj: dict[str, Any]) -> list[Any]:
    """What the table shows; ages are OLD."""
    found = {"metadata": {"name": "n", "creationTimestamp": SINCE} | obj.pop("metadata", {}), **obj}
    shown = printer_of(KINDS[kind]).cells(found, NOW)
    return [OLD if cell == AGE else cell for cell in shown]


AGE = printer_of(KINDS["ServiceAccount"]).cells({"metadata": {"name": "n", "creationTimestamp": SINCE}}, NOW)[1]


def show(**obj: Any) -> dict[str, Any]:
    return obj


@pytest.mark.parametrize(
    ("kind", "obj", "shown"),
    [
        ("Deployment", show(spec={"replicas": 3, "selector": SELECTOR, "template": PODS_OF}, status={"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}),
         ["n", "2/3", 3, 1, OLD, "c,d", "i:1,j", "a=b"]),
        ("Deployment", show(spec={"replicas": 1, "selector": ALL_TERMS, "template": PODS_OF}), ["n", "0/1", 0, 0, OLD, "c,d", "i:1,j", TERMS]),
        ("ReplicaSet", show(spec={"replicas": 0, "selector": ALL_TERMS, "template": PODS_OF}, status={"replicas": 5, "readyReplicas": 4}),
         ["n", 0, 5, 4, OLD, "c,d", "i:1,j", TERMS]),
        ("ReplicationController", show(spec={"replicas": 2, "selector": {"a": "b"}, "template": PODS_OF}, status={"replicas": 2}),
         ["n", 2, 2, 0, OLD, "c,d", "i:1,j", "a=b"]),
        ("ReplicationController", show(spec={}), ["n", 0, 0, 0, OLD, "", "", "<none>"]),
        ("StatefulSet", show(spec={"replicas": 2, "template": PODS_OF}, status={"readyReplicas": 1}), ["n", "1/2", OLD, "c,d", "i:1,j"]),
        ("DaemonSet", show(spec={"selector": SELECTOR, "template": {"spec": {"nodeSelector": {"q": "1", "p": "2"}}}},
                           status={"currentNumberScheduled": 1, "desiredNumberScheduled": 5, "numberReady": 2, "updatedNumberScheduled": 3, "numberAvailable": 4}),
         ["n", 5, 1, 2, 3, 4, "p=2,q=1", OLD, "", "", "a=b"]),
        ("PodTemplate", show(template=PODS_OF), ["n", "c,d", "i:1,j", "a=b"]),
        ("ControllerRevision", show(metadata={"ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "controller": True}]}, revision=7),
         ["n", "statefulset.apps/web", 7, OLD]),
        ("ControllerRevision", show(metadata={"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web", "controller": True}]}), ["n", "pod/web", 0, OLD]),
        ("ControllerRevision", show(revision=1), ["n", "<none>", 1, OLD]),
        ("PodDisruptionBudget", show(spec={"minAvailable": 0}), ["n", "0", "N/A", 0, OLD]),
        ("PodDisruptionBudget", show(spec={"maxUnavailable": "50%"}, status={"disruptionsAllowed": 1}), ["n", "N/A", "50%", 1, OLD]),
        ("CronJob", show(spec={"schedule": "* * * * *", "suspend": False, "jobTemplate": {"spec": {"template": PODS_OF}}}),
         ["n", "* * * * *", "<none>", "False", 0, "<none>", OLD, "c,d", "i:1,j", "<none>"]),
        ("CronJob", show(spec={"schedule": "x", "suspend": True, "timeZone": "Europe/Berlin"}, status={"active": [{}], "lastScheduleTime": SINCE}),
         ["n", "x", "Europe/Berlin", "True", 1, OLD, OLD, "", "", "<none>"]),
        ("CronJob", show(spec={"schedule": "x"}), ["n", "x", "<none>", "<unset>", 0, "<none>", OLD, "", "", "<none>"]),
        ("Namespace", show(status={"phase": "Active"}), ["n", "Active", OLD]),
        ("Secret", show(type="Opaque", data={"a": "", "b": ""}), ["n", "Opaque", 2, OLD]),
        ("ConfigMap", show(data={"a": ""}, binaryData={"b": ""}), ["n", 2, OLD]),
        ("ServiceAccount", show(), ["n", OLD]),
        ("LimitRange", show(), ["n", SINCE]),
        ("Role", show(metadata={"creationTimestamp": None}), ["n", "0001-01-01T00:00:00Z"]),
        ("ResourceQuota", show(status={"hard": {"limits.cpu": "3", "requests.cpu": "1", "pods": "3", "limits": "2"}, "used": {"pods": "1"}}),
         ["n", "limits: 0/2, pods: 1/3, requests.cpu: 0/1", "limits.cpu: 0/3", OLD]),
        ("PersistentVolume", show(spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "storageClassName": "slow", "volumeMode": "Filesystem",
                                        "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "a", "name": "b"}}, status={"phase": "Bound", "reason": "why"}),
         ["n", "1Gi", "RWO,RWX", "Retain", "Bound", "a/b", "slow", "<unset>", "why", OLD, "Filesystem"]),
        ("PersistentVolume", show(metadata={"deletionTimestamp": SINCE, "annotations": {"volume.beta.kubernetes.io/storage-class": "beta"}},
                                  spec={"accessModes": ["ReadOnlyMany", "ReadWriteOncePod"], "volumeAttributesClassName": "fast"}),
         ["n", "0", "ROX,RWOP", "", "Terminating", "", "beta", "fast", "", OLD, "<unset>"]),
        ("PersistentVolumeClaim", show(spec={"storageClassName": "slow", "accessModes": ["ReadWriteOnce"]}, status={"phase": "Pending"}),
         ["n", "Pending", "", "", "", "slow", "<unset>", OLD, "<unset>"]),
        ("PersistentVolumeClaim", show(spec={"volumeName": "v", "volumeMode": "Block"}, status={"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}}),
         ["n", "Bound", "v", "2Gi", "RWO", "", "<unset>", OLD, "Block"]),
        ("RoleBinding", show(roleRef={"kind": "Role", "name": "r"}, subjects=[{"kind": "User", "name": "u"}, {"kind": "User", "name": "v"}, {"kind": "Group", "name": "g"},
                                                                            {"kind": "ServiceAccount", "name": "s", "namespace": "a"}]), ["n", "Role/r", OLD, "u, v", "g", "a/s"]),
        ("ClusterRoleBinding", show(roleRef={"kind": "ClusterRole", "name": "r"}), ["n", "ClusterRole/r", OLD, "", "", ""]),
        ("StorageClass", show(metadata={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, provisioner="p/q", allowVolumeExpansion=True),
         ["n (default)", "p/q", "Delete", "Immediate", True, OLD]),
        ("StorageClass", show(provisioner="p/q", reclaimPolicy="Retain", volumeBindingMode="WaitForFirstConsumer"), ["n", "p/q", "Retain", "WaitForFirstConsumer", False, OLD]),
        ("PriorityClass", show(value=100, preemptionPolicy="Never"), ["n", 100, False, OLD, "Never"]),
        ("Lease", show(spec={"holderIdentity": "me"}), ["n", "me", OLD]),
        ("IngressClass", show(metadata={"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}, spec={"controller": "a/b", "parameters": {"kind": "K", "name": "p"}}),
         ["n (default)", "a/b", "K/p", OLD]),
        ("IngressClass", show(spec={"controller": "a/b", "parameters": {"apiGroup": "k.io", "kind": "P", "name": "p"}}), ["n", "a/b", "P.k.io/p", OLD]),
        ("IngressClass", show(spec={"controller": "a/b"}), ["n", "a/b", "<none>", OLD]),
        ("NetworkPolicy", show(spec={"podSelector": ALL_TERMS}), ["n", TERMS, OLD]),
        ("NetworkPolicy", show(spec={"podSelector": {}}), ["n", "<none>", OLD]),
        ("ServiceCIDR", show(spec={"cidrs": ["10.97.0.0/24", "fd00::/112"]}), ["n", "10.97.0.0/24,fd00::/112", OLD]),
        ("IPAddress", show(spec={"parentRef": {"resource": "services", "namespace": "a", "name": "b"}}), ["n", "services/a/b", OLD]),
        ("IPAddress", show(spec={"parentRef": {"group": "Ex.com", "resource": "gateways", "name": "b"}}), ["n", "gateways.ex.com/b", OLD]),
        ("IPAddress", show(spec={}), ["n", "<none>", OLD]),
        ("Image", show(spec={"image": "web:1", "command": ["python3", "-m", "x"]}), ["web:1", "python3 -m x", OLD]),
        ("Cluster", show(), ["n", OLD]),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_kind(kind: str, obj: dict[str, Any], shown: list[Any]) -> None:
    assert cells(kind, obj) == shown


@pytest.mark.parametrize(
    ("service", "status", "external", "ports"),
    [
        ({"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}, {}, "<none>", "80/TCP,53/UDP"),
        ({"type": "ClusterIP", "externalIPs": ["9.9.9.9", "8.8.8.8"]}, {}, "9.9.9.9,8.8.8.8", "<none>"),
        ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30051, "protocol": "TCP"}]}, {}, "<none>", "80:30051/TCP"),
        ({"type": "LoadBalancer"}, {}, "<pending>", "<none>"),
        ({"type": "LoadBalancer", "externalIPs": ["203.0.113.7"]}, {}, "203.0.113.7", "<none>"),
        ({"type": "LoadBalancer", "externalIPs": ["203.0.113.7"]}, {"loadBalancer": {"ingress": [{"hostname": "h.example.com"}, {"ip": "203.0.113.9"}]}},
         "203.0.113.9,h.example.com,203.0.113.7", "<none>"),
        ({"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}, {}]}}, "1.1.1.1", "<none>"),
        ({"type": "ExternalName", "externalName": "a.example.com"}, {}, "a.example.com", "<none>"),
        ({}, {}, "<unknown>", "<none>"),
    ],
)  # fmt: skip
def test_services(service: dict[str, Any], status: dict[str, Any], external: str, ports: str) -> None:
    shown = cells(
        "Service",
        {
            "spec": {**service, "clusterIPs": ["10.96.0.7", "fd00::7"], "selector": {"c": "d", "a": "b"}},
            "status": status,
        },
    )
    assert shown == ["n", service.get("type", ""), "10.96.0.7", external, ports, OLD, "a=b,c=d"]


def test_a_service_without_an_address() -> None:
    assert cells("Service", {"spec": {"type": "ExternalName"}})[2] == "<none>"


FOUR = [{"ip": f"10.0.0.{n}"} for n in range(1, 5)]


@pytest.mark.parametrize(
    ("subsets", "shown"),
    [
        (None, "<none>"),
        ([{"addresses": FOUR, "ports": [{"port": 80}, {"port": 81}]}], "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 5 more..."),
        ([{"addresses": FOUR[:1]}], "10.0.0.1"),
        ([{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}], "[fd00::1]:80"),
        ([{"notReadyAddresses": FOUR[:1], "ports": [{"port": 80}]}], ""),
    ],
)  # fmt: skip
def test_endpoints(subsets: Any, shown: str) -> None:
    assert cells("Endpoints", {"subsets": subsets}) == ["n", shown, OLD]


@pytest.mark.parametrize(
    ("ports", "addresses", "shown"),
    [
        ([80, 81, 82, 83], ["1", "2", "3", "4"], ["80,81,82 + 1 more...", "1,2,3 + 1 more..."]),
        ([], [], ["<unset>", "<unset>"]),
        ([None], ["1"], ["*", "1"]),
        (["", "web"], ["1"], [",web", "1"]),
        ([""], ["1"], ["<unset>", "1"]),
    ],
)
def test_endpoint_slices(ports: list[Any], addresses: list[str], shown: list[str]) -> None:
    given = [{"port": p} if isinstance(p, int) else {} if p is None else {"name": p} for p in ports]
    obj = {"addressType": "IPv4", "ports": given, "endpoints": [{"addresses": [a]} for a in addresses]}
    assert cells("EndpointSlice", obj) == ["n", "IPv4", *shown, OLD]


@pytest.mark.parametrize(
    ("hosts", "shown"),
    [
        ([], "*"), ([""], "*"), (["a.b", "c.d", "e.f"], "a.b,c.d,e.f"), (["a.b", "c.d", "e.f", "g.h"], "a.b,c.d,e.f + 1 more..."),
        (["", "a.b", "c.d", "", "e.f"], "a.b,c.d,e.f"), (["a.b", "c.d", "e.f", "", ""], "a.b,c.d,e.f + 2 more..."),
    ],
)  # fmt: skip
def test_hosts_of_an_ingress(hosts: list[str], shown: str) -> None:
    rules = [{"host": host} if host else {} for host in hosts]
    assert cells("Ingress", {"spec": {"rules": rules}}) == ["n", "<none>", shown, "", "80", OLD]


def test_an_ingress_with_all() -> None:
    ingress = {
        "spec": {"ingressClassName": "nginx", "tls": [{}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}, {"hostname": "h"}]}},
    }
    assert cells("Ingress", ingress) == ["n", "nginx", "*", "1.1.1.1,h", "80, 443", OLD]


# --- nodes


@pytest.mark.parametrize(
    ("conditions", "unschedulable", "shown"),
    [
        pytest.param([], False, "Unknown", id="nothing is known"),
        pytest.param([], True, "Unknown,SchedulingDisabled", id="nothing is known, and nothing may come"),
        pytest.param([{"type": "Ready", "status": "True"}], False, "Ready", id="ready"),
        pytest.param([{"type": "Ready", "status": "Unknown"}], True, "NotReady,SchedulingDisabled", id="not ready"),
        pytest.param([{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"}], False, "Ready",
                     id="somebody else's condition"),
        pytest.param([{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "True", "reason": "RulesNotWritten"}], False,
                     "NotReady,RulesNotWritten", id="its rules cannot be written"),
        pytest.param([{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "False", "reason": "RulesWritten"}], False, "Ready",
                     id="they are again"),
    ],
)  # fmt: skip
def test_the_status_of_a_node(conditions: list[dict[str, str]], unschedulable: bool, shown: str) -> None:
    assert (
        node_status({"kind": "Node", "spec": {"unschedulable": unschedulable}, "status": {"conditions": conditions}})
        == shown
    )


def test_the_other_columns_of_a_node() -> None:
    labels = {
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/control-plane": "",
        "node-role.kubernetes.io/": "x",
        "kubernetes.io/role": "old",
    }
    info = {
        "kernelVersion": "6.1",
        "osImage": "Debian",
        "containerRuntimeVersion": "containerd://1",
        "kubeletVersion": "v1.36.2",
        "architecture": "amd64",
    }
    addresses = [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "10.0.0.2"},
                 {"type": "ExternalIP", "address": "1.2.3.4"}]  # fmt: skip
    node = {"metadata": {"labels": labels}, "status": {"nodeInfo": info, "addresses": addresses}}
    assert cells("Node", node)[2:] == [
        "control-plane,old,worker",
        OLD,
        "v1.36.2",
        "10.0.0.1",
        "1.2.3.4",
        "Debian",
        "6.1 (amd64)",
        "containerd://1",
    ]
    assert cells("Node", {})[2:] == ["<none>", OLD, "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]


# --- events


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (show(lastTimestamp=SINCE, firstTimestamp="1970-01-01T00:00:00Z", count=4, source={"component": "kubelet", "host": "n1"},
              involvedObject={"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"}, message="  hello \n"),
         [OLD, "pod/p", "spec.containers{c}", "kubelet, n1", "hello", True, 4]),
        (show(eventTime="2020-01-01T00:00:00.000000Z", reportingComponent="a/b", reportingInstance="i", involvedObject={"kind": "Node"}),
         [OLD, "node", "", "a/b, i", "", True, 1]),
        (show(eventTime="1970-01-01T00:00:00.000000Z", series={"count": 9, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}, source={"component": "c"}),
         [OLD, "", "", "c", "", True, 9]),
        (show(), ["<unknown>", "", "", "", "", False, 1]),
    ],
)  # fmt: skip
def test_events(event: dict[str, Any], shown: list[Any]) -> None:
    last, _, _, about, part, source, message, first, times, name = cells(
        "Event", {"type": "Normal", "reason": "R", **event}
    )
    assert [last, about, part, source, message, first != "<unknown>", times] == shown
    assert name == "n"


# --- jobs


def conditions(*kinds: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True"} for kind in kinds]


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        (show(spec={"completions": 3}), ["Running", "0/3", ""]),
        (show(spec={"parallelism": 4}, status={"succeeded": 1}), ["Running", "1/1 of 4", ""]),
        (show(spec={"parallelism": 1}), ["Running", "0/1", ""]),
        (show(status={"conditions": conditions("Suspended")}), ["Suspended", "0/1", ""]),
        (show(status={"startTime": SINCE}), ["Running", "0/1", OLD]),
        (show(status={"startTime": SINCE, "completionTime": "2020-01-01T01:05:09Z", "conditions": conditions("SuccessCriteriaMet", "Complete")}), ["Complete", "0/1", "65m"]),
        (show(status={"conditions": conditions("FailureTarget", "Failed")}), ["Failed", "0/1", ""]),
        (show(status={"conditions": conditions("FailureTarget")}), ["FailureTarget", "0/1", ""]),
        (show(status={"conditions": conditions("SuccessCriteriaMet")}), ["SuccessCriteriaMet", "0/1", ""]),
        (show(metadata={"deletionTimestamp": SINCE}, status={"conditions": conditions("Suspended")}), ["Terminating", "0/1", ""]),
        (show(metadata={"deletionTimestamp": SINCE}, status={"conditions": conditions("Complete")}), ["Complete", "0/1", ""]),
        (show(status={"conditions": [{"type": "Complete", "status": "False"}, *conditions("Complete")]}), ["Running", "0/1", ""]),
    ],
)  # fmt: skip
def test_jobs(job: dict[str, Any], shown: list[str]) -> None:
    assert cells("Job", job)[1:4] == shown


# --- scaling

UTILIZATION, AVERAGE, VALUE = {"averageUtilization": 50}, {"averageValue": "1500m"}, {"value": "10"}


def metric(kind: str, target: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, kind[0].lower() + kind[1:]: {"name": "cpu", "target": target}}


def current(kind: str, seen: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, kind[0].lower() + kind[1:]: {"name": "cpu", "current": seen}}


@pytest.mark.parametrize(
    ("wanted", "seen", "shown"),
    [
        ([], [], "<none>"),
        ([metric("Resource", UTILIZATION)], [], "cpu: <unknown>/50%"),
        ([metric("Resource", UTILIZATION)], [current("Resource", {"averageUtilization": 45})], "cpu: 45%/50%"),
        ([metric("Resource", {})], [], "cpu: <unknown>/<auto>"),
        ([metric("ContainerResource", AVERAGE)], [current("ContainerResource", {"averageValue": "1"})], "cpu: 1/1500m"),
        ([metric("ContainerResource", AVERAGE)], [], "cpu: <unknown>/1500m"),
        ([metric("Pods", AVERAGE)], [current("Pods", {"averageValue": "2"})], "2/1500m"),
        ([metric("Pods", AVERAGE)], [], "<unknown>/1500m"),
        ([metric("Pods", AVERAGE)], [current("Pods", {})], "<nil>/1500m"),
        ([metric("Object", AVERAGE), metric("Object", VALUE)], [current("Object", {"averageValue": "2"}), current("Object", {"value": "3"})], "2/1500m (avg), 3/10"),
        ([metric("External", AVERAGE), metric("External", VALUE)], [], "<unknown>/1500m (avg), <unknown>/10"),
        ([metric("Pods", AVERAGE)] * 3, [], "<unknown>/1500m, <unknown>/1500m + 1 more..."),
        ([{"type": "New"}], [], "<unknown type>"),
    ],
)  # fmt: skip
def test_what_a_scaler_looks_at(wanted: list[Any], seen: list[Any], shown: str) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3, "metrics": wanted}
    obj = {"spec": spec, "status": {"currentReplicas": 2, "currentMetrics": seen}}
    assert cells("HorizontalPodAutoscaler", obj) == ["n", "Deployment/web", shown, "<unset>", 3, 2, OLD]
    assert cells("HorizontalPodAutoscaler", {"spec": {"minReplicas": 0}})[3] == "0"


def test_a_scale_is_shown_too() -> None:
    scale = Resource("autoscaling", "v1", "scales", "Scale")
    obj = {"metadata": {"name": "n"}, "spec": {"replicas": 3}, "status": {"replicas": 2}}
    assert printer_of(scale).cells(obj, NOW) == ["n", 3, 2, "<unknown>"]


# --- Pods

RUNS: dict[str, Any] = {"running": {"startedAt": SINCE}}
NEW: dict[str, Any] = {"waiting": {"reason": "PodInitializing"}}


def container(
    name: str, state: dict[str, Any], *, ready: bool = False, restarts: int = 0, last: str = "", started: bool = False
) -> dict[str, Any]:
    made = {"name": name, "ready": ready, "restartCount": restarts, "state": state, "started": started}
    return {**made, "lastState": {"terminated": {"exitCode": 1, "finishedAt": last}}} if last else made


def ended(code: int = 0, reason: str = "", signal: int = 0) -> dict[str, Any]:
    return {
        "terminated": {
            "exitCode": code,
            **({"reason": reason} if reason else {}),
            **({"signal": signal} if signal else {}),
        }
    }


def waits(reason: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason} if reason else {}}


def pod(
    phase: str, *containers: dict[str, Any], init: Any = (), sidecar: bool = False, ready: str = "", **more: Any
) -> dict[str, Any]:
    """A Pod with two containers, and two that come before them when INIT says how they are."""
    wanted = [{"name": "i1", **({"restartPolicy": "Always"} if sidecar else {})}, {"name": "i2"}] if init else []
    status: dict[str, Any] = {
        "phase": phase,
        "containerStatuses": list(containers),
        "initContainerStatuses": list(init),
        **more,
    }
    if ready:
        status["conditions"] = [{"type": "Ready", "status": ready}, *status.get("conditions", ())]
    return {"spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": wanted}, "status": status}


A, B = (container(name, RUNS, ready=True) for name in "ab")
DONE = container("a", ended(reason="Completed"))
INITIALIZED = [{"type": "Initialized", "status": "True"}]


@pytest.mark.parametrize(
    ("obj", "shown"),
    [
        pytest.param(pod("Pending"), ["0/2", "Pending", "0"], id="new"),
        pytest.param(pod("Running", A, B), ["2/2", "Running", "0"], id="running"),
        pytest.param(pod("Running", A, container("b", RUNS)), ["1/2", "Running", "0"], id="one is not ready"),
        pytest.param(pod("Running", A, container("b", waits("CrashLoopBackOff"), restarts=5, last=SINCE)), ["1/2", "CrashLoopBackOff", f"5 ({OLD} ago)"], id="crashes"),
        pytest.param(pod("Running", container("a", RUNS, ready=True, restarts=3), container("b", RUNS, ready=True, restarts=1)), ["2/2", "Running", "4"], id="no end known"),
        pytest.param(pod("Pending", container("a", waits("ImagePullBackOff")), container("b", waits("ContainerCreating"))), ["0/2", "ImagePullBackOff", "0"], id="the first one says"),
        pytest.param(pod("Failed", container("a", ended(3)), container("b", ended(0, signal=9))), ["0/2", "ExitCode:3", "0"], id="exited"),
        pytest.param(pod("Failed", container("a", ended(0, signal=9)), container("b", ended(2, signal=15))), ["0/2", "Signal:9", "0"], id="killed"),
        pytest.param(pod("Succeeded", DONE, container("b", ended(reason="Completed"))), ["0/2", "Completed", "0"], id="completed"),
        pytest.param(pod("Failed", DONE, container("b", ended(1, "Error"))), ["0/2", "Error", "0"], id="one failed"),
        pytest.param(pod("Running", DONE, B, ready="False"), ["1/2", "NotReady", "0"], id="one has completed"),
        pytest.param(pod("Running", DONE, B, ready="True"), ["1/2", "Running", "0"], id="one has completed, the other is ready"),
        pytest.param(pod("Failed", reason="Evicted"), ["0/2", "Evicted", "0"], id="evicted"),
        pytest.param(pod("Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]), ["0/2", "SchedulingGated", "0"], id="gated"),
        pytest.param(pod("Running", {"name": "a", "ready": True}, container("b", waits())), ["0/2", "Running", "0"], id="no state"),
        pytest.param(pod("Pending", init=[container("i1", NEW), container("i2", NEW)]), ["0/2", "Init:0/2", "0"], id="before all"),
        pytest.param(pod("Pending", init=[container("i1", ended()), container("i2", RUNS)]), ["0/2", "Init:1/2", "0"], id="the second runs"),
        pytest.param(pod("Pending", init=[container("i1", waits("ErrImagePull"), restarts=2)]), ["0/2", "Init:ErrImagePull", "2"], id="init waits"),
        pytest.param(pod("Pending", init=[container("i1", ended(3))]), ["0/2", "Init:ExitCode:3", "0"], id="init exited"),
        pytest.param(pod("Pending", init=[container("i1", ended(3, signal=9), restarts=4, last=SINCE)]), ["0/2", "Init:Signal:9", f"4 ({OLD} ago)"], id="init killed"),
        pytest.param(pod("Pending", init=[container("i1", ended(1, "Error"))]), ["0/2", "Init:Error", "0"], id="init failed"),
        pytest.param(pod("Running", A, container("b", RUNS, ready=True, restarts=1), init=[container("i1", ended(), restarts=3, last=SINCE)]), ["2/2", "Running", "1"], id="init is over"),
        pytest.param(pod("Running", A, B, init=[container("i1", RUNS)], conditions=INITIALIZED), ["2/2", "Init:0/2", "0"], id="init runs again"),
        pytest.param(pod("Running", A, container("b", RUNS, ready=True, restarts=1, last="2019-01-01T00:00:00Z"), sidecar=True,
                         init=[container("i1", RUNS, ready=True, restarts=2, last=SINCE, started=True), container("i2", ended(), restarts=5)]),
                     ["3/3", "Running", f"3 ({OLD} ago)"], id="with a sidecar"),
        pytest.param(pod("Pending", sidecar=True, init=[container("i1", RUNS), container("i2", NEW)]), ["0/3", "Init:0/2", "0"], id="the sidecar has not begun"),
        pytest.param(pod("Pending", sidecar=True, init=[container("i1", RUNS, restarts=2, started=True), container("i2", waits("CrashLoopBackOff"), restarts=3)]),
                     ["0/3", "Init:CrashLoopBackOff", "5"], id="what comes after the sidecar crashes"),
    ],
)  # fmt: skip
def test_pods(obj: dict[str, Any], shown: list[str]) -> None:
    found = cells("Pod", obj)
    assert [found[1], found[2], found[3].replace(AGE, OLD)] == shown


@pytest.mark.parametrize(
    ("phase", "reason", "shown"),
    [
        ("Running", "", "Terminating"),
        ("Succeeded", "", "Succeeded"),
        ("Failed", "", "Failed"),
        ("Running", "NodeLost", "Unknown"),
    ],
)
def test_pods_on_their_way_out(phase: str, reason: str, shown: str) -> None:
    assert cells("Pod", {"metadata": {"deletionTimestamp": SINCE}, **pod(phase, reason=reason)})[2] == shown


def test_the_wide_columns_of_pods() -> None:
    obj = pod(
        "Running",
        podIPs=[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
        nominatedNodeName="n9",
        conditions=[{"type": "a", "status": "True"}],
    )
    obj["spec"] |= {"nodeName": "n1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    assert cells("Pod", obj)[5:] == ["10.0.0.1", "n1", "n9", "1/2"]
    assert cells("Pod", {})[5:] == ["<none>"] * 4


@pytest.mark.parametrize(("phase", "reason"), [("Succeeded", "Succeeded"), ("Failed", "Failed"), ("Running", None)])
def test_a_row_says_when_it_has_completed(phase: str, reason: str | None) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "resourceVersion": "7"},
        "status": {"phase": phase},
    }
    (row,) = shaped(TABLE, PODS, obj, NOW)["rows"]
    assert row.get("conditions", [{}])[0].get("reason") == reason


# --- all kinds


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: f"{resource.group_resource}-{resource.version}")
def test_a_row_of_nothing_has_all_its_cells(resource: Resource) -> None:
    nothing = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"resourceVersion": "7"}}
    assert resource_of(nothing) is resource
    made = shaped(TABLE, resource, nothing, NOW)
    without_column = resource.kind == "IPAddress"
    assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"]) + without_column
    assert made["metadata"] == {"resourceVersion": "7"}
    assert {column["priority"] for column in made["columnDefinitions"]} <= {0, 1}


def test_an_empty_table_has_no_rows() -> None:
    for kind, rows in (("Pod", b'"rows":[]'), ("Role", b'"rows":null')):
        assert rows in many(TABLE, KINDS[kind], [], {}, NOW).body


@pytest.mark.parametrize("more", [{}, {"note": "x"}])
def test_what_only_the_version_says_of_a_daemon_set_is_no_metadata_of_its_own(more: dict[str, str]) -> None:
    annotations = {"deprecated.daemonset.template.generation": "1", **more}
    obj = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a", "annotations": annotations}}
    shown = shaped(Form(shape="PartialObjectMetadata"), KINDS["DaemonSet"], obj, NOW)
    assert shown["metadata"].get("annotations", {}) == more
    assert shaped(Form(), KINDS["DaemonSet"], obj, NOW) == obj
