"""What the API server refuses, with its field paths and in its words: the kinds and their rules.

An update is asked what a new object is asked, and what may not change; both are asked of the metadata twice, by the server
itself and by the kind, and both say what they find: the real server's answers have their problems in this order, repeated.

Source: kubernetes staging/src/k8s.io/apiserver/pkg/registry/rest/{create,update}.go (the order of checks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

from netproxy.core.errors import Problem
from netproxy.objects.decoding import base64_fault
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.meta import Object, labels, metadata, spec, status
from netproxy.objects.proxyconfig import configuration_problems
from netproxy.objects.ranges import node_range_problems
from netproxy.objects.validation import config, event, ingress, policy, quota, rbac, servicecidr, storage
from netproxy.objects.validation.addresses import STRICT
from netproxy.objects.validation.autoscaler import HORIZONTAL_POD_AUTOSCALER
from netproxy.objects.validation.cluster import cluster_problems
from netproxy.objects.validation.cronjob import CRON_JOB
from netproxy.objects.validation.definition import DEFINITION
from netproxy.objects.validation.endpoints import RULES as ENDPOINTS
from netproxy.objects.validation.endpointslice import RULES as ENDPOINT_SLICE
from netproxy.objects.validation.endpointslice import port_range_problems
from netproxy.objects.validation.job import JOB
from netproxy.objects.validation.metadata import (
    metadata_changes,
    metadata_problems,
    standard_finalizer_problems,
)
from netproxy.objects.validation.names import path_segment
from netproxy.objects.validation.namespace import RULES as NAMESPACE
from netproxy.objects.validation.namespace import finalize_problems
from netproxy.objects.validation.networkpolicy import RULES as NETWORK_POLICY
from netproxy.objects.validation.node import RULES as NODE
from netproxy.objects.validation.podparts import ephemeral_update_problems, resize_problems
from netproxy.objects.validation.podupdate import POD, POD_TEMPLATE
from netproxy.objects.validation.rules import Meta, Rules
from netproxy.objects.validation.service import RULES as SERVICE
from netproxy.objects.validation.servicestatus import load_balancer_problems
from netproxy.objects.validation.statefulset import STATEFUL_SET
from netproxy.objects.validation.volume import PERSISTENT_VOLUME
from netproxy.objects.validation.words import Problems, invalid
from netproxy.objects.validation.workload import DAEMON_SET, DEPLOYMENT, REPLICA_SET, REPLICATION_CONTROLLER


def problems(obj: Object) -> list[Problem]:
    """List everything that is wrong with the values of an object of a manifest (types: see `schema`).

    A manifest may have been taken out of a cluster: what it had from its older versions is no problem.
    """
    kind = str(obj.get("kind", ""))
    try:
        if kind in _OURS:
            named = metadata(obj).get("name") or metadata(obj).get("generateName")
            return [*(metadata_problems(metadata(obj)) if named else ()), *_OURS[kind](obj)]
        complete = with_defaults(obj)
        found = refusals(_GIVEN[kind](complete) if kind in _GIVEN else complete, None)
        if kind in _IN_MANIFESTS:
            found += _IN_MANIFESTS[kind](obj if kind == "Node" else complete)
        return [problem for problem in found if not was_once_right(problem)]
    except (TypeError, AttributeError, KeyError, ValueError) as error:  # a wrong type, which `schema` names better
        return [Problem("", f"Invalid value: {error}")]


def _with_ips(service: Object) -> Object:
    """With both of the fields that name a Service's address where one of them does."""
    given = spec(service)
    ips = given.get("clusterIPs") or [ip for ip in (given.get("clusterIP"),) if ip]
    if not ips or given.get("type") == "ExternalName":
        return service
    return {**service, "spec": {**given, "clusterIPs": ips, "clusterIP": given.get("clusterIP") or ips[0]}}


def _with_stored_version(definition: Object) -> Object:
    """With the version that its objects are going to be stored in."""
    stored = [each.get("name") for each in spec(definition).get("versions") or () if each.get("storage")]
    return {**definition, "status": {"storedVersions": stored, **status(definition)}}


def _with_selector(job: Object) -> Object:
    """With a selector of its own Pods, unless the Job has one or wants to choose it by itself."""
    wanted = spec(job)
    if wanted.get("selector") or wanted.get("manualSelector"):
        return job
    template, own = wanted.get("template") or {}, {"job-name": str(metadata(job).get("name"))}
    labelled = {**template, "metadata": {**metadata(template), "labels": {**labels(template), **own}}}
    return {**job, "spec": {**wanted, "selector": {"matchLabels": own}, "manualSelector": True, "template": labelled}}


_GIVEN: dict[str, Callable[[Object], Object]] = {
    "CustomResourceDefinition": _with_stored_version, "Job": _with_selector, "Service": _with_ips,
}  # fmt: skip
"""What an API server fills in by itself before it looks whether a new object is right."""


def was_once_right(problem: Problem) -> bool:
    """Whether an older server took this, or would have filled it in."""
    return problem.message.endswith(STRICT) or (
        problem.path == "spec.healthCheckNodePort" and problem.reason == "FieldValueRequired"
    )


def _encoded_problems(obj: Object, field: str) -> Problems:
    """Values that are no base64; who asks an API server is told when it reads them."""
    for key, value in (obj.get(field) or {}).items():
        if (place := base64_fault(str(value or ""))) is not None:
            yield invalid(f"{field}[{key}]", value, f"illegal base64 data at input byte {place}")


