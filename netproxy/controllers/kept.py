"""Objects that a cluster always has: whoever deletes one finds it made again, as the API's own Service is.

Source: kubernetes pkg/controlplane/controller/kubernetesservice/controller.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Create, Event, Identity, IndexedView
from netproxy.objects.kinds import Resource, resource_of
from netproxy.objects.meta import Object, key

Key = tuple[Resource, NamespacedName]


def keeper(objects: Sequence[Object]) -> Controller[Key]:
    """The controller that makes each of OBJECTS again when it is not there."""
    kept = {(resource, key(obj)): obj for obj in objects if (resource := resource_of(obj))}

    def reconcile(view: IndexedView, at: Key, now: float) -> Outcome:
        if view.find(*at) is not None:
            return NOTHING
        return Outcome((Create(kept[at]),), absent=(Identity(*at),))

    def itself(view: IndexedView, event: Event) -> Iterable[Key]:
        at = (event.resource, key(event.obj))
        return (at,) if at in kept else ()

    return Controller("keeper", dict.fromkeys((resource for resource, _ in kept), itself), reconcile)
