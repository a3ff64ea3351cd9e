"""What a running cluster takes of Cluster and Node objects, and what it refuses because it was fixed at its start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.cluster import ClusterSpec, cluster_object, cluster_spec
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, annotations_of, describe, labels, name, spec
from netproxy.objects.validate import problems

_AGAIN = "`netproxy down`, then `up`, makes another"
_TAKEN = ("taints", "unschedulable")


def live_nodes(items: Iterable[Loaded], running: Mapping[str, Object]) -> list[Loaded]:
    """The Node objects among ITEMS: their labels, annotations, taints; the rest as in the RUNNING ones (by name).

    Raises ManifestError for a node that the cluster does not have.
    """
    result, wrong = [], []
    for item in items:
        if item.obj["kind"] != "Node":
            continue
        known = running.get(name(item.obj))
        if known is None:
            why = f"a running cluster keeps its nodes ({', '.join(sorted(running))}); {_AGAIN}"
            wrong.append(Problem("metadata.name", why, describe(item.obj), item.source))
            continue
        meta = {
            **known["metadata"],
            "labels": {**labels(known), **labels(item.obj)},
            "annotations": {**annotations_of(known), **annotations_of(item.obj)},
        }
        taken = {field: value for field, value in spec(item.obj).items() if field in _TAKEN}
        result.append(Loaded({**known, "metadata": meta, "spec": {**spec(known), **taken}}, item.source))
    if wrong:
        raise ManifestError(wrong)
    return result


def live_cluster(items: Iterable[Loaded], running: ClusterSpec) -> ClusterSpec:
    """The cluster with the proxy mode and version that a Cluster object among ITEMS asks for; nothing else of it can change.

    Raises ManifestError naming the fields that are not as they are in the RUNNING cluster.
    """
    items = list(items)
    nodes = [item.obj for item in items if item.obj["kind"] == "Node"]
    wrong = []
    for item in items:
        if item.obj["kind"] != "Cluster":
            continue
        wrong += [Problem(p.path, p.message, describe(item.obj), item.source, p.reason) for p in problems(item.obj)]
        if wrong:
            continue
        now = spec(cluster_object(running))
        then = spec(cluster_object(cluster_spec([item.obj, *nodes], cluster_name=running.name)))
        for field, given in spec(item.obj).items():
            if (
                field not in ("proxyMode", "kubeProxyVersion")
                and given is not None
                and field in now
                and _differs(field, given, now[field], then[field])
            ):
                why = f"a running cluster keeps what it has ({_shown(now[field])}); {_AGAIN}"
                wrong.append(Problem(f"spec.{field}", why, describe(item.obj), item.source))
        if spec(item.obj).get("proxyMode"):
            running = replace(running, proxy_mode=then["proxyMode"])
        if spec(item.obj).get("kubeProxyVersion"):
            running = replace(running, kube_proxy_version=then["kubeProxyVersion"])
    if wrong:
        raise ManifestError(wrong)
    return running


def _differs(field: str, given: Any, now: Any, then: Any) -> bool:
    if field != "nodes":
        return bool(now != then)
    here, asked = ({node["name"] for node in side} for side in (now, then))
    return not asked <= here or (isinstance(given, int) and asked != here)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(item["name"] if isinstance(item, dict) else str(item) for item in value)
    return str(value)
