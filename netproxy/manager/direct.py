"""Runs the controllers on a registry, without a client."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, assert_never

from netproxy.controllers import ALL
from netproxy.core.clock import Clock
from netproxy.core.errors import ConflictError, NetproxyError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.manager.queue import Queue
from netproxy.objects.change import (
    Bind,
    Change,
    Create,
    Delete,
    Event,
    Finalize,
    Identity,
    Update,
    UpdateStatus,
    Values,
)
from netproxy.objects.kinds import PODS, RESOURCES, Resource
from netproxy.objects.meta import Object, labels, metadata, spec, uid
from netproxy.registry.registry import Registry
from netproxy.store import store
from netproxy.store.store import Store

log = logging.getLogger(__name__)

Work = tuple[int, Any]
SERVICE_NAME = "kubernetes.io/service-name"


class StoreView:
    """A store as controllers see it; what a cache has an index for is searched."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, resource: Resource, name: NamespacedName) -> Object | None:
        """One object or None."""
        return self._store.find(resource, name)

    def list(self, resource: Resource, in_namespace: str = "") -> Iterator[Object]:
        """All objects of a resource, sorted."""
        return self._store.list(resource, in_namespace)

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource, unsorted."""
        return self._store.all(resource)

    def by_owner(self, uid: str, resource: Resource | None = None) -> tuple[Object, ...]:
        """What the object with this uid owns."""
        asked = [r for r in RESOURCES if not r.kept_as] if resource is None else [resource]
        return tuple(
            obj
            for each in asked
            for obj in self._store.all(each)
            if any(owner.get("uid") == uid for owner in metadata(obj).get("ownerReferences") or ())
        )

    def by_node(self, node: str, resource: Resource = PODS) -> tuple[Object, ...]:
        """The Pods of a node."""
        return tuple(obj for obj in self._store.all(resource) if spec(obj).get("nodeName") == node)

    def by_namespace(self, resource: Resource, namespace: str) -> tuple[Object, ...]:
        """The objects of a namespace."""
        return tuple(self._store.list(resource, namespace))

    def by_service(self, resource: Resource, service: NamespacedName) -> tuple[Object, ...]:
        """The objects that belong to a Service."""
        return tuple(
            obj
            for obj in self._store.list(resource, service.namespace)
            if labels(obj).get(SERVICE_NAME) == service.name
        )

    def having(self, resource: Resource, values: Values, value: str) -> tuple[Object, ...]:
        """The objects that VALUES files under VALUE."""
        return tuple(obj for obj in self._store.all(resource) if value in values(obj))


class Controllers:
    """The controllers of one cluster and the queue of what they have to look at."""

    def __init__(self, registry: Registry, clock: Clock, wake: Callable[[], None]) -> None:
        self._registry = registry
        self._store = registry.store
        self._view = StoreView(registry.store)
        self._clock = clock
        self._wake = wake
        self.queue: Queue[Work] = Queue()

    def observe(self, event: store.Event) -> None:
        """Note which keys an event concerns."""
        seen = Event(event.type, event.obj, event.old, event.resource)
        for number, controller in enumerate(ALL):
            keys = controller.watches.get(event.resource)
            for name in keys(self._view, seen) if keys else ():
                self.queue.add((number, name))
        self._wake()

    def run(self) -> None:
        """Reconcile everything that is due, and what follows from it, until the queue is quiet."""
        for _ in range(100_000):
            work = self.queue.take(self._clock.monotonic())
            if work is None:
                return
            self._reconcile(work)

    def _reconcile(self, work: Work) -> None:
        number, name = work
        try:
            outcome = ALL[number].reconcile(self._view, name, self._clock.now())
            is_waiting = any(self._is_there(one) for one in outcome.absent)
            for change in () if is_waiting else outcome.changes:
                self._make(change)
            self.queue.done(work)
            if outcome.again_at is not None:
                self.queue.add(work, at=self._clock.monotonic() + outcome.again_at - self._clock.now())
        except (ConflictError, NotFoundError):
            self.queue.failed(work, self._clock.monotonic())
        except NetproxyError as error:
            log.warning("%s %s: %s", ALL[number].name, name, error)
            self.queue.failed(work, self._clock.monotonic())

    def _is_there(self, one: Identity) -> bool:
        found = self._store.find(one.resource, one.name)
        return found is not None and one.uid in ("", uid(found))

    def _make(self, change: Change) -> None:
        match change:
            case Create(obj):
                self._registry.create(obj)
            case Update(obj):
                self._registry.replace(obj)
            case UpdateStatus(obj):
                self._registry.replace_status(obj)
            case Finalize(obj):
                self._registry.finalize(obj)
            case Bind(at, node):
                self._registry.bind(at, node)
            case Delete(resource, at, uid, options):
                self._registry.delete(
                    resource, at, uid=uid or None, grace_s=options.get("gracePeriodSeconds"),
                    propagation=options.get("propagationPolicy"),
                )  # fmt: skip
            case _:
                assert_never(change)
