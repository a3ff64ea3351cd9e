"""One object in the groups and versions that it is served in; it is kept in one of them.

Source: kubernetes pkg/apis/events/v1/conversion.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.objects.canonical import canonical
from netproxy.objects.kinds import (
    EVENTS,
    EVENTS_V1,
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    Resource,
    resource_of,
    stored_resource,
)
from netproxy.objects.meta import Object
from netproxy.registry.autoscalers import to_v1, to_v2, without_notes

Conversion = Callable[[Object], Object]


def in_version(obj: Object, resource: Resource) -> Object:
    """The object as RESOURCE shows it; the object itself when it is of that group and version.

    >>> in_version({"apiVersion": "v1", "kind": "Event", "message": "x"}, EVENTS_V1)["note"]
    'x'
    """
    if resource.custom is not None:
        return resource.custom.seen(obj)
    given = resource_of(obj)
    if given is resource or given is None:
        return obj
    return canonical({**_CONVERSIONS[given, resource](obj), "apiVersion": resource.api_version})


def as_stored(obj: Object, resource: Resource) -> Object:
    """The object of RESOURCE in the group and version in which it is kept."""
    if resource is HORIZONTAL_POD_AUTOSCALERS:
        return without_notes(obj)
    return in_version(obj, stored_resource(resource))


# --- Event: the same fields under other names

_EVENT_FIELDS = {
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource", "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController",
}  # fmt: skip


def _renamed(fields: dict[str, str]) -> Conversion:
    return lambda obj: {fields.get(field, field): value for field, value in obj.items()}


_CONVERSIONS: dict[tuple[Resource, Resource], Conversion] = {
    (EVENTS, EVENTS_V1): _renamed(_EVENT_FIELDS),
    (EVENTS_V1, EVENTS): _renamed({new: old for old, new in _EVENT_FIELDS.items()}),
    (HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1): to_v1,
    (HORIZONTAL_POD_AUTOSCALERS_V1, HORIZONTAL_POD_AUTOSCALERS): to_v2,
}
