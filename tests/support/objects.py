"""Objects of every kind that are right but for a few places: what somebody sends who errs, or means harm."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from netproxy.objects.kinds import RESOURCES, Resource
from netproxy.objects.schema import fields_of, root_of
from support.build import service_object, slice_object

_SPEC = {"containers": [{
    "name": "c", "image": "agnhost", "ports": [{"containerPort": 80, "name": "http"}],
    "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    "readinessProbe": {"httpGet": {"port": 80}}, "securityContext": {"runAsUser": 7},
    "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}],
}], "volumes": [{"name": "v", "configMap": {"name": "web", "items": [{"key": "a", "path": "a", "mode": 1}]}}, {"name": "p", "projected": {
    "sources": [{"secret": {"name": "web", "items": [{"key": "a", "path": "b"}]}}]}}, {"name": "h", "hostPath": {"path": "/h"}}],
    "securityContext": {"supplementalGroups": [8]}}  # fmt: skip
_STATUS = {
    "phase": "Running", "podIPs": [{"ip": "10.244.0.5"}], "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "c", "image": "agnhost", "ready": True, "restartCount": 1, "started": True,
                           "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                           "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}],
}  # fmt: skip
_WORKLOAD = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
             "template": {"metadata": {"labels": {"app": "web"}}, "spec": _SPEC}}  # fmt: skip
_METRIC = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 1}}}
_ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "web"}
_PARTS: dict[str, dict[str, Any]] = {
    "Namespace": {},
    "Node": {"spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]},
             "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}],
                        "conditions": [{"type": "Ready", "status": "True"}]}},
    "Pod": {"spec": {**_SPEC, "nodeName": "node1"}, "status": _STATUS},
    "Service": {"spec": {**service_object(type="LoadBalancer")["spec"], "externalIPs": ["192.0.2.1"], "clusterIPs": ["10.96.0.77"],
                         "ipFamilies": ["IPv4"], "loadBalancerSourceRanges": ["10.0.0.0/8"], "sessionAffinity": "ClientIP",
                         "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}}},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}},
    "EndpointSlice": {k: v for k, v in slice_object().items() if k not in ("metadata", "apiVersion", "kind")},
    "Endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "http", "port": 80}]}]},
    "ConfigMap": {"data": {"a": "b"}},
    "Secret": {"type": "Opaque", "data": {"a": "Yg=="}, "stringData": {"c": "d"}},
    "Deployment": {"spec": _WORKLOAD, "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}},
    "ReplicaSet": {"spec": _WORKLOAD, "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}},
    "HorizontalPodAutoscaler": {"spec": {"minReplicas": 1, "maxReplicas": 2, "metrics": [_METRIC],
                                         "scaleTargetRef": {"kind": "Deployment", "name": "web"}}},
    "Event": {"involvedObject": {"kind": "Pod", "name": "a"}, "reason": "R", "message": "m", "type": "Normal"},
    "ServiceCIDR": {"spec": {"cidrs": ["10.96.0.0/16"]}},
    "KubeProxyConfiguration": {"mode": "iptables", "iptables": {"syncPeriod": "30s"}, "nodePortAddresses": ["10.0.0.0/8"],
                               "featureGates": {"A": True}, "clusterCIDR": "10.244.0.0/16"},
    "Cluster": {"spec": {"nodes": [{"name": "node1", "address": "172.18.0.2"}], "podCIDRs": ["10.244.0.0/16"]}},
    "Image": {"spec": {"image": "shop", "command": ["python3"]}},
    "ServiceAccount": {"secrets": [{"name": "a"}], "automountServiceAccountToken": True},
    "ReplicationController": {"spec": {**_WORKLOAD, "selector": {"app": "web"}}, "status": {"replicas": 1}},
    "ResourceQuota": {"spec": {"hard": {"pods": "2"}}, "status": {"hard": {"pods": "2"}, "used": {"pods": "1"}}},
    "LimitRange": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
    "PersistentVolume": {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}},
    "PersistentVolumeClaim": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    "PodTemplate": {"template": _WORKLOAD["template"]},
    "StatefulSet": {"spec": {**_WORKLOAD, "serviceName": "web"}, "status": {"replicas": 1}},
    "DaemonSet": {"spec": {field: _WORKLOAD[field] for field in ("selector", "template")}},
    "ControllerRevision": {"revision": 1, "data": {"a": "b"}},
    "Job": {"spec": {"completions": 2, "template": {"spec": {**_SPEC, "restartPolicy": "Never"}}}},
    "CronJob": {"spec": {"schedule": "* * * * *",
                         "jobTemplate": {"spec": {"template": {"spec": {**_SPEC, "restartPolicy": "Never"}}}}}},
    "Ingress": {"spec": {"rules": [{"host": "a.example", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}},
    "IngressClass": {"spec": {"controller": "example.com/ingress"}},
    "NetworkPolicy": {"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 80}]}]}},
    "IPAddress": {"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}},
    "PodDisruptionBudget": {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}},
    "Lease": {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 10, "renewTime": "2026-01-01T00:00:00.000000Z"}},
    "Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "ClusterRole": {"rules": [{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]},
    "RoleBinding": {"roleRef": _ROLE, "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "default"}]},
    "ClusterRoleBinding": {"roleRef": {**_ROLE, "kind": "ClusterRole"}, "subjects": [{"kind": "User", "name": "a"}]},
    "StorageClass": {"provisioner": "example.com/disk", "reclaimPolicy": "Delete"},
    "PriorityClass": {"value": 1000, "description": "more than others"},
    "CustomResourceDefinition": {"spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}},
}  # fmt: skip


def template(resource: Resource, name: str = "web") -> dict[str, Any]:
    """An object of a resource in which nothing is wrong."""
    at = {"namespace": "default"} if resource.namespaced else {}
    meta = {
        "name": name,
        **at,
        "labels": {"app": "web", "kubernetes.io/service-name": "web"},
        "annotations": {"a": "b"},
    }
    parts = copy.deepcopy(_PARTS[resource.kind])
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **parts}


TEXTS = (
    "", "a", "web", "node1", "default", "None", "TCP", "udp", "ClusterIP", "ExternalName", "NodePort", "Local", "ClientIP", "IPv6",
    "10.0.0.1", "010.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "fe80::1%eth0", "10.0.0.0/8", "::/0", "1.2.3.4/33", "/",
    "\u00b2", "\u00e9", "a\nb", "\x00", "a" * 300, "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "-5s", "1e99h", "9" * 400, "1Gi",
    "-1", "True", "../..", "Pod", "v1", "apps/v1", "Deployment", "foregroundDeletion", "orphan", "kubernetes", "$(A)",
    "metadata.labels['app']", "9" * 5000, "0" * 5000 + "1", "1e999999999", "1e-999999999",
)  # fmt: skip
WHOLE = (-(2**63), -1, 0, 1, 80, 30080, 65535, 65536, 2**31 - 1, 2**31, 10**12, 2**63 - 1)
WORDS = ("app", "a", "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by", "", "\u00e9", "name", "ip",
         "topology.kubernetes.io/zone", "netproxy.dev/proxy-mode", "service.kubernetes.io/headless")  # fmt: skip


def anything(random: Random, depth: int = 2) -> Any:
    """Any JSON."""
    match random.randrange(8 if depth else 6):
        case 0:
            return None
        case 1:
            return random.choice((True, False, 1.5, -0.0))
        case 2 | 3:
            return random.choice(WHOLE)
        case 4 | 5:
            return random.choice(TEXTS)
        case 6:
            return [anything(random, depth - 1) for _ in range(random.randrange(3))]
        case _:
            return {random.choice(WORDS): anything(random, depth - 1) for _ in range(random.randrange(3))}


def value(random: Random, code: str, depth: int = 2) -> Any:
    """A value of a field: mostly of its type, with a content that is unusual."""
    if random.random() < 0.15:
        return random.choice((None, anything(random)))
    if code.startswith("[]"):
        return [value(random, code[2:], depth - 1) for _ in range(random.randrange(3))] if depth else []
    if code.startswith("{}"):
        return {random.choice(WORDS): value(random, code[2:], depth - 1) for _ in range(random.randrange(3))}
    if code.startswith(":"):
        fields = sorted(fields_of(code[1:]).items())
        chosen = random.sample(fields, min(len(fields), random.randrange(4))) if depth else []
        return {name: value(random, of, depth - 1) for name, of in chosen}
    plain = {"s": TEXTS, "i": WHOLE, "b": (True, False), "n": (*WHOLE, 0.5)}
    return random.choice(plain[code]) if code in plain else anything(random)


def spoilt(random: Random, resource: Resource, *, changes: int = 3) -> Any:
    """An object in which up to CHANGES places are not what they should be."""
    made = template(resource, random.choice(("web", "web", "node1", "default", "other")))
    for _ in range(random.randint(0, changes)):
        _spoil(random, made, root_of(made))
    return made


def _spoil(random: Random, within: dict[str, Any], of: str) -> None:
    """Go down some way and put something else there, or nothing."""
    known = fields_of(of)
    possible = sorted({*known, *within} - {"apiVersion", "kind"}) if random.random() < 0.3 else sorted(within)
    field = random.choice(possible or ["name"])  # a place before may have left nothing
    there, code = within.get(field), known.get(field, "*")
    inner = code.rpartition(":")[2] if ":" in code else ""
    places = [item for item in (there if isinstance(there, list) else [there]) if isinstance(item, dict) and item]
    if places and random.random() < 0.85:
        _spoil(random, random.choice(places), inner)
    elif field in within and random.random() < 0.25:
        del within[field]
    elif isinstance(there, list) and there and random.random() < 0.5:
        there[random.randrange(len(there))] = value(random, code.removeprefix("[]"))
    else:
        within[field] = value(random, code)


def any_resource(random: Random) -> Resource:
    """One of all."""
    return random.choice(RESOURCES)
