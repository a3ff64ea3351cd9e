"""The one port to an API: netproxy's own in process, or any Kubernetes API server. Who acts on objects sees nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object

INITIAL = ""
"""The version to watch from for everything that is there first, and then what changes."""

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which objects of a resource a list or a watch asks for; an empty part picks all."""

    namespace: str = ""
    labels: str = ""
    """A label selector as the query takes it: `app=web,!old`."""
    fields: str = ""
    """A field selector as the query takes it: `metadata.name=node1`."""


EVERYTHING = Selector()


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects that were asked for, at one moment; a watch from VERSION misses nothing and tells nothing twice."""

    items: tuple[Object, ...]
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch.

    TYPE is ADDED, MODIFIED, DELETED or BOOKMARK. OBJ is the object after the change (a deleted one: its last state, with the
    resourceVersion of the deletion); of a bookmark it has only metadata: the version that the watch has come to.
    """

    type: str
    obj: Object


class Api(Protocol):
    """What can be asked of an API. Objects are JSON as it came; nobody mutates them.

    Every method raises the errors of `core.errors`: NotFoundError, ConflictError (AlreadyExistsError among them), ManifestError
    (the object is invalid), UnavailableError (nobody answers or it is too busy: ask again, later), ApiError (whatever else it
    said). A method that failed with UnavailableError may have been carried out: the answer was lost.
    """

    async def get(self, resource: Resource, at: NamespacedName) -> Object:
        """One object. Raises NotFoundError."""
        ...

    async def list(self, resource: Resource, selector: Selector = EVERYTHING) -> Listing:
        """Everything that the selector picks."""
        ...

    def watch(self, resource: Resource, version: str, selector: Selector = EVERYTHING) -> AsyncIterator[WatchEvent]:
        """What happens after VERSION, for as long as the API likes to tell: it ends without an error at any time.

        It begins with a BOOKMARK of VERSION as soon as the API has accepted it; others may come at any time: the watch lives
        and has come to that version.
        INITIAL as the version tells all that is there first, as ADDED, then a BOOKMARK with the annotation
        INITIAL_EVENTS_END; raises UnsupportedError where the API cannot do that (then list, and watch from there).
        Raises ExpiredError when VERSION is older than what the API remembers: list again.
        """
        ...

    async def create(self, obj: Object) -> Object:
        """Store a new object; the result is what was stored. Raises AlreadyExistsError, ManifestError."""
        ...

    async def replace(self, obj: Object) -> Object:
        """Put OBJ in the place of the stored one; the stored status stays.

        A resourceVersion in it must be the current one, else ConflictError; none means whichever.
        """
        ...

    async def replace_status(self, obj: Object) -> Object:
        """Put OBJ's status in the place of the stored one; the rest stays. Versions as in `replace`."""
        ...

    async def bind(self, pod: NamespacedName, node: str) -> None:
        """Let a Pod run on a node. Raises ConflictError when it has one, or is on its way out."""
        ...

    async def finalize(self, obj: Object) -> Object:
        """Put a Namespace's `spec.finalizers` in the place of the stored ones; a deleted one without any goes away."""
        ...

    async def patch(
        self, resource: Resource, at: NamespacedName, body: Any, content_type: str, subresource: str = ""
    ) -> Object:
        """Change one object by a patch of the type CONTENT_TYPE (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)."""
        ...

    async def delete(
        self, resource: Resource, at: NamespacedName, *, grace_s: int | None = None, propagation: str | None = None,
        uid: str | None = None,
    ) -> None:  # fmt: skip
        """Ask for the object's end; it may live on until its grace period is over and its finalizers are gone.

        GRACE_S: seconds that it gets to end; None is the object's own. PROPAGATION: `Background`, `Foreground` or
        `Orphan`; None is the resource's own. UID: the object that is meant; ConflictError when another one has its name.
        """
        ...
