"""The scale of a custom object, whose copies are counted where its definition says.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource/etcd.go (ScaleREST).
"""

from __future__ import annotations

from netproxy.core.errors import ApiError
from netproxy.core.names import quoted
from netproxy.objects.custom.definition import Scale
from netproxy.objects.meta import Object
from netproxy.registry.custom import WrongTypeError, copies, value_at


def counts(obj: Object, scale: Scale, *, is_new: bool = False) -> tuple[int, int, str]:
    """How many copies are wanted and are there, and by which labels they are found.

    IS_NEW: the object may not say yet. Raises ApiError (500) when something else is there.
    """
    try:
        wanted = copies(obj, scale.wanted)
        found = copies(obj, scale.there) or 0, value_at(obj, scale.selector, str, "string") if scale.selector else ""
    except WrongTypeError as error:
        raise ApiError(500, "", str(error)) from error
    if wanted is None and not is_new:
        why = f"the spec replicas field {quoted('.' + '.'.join(scale.wanted))} does not exist"
        raise _internal(why)
    return wanted or 0, found[0], found[1] or ""


def _internal(why: str) -> ApiError:
    error = ApiError(500, "InternalError", f"Internal error occurred: {why}")
    return error.with_details(causes=[{"message": why}])


def with_copies(obj: Object, scale: Scale, count: int) -> Object:
    """The object, wanting so many copies. Raises ApiError (500) when something else is in the way."""
    return _with_value(obj, scale.wanted, 0, count)


def _with_value(obj: Object, path: tuple[str, ...], at: int, value: int) -> Object:
    field = path[at]
    if at + 1 == len(path):
        return {**obj, field: value}
    within = obj.get(field, {})
    if not isinstance(within, dict):
        where = "." + ".".join(path[: at + 1])
        raise ApiError(500, "", f"value cannot be set because {where} is not a map[string]interface{{}}")
    return {**obj, field: _with_value(within, path, at + 1, value)}
