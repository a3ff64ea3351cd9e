"""What asking for an object's end does to it: at once, after a grace period, or when its finalizers are gone.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/registry/rest/delete.go and registry/generic/registry/store.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from netproxy.core.clock import timestamp
from netproxy.core.errors import ConflictError
from netproxy.objects.kinds import resource_of, stored_resource
from netproxy.objects.meta import FOREGROUND, ORPHAN, Object, metadata, name
from netproxy.registry.habits import Habits

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
    is_cascade: bool = False
    """It was asked for in the old words: orphanDependents false."""


AS_USUAL = Options()


@dataclass(frozen=True, slots=True)
class Mark:
    """The object stays for now, with this deletion timestamp, grace period and finalizers."""

    at: str
    grace_s: int | None
    """None: its resource says no grace period."""
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: mark the object (when there is something to mark), and take it out or not."""

    mark: Mark | None = None
    gone: bool = False
    is_pending: bool = False
    """It was asked for already, with a grace period that is not longer."""


def verdict(obj: Object, options: Options, grace_s: int | None, now: float, habits: Habits) -> Verdict:
    """Judge a wish for an object's end. GRACE_S is what its strategy makes of it; None for an object that has no work to finish."""
    meta = metadata(obj)
    finalizers = _finalizers(tuple(meta.get("finalizers") or ()), options.propagation, habits)
    since, given = meta.get("deletionTimestamp"), int(meta.get("deletionGracePeriodSeconds") or 0)
    if grace_s is None or (since and not given):
        if not finalizers:
            return Verdict(gone=True)
        return Verdict(Mark(min(filter(None, (since, timestamp(now)))), 0, finalizers))
    grace_s = min(grace_s, LONGEST_S)
    if since:
        if options.grace_s is None or grace_s >= given:
            return Verdict(is_pending=True)
        at = datetime.fromisoformat(since).timestamp() - given + grace_s
        if at < now:  # it is over: whoever finishes it does so as soon as it can
            at, grace_s = now, min(grace_s, 1)
        return Verdict(Mark(timestamp(at), grace_s, finalizers), gone=not finalizers and not grace_s)
    return Verdict(Mark(timestamp(now + grace_s), grace_s, finalizers), gone=not finalizers and not grace_s)


def _finalizers(present: tuple[str, ...], propagation: str | None, habits: Habits) -> tuple[str, ...]:
    """With those that make the garbage collector wait for dependents, or leave them; a wish replaces an earlier one."""
    kept = tuple(item for item in present if item not in (FOREGROUND, ORPHAN))
    if not habits.owns:
        return kept
    if propagation is None and len(kept) < len(present):
        return present
    match propagation or ("Orphan" if habits.keeps_dependents else None):
        case "Foreground":
            return (*kept, FOREGROUND)
        case "Orphan":
            return (*kept, ORPHAN)
        case _:
            return kept


def check(obj: Object, options: Options) -> None:
    """Raise ConflictError when another object, or another state of it, was meant."""
    meta = metadata(obj)
    if options.uid and options.uid != meta.get("uid"):
        raise _other(
            obj, f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta.get('uid')})."
            " The object might have been deleted and then recreated"
        )  # fmt: skip
    if options.resource_version and options.resource_version != meta.get("resourceVersion"):
        raise _other(
            obj, f"the ResourceVersion in the precondition ({options.resource_version}) does not match the"
            f" ResourceVersion in record ({meta.get('resourceVersion')}). The object might have been modified"
        )  # fmt: skip


def _other(obj: Object, why: str) -> ConflictError:
    kind, resource = obj["kind"], resource_of(obj)
    group = stored_resource(resource).group if resource else ""
    what = f"{kind}.{group}" if group else kind
    error = ConflictError(f'Operation cannot be fulfilled on {what} "{name(obj)}": {why}')
    return error.with_details(name=name(obj), **({"group": group} if group else {}), kind=kind)


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
