"""What is refused about an object's metadata.

Source: kubernetes apimachinery pkg/api/validation/objectmeta.go, pkg/apis/meta/v1/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.validation.names import (
    Rule,
    dns_label,
    dns_subdomain,
    is_prefix_of_name,
    label_value,
    qualified,
    size,
)
from netproxy.objects.validation.words import (
    IMMUTABLE,
    NOT_NEGATIVE,
    Problems,
    Typed,
    as_json,
    forbidden,
    invalid,
    invalids,
    required,
    too_long,
)

_MOST_ANNOTATION_BYTES = 256 << 10
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_FIXED = ("uid", "deletionTimestamp", "deletionGracePeriodSeconds")
"""What an update may neither set nor change, and is not taken from the stored object anyway."""

STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
NOT_STANDARD = "name is neither a standard finalizer name nor is it fully qualified"

Meta = Mapping[str, Any]


def metadata_problems(meta: Meta, rule: Rule = dns_subdomain, *, path: str = "metadata") -> Problems:
    """What is wrong with the metadata of a new object whose names keep RULE."""
    name, prefix = meta.get("name"), meta.get("generateName")
    if prefix:
        yield from invalids(f"{path}.generateName", prefix, is_prefix_of_name(prefix, rule))
    if not name:
        yield required(f"{path}.name", "name or generateName is required")
    else:
        yield from invalids(f"{path}.name", name, rule(name))
    if namespace := meta.get("namespace"):
        yield from invalids(f"{path}.namespace", namespace, dns_label(namespace))
    if (meta.get("generation") or 0) < 0:
        yield invalid(f"{path}.generation", meta["generation"], NOT_NEGATIVE)
    yield from _said(meta, path)
    if finalizers := meta.get("finalizers"):
        yield from _finalizers(finalizers, f"{path}.finalizers")
    if managed := meta.get("managedFields"):
        yield from _managed(managed, f"{path}.managedFields")


def metadata_changes(new: Meta, old: Meta, *, path: str = "metadata") -> Problems:
    """What is wrong with new metadata of an object that had OLD."""
    if old.get("deletionTimestamp"):
        yield from _new_finalizers(new.get("finalizers") or (), old.get("finalizers") or (), f"{path}.finalizers")
    for field in _FIXED:
        if new.get(field) is not None and new[field] != old.get(field):
            yield invalid(f"{path}.{field}", new[field], IMMUTABLE)
    yield from _said(new, path)
    if managed := new.get("managedFields"):
        yield from _managed(managed, f"{path}.managedFields")


def label_problems(labels: Mapping[str, str] | None, path: str) -> Problems:
    """What is wrong with labels, or with a selector of them."""
    for key, value in (labels or {}).items():
        yield from invalids(path, key, qualified(key))
        yield from invalids(path, value or "", label_value(value or ""))


def annotation_problems(annotations: Mapping[str, str] | None, path: str) -> Problems:
    """What is wrong with annotations."""
    for key in annotations or ():
        yield from invalids(path, key, qualified(key.lower()))
    if sum(size(key) + size(value or "") for key, value in (annotations or {}).items()) > _MOST_ANNOTATION_BYTES:
        yield too_long(path, _MOST_ANNOTATION_BYTES)


def selector_problems(selector: Meta | None, path: str) -> Problems:
    """What is wrong with a selector of labels and expressions."""
    yield from label_problems((selector or {}).get("matchLabels"), f"{path}.matchLabels")
    for index, item in enumerate((selector or {}).get("matchExpressions") or ()):
        yield from _requirement(item, f"{path}.matchExpressions[{index}]")


def _requirement(item: Meta, path: str) -> Problems:
    operator, values = item.get("operator") or "", item.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    else:
        yield invalid(f"{path}.operator", Typed(operator), "not a valid selector operator")
    key = item.get("key") or ""
    yield from invalids(f"{path}.key", key, qualified(key))
    for index, value in enumerate(values):
        yield from invalids(f"{path}.values[{index}]", value, label_value(value))


def _said(meta: Meta, path: str) -> Problems:
    """Labels, annotations and owners."""
    if labels := meta.get("labels"):
        yield from label_problems(labels, f"{path}.labels")
    if annotations := meta.get("annotations"):
        yield from annotation_problems(annotations, f"{path}.annotations")
    if owners := meta.get("ownerReferences"):
        yield from _owners(owners, f"{path}.ownerReferences")


def _owners(owners: Sequence[Meta], path: str) -> Problems:
    first = ""
    for owner in owners:
        yield from _owner(owner, path)
        if owner.get("controller"):
            who = f"{owner.get('kind') or ''}/{owner.get('name') or ''}"
            if first:
                why = f'Only one reference can have Controller set to true. Found "true" in references for {first} and {who}'
                yield invalid(path, [_owner_shown(item) for item in owners], why)
            else:
                first = who


def _owner(owner: Meta, path: str) -> Problems:
    api_version = owner.get("apiVersion") or ""
    group, slash, version = api_version.rpartition("/")
    if not version or "/" in group:
        yield invalid(f"{path}.apiVersion", api_version, "version must not be empty")
    for field in ("kind", "name", "uid"):
        if not owner.get(field):
            yield invalid(f"{path}.{field}", "", "must not be empty")
    if owner.get("kind") == "Event" and not slash and version == "v1":
        yield invalid(path, _owner_shown(owner), "/v1, Kind=Event is disallowed from being an owner")


def _owner_shown(owner: Meta) -> dict[str, Any]:
    needed = dict.fromkeys(_OWNER_FIELDS[:4], "")
    return {**needed, **{field: owner[field] for field in _OWNER_FIELDS if owner.get(field) is not None}}


def _finalizers(finalizers: Sequence[str], path: str) -> Problems:
    for finalizer in finalizers:
        yield from invalids(path, finalizer, qualified(finalizer))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        yield invalid(path, list(finalizers), "finalizer orphan and foregroundDeletion cannot be both set")


def standard_finalizer_problems(meta: Meta, path: str = "metadata") -> Problems:
    """Which finalizers have neither a name that is known nor a domain."""
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            yield invalid(f"{path}.finalizers[{index}]", finalizer, NOT_STANDARD)


def _new_finalizers(new: Sequence[str], old: Sequence[str], path: str) -> Problems:
    """A deleted object gets no new finalizers."""
    added = sorted(set(new) - set(old))
    if added:
        listed = ", ".join(map(as_json, added))
        why = (
            f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
        )
        yield forbidden(path, why)


def _managed(entries: Sequence[Meta], path: str) -> Problems:
    for index, entry in enumerate(entries):
        place, operation, kind = f"{path}[{index}]", entry.get("operation") or "", entry.get("fieldsType")
        if operation not in ("Apply", "Update"):
            yield invalid(f"{place}.operation", operation, "must be `Apply` or `Update`")
        if kind and kind != "FieldsV1":
            yield invalid(f"{place}.fieldsType", kind, "must be `FieldsV1`")
        yield from manager_problems(entry.get("manager") or "", f"{place}.manager")
        if size(entry.get("subresource") or "") > 256:
            yield too_long(f"{place}.subresource", 256)


def manager_problems(manager: str, path: str) -> Problems:
    """What is wrong with the name of a field manager."""
    if size(manager) > 128:
        yield too_long(path, 128)
    place = 0
    for char in manager:
        if not char.isprintable():
            yield invalid(path, manager, f"invalid character U+{ord(char):04X} (at position {place})")
        place += size(char)
