"""The store as the kubelet sees it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from netproxy.core.errors import NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import CONFIG_MAPS, IMAGES, PODS, SERVICES
from netproxy.objects.meta import Object, key, uid
from netproxy.store.store import Store


class StoredObjects:
    """`kubelet.ports.Objects` in process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def pod(self, at: NamespacedName) -> Object | None:
        """One Pod."""
        return self._store.find(PODS, at)

    def pods(self) -> Iterable[Object]:
        """All Pods."""
        return self._store.all(PODS)

    def services(self, namespace: str) -> Iterable[Object]:
        """The Services of a namespace."""
        return self._store.list(SERVICES, namespace)

    def config_map(self, at: NamespacedName) -> Object | None:
        """One ConfigMap."""
        return self._store.find(CONFIG_MAPS, at)

    def images(self) -> Iterable[Object]:
        """All images."""
        return self._store.all(IMAGES)

    async def write_status(self, pod: Object) -> None:
        """Store a Pod's status. Raises ConflictError, NotFoundError."""
        self._store.replace(pod)

    async def delete_finished(self, pod: Object) -> None:
        """Remove a Pod, unless another one has its name by now."""
        current = self._store.find(PODS, key(pod))
        if current is not None and uid(current) == uid(pod):
            with suppress(NotFoundError):
                self._store.delete(PODS, key(pod))
