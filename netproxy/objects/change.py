"""What a controller wants changed, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object


@dataclass(frozen=True)
class Create:
    """Make this object."""

    obj: Object


@dataclass(frozen=True)
class Update:
    """Put this state in the object's place (its resourceVersion is the one that was read); its status stays."""

    obj: Object


@dataclass(frozen=True)
class UpdateStatus:
    """Put this status in the object's place; all else stays."""

    obj: Object


@dataclass(frozen=True)
class Bind:
    """Let a Pod run on a node; it has none yet."""

    pod: NamespacedName
    node: str


@dataclass(frozen=True)
class Delete:
    """Take the object away; Pods first stop what they run.

    UID, when given, is the one that the object must have: another one of the same name stays.
    """

    resource: Resource
    name: NamespacedName
    uid: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """More of Kubernetes' DeleteOptions: `propagationPolicy`, `gracePeriodSeconds`."""


Change = Create | Update | UpdateStatus | Bind | Delete


class View(Protocol):
    """What a controller may read: a cache has it, the store has it, a test has a small one."""

    def find(self, resource: Resource, name: NamespacedName) -> Object | None:
        """One object or None."""
        ...

    def list(self, resource: Resource, in_namespace: str = "") -> Iterator[Object]:
        """All objects of a resource, sorted."""
        ...

    def all(self, resource: Resource) -> Iterable[Object]:
        """All objects of a resource, unsorted."""
        ...
