"""Objects as a `meta.k8s.io/v1 Table`.

Source: kubernetes apiserver pkg/endpoints/handlers/response.go (asTable), pkg/registry/rest/table.go (kinds without columns).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netproxy.apiserver.tables import core, network, others, pods, workloads
from netproxy.apiserver.tables.custom import custom_printer
from netproxy.apiserver.tables.words import NAME, Cells, Column, Printer
from netproxy.objects.kinds import CLUSTERS, IMAGES, KUBE_PROXY_CONFIGURATIONS, Resource
from netproxy.objects.meta import Object, metadata, name

Rows = list[dict[str, Any]]


def _created(obj: Object, _: float) -> Cells:
    return [name(obj), metadata(obj).get("creationTimestamp") or "0001-01-01T00:00:00Z"]


DEFAULT = Printer((NAME, Column("Created At", "date")), _created)
"""How kinds are shown that have no columns of their own."""

_PRINTERS: Mapping[tuple[str, str], Printer] = {
    ("", "Namespace"): core.NAMESPACE,
    ("", "Node"): core.NODE,
    ("", "Pod"): pods.POD,
    ("", "PodTemplate"): pods.POD_TEMPLATE,
    ("", "Service"): network.SERVICE,
    ("", "Endpoints"): network.ENDPOINTS,
    ("", "Event"): core.EVENT,
    ("", "ConfigMap"): core.CONFIG_MAP,
    ("", "Secret"): core.SECRET,
    ("", "ServiceAccount"): core.SERVICE_ACCOUNT,
    ("", "ReplicationController"): workloads.REPLICATION_CONTROLLER,
    ("", "ResourceQuota"): core.RESOURCE_QUOTA,
    ("", "PersistentVolume"): core.PERSISTENT_VOLUME,
    ("", "PersistentVolumeClaim"): core.PERSISTENT_VOLUME_CLAIM,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "ControllerRevision"): workloads.CONTROLLER_REVISION,
    ("autoscaling", "HorizontalPodAutoscaler"): network.HORIZONTAL_POD_AUTOSCALER,
    ("autoscaling", "Scale"): workloads.SCALE,
    ("batch", "Job"): workloads.JOB,
    ("batch", "CronJob"): workloads.CRON_JOB,
    ("coordination.k8s.io", "Lease"): others.LEASE,
    ("discovery.k8s.io", "EndpointSlice"): network.ENDPOINT_SLICE,
    ("events.k8s.io", "Event"): core.EVENT,
    ("networking.k8s.io", "Ingress"): network.INGRESS,
    ("networking.k8s.io", "IngressClass"): network.INGRESS_CLASS,
    ("networking.k8s.io", "NetworkPolicy"): network.NETWORK_POLICY,
    ("networking.k8s.io", "ServiceCIDR"): network.SERVICE_CIDR,
    ("networking.k8s.io", "IPAddress"): network.IP_ADDRESS,
    ("policy", "PodDisruptionBudget"): workloads.POD_DISRUPTION_BUDGET,
    ("rbac.authorization.k8s.io", "RoleBinding"): others.BINDING,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): others.BINDING,
    ("scheduling.k8s.io", "PriorityClass"): others.PRIORITY_CLASS,
    ("storage.k8s.io", "StorageClass"): others.STORAGE_CLASS,
    (IMAGES.group, IMAGES.kind): others.IMAGE,
    (CLUSTERS.group, CLUSTERS.kind): others.PLAIN,
    (KUBE_PROXY_CONFIGURATIONS.group, KUBE_PROXY_CONFIGURATIONS.kind): others.PLAIN,
}


def printer_of(resource: Resource) -> Printer:
    """How objects of a resource are shown."""
    if resource.custom is not None:
        return custom_printer(resource.custom)
    return _PRINTERS.get((resource.group, resource.kind), DEFAULT)


def table(
    printer: Printer, objects: Iterable[Object], shown: Callable[[Object], Object | None], now: float,
    meta: Mapping[str, Any],
) -> Object:  # fmt: skip
    """A Table of objects as they are kept; SHOWN is what is said of each beside its cells, META the list's metadata."""
    return {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
        "columnDefinitions": [column.definition for column in printer.columns],
        "rows": rows(printer, objects, shown, now) or ([] if printer is not DEFAULT else None),
    }  # fmt: skip


def rows(
    printer: Printer, objects: Iterable[Object], shown: Callable[[Object], Object | None], now: float
) -> Rows:  # fmt: skip
    """The rows of a Table."""
    made: Rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": printer.cells(obj, now)}
        conditions = printer.conditions(obj)
        if conditions:
            row["conditions"] = conditions
        made.append({**row, "object": shown(obj)})
    return made
