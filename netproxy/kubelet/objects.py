"""The kubelet's objects by a client: read from a cache, written through the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol

from netproxy.client.port import Api
from netproxy.core.errors import ConflictError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.change import View
from netproxy.objects.kinds import CONFIG_MAPS, IMAGES, PODS, SECRETS, SERVICES
from netproxy.objects.meta import Object, key, uid

NewToken = Callable[[NamespacedName, Object], Awaitable[Object]]
"""Answers a TokenRequest of a service account."""


class Known(View, Protocol):
    """What is known of the API: a client's cache."""

    def learn(self, obj: Object) -> None:
        """Take over what an own write was answered with."""
        ...


class ApiObjects:
    """`kubelet.ports.Objects` over any API."""

    def __init__(self, api: Api, known: Known, new_token: NewToken) -> None:
        self._api = api
        self._known = known
        self._new_token = new_token

    def pod(self, at: NamespacedName) -> Object | None:
        """One Pod."""
        return self._known.find(PODS, at)

    def pods(self) -> Iterable[Object]:
        """All Pods."""
        return self._known.all(PODS)

    def services(self, namespace: str) -> Iterable[Object]:
        """The Services of a namespace, sorted by name."""
        return self._known.list(SERVICES, namespace)

    def config_map(self, at: NamespacedName) -> Object | None:
        """One ConfigMap."""
        return self._known.find(CONFIG_MAPS, at)

    def secret(self, at: NamespacedName) -> Object | None:
        """One Secret."""
        return self._known.find(SECRETS, at)

    def images(self) -> Iterable[Object]:
        """The images that the user made known."""
        return self._known.all(IMAGES)

    async def token(self, account: NamespacedName, asked: Object) -> Object:
        """A TokenRequest with its token."""
        return await self._new_token(account, asked)

    async def write_status(self, pod: Object) -> None:
        """Store a Pod's status. Raises ConflictError, NotFoundError."""
        self._known.learn(await self._api.replace_status(pod))

    async def delete_finished(self, pod: Object) -> None:
        """Remove a Pod, unless another one has its name by now."""
        with suppress(NotFoundError, ConflictError):
            await self._api.delete(PODS, key(pod), grace_s=0, uid=uid(pod))
