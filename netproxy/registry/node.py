"""Nodes: who registers one says its status, too.

Source: kubernetes pkg/registry/core/node/strategy.go.
"""

from __future__ import annotations

from netproxy.objects.meta import Object
from netproxy.registry.strategy import Strategy


class NodeStrategy(Strategy):
    """A Node comes with its status: its addresses are what the machine has."""

    status_is_given = True

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """The status that it was registered with stays."""
        return super().new(obj, with_status=True)
