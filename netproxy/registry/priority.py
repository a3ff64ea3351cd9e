"""PriorityClasses: two are there for ever.

Source: kubernetes pkg/apis/scheduling/v1/helpers.go, pkg/registry/scheduling/priorityclass/storage/storage.go.
"""

from __future__ import annotations

from netproxy.objects.kinds import PRIORITY_CLASSES
from netproxy.objects.meta import Object, name
from netproxy.registry.refusal import forbidden
from netproxy.registry.strategy import Strategy


def _class(called: str, value: int, description: str) -> Object:
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": called}, "value": value,
            "description": f"Used for system critical pods that must {description}."}  # fmt: skip


OF_THE_SYSTEM = (
    _class("system-node-critical", 2000001000, "not be moved from their current node"),
    _class("system-cluster-critical", 2000000000, "run in the cluster, but can be moved to another node if necessary"),
)
"""The classes that every cluster has."""


class PriorityClassStrategy(Strategy):
    """Those of the system cannot be deleted."""

    def check_deletion(self, obj: Object) -> None:
        """Raise ApiError for one of the system."""
        if name(obj) in map(name, OF_THE_SYSTEM):
            why = "this is a system priority class and cannot be deleted"
            raise forbidden(PRIORITY_CLASSES, name(obj), why)