_IN_MANIFESTS: dict[str, Callable[[Object], Problems]] = {
    "ConfigMap": lambda obj: _encoded_problems(obj, "binaryData"),
    "EndpointSlice": port_range_problems,
    "Node": lambda obj: node_range_problems(spec(obj)),
    "Secret": lambda obj: _encoded_problems(obj, "data"),
    "Service": lambda obj: load_balancer_problems(obj, {}),
}
"""What else is asked where no API server is: statuses are believed, and what nobody could make work is told early."""


def refusals(new: Object, old: Object | None, group: str = "") -> list[Problem]:
    """What is wrong with a new object, or with a new state of OLD; both are complete, and come by this API group."""
    rules = event.NEW if group == "events.k8s.io" else _rules(new)
    common, meta = _metadata(new, old, rules)
    if old is None:
        return list(rules.create(new, meta.whole)) or list(metadata_problems(metadata(new), path_segment))
    return [*common, *rules.update(new, old, meta)]


def status_refusals(new: Object, old: Object) -> list[Problem]:
    """What is wrong with a new status of OLD."""
    rules = _rules(new)
    common, meta = _metadata(new, old, rules)
    return [*common, *rules.status(new, old, meta)]


def part_refusals(new: Object, old: Object, part: str) -> list[Problem]:
    """What is wrong with a new state of a part of OLD that is written by itself."""
    common, meta = _metadata(new, old, _rules(new))
    return [*common, *_PARTS[part](new, old, meta)]


def _metadata(new: Object, old: Object | None, rules: Rules) -> tuple[list[Problem], Meta]:
    """What the server itself finds wrong with an update's metadata, and what the kind does."""
    meta = metadata(new)
    whole = list(metadata_problems(meta, rules.name))
    change = list(metadata_changes(meta, metadata(old))) if old is not None else []
    named = list(standard_finalizer_problems(meta)) if rules.is_core and meta.get("finalizers") else []
    common = list(metadata_problems(meta, path_segment)) if whole else []
    return [*common, *change], Meta([*whole, *named], [*change, *named])


def warnings(new: Object, old: Object | None) -> Iterable[str]:
    """What is said about an object that is accepted."""
    return _rules(new).warnings(new, old)


def status_warnings(new: Object, old: Object) -> Iterable[str]:
    """What is said about a status that is accepted."""
    return _rules(new).status_warnings(new, old)


def _rules(obj: Object) -> Rules:
    return _RULES.get(str(obj.get("kind", "")), _FREE)


_PARTS: dict[str, Callable[[Object, Object, Meta], Problems]] = {
    "finalize": finalize_problems, "ephemeralcontainers": ephemeral_update_problems, "resize": resize_problems,
}  # fmt: skip

_FREE = Rules(name=path_segment)
"""Of a kind that nobody here knows: its metadata only."""

_OURS: dict[str, Callable[[Object], Problems]] = {
    "KubeProxyConfiguration": configuration_problems,
    "Cluster": cluster_problems,
}
"""Kinds that no API server has; in a manifest they need no name."""


def _asked(check: Callable[[Object], Problems]) -> Rules:
    """The rules of a kind for which nothing is asked of a change but that the new state is right."""
    return Rules(
        create=lambda obj, meta: chain(meta, check(obj)), update=lambda new, _, meta: chain(meta.change, check(new)),
        name=path_segment,
    )  # fmt: skip


_RULES: dict[str, Rules] = {
    **{kind: _asked(check) for kind, check in _OURS.items()},
    "ClusterRole": rbac.CLUSTER_ROLE,
    "ClusterRoleBinding": rbac.CLUSTER_ROLE_BINDING,
    "ConfigMap": config.CONFIG_MAP,
    "ControllerRevision": policy.CONTROLLER_REVISION,
    "CronJob": CRON_JOB,
    "CustomResourceDefinition": DEFINITION,
    "DaemonSet": DAEMON_SET,
    "Deployment": DEPLOYMENT,
    "EndpointSlice": ENDPOINT_SLICE,
    "Endpoints": ENDPOINTS,
    "Event": event.CORE,
    "IPAddress": servicecidr.IP_ADDRESS,
    "HorizontalPodAutoscaler": HORIZONTAL_POD_AUTOSCALER,
    "Ingress": ingress.INGRESS,
    "IngressClass": ingress.INGRESS_CLASS,
    "Job": JOB,
    "Lease": policy.LEASE,
    "LimitRange": quota.LIMIT_RANGE,
    "Namespace": NAMESPACE,
    "NetworkPolicy": NETWORK_POLICY,
    "Node": NODE,
    "PersistentVolume": PERSISTENT_VOLUME,
    "PersistentVolumeClaim": storage.PERSISTENT_VOLUME_CLAIM,
    "Pod": POD,
    "PodDisruptionBudget": policy.POD_DISRUPTION_BUDGET,
    "PodTemplate": POD_TEMPLATE,
    "PriorityClass": policy.PRIORITY_CLASS,
    "ReplicaSet": REPLICA_SET,
    "ReplicationController": REPLICATION_CONTROLLER,
    "ResourceQuota": quota.RESOURCE_QUOTA,
    "Role": rbac.ROLE,
    "RoleBinding": rbac.ROLE_BINDING,
    "Secret": config.SECRET,
    "Service": SERVICE,
    "ServiceAccount": config.SERVICE_ACCOUNT,
    "ServiceCIDR": servicecidr.SERVICE_CIDR,
    "StatefulSet": STATEFUL_SET,
    "StorageClass": storage.STORAGE_CLASS,
}
