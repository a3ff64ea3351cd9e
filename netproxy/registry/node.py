"""Nodes: who registers one says its status, too.

Source: kubernetes pkg/registry/core/node/strategy.go.
"""

from __future__ import annotations

from netproxy.objects.meta import Object, spec
from netproxy.registry.prepare import NOT_READY
from netproxy.registry.strategy import Strategy


class NodeStrategy(Strategy):
    """A Node comes with its status: its addresses are what the machine has."""

    status_is_given = True

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """The status that it was registered with stays; one that nobody has looked at yet is not ready for Pods.

        WITH_STATUS: it comes from who runs it, or from a manifest.
        """
        new = super().new(obj, with_status=True)
        taints = spec(new).get("taints") or []
        if with_status or NOT_READY in taints:
            return new
        return {**new, "spec": {**spec(new), "taints": [*taints, NOT_READY]}}
