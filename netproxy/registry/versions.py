"""Which state of which object a writer means: uid, resourceVersion, and the generation that counts what was wanted.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go (Update) and rest/update.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netproxy.core.errors import ApiError, ConflictError, ManifestError, Problem
from netproxy.core.numbers import whole
from netproxy.objects.kinds import Resource, stored_resource
from netproxy.objects.meta import Object, metadata, name, namespace
from netproxy.registry.habits import habits_of


def check_version(obj: Object, old: Object, resource: Resource) -> None:
    """Raise ConflictError when OBJ was made from another state than OLD; ApiError or ManifestError when it has to say and does not.

    No version means whichever state there is, and so does `0`.
    """
    given = str(metadata(obj).get("resourceVersion") or "")
    if given and not (given.isascii() and given.isdigit()):
        raise ApiError(500, "", f'strconv.ParseUint: parsing "{given}": invalid syntax')
    current = metadata(old)["resourceVersion"]
    if not given or whole(given) == 0:
        if habits_of(resource).needs_version:
            problem = Problem("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise ManifestError([problem]).with_details(kind=resource.plural)
    elif given != current:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise _conflict(old, resource, why)


def check_uid(obj: Object, old: Object, resource: Resource) -> None:
    """Raise ConflictError when OBJ is another object of OLD's name, or of one that is not there (OLD has no uid)."""
    _check_field(obj, old, resource, "uid", "UID")


def check_precondition(obj: Object, old: Object, resource: Resource) -> None:
    """Raise ConflictError when OBJ means another object, or another state of it."""
    _check_field(obj, old, resource, "uid", "UID")
    _check_field(obj, old, resource, "resourceVersion", "ResourceVersion")


def _check_field(obj: Object, old: Object, resource: Resource, field: str, word: str) -> None:
    given, current = metadata(obj).get(field), metadata(old).get(field, "")
    if given and given != current:
        where = habits_of(resource).kept_at or _folder(resource)
        key = "/".join(part for part in ("/registry", where, namespace(old), name(old)) if part)
        raise _conflict(
            old, resource, f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: {word} in precondition: {given}, {word} in object meta: {current}",
        )  # fmt: skip


def _folder(resource: Resource) -> str:
    return stored_resource(resource).plural if resource.custom is None else f"{resource.group}/{resource.plural}"


def _conflict(old: Object, resource: Resource, why: str) -> ConflictError:
    return ConflictError(f'Operation cannot be fulfilled on {resource.group_resource} "{name(old)}": {why}')


def with_fixed(obj: Object, old: Object) -> Object:
    """A new state of OLD with what no update changes: its version, times, and its uid where none was given."""
    meta, before = {**metadata(obj)}, metadata(old)
    meta["resourceVersion"] = before["resourceVersion"]
    if not meta.get("uid"):
        meta["uid"] = before.get("uid")
    for field in ("creationTimestamp", "generation"):
        meta.pop(field, None)
    for field in ("creationTimestamp", "generation", "deletionTimestamp"):
        if field in before:
            meta[field] = before[field]
    if meta.get("deletionGracePeriodSeconds") is None and "deletionGracePeriodSeconds" in before:
        meta["deletionGracePeriodSeconds"] = before["deletionGracePeriodSeconds"]
    return {**obj, "metadata": meta}


def without_system_fields(obj: Object) -> Object:
    """A new object without what only the server says of it."""
    meta = metadata(obj)
    if not _SYSTEM.isdisjoint(meta):
        return {**obj, "metadata": {field: value for field, value in meta.items() if field not in _SYSTEM}}
    return obj


_SYSTEM = frozenset(("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"))


def with_owners_once(obj: Object, warn: Callable[[str], None], *, late: bool) -> Object:
    """The object with each owner once. LATE: it was changed on its way here.

    Source: kubernetes apiserver pkg/endpoints/handlers/rest.go, dedupOwnerReferencesAndAddWarning.
    """
    owners = metadata(obj).get("ownerReferences") or ()
    kept: list[Any] = []
    again: list[str] = []
    for owner in owners:
        if owner in kept:
            again.append(owner.get("uid") or "")
        else:
            kept.append(owner)
    if not again:
        return obj
    warn(
        f".metadata.ownerReferences contains duplicate entries{' after mutating admission happens' if late else ''}; API server"
        " dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate"
        f" UID(s) observed: {', '.join(again)}"
    )
    return {**obj, "metadata": {**metadata(obj), "ownerReferences": kept}}


def first_generation(obj: Object, resource: Resource) -> Object:
    """A new object with its generation."""
    if habits_of(resource).generation is None:
        return obj
    return {**obj, "metadata": {**metadata(obj), "generation": 1}}


def next_generation(new: Object, old: Object, resource: Resource) -> Object:
    """The new state of OLD with its generation: one more when something changed that counts."""
    meta, before = {**metadata(new)}, metadata(old).get("generation")
    meta.pop("generation", None)
    habits = habits_of(resource)
    counts = habits.generation or ()
    if habits.counts_all:
        is_newer = _without_metadata(new) != _without_metadata(old)
    else:
        is_newer = any((_at(new, path) or None) != (_at(old, path) or None) for path in counts)
    if is_newer:
        before = (before or 0) + 1
    if before is not None:
        meta["generation"] = before
    return {**new, "metadata": meta}


def _without_metadata(obj: Object) -> Object:
    return {field: value for field, value in obj.items() if field != "metadata"}


def _at(obj: Object, path: str) -> Any:
    here: Any = obj
    for step in path.split("."):
        here = here.get(step) if isinstance(here, dict) else None
    return here
