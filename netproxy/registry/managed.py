"""Who manages which fields of an object: `metadata.managedFields` after every write that is no server-side apply.

Source: kubernetes 1.36 staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal (fieldmanager.go and what it wraps),
sigs.k8s.io/structured-merge-diff v6 merge/update.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.objects.meta import Object, metadata
from netproxy.registry.blank import blank
from netproxy.registry.fieldset import FieldSet, compare, difference, outside, read, union
from netproxy.registry.shape import Shape
from netproxy.registry.typed import type_error

Entry = Mapping[str, Any]
Entries = list[dict[str, Any]]

MOST_UPDATERS = 10
"""How many managers that only updated an object are told apart; older ones are one."""
ANCIENT = "ancient-changes"
_OURS = frozenset((
    "clusterName", "creationTimestamp", "generation", "managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid",
))  # fmt: skip
"""Metadata that nobody manages."""

InVersion = Callable[[Object, str], Object | None]
"""The object in another group and version; None when it is not served there."""


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes what, and when."""

    manager: str
    api_version: str
    """In which version the writer sees the object."""
    now: str
    subresource: str
    reset: FieldSet
    """Fields that this write does not touch, whatever the object says about them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of the objects of a kind."""

    shape: Callable[[str], Shape]
    """How an object of a group and version is owned."""
    in_version: InVersion
    is_strict: bool = False
    """What a version has and another one has not keeps everybody's fields from being told."""


class UntypedError(ValueError):
    """An object has fields that one of its versions does not know."""


def updated(old: Object | None, new: Object, write: Write, kind: Kind) -> Entries:
    """The entries after OLD (None: there was none) became NEW, which is what the writer sent, with defaults.

    Entries that NEW brings itself count (nothing else about them is checked here); `[]` and `[{}]` let everybody go. The
    result is the very list of OLD when nobody's fields changed.
    """
    entries = _before(old, new, write)
    if any(entry["apiVersion"] != write.api_version for entry in entries):
        entries = [entry for entry in entries if kind.in_version(new, entry["apiVersion"]) is not None]
    if old is not None and not entries:
        return []
    before = blank(new) if old is None else old
    changed, removed = changes(before, new, kind.shape(write.api_version), write.reset)
    if not changed and not removed:
        return entries
    others = {write.api_version: (changed, removed)}
    left: Entries = []
    for entry in entries:
        version = entry["apiVersion"]
        if version not in others:
            others[version] = in_other_version(before, new, version, write, kind)
        seen = others[version]
        fields = difference(difference(entry["fieldsV1"], seen[0]), seen[1])
        if fields:
            left.append(entry if fields is entry["fieldsV1"] else {**entry, "fieldsV1": fields})
    if changed:
        left = capped(_with_own(left, changed, write))
    return sorted(left, key=order)


