"""Pods that nobody will ever end: their node is gone, or they never had one.

Source: kubernetes pkg/controller/podgc/gc_controller.go (gcOrphaned, gcUnscheduledTerminating).
"""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.controllers.port import NOTHING, Controller, Outcome, itself
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Delete, Event, Identity, IndexedView
from netproxy.objects.kinds import NODES, PODS
from netproxy.objects.meta import Object, is_deleting, key, metadata, name, spec, uid


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Delete the Pod at once, without a grace that nobody grants, when there is no node that runs it."""
    pod = view.find(PODS, at)
    if pod is None or (is_deleting(pod) and metadata(pod).get("deletionGracePeriodSeconds") == 0):
        return NOTHING
    node = str(spec(pod).get("nodeName") or "")
    if not node:
        return Outcome((_delete(pod),)) if is_deleting(pod) else NOTHING
    where = NamespacedName("", node)
    if view.find(NODES, where) is not None:
        return NOTHING
    return Outcome((_delete(pod),), absent=(Identity(NODES, where),))


def _delete(pod: Object) -> Delete:
    return Delete(PODS, key(pod), uid(pod), {"gracePeriodSeconds": 0})


def _of_node(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The Pods of a node that is gone."""
    return sorted(key(pod) for pod in view.by_node(name(event.obj))) if event.type == "DELETED" else ()


POD_GARBAGE_COLLECTOR = Controller("pod-garbage-collector", {PODS: itself, NODES: _of_node}, reconcile)
