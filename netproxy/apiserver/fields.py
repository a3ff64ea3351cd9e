"""Which fields a list can be picked by, and how a selector of them is read, in the API server's words.

Source: kubernetes apimachinery pkg/fields/selector.go, pkg/runtime/conversion.go, pkg/apis/*/v1/conversion.go,
pkg/registry/*/strategy.go (the values).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from netproxy.apiserver.status import bad_request
from netproxy.core.names import quoted
from netproxy.objects.custom.definition import Version
from netproxy.objects.custom.jsonpath import found_at
from netproxy.objects.kinds import (
    EVENTS,
    EVENTS_V1,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICATION_CONTROLLERS,
    SECRETS,
    SERVICES,
    Resource,
)
from netproxy.objects.meta import Object, metadata, spec, status

Value = Callable[[Object], str]


class FieldTerm(NamedTuple):
    """One term of a field selector."""

    field: str
    value: str
    negated: bool = False


FieldSelector = tuple[FieldTerm, ...]


# --- what fields there are, as objects are kept


def _at(*path: str) -> Value:
    """The text at a place of an object; empty where there is none."""

    def value(obj: Object) -> str:
        here: object = obj
        for step in path:
            here = here.get(step) if isinstance(here, dict) else None
        return "" if here is None else str(here)

    return value


def _switch(section: str, field: str) -> Value:
    return lambda obj: "true" if _section(obj, section).get(field) else "false"


def _number(section: str, field: str) -> Value:
    return lambda obj: str(_section(obj, section).get(field) or 0)


def _section(obj: Object, name: str) -> Mapping[str, object]:
    return spec(obj) if name == "spec" else status(obj)


def _pod_ip(obj: Object) -> str:
    ips = status(obj).get("podIPs")
    return str(ips[0].get("ip") or "") if ips else ""


def _event_source(obj: Object) -> str:
    return _at("source", "component")(obj) or _at("reportingComponent")(obj)


def _paths(*fields: str) -> dict[str, Value]:
    return {field: _at(*field.split(".")) for field in fields}


_NAME, _SPACE = "metadata.name", "metadata.namespace"
_NAMED: Mapping[str, Value] = {_NAME: lambda obj: str(metadata(obj).get("name") or "")}
_PLACED: Mapping[str, Value] = {**_NAMED, _SPACE: lambda obj: str(metadata(obj).get("namespace") or "")}
_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

FIELDS: Mapping[Resource, Mapping[str, Value]] = {
    PODS: {
        **_PLACED,
        **_paths("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase",
                 "status.nominatedNodeName"),
        "spec.host": _at("spec", "nodeName"),
        "spec.hostNetwork": _switch("spec", "hostNetwork"),
        "status.podIP": _pod_ip,
        "status.podIPs": lambda _: "",
    },
    NODES: {**_NAMED, "spec.unschedulable": _switch("spec", "unschedulable")},
    NAMESPACES: {**_NAMED, **_paths("status.phase")},
    SERVICES: {**_PLACED, **_paths("spec.clusterIP", "spec.type")},
    SECRETS: {**_PLACED, **_paths("type")},
    REPLICATION_CONTROLLERS: {**_PLACED, "status.replicas": _number("status", "replicas")},
    JOBS: {**_PLACED, "status.successful": _number("status", "succeeded")},
    EVENTS: {
        **_PLACED, **_paths("reason", "reportingComponent", "type", *(f"involvedObject.{part}" for part in _ABOUT)),
        "source": _event_source,
    },
    EVENTS_V1: {
        **_PLACED, **_paths("reason", "type"), "reportingController": _at("reportingComponent"),
        **{f"regarding.{part}": _at("involvedObject", part) for part in _ABOUT},
    },
}  # fmt: skip
"""The fields of the kinds that have others than name and namespace."""


def _custom_fields(version: Version) -> Mapping[str, Value]:
    """The fields that objects of a custom kind are picked by."""
    placed = _PLACED if version.definition.is_namespaced else {_NAME: _PLACED[_NAME]}
    return {**placed, **{path.removeprefix("."): _found(path) for path in version.selectable}}


def _found(path: str) -> Value:
    def value(obj: Object) -> str:
        found = found_at(path, obj)
        if not found or found[0] is None:
            return ""
        return str(found[0]).lower() if isinstance(found[0], bool) else str(found[0])

    return value


def check_fields(resource: Resource, selector: FieldSelector) -> None:
    """Raise ApiError (400) when a selector asks for a field that objects are not picked by."""
    known = _custom_fields(resource.custom) if resource.custom is not None else FIELDS.get(resource)
    for field, *_ in selector:
        if known is None and field not in _PLACED:
            raise bad_request(f'{quoted(field)} is not a known field selector: only "{_NAME}", "{_SPACE}"')
        if known is not None and field not in known:
            shown = f"{quoted(field)} not supported for Job" if resource is JOBS else f"not supported: {field}"
            raise bad_request(f"field label {shown}")


def field_picks(resource: Resource, selector: FieldSelector) -> Callable[[Object], bool] | None:
    """Whether a selector that has been checked picks an object as it is kept; None when it picks all."""
    known = _custom_fields(resource.custom) if resource.custom is not None else FIELDS.get(resource, _PLACED)
    terms = [(known[field], value, negated) for field, value, negated in selector]
    if not terms:
        return None
    return lambda obj: all((value_of(obj) == value) is not negated for value_of, value, negated in terms)


def exactly(selector: Iterable[FieldTerm], field: str) -> str | None:
    """The value that a selector wants of a field, if it wants one."""
    return next((term.value for term in selector if term.field == field and not term.negated), None)


# --- how a selector is read


def field_selector(text: str) -> FieldSelector:
    """The terms of a field selector, sorted as the API server does.

    >>> field_selector(r"status.phase!=Running,metadata.name=a\\,b")
    (FieldTerm(field='metadata.name', value='a,b', negated=False), FieldTerm(field='status.phase', value='Running', negated=True))

    Raises ApiError (400) for what is none.
    """
    return tuple(_term(term, text) for term in filter(None, sorted(_split(text))))


def _split(text: str) -> Iterator[str]:
    """The parts between commas that are not escaped."""
    return iter(re.findall(r"(?:\\.|[^,\\]|\\$)+", text, re.DOTALL))


def _term(term: str, whole: str) -> FieldTerm:
    found = re.match(r"(.*?)(!=|==|=)(.*)\Z", term, re.DOTALL)
    if found is None:
        raise bad_request(f"invalid selector: '{whole}'; can't understand '{term}'")
    return FieldTerm(found[1], _unescaped(found[3]), found[2] == "!=")


def _unescaped(value: str) -> str:
    for sequence, char in re.findall(r"(\\.?)|(=)", value, re.DOTALL):
        if char:
            raise bad_request(f"invalid field selector: unescaped character in value: {ord(char)}")
        if sequence not in (r"\\", r"\,", r"\="):
            raise bad_request(f"invalid field selector: invalid escape sequence: {sequence}")
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