def changes(old: Object, new: Object, shape: Shape, reset: FieldSet) -> tuple[FieldSet, FieldSet]:
    """What NEW has that OLD has not, or not so; and what only OLD has; without what nobody manages, and what is reset."""
    rest_of_old = {key: value for key, value in old.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    rest_of_new = {key: value for key, value in new.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    if "f:status" not in reset:
        rest_of_old, rest_of_new = _with_status(rest_of_old, old), _with_status(rest_of_new, new)
    changed, removed = compare(rest_of_old, rest_of_new, shape)
    before, after = _described(old), _described(new)
    if before != after:
        for found, more in zip((changed, removed), compare(before, after, shape.within("metadata")), strict=True):
            if more:
                found["f:metadata"] = more
    return (outside(changed, reset), outside(removed, reset)) if reset else (changed, removed)


def _with_status(rest: Object, obj: Object) -> Object:
    return {**rest, "status": obj["status"]} if "status" in obj else rest


def _described(obj: Object) -> Object:
    return {key: value for key, value in metadata(obj).items() if key not in _OURS}


def in_other_version(old: Object, new: Object, version: str, write: Write, kind: Kind) -> tuple[FieldSet, FieldSet]:
    """What a manager of another version of the object, which is served, sees."""
    before, after = kind.in_version(old, version) or old, kind.in_version(new, version) or new
    if kind.is_strict:
        wrong = type_error(before, kind.shape(version)) or type_error(after, kind.shape(version))
        if wrong:
            raise UntypedError(wrong)
    return changes(before, after, kind.shape(version), write.reset)


def _before(old: Object | None, new: Object, write: Write) -> Entries:
    """The entries that the write begins with: those that it brings, or those that there are."""
    there = stored(old) if old is not None else []
    given = metadata(new).get("managedFields")
    if given is None or given is there or write.subresource or given == there:
        return there
    if given in ([], [{}]):
        return []
    return clean(given) or there


def stored(obj: Object) -> Entries:
    """The entries of an object; of two of one manager, which only scales leave behind, the later one counts."""
    entries: Entries = metadata(obj).get("managedFields") or []
    known = {identity(entry): entry for entry in entries}
    return entries if len(known) == len(entries) else list(known.values())


def clean(given: Any) -> Entries | None:
    """Entries that a client brought; None when they cannot be read.

    Source: managedfields.go, DecodeManagedFields.
    """
    result: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in given:
        fields = read(entry.get("fieldsV1") or {})
        known = entry.get("operation") in ("Apply", "Update") and entry.get("apiVersion")
        if not known or entry.get("fieldsType") != "FieldsV1" or fields is None:
            return None
        result[identity(entry)] = {**entry, "fieldsV1": fields}
    return sorted((entry for entry in result.values() if entry["fieldsV1"]), key=order)


def identity(entry: Entry) -> tuple[str, ...]:
    """By what entries are told apart: one for all versions that a manager applied, one for each that it updated."""
    operation = entry["operation"]
    version = entry["apiVersion"] if operation == "Update" else ""
    return operation, entry.get("manager", ""), version, entry.get("subresource", "")


def entry_of(write: Write, operation: str, fields: FieldSet) -> dict[str, Any]:
    """One entry."""
    entry = {
        "manager": write.manager or "unknown", "operation": operation, "apiVersion": write.api_version, "time": write.now,
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }  # fmt: skip
    return {**entry, "subresource": write.subresource} if write.subresource else entry


def _with_own(entries: Entries, changed: FieldSet, write: Write) -> Entries:
    own = entry_of(write, "Update", changed)
    who = identity(own)
    others = []
    for entry in entries:
        if identity(entry) == who:
            own["fieldsV1"] = union(entry["fieldsV1"], changed)
        else:
            others.append(entry)
    return [*others, own]


def order(entry: Entry) -> tuple[str, ...]:
    """The order in which entries are shown: who applied first, then by time and name."""
    return (
        entry["operation"], entry.get("time") or "", entry.get("manager", ""), entry["apiVersion"],
        entry.get("subresource", ""),
    )  # fmt: skip


def capped(entries: Entries) -> Entries:
    """With the oldest updaters of a version as one, when there are too many.

    Source: capmanagers.go.
    """
    updaters = [entry for entry in entries if entry["operation"] == "Update"]
    if len(updaters) <= MOST_UPDATERS:
        return entries
    updaters.sort(key=lambda entry: (entry.get("time") or "", identity(entry)))
    kept = {identity(entry): entry for entry in entries}
    first: dict[str, Entry] = {}
    count = len(updaters)
    for entry in updaters:
        if count <= MOST_UPDATERS:
            break
        version = entry["apiVersion"]
        if version not in first:
            first[version] = entry
            continue
        bucket = {"manager": ANCIENT, "operation": "Update", "apiVersion": version, "fieldsType": "FieldsV1"}
        oldest = kept.get(identity(bucket)) or kept.pop(identity(first[version]))
        fields = union(entry["fieldsV1"], oldest["fieldsV1"])
        kept[identity(bucket)] = {**bucket, **_time(entry), "fieldsV1": fields}
        del kept[identity(entry)]
        count -= 1
    return list(kept.values())


def _time(entry: Entry) -> dict[str, str]:
    return {"time": entry["time"]} if entry.get("time") else {}


def is_timely(after: Entries, before: Entries) -> bool:
    """Whether entries differ in nothing but their times, and in one of them."""
    return after is not before and after != before and list(map(_timeless, after)) == list(map(_timeless, before))


def _timeless(entry: Entry) -> dict[str, Any]:
    return {field: value for field, value in entry.items() if field != "time"}
