"""What the kubelet needs of others: the objects of the API, and this machine's folders and names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from netproxy.core.names import NamespacedName
from netproxy.objects.meta import Object

Tell = Callable[[Object, str, str, str], None]
"""Tell an event without waiting: (about, kind, reason, message)."""


class Objects(Protocol):
    """The part of an API that a kubelet reads and writes. Reading is from memory: it never waits."""

    def pod(self, at: NamespacedName) -> Object | None:
        """One Pod as it is known now; after `write_status` that is at least what was written."""
        ...

    def pods(self) -> Iterable[Object]:
        """All Pods, in no order."""
        ...

    def services(self, namespace: str) -> Iterable[Object]:
        """The Services of a namespace, sorted by name."""
        ...

    def config_map(self, at: NamespacedName) -> Object | None:
        """One ConfigMap."""
        ...

    def secret(self, at: NamespacedName) -> Object | None:
        """One Secret."""
        ...

    def images(self) -> Iterable[Object]:
        """The images that the user made known."""
        ...

    async def token(self, account: NamespacedName, asked: Object) -> Object:
        """A TokenRequest with its token. Raises NotFoundError, ApiError, ConflictError (another Pod has the name)."""
        ...

    async def write_status(self, pod: Object) -> None:
        """Store POD's status. Raises ConflictError when it is not the current one any more, NotFoundError."""
        ...

    async def delete_finished(self, pod: Object) -> None:
        """Remove a Pod of which nothing runs any more. Gone, or another one of its name, is fine."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster's things are on this machine."""

    state: Path
    namespace_of: Callable[[str], str]
    """Node or `client` → name of its namespace."""
    pod_namespace: Callable[[NamespacedName], str]
    host_resolv_conf: str = ""
    journal: Callable[[str], None] = lambda _: None
    """Remembers the name of a namespace before it is made."""
    dns: tuple[tuple[str, Any], ...] = ()
    """What the name server is started with."""
