"""What the API server refuses, with its field paths and in its words: the kinds and their checks.

Source: kubernetes pkg/apis/core/validation, pkg/apis/discovery/validation (behaviour, not code).
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.core.errors import Problem
from netproxy.objects.meta import Object
from netproxy.objects.podspec import data_problems
from netproxy.objects.proxyconfig import configuration_problems
from netproxy.objects.validation.cluster import cluster_problems
from netproxy.objects.validation.endpoints import endpoints_problems
from netproxy.objects.validation.endpointslice import endpoint_slice_problems
from netproxy.objects.validation.metadata import metadata_problems
from netproxy.objects.validation.node import node_problems
from netproxy.objects.validation.pod import pod_problems
from netproxy.objects.validation.service import service_problems
from netproxy.objects.validation.servicecidr import service_cidr_problems
from netproxy.objects.validation.words import Problems
from netproxy.objects.validation.workload import workload_problems


def problems(obj: Object) -> list[Problem]:
    """List everything that is wrong with the values of one object (types: see `schema`)."""
    check = _CHECKS.get(obj.get("kind", ""))
    try:
        return [*metadata_problems(obj), *(check(obj) if check else ())]
    except (TypeError, AttributeError, KeyError) as error:  # a wrong type, which `schema` names better
        return [Problem("", f"Invalid value: {error}")]


_CHECKS: dict[str, Callable[[Object], Problems]] = {
    "Node": node_problems,
    "Service": service_problems,
    "EndpointSlice": endpoint_slice_problems,
    "Endpoints": endpoints_problems,
    "Pod": pod_problems,
    "Deployment": workload_problems,
    "ReplicaSet": workload_problems,
    "ConfigMap": data_problems,
    "Secret": data_problems,
    "ServiceCIDR": service_cidr_problems,
    "KubeProxyConfiguration": configuration_problems,
    "Cluster": cluster_problems,
}
