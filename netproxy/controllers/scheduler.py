"""Which node runs a Pod: the one with the fewest, among those that its nodeSelector admits."""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.objects.canonical import canonical_field
from netproxy.objects.change import Bind, Event, IndexedView, UpdateStatus
from netproxy.objects.kinds import NODES, PODS
from netproxy.objects.meta import Object, is_deleting, key, labels, name, spec, status

NAME = "default-scheduler"


def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Bind a Pod that has no node yet; without a fitting node it stays Pending and says so."""
    pod = view.find(PODS, at)
    if pod is None or not any(_waiting(pod)):
        return NOTHING
    nodes = list(view.all(NODES))
    load = {name(node): len(view.having(PODS, _running_on, name(node))) for node in nodes if _fits(pod, node)}
    if not load:
        return _unschedulable(pod, len(nodes))
    return Outcome((Bind(at, min(load, key=lambda node: (load[node], node))),))


def _waiting(pod: Object) -> Iterable[str]:
    """Index: Pods that this scheduler has to place."""
    is_ours = spec(pod).get("schedulerName", NAME) == NAME
    return ("yes",) if is_ours and not spec(pod).get("nodeName") and not is_deleting(pod) else ()


def _running_on(pod: Object) -> Iterable[str]:
    """Index: Pods that have not ended, by node."""
    node = spec(pod).get("nodeName")
    return (str(node),) if node and status(pod).get("phase") not in ("Succeeded", "Failed") else ()


def _fits(pod: Object, node: Object) -> bool:
    wanted = spec(pod).get("nodeSelector") or {}
    return not spec(node).get("unschedulable") and all(labels(node).get(k) == v for k, v in wanted.items())


def _unschedulable(pod: Object, nodes: int) -> Outcome:
    message = f"0/{nodes} nodes are available: none matches the Pod's nodeSelector"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    others = [item for item in status(pod).get("conditions") or () if item.get("type") != "PodScheduled"]
    new = canonical_field(pod, "status", {**status(pod), "phase": "Pending", "conditions": [condition, *others]})
    return NOTHING if pod.get("status") == new else Outcome((UpdateStatus({**pod, "status": new}),))


def _of_pod(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    return (key(event.obj),) if event.type != "DELETED" and any(_waiting(event.obj)) else ()


def _of_node(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """Another node may take Pods that found none; a heartbeat changes nothing."""
    if event.type == "MODIFIED" and event.old is not None and _offer(event.old) == _offer(event.obj):
        return ()
    return sorted(key(pod) for pod in view.having(PODS, _waiting, "yes"))


def _offer(node: Object) -> tuple[object, ...]:
    return labels(node), spec(node).get("unschedulable")


SCHEDULER = Controller("scheduler", {PODS: _of_pod, NODES: _of_node}, reconcile)
