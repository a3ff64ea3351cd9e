"""What a controller sees, what happened, and what it wants changed, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import PODS, Resource
from netproxy.objects.meta import Object


@dataclass(frozen=True, slots=True)
class Event:
    """One change that was seen: TYPE is ADDED, MODIFIED or DELETED.

    OBJ is the state after it (the last one, when deleted), OLD what was known before (None when added).
    """

    type: str
    obj: Object
    old: Object | None
    resource: Resource

    @property
    def states(self) -> tuple[Object, ...]:
        """What was known before, if anything, and what is known now: whom either concerns has to look."""
        return (self.obj,) if self.old is None else (self.old, self.obj)


@dataclass(frozen=True, slots=True)
class Identity:
    """One object; with a UID not another one of the same name."""

    resource: Resource
    name: NamespacedName
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.resource.plural} {self.name}"


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
class Finalize:
    """Put this Namespace's `spec.finalizers` in the place of the stored ones; without any it goes away."""

    obj: Object


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


Change = Create | Update | UpdateStatus | Bind | Finalize | Delete

Values = Callable[[Object], Iterable[str]]
"""Under which words an index files an object."""


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


class IndexedView(View, Protocol):
    """A View that need not search: a client's cache. All answers are in no order."""

    def by_owner(self, uid: str, resource: Resource | None = None) -> tuple[Object, ...]:
        """What the object with this uid owns: of one resource, or of all."""
        ...

    def by_node(self, node: str, resource: Resource = PODS) -> tuple[Object, ...]:
        """The Pods of a node."""
        ...

    def by_namespace(self, resource: Resource, namespace: str) -> tuple[Object, ...]:
        """The objects of a namespace."""
        ...

    def by_service(self, resource: Resource, service: NamespacedName) -> tuple[Object, ...]:
        """The objects (EndpointSlices) that belong to a Service."""
        ...

    def having(self, resource: Resource, values: Values, value: str) -> tuple[Object, ...]:
        """The objects that VALUES files under VALUE; each VALUES is an index of its own."""
        ...
