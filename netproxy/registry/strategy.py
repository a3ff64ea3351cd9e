"""How the objects of a resource come in: what is filled in, what is refused, what which write may touch, how they end.

A resource with habits of its own has a strategy of its own; all others have this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netproxy.core.errors import ManifestError
from netproxy.objects.canonical import empty_field
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.kinds import DEPLOYMENTS, Resource
from netproxy.objects.meta import Object, metadata
from netproxy.objects.validate import refusals, status_refusals, status_warnings, warnings, was_once_right
from netproxy.registry.deletion import Options, Verdict, check, verdict
from netproxy.registry.disabled import without_disabled
from netproxy.registry.habits import habits_of
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.prepare import prepared


class Strategy:
    """The usual way. Has no state: a method takes objects and returns one, or what is wrong with it."""

    status_is_given = False
    """Nothing in the cluster writes the status, so what a manifest says about it counts at every time."""

    end_counts = True
    """Asking for an object's end is a change of what is wanted: its generation grows."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.has_status = "status" in resource.subresources

    # --- a write

    def defaulted(self, obj: Object) -> Object:
        """What its writer means, who left out what everybody knows."""
        return with_defaults(obj)

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """A new object, complete; its status is the first one, with what the object says about it if WITH_STATUS."""
        if self.has_status:
            said = (obj.get("status") or {}) if with_status else {}
            obj = {**obj, "status": {**self.first_status(), **said}}
        return without_disabled(with_defaults(obj))

    def first_status(self) -> Object:
        """The status at creation: what Go writes of one that is empty."""
        return empty_field({"apiVersion": self.resource.api_version, "kind": self.resource.kind}, "status") or {}

    def updated(self, obj: Object, old: Object) -> Object:
        """A new state of OLD, complete; its status stays."""
        new = self.kept(obj, old)
        if self.has_status:
            new = {**new, "status": old.get("status") or {}}
        return without_disabled(with_defaults(new))

    def kept(self, obj: Object, old: Object) -> Object:
        """With what an update may leave out and still has."""
        return obj

    def check(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> None:
        """Raise ManifestError with everything that is wrong with a new object, or with a new state of OLD."""
        wrong = refusals(new, old, options.resource.group if options.resource else "")
        if options.tolerant:
            wrong = [problem for problem in wrong if not was_once_right(problem)]
        if wrong and self.resource.kind == "Event":  # of whichever group
            raise ManifestError(wrong).with_details(group="")
        if wrong:
            raise ManifestError(wrong)

    def reported(self, obj: Object, old: Object) -> Object:
        """OLD as a writer of its status leaves it: with OBJ's status and metadata."""
        meta = {**metadata(obj)}
        if self.resource is DEPLOYMENTS:  # alone among all kinds
            meta.pop("labels", None)
            if metadata(old).get("labels"):
                meta["labels"] = metadata(old)["labels"]
        return {**old, "metadata": meta, "status": obj.get("status") or {}}

    def check_status(self, new: Object, old: Object) -> None:
        """Raise ManifestError with everything that is wrong with a new status; whoever writes it has not made the rest."""
        wrong = status_refusals(new, old)
        if wrong:
            raise ManifestError(wrong)

    def warnings(self, new: Object, old: Object | None) -> Iterable[str]:
        """What the writer of a new object, or of a new state of OLD, should know though it is taken."""
        return warnings(new, old)

    def status_warnings(self, new: Object, old: Object) -> Iterable[str]:
        """What the writer of a new status should know though it is taken."""
        return status_warnings(new, old)

    def settled(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> Object:
        """With everything that the server hands out. Raises ManifestError, ApiError."""
        return prepared(new, old)

    # --- the end

    def verdict(self, obj: Object, options: Options, now: float) -> Verdict:
        """What becomes of an object whose end is asked for."""
        return verdict(obj, options, self.grace_s(obj, options), now, habits_of(self.resource))

    def check_meant(self, obj: Object, options: Options) -> None:
        """Raise ConflictError when another object, or another state of it, was meant."""
        check(obj, options)

    def grace_s(self, obj: Object, options: Options) -> int | None:
        """How long the object has to finish its work; None when it has none."""
        return None

    def is_held(self, obj: Object) -> bool:
        """Whether something beside its finalizers keeps a deleted object."""
        return False

    def marked(self, obj: Object) -> Object:
        """What else is said of an object that is on its way out."""
        return {}

    def check_deletion(self, obj: Object) -> None:
        """Raise ApiError when the object must stay."""


def at(obj: Object, path: str) -> Any:
    """The value of a field, or None.

    >>> at({"spec": {"selector": 1}}, "spec.selector")
    1
    """
    here: Any = obj
    for step in path.split("."):
        here = here.get(step) if isinstance(here, dict) else None
    return here
