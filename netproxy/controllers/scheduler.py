"""Which node runs a Pod: the one with the fewest, among those that its nodeSelector admits."""

from __future__ import annotations

from netproxy.core.names import NamespacedName
from netproxy.objects.change import Change, Update, View
from netproxy.objects.kinds import NODES, PODS
from netproxy.objects.meta import Object, is_deleting, labels, name, spec


def reconcile_pod(view: View, at: NamespacedName) -> list[Change]:
    """Bind a Pod that has no node yet; without a fitting node it stays Pending and says so."""
    pod = view.find(PODS, at)
    if pod is None or is_deleting(pod) or spec(pod).get("nodeName"):
        return []
    load: dict[str, int] = {name(node): 0 for node in view.list(NODES) if _fits(pod, node)}
    if not load:
        return _unschedulable(pod, sum(1 for _ in view.all(NODES)))
    for other in view.all(PODS):
        node = spec(other).get("nodeName")
        if node in load:
            load[node] += 1
    chosen = min(load, key=lambda node: (load[node], node))
    return [Update({**pod, "spec": {**spec(pod), "nodeName": chosen}})]


def _fits(pod: Object, node: Object) -> bool:
    wanted = spec(pod).get("nodeSelector") or {}
    return not spec(node).get("unschedulable") and all(labels(node).get(k) == v for k, v in wanted.items())


def _unschedulable(pod: Object, nodes: int) -> list[Change]:
    message = f"0/{nodes} nodes are available: none matches the Pod's nodeSelector"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    status = {"phase": "Pending", "conditions": [condition]}
    return [] if pod.get("status") == status else [Update({**pod, "status": status})]
