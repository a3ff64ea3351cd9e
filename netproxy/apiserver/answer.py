"""Objects in the form in which they are asked for.

Source: kubernetes apiserver pkg/endpoints/handlers/response.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from netproxy.apiserver.negotiate import Form, check_shape
from netproxy.apiserver.request import Response
from netproxy.apiserver.tables.table import printer_of, table
from netproxy.objects.defaulting.workloads import TEMPLATE_GENERATION
from netproxy.objects.kinds import Resource, resource_of, stored_resource
from netproxy.objects.meta import Object, metadata
from netproxy.registry.convert import in_version

Headers = tuple[tuple[str, str], ...]
Shown = Callable[[Object], Object | None]


def one(
    form: Form, resource: Resource, obj: Object, now: float, *, code: int = 200, headers: Headers = ()
) -> Response:  # fmt: skip
    """One object, given in any version. Raises ApiError (406) when the form is for many."""
    check_shape(form, resource, is_list=False)
    return form.response(shaped(form, resource, obj, now), code, headers)


def many(
    form: Form, resource: Resource, objects: Iterable[Object], meta: Mapping[str, Any], now: float
) -> Response:  # fmt: skip
    """A list of objects, given as they are kept; META is the list's. Raises ApiError (406) when the form is for one."""
    check_shape(form, resource, is_list=True)
    if form.is_table:
        return form.response(_table(form, resource, objects, now, meta))
    if form.shape:
        kind, version = form.shape, form.api_version
        items: list[Any] | None = [_partial(form, obj) for obj in objects] or None
    else:
        kind, version, meta = resource.list_kind, resource.api_version, list_meta(resource, meta)
        items = [item_of(in_version(obj, resource), resource) for obj in objects]
    return form.response({"kind": kind, "apiVersion": version, "metadata": meta, "items": items})


def list_meta(resource: Resource, meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of a list; that of a custom kind says where to go on even when there is nothing more."""
    return meta if resource.custom is None else {"continue": "", **meta}


def shaped(form: Form, resource: Resource, obj: Object, now: float) -> Object:
    """An object as it is answered, and as a watch tells of it."""
    if form.is_table:
        stored = _stored(obj)
        version = metadata(obj).get("resourceVersion")
        return _table(form, resource, [stored], now, {"resourceVersion": version} if version else {})
    return _partial(form, obj) if form.shape else in_version(obj, resource)


def reshaped(form: Form, resource: Resource, answer: Response, now: float) -> Response:
    """The answer of a write, which has the objects themselves, in another form. Raises ApiError (406)."""
    if not form.shape or answer.status >= 400:
        return answer
    found = orjson.loads(answer.body)
    if found["kind"] == resource.list_kind:
        objects = [
            _stored({**item, "kind": resource.kind, "apiVersion": resource.api_version}) for item in found["items"]
        ]
        return replace(many(form, resource, objects, found["metadata"], now), headers=answer.headers)
    if found["kind"] == "Status":
        return answer
    made = resource_of(found)
    if made is None:
        is_own = resource.custom is not None and found["kind"] == resource.kind
        made = resource if is_own else replace(resource, group="autoscaling", kind=found["kind"], custom=None)
    return one(form, made, found, now, code=answer.status, headers=answer.headers)


def _stored(obj: Object) -> Object:
    """An object as it is kept; what is never kept stays as it is."""
    resource = resource_of(obj)
    return in_version(obj, stored_resource(resource)) if resource else obj


def shows(form: Form, resource: Resource) -> Shown:
    """What a table says of an object beside its cells."""
    if form.include == "None":
        return lambda _: None
    if form.include == "Object":
        return lambda obj: in_version(obj, resource)
    return lambda obj: _partial(form, obj)


def _table(
    form: Form, resource: Resource, objects: Iterable[Object], now: float, meta: Mapping[str, Any]
) -> Object:  # fmt: skip
    made = table(printer_of(resource), objects, shows(form, resource), now, meta)
    made["apiVersion"] = form.api_version
    if not form.headers:
        made["columnDefinitions"] = None
    return made


def _partial(form: Form, obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": form.api_version, "metadata": _inner(obj["metadata"])}


def _inner(meta: Object) -> Object:
    """Metadata without what is only said of the whole object of a group and version."""
    notes = meta.get("annotations")
    if not notes or TEMPLATE_GENERATION not in notes:
        return meta
    kept = {note: value for note, value in notes.items() if note != TEMPLATE_GENERATION}
    return {
        **{field: value for field, value in meta.items() if field != "annotations"},
        **({"annotations": kept} if kept else {}),
    }


def item_of(obj: Object, resource: Resource) -> Object:
    """An object in a list, which says once what all of them are; custom ones say it themselves, too."""
    if resource.custom is not None:
        return obj
    return {field: value for field, value in obj.items() if field not in ("kind", "apiVersion")}
