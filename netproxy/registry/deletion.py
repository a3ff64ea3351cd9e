"""What asking for an object's end does to it: at once, after a grace period, or when its finalizers are gone.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/registry/rest/delete.go and registry/generic/registry/store.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from netproxy.core.clock import timestamp
from netproxy.core.errors import ConflictError
from netproxy.objects.meta import FOREGROUND, ORPHAN, Object, metadata, name

PROPAGATIONS = ("Foreground", "Background", "Orphan")


LONGEST_S = 10**10
"""A longer grace period is as good as this one, of some three hundred years, whose end is still a date."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an end is asked for; None leaves it to the resource."""

    grace_s: int | None = None
    propagation: str | None = None
    uid: str | None = None
    """The object that is meant."""
    resource_version: str | None = None
    """The state of it that is meant."""


AS_USUAL = Options()


@dataclass(frozen=True, slots=True)
class Mark:
    """The object stays for now, with this deletion timestamp, grace period and finalizers."""

    at: str
    grace_s: int
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: mark the object (when there is something to mark), and take it out or not."""

    mark: Mark | None = None
    gone: bool = False


def verdict(obj: Object, options: Options, grace_s: int | None, now: float, *, held: bool = False) -> Verdict:
    """Judge a wish for an object's end.

    GRACE_S is what its strategy makes of it; None for an object that has no work to finish. HELD: something beside its
    finalizers keeps it.
    """
    meta = metadata(obj)
    finalizers = _finalizers(tuple(meta.get("finalizers") or ()), options.propagation)
    since, given = meta.get("deletionTimestamp"), meta.get("deletionGracePeriodSeconds")
    if grace_s is None:
        if not finalizers and not held:
            return Verdict(gone=True)
        return Verdict(Mark(since or timestamp(now), 0, finalizers))
    grace_s = min(grace_s, LONGEST_S)
    if since and given is not None:
        if options.grace_s is None or grace_s >= given:
            return Verdict()
        asked_at = datetime.fromisoformat(since).timestamp() - given
        return Verdict(Mark(timestamp(asked_at + grace_s), grace_s, finalizers), not finalizers and not grace_s)
    return Verdict(Mark(timestamp(now + grace_s), grace_s, finalizers), not finalizers and not grace_s)


def _finalizers(present: tuple[str, ...], propagation: str | None) -> tuple[str, ...]:
    """With those that make the garbage collector wait for dependents, or leave them; a wish replaces an earlier one."""
    if propagation is None:
        return present
    kept = tuple(item for item in present if item not in (FOREGROUND, ORPHAN))
    match propagation:
        case "Foreground":
            return (*kept, FOREGROUND)
        case "Orphan":
            return (*kept, ORPHAN)
        case _:
            return kept


def check(obj: Object, options: Options) -> None:
    """Raise ConflictError when another object, or another state of it, was meant."""
    meta = metadata(obj)
    what = f'Operation cannot be fulfilled on {obj["kind"]} "{name(obj)}"'
    if options.uid and options.uid != meta.get("uid"):
        raise ConflictError(
            f"{what}: the UID in the precondition ({options.uid}) does not match the UID in record ({meta.get('uid')})."
            " The object might have been deleted and then recreated"
        )
    if options.resource_version and options.resource_version != meta.get("resourceVersion"):
        raise ConflictError(
            f"{what}: the ResourceVersion in the precondition ({options.resource_version}) does not match the"
            f" ResourceVersion in record ({meta.get('resourceVersion')}). The object might have been modified"
        )


def is_over(obj: Object) -> bool:
    """Whether an object whose end was asked for has nothing left to wait for.

    >>> is_over({"metadata": {"deletionTimestamp": "x", "deletionGracePeriodSeconds": 0, "finalizers": ["a"]}})
    False
    """
    meta = metadata(obj)
    return (
        bool(meta.get("deletionTimestamp"))
        and not meta.get("deletionGracePeriodSeconds")
        and not meta.get("finalizers")
    )
