"""What `managed` needs to know of the kinds that are served: their shapes, their versions, what each way to write resets.

Source: kubernetes 1.36 pkg/registry/*/strategy.go (GetResetFields).
"""

from __future__ import annotations

from netproxy.objects.custom.definition import Definition, Version
from netproxy.objects.kinds import DEPLOYMENTS, PODS, SERVICE_CIDRS, Resource, resource_of
from netproxy.objects.meta import Object, metadata
from netproxy.registry.convert import in_version
from netproxy.registry.customshape import custom_shape
from netproxy.registry.fieldset import NOTHING, FieldSet
from netproxy.registry.managed import Entries, Kind, UntypedError, Write, updated
from netproxy.registry.shape import FOUND, Shape, shape_of

_STATUS: FieldSet = {"f:status": NOTHING}
_SPEC: FieldSet = {"f:spec": NOTHING}
_SPEC_AND_METADATA: FieldSet = {"f:spec": NOTHING, "f:metadata": NOTHING}
_RESET_BY_STATUS: dict[Resource, FieldSet] = {
    SERVICE_CIDRS: _SPEC_AND_METADATA,
    DEPLOYMENTS: {"f:spec": NOTHING, "f:metadata": {"f:labels": NOTHING}},
    PODS: {"f:spec": NOTHING, "f:metadata": {"f:deletionTimestamp": NOTHING, "f:ownerReferences": NOTHING}},
}
_OF_PODS = ("ephemeralcontainers", "resize")


def tracked(
    old: Object | None, new: Object, resource: Resource, manager: str, now: str, subresource: str = ""
) -> Entries:
    """The entries of NEW, which a manager sent as RESOURCE; both objects are as they are stored, NEW with defaults.

    None of a custom object when one of its versions does not know what is in it.
    """
    write = Write(manager, resource.api_version, now, subresource, reset_of(resource, subresource))
    if resource.custom is not None:
        try:
            return updated(old, new, write, kind_of(resource))
        except UntypedError:
            return []
    if resource.api_version == new.get("apiVersion"):
        return updated(old, new, write, kind_of(resource))
    before = None if old is None else in_version(old, resource)
    return updated(before, in_version(new, resource), write, kind_of(resource))


def reset_of(resource: Resource, subresource: str) -> FieldSet:
    """What a write by this way does not touch."""
    if subresource == "status":
        return _RESET_BY_STATUS.get(resource, _SPEC) if resource.custom is None else _SPEC_AND_METADATA
    return _STATUS if "status" in resource.subresources and subresource not in _OF_PODS else NOTHING


def kind_of(resource: Resource) -> Kind:
    """The kind of a resource that is served."""
    if resource.custom is not None:
        return resource.custom.definition.made("kind", _custom_kind)

    def shape(api_version: str) -> Shape:
        return shape_of({"apiVersion": api_version, "kind": resource.kind})

    def seen(obj: Object, api_version: str) -> Object | None:
        other = resource_of({"apiVersion": api_version, "kind": resource.kind})
        return in_version(obj, other) if other is not None and other.stored == resource.stored else None

    return Kind(shape, seen)


def _custom_kind(definition: Definition) -> Kind:
    def version(api_version: str) -> Version | None:
        group, _, name = api_version.rpartition("/")
        found = definition.version(name) if group == definition.group else None
        return found if found is not None and found.is_served else None

    def shape(api_version: str) -> Shape:
        found = version(api_version)
        return custom_shape(found) if found is not None else FOUND

    def seen(obj: Object, api_version: str) -> Object | None:
        found = version(api_version)
        return {**obj, "apiVersion": api_version} if found is not None else None

    return Kind(shape, seen, is_strict=True)


def with_entries(obj: Object, entries: Entries) -> Object:
    """The object with these entries, or without any."""
    meta = {field: value for field, value in metadata(obj).items() if field != "managedFields"}
    return {**obj, "metadata": {**meta, "managedFields": entries} if entries else meta}
