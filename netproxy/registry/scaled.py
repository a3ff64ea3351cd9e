"""Who manages the fields of an object whose scale is written: its entries as a scale has them, and back.

Source: kubernetes 1.36 staging/src/k8s.io/apimachinery/pkg/util/managedfields/scalehandler.go.
"""

from __future__ import annotations

from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object
from netproxy.registry.fieldset import NOTHING, FieldSet, difference, intersection
from netproxy.registry.managed import Entries, Kind, Write, identity, order, stored, updated
from netproxy.registry.scale import scale_of
from netproxy.registry.shape import shape_of

SCALE = "autoscaling/v1"
_REPLICAS: FieldSet = {"f:spec": {"f:replicas": {}}}
SCALES = Kind(
    lambda _: shape_of({"apiVersion": SCALE, "kind": "Scale"}), lambda obj, version: obj if version == SCALE else None
)


def _replicas(resource: Resource, api_version: str) -> FieldSet | None:
    """Where an object of a version says how many copies it wants: nowhere, in one without a scale; None for no version of it."""
    if resource.custom is None:
        return _REPLICAS if api_version == resource.api_version else None
    version = resource.custom.definition.version(api_version.rpartition("/")[2])
    if version is None:
        return None
    if version.scale is None:
        return NOTHING
    found: FieldSet = {}
    for field in reversed(version.scale.wanted):
        found = {f"f:{field}": found}
    return found


def seen_scale(obj: Object, resource: Resource) -> Object:
    """The scale of an object, with those who manage its replicas."""
    entries = [
        {**entry, "apiVersion": SCALE, "fieldsV1": _REPLICAS}
        for entry in stored(obj)
        if (replicas := _replicas(resource, entry["apiVersion"])) and intersection(entry["fieldsV1"], replicas)
    ]
    scale = scale_of(obj, resource, is_new=True)
    return {**scale, "metadata": {**scale["metadata"], "managedFields": sorted(entries, key=order)}}


def rescaled(old: Object, new: Object, resource: Resource, manager: str, now: str) -> Entries:
    """The entries of an object after an update of its scale."""
    write = Write(manager, SCALE, now, "scale", {})
    return of_object(old, updated(seen_scale(old, resource), scale_of(new, resource), write, SCALES), resource)


def of_object(obj: Object, scale_entries: Entries, resource: Resource) -> Entries:
    """The entries of an object whose scale has these entries now.

    An update through another way than the scale is told apart by its version, and a scale has another version: then the
    manager's entry is split.
    """
    claims = {identity(entry): entry for entry in scale_entries}
    result: Entries = []
    before = stored(obj)
    for entry in before:
        replicas = _replicas(resource, entry["apiVersion"])
        if replicas is None:
            continue
        rest = difference(entry["fieldsV1"], replicas)
        if rest is entry["fieldsV1"] or claims.pop(identity(entry), None) is not None:
            result.append(entry)
        elif rest:
            result.append({**entry, "fieldsV1": rest})
    times = {identity(entry): entry.get("time") for entry in before}
    for who, entry in claims.items():
        if intersection(entry["fieldsV1"], _REPLICAS):
            kept = {field: value for field, value in entry.items() if field != "time"}
            time = {"time": times[who]} if times.get(who) else {}
            own = _replicas(resource, resource.api_version)
            result.append({**kept, **time, "apiVersion": resource.api_version, "fieldsV1": own})
    return sorted(result, key=order)
