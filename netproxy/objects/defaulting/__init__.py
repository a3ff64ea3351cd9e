"""What the API server fills in before it stores an object: one module a group of kinds.

Source: kubernetes pkg/apis/core/v1/defaults.go, apps/v1/defaults.go, discovery/v1/defaults.go (behaviour).
"""

from __future__ import annotations

from netproxy.objects.defaulting import autoscalers, config, definitions, network, pods, workloads
from netproxy.objects.meta import Object

_FILLERS = {
    **config.FILLERS,
    **definitions.FILLERS,
    **network.FILLERS,
    **pods.FILLERS,
    **workloads.FILLERS,
    **autoscalers.FILLERS,
}


def with_defaults(obj: Object) -> Object:
    """A copy of the object with the unset fields filled; what was set stays as it is."""
    fill = _FILLERS.get(obj.get("kind", ""))
    return fill(obj) if fill else obj
