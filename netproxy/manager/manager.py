"""Runs the controllers: every change of an object makes keys to look at; each key is reconciled until nothing changes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from netproxy.controllers.endpointslice import SERVICE_NAME, reconcile_service
from netproxy.controllers.scheduler import reconcile_pod
from netproxy.controllers.workload import reconcile_deployment, reconcile_replica_set
from netproxy.core.clock import Clock
from netproxy.core.errors import ConflictError, NetproxyError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.manager.queue import Queue
from netproxy.objects.change import Bind, Change, Create, Delete, Update, UpdateStatus, View
from netproxy.objects.kinds import PODS, REPLICA_SETS, RESOURCES, SERVICES, Resource
from netproxy.objects.meta import Object, controller_of, is_deleting, key, labels, namespace, spec, uid
from netproxy.objects.selector import selects
from netproxy.registry.registry import Registry
from netproxy.store.store import Event

log = logging.getLogger(__name__)

Work = tuple[str, NamespacedName]
_RECONCILE: dict[str, Callable[[View, NamespacedName], list[Change]]] = {
    "Pod": reconcile_pod,
    "Service": reconcile_service,
    "Deployment": reconcile_deployment,
    "ReplicaSet": reconcile_replica_set,
}


class Controllers:
    """The controllers of one cluster and the queue of what they have to look at."""

    def __init__(self, registry: Registry, clock: Clock, wake: Callable[[], None]) -> None:
        self._registry = registry
        self._store = registry.store
        self._clock = clock
        self._wake = wake
        self.queue: Queue[Work] = Queue()

    def observe(self, event: Event) -> None:
        """Note which keys an event concerns."""
        kind, at = event.obj["kind"], key(event.obj)
        if kind in _RECONCILE and event.type != "DELETED":
            self.queue.add((kind, at))
        match kind:
            case "Pod":
                self._about_pod(event)
            case "ReplicaSet":
                self._about_owner(event.obj, "Deployment")
            case "EndpointSlice":
                owner = labels(event.obj).get(SERVICE_NAME)
                if owner:
                    self.queue.add(("Service", NamespacedName(at.namespace, owner)))
            case "Service":
                self.queue.add(("Service", at))
            case "Node":
                self._about_node()
        if event.type == "DELETED":
            self._orphans(event.obj)
        self._wake()

    def _about_pod(self, event: Event) -> None:
        self._about_owner(event.obj, "ReplicaSet")
        for service in self._store.all(SERVICES):
            if namespace(service) == namespace(event.obj) and any(
                selects(spec(service).get("selector"), labels(pod)) for pod in (event.obj, event.old) if pod
            ):
                self.queue.add(("Service", key(service)))

    def _about_node(self) -> None:
        """A new node may take Pods that found none."""
        for pod in self._store.all(PODS):
            if not spec(pod).get("nodeName"):
                self.queue.add(("Pod", key(pod)))

    def _about_owner(self, obj: Object, kind: str) -> None:
        owner = controller_of(obj)
        if owner.get("kind") == kind:
            self.queue.add((kind, NamespacedName(namespace(obj), owner["name"])))

    def _orphans(self, owner: Object) -> None:
        """What a deleted object owned goes too; with a Namespace, everything in it."""
        dependents = {"Deployment": REPLICA_SETS, "ReplicaSet": PODS}.get(owner["kind"])
        if dependents:
            for obj in list(self._store.all(dependents)):
                if controller_of(obj).get("uid") == uid(owner):
                    self._delete(dependents, key(obj))
        if owner["kind"] == "Namespace":
            gone = key(owner).name
            for kind in [r for r in RESOURCES if r.namespaced and not r.kept_as]:
                for obj in list(self._store.list(kind, gone)):
                    self._delete(kind, key(obj))

    def run(self) -> None:
        """Reconcile everything that is due, and what follows from it, until the queue is quiet."""
        for _ in range(1000):
            due = self.queue.take(self._clock.monotonic())
            if not due:
                return
            for work in due:
                try:
                    for change in _RECONCILE[work[0]](self._store, work[1]):
                        self._make(change)
                    self.queue.done(work)
                except (ConflictError, NotFoundError):
                    self.queue.failed(work, self._clock.monotonic())
                except NetproxyError as error:
                    log.warning("%s %s: %s", *work, error)
                    self.queue.failed(work, self._clock.monotonic())

    def _make(self, change: Change) -> None:
        match change:
            case Create(obj):
                self._registry.create(obj)
            case Update(obj) | UpdateStatus(obj):
                self._store.replace(obj)
            case Bind(at, node):
                pod = self._store.get(PODS, at)
                self._store.replace({**pod, "spec": {**spec(pod), "nodeName": node}})
            case Delete(kind, name):
                self._delete(kind, name)

    def _delete(self, kind: Resource, name: NamespacedName) -> None:
        obj = self._store.find(kind, name)
        if obj is None or is_deleting(obj):
            return
        if kind is PODS and spec(obj).get("nodeName"):
            self._store.mark_deleted(kind, name, grace_s=spec(obj).get("terminationGracePeriodSeconds", 30))
        else:
            self._store.delete(kind, name)
