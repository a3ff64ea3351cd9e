"""What is refused about an Event, in each of the two groups that serve it.

Source: kubernetes pkg/apis/core/validation/events.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netproxy.objects.meta import Object, metadata
from netproxy.objects.validation.names import Reasons, dns_subdomain, path_segment, qualified, size
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import Problems, invalid, invalids, required, unchanged

_MOST, _LONGEST_NOTE = 128, 1024
_UNSET = "needs to be unset"
_OTHER = "does not match event.namespace"
_OLD = ("firstTimestamp", "lastTimestamp")
_KEPT = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason", "type",
    "eventTime", "action", "related", "reportingComponent", "reportingInstance",
)  # fmt: skip


def _problems(obj: Object, controller: str) -> Problems:
    """What both groups refuse of an Event in the form of the first; CONTROLLER is what the group calls that field."""
    namespace, about = metadata(obj).get("namespace") or "", (obj.get("involvedObject") or {}).get("namespace") or ""
    if obj.get("eventTime") is None:
        if about != namespace and (about or namespace != "default"):
            yield invalid("involvedObject.namespace", about, _OTHER)
    else:
        if not about and namespace not in ("default", "kube-system"):
            yield invalid("involvedObject.namespace", about, _OTHER)
        who = obj.get("reportingComponent") or ""
        if not who:
            yield required(controller)
        yield from invalids(controller, who, qualified(who))
        for field in ("reportingInstance", "action", "reason"):
            yield from _text(field, obj.get(field) or "")
        if size(obj.get("message") or "") > _LONGEST_NOTE:
            yield invalid("message", "", f"can have at most {_LONGEST_NOTE} characters")
    yield from invalids("namespace", namespace, dns_subdomain(namespace))


def _text(field: str, text: str) -> Problems:
    if not text:
        yield required(field)
    if size(text) > _MOST:
        yield invalid(field, "", f"can have at most {_MOST} characters")


def _core(obj: Object, meta: Found) -> Problems:
    yield from _problems(obj, "reportingComponent")


def _core_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _problems(new, "reportingComponent")


def _new(obj: Object, meta: Found) -> Problems:
    yield from _problems(obj, "reportingController")
    yield from meta
    yield from _series(obj)
    if obj.get("eventTime") is None:
        yield required("eventTime")
    if obj.get("type") not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {obj.get('type') or ''}")
    for field in _OLD:
        if obj.get(field) is not None:
            yield invalid(field, "", _UNSET)
    for field, there in (("count", obj.get("count")), ("source", any((obj.get("source") or {}).values()))):
        if there:
            yield invalid(field, "", _UNSET)


def _series(obj: Object) -> Problems:
    series = obj.get("series")
    if series is not None:
        if (series.get("count") or 0) < 2:
            yield invalid("series.count", "", "should be at least 2")
        if series.get("lastObservedTime") is None:
            yield required("series.lastObservedTime")


def _new_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _problems(new, "reportingController")
    yield from meta.change
    if new.get("series") != old.get("series"):
        yield from _series(new)
    for field in _KEPT:
        path = "reportingController" if field == "reportingComponent" else field
        yield from unchanged(path, _shown(field, new.get(field)), _shown(field, old.get(field)))


def _shown(field: str, value: Any) -> Any:
    """A field's value as its Go type is shown."""
    if field in ("involvedObject", "related") and value is not None:
        return {_GO.get(field, field[0].upper() + field[1:]): value.get(field) or "" for field in _REFERENCE}
    if field == "source":
        return {"Component": (value or {}).get("component") or "", "Host": (value or {}).get("host") or ""}
    if field == "count":
        return value or 0
    return value if value is not None or field in ("eventTime", *_OLD, "related") else ""


_GO = {"uid": "UID", "apiVersion": "APIVersion"}
_REFERENCE: Sequence[str] = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _any_name(text: str) -> Reasons:
    return path_segment(text)


CORE = Rules(create=_core, update=_core_update, name=_any_name)
NEW = Rules(create=_new, update=_new_update)
