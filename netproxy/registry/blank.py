"""What the API server compares a new object with: the empty object of its kind, of which some fields are always written.

Source: kubernetes 1.36 staging/src/k8s.io/api (fields without omitempty, and structs that are no pointers).
"""

from __future__ import annotations

from typing import Any

from netproxy.objects.meta import Object

_EMPTY: dict[str, Any] = {}
_POD: dict[str, Any] = {"containers": None}
_TEMPLATE: dict[str, Any] = {"metadata": {}, "spec": _POD}
_SCALER: dict[str, Any] = {"spec": {"maxReplicas": 0, "scaleTargetRef": {"kind": "", "name": ""}}}
_WORKLOAD: dict[str, Any] = {"selector": None, "template": _TEMPLATE}
_BINDING: dict[str, Any] = {"roleRef": {"apiGroup": "", "kind": "", "name": ""}}

_BLANKS: dict[str, dict[str, Any]] = {
    "v1/Binding": {"target": {}},
    "v1/ConfigMap": {},
    "v1/Endpoints": {},
    "v1/Event": {
        "eventTime": None, "firstTimestamp": None, "involvedObject": {}, "lastTimestamp": None, "reportingComponent": "",
        "reportingInstance": "", "source": {},
    },
    "v1/LimitRange": {"spec": {"limits": None}},
    "v1/Namespace": {"spec": {}},
    "v1/Node": {"spec": {}},
    "v1/PersistentVolume": {"spec": {}},
    "v1/PersistentVolumeClaim": {"spec": {"resources": {}}},
    "v1/Pod": {"spec": _POD},
    "v1/PodTemplate": {"template": _TEMPLATE},
    "v1/ReplicationController": {"spec": {}},
    "v1/ResourceQuota": {"spec": {}},
    "v1/Secret": {},
    "v1/Service": {"spec": {}},
    "v1/ServiceAccount": {},
    "apps/v1/ControllerRevision": {"data": None, "revision": 0},
    "apps/v1/DaemonSet": {"spec": {**_WORKLOAD, "updateStrategy": {}}},
    "apps/v1/Deployment": {"spec": {**_WORKLOAD, "strategy": {}}},
    "apps/v1/ReplicaSet": {"spec": _WORKLOAD},
    "apps/v1/StatefulSet": {"spec": {**_WORKLOAD, "serviceName": "", "updateStrategy": {}}},
    "authentication.k8s.io/v1/TokenRequest": {"spec": {"audiences": None, "boundObjectRef": None, "expirationSeconds": None}},
    "authentication.k8s.io/v1/TokenReview": {"spec": {}},
    "authorization.k8s.io/v1/LocalSubjectAccessReview": {"spec": {}},
    "authorization.k8s.io/v1/SelfSubjectAccessReview": {"spec": {}},
    "authorization.k8s.io/v1/SelfSubjectRulesReview": {"spec": {}},
    "authorization.k8s.io/v1/SubjectAccessReview": {"spec": {}},
    "autoscaling/v1/HorizontalPodAutoscaler": _SCALER,
    "autoscaling/v1/Scale": {"spec": {}},
    "autoscaling/v2/HorizontalPodAutoscaler": _SCALER,
    "batch/v1/CronJob": {
        "spec": {"jobTemplate": {"metadata": {}, "spec": {"template": _TEMPLATE}}, "schedule": ""},
    },
    "batch/v1/Job": {"spec": {"template": _TEMPLATE}},
    "coordination.k8s.io/v1/Lease": {"spec": {}},
    "discovery.k8s.io/v1/EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
    "events.k8s.io/v1/Event": {
        "deprecatedFirstTimestamp": None, "deprecatedLastTimestamp": None, "deprecatedSource": {}, "eventTime": None,
        "regarding": {},
    },
    "networking.k8s.io/v1/IPAddress": {"spec": {}},
    "networking.k8s.io/v1/Ingress": {"spec": {}},
    "networking.k8s.io/v1/IngressClass": {"spec": {}},
    "networking.k8s.io/v1/NetworkPolicy": {"spec": {"podSelector": {}}},
    "networking.k8s.io/v1/ServiceCIDR": {"spec": {}},
    "policy/v1/PodDisruptionBudget": {"spec": {}},
    "rbac.authorization.k8s.io/v1/ClusterRole": {"rules": None},
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": _BINDING,
    "rbac.authorization.k8s.io/v1/Role": {"rules": None},
    "rbac.authorization.k8s.io/v1/RoleBinding": _BINDING,
    "scheduling.k8s.io/v1/PriorityClass": {"value": 0},
    "storage.k8s.io/v1/StorageClass": {"provisioner": ""},
    "apiextensions.k8s.io/v1/CustomResourceDefinition": {
        "spec": {"group": "", "names": {"plural": "", "kind": ""}, "scope": "", "versions": None},
    },
}  # fmt: skip
"""By version and kind; without the status, which no creation touches."""


def blank(obj: Object) -> Object:
    """The empty object of the kind of OBJ; of one that has no official type, nothing at all.

    >>> blank({"apiVersion": "v1", "kind": "Service"})
    {'apiVersion': 'v1', 'kind': 'Service', 'metadata': {}, 'spec': {}}
    """
    named: Object = {field: obj[field] for field in ("apiVersion", "kind") if field in obj}
    return {**named, "metadata": _EMPTY, **_BLANKS.get(f"{obj.get('apiVersion')}/{obj.get('kind')}", _EMPTY)}
