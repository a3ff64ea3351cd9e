"""Requests that create, replace, patch or delete objects → what is asked of the registry, and its answers.

Source: kubernetes apiserver pkg/endpoints/handlers/{create,update,patch,delete}.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import suppress

from netproxy.apiserver.answer import item_of, list_meta
from netproxy.apiserver.body import SCALE, check_size, expected_of, object_of, unread
from netproxy.apiserver.custombody import custom_object_of
from netproxy.apiserver.listing import list_options, whole
from netproxy.apiserver.options import APPLY, delete_options, write_options
from netproxy.apiserver.page import page
from netproxy.apiserver.parts import bind, evict_pod
from netproxy.apiserver.patches import configuration, patch_body
from netproxy.apiserver.paths import Target
from netproxy.apiserver.request import Request, Response, json_response
from netproxy.apiserver.status import bad_request, not_allowed, success
from netproxy.core.errors import ApiError, NotFoundError
from netproxy.core.names import quoted
from netproxy.objects.kinds import NAMESPACES
from netproxy.objects.meta import Object, key, metadata
from netproxy.registry.convert import in_version
from netproxy.registry.given import check_name
from netproxy.registry.habits import habits_of
from netproxy.registry.options import Guard, WriteOptions
from netproxy.registry.registry import Registry, warn_of

PATCHES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip

CUSTOM_PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")


class Writer:
    """Writes to one registry."""

    def __init__(self, registry: Registry, guard: Callable[[Request, Target], Guard]) -> None:
        """GUARD makes what refuses a user's roles and bindings."""
        self._registry = registry
        self._guard = guard

    def write(self, request: Request, target: Target) -> Response:
        """The answer of a request that changes something, or of one that cannot be. Raises NetproxyError."""
        has_many = bool(target.namespace) or not target.resource.namespaced
        match request.method, bool(target.name), target.subresource:
            case "POST", False, "" if has_many:
                return self.create(request, target)
            case "POST", _, "binding":
                return bind(self._registry, request, target.namespace, target.name)
            case "POST", True, "eviction":
                return evict_pod(self._registry, request, target)
            case "PUT", True, "" | "status" | "finalize" | "ephemeralcontainers" | "resize":
                return self.replace(request, target)
            case "PUT", True, "scale":
                return self.rescale(request, target)
            case "PATCH", True, "" | "status" | "scale" | "ephemeralcontainers" | "resize":
                return self.patch(request, target)
            case "DELETE", True, "":
                return self.delete(request, target)
            case "DELETE", False, "" if has_many and target.resource is not NAMESPACES:
                return self.delete_collection(request, target)
            case _ if target.resource.custom is not None:
                raise unsupported(request.method, target)
            case _:
                raise not_allowed()

    def create(self, request: Request, target: Target) -> Response:
        """POST to a collection."""
        options = self._options(request, target).of(target.resource)
        obj = placed(_object(request, target, options), target)
        return json_response(self._registry.create(obj, options), 201)

    def replace(self, request: Request, target: Target) -> Response:
        """PUT of an object, or of its status or finalizers."""
        options = self._options(request, target).of(target.resource)
        obj = placed(_object(request, target, options), target)
        check_name(obj, target.key)
        options = dataclasses.replace(options, is_put=target.subresource in ("", "status"))
        if not target.subresource:
            made, is_new = self._registry.put(obj, options)
            return json_response(made, 201 if is_new else 200)
        return json_response(self._registry.replace_part(obj, target.subresource, options))

    def rescale(self, request: Request, target: Target) -> Response:
        """PUT of a scale."""
        options = write_options(request)
        scale = placed(object_of(request, SCALE, options), target)
        check_name(scale, target.key)
        return json_response(self._registry.rescale(target.resource, scale, options))

    def patch(self, request: Request, target: Target) -> Response:
        """PATCH of an object or of its status."""
        kind = request.content_type.partition(";")[0].strip()
        if target.resource.custom is not None:
            if kind not in CUSTOM_PATCHES:
                raise unread(CUSTOM_PATCHES)
        elif kind not in PATCHES:
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details()
        check_size(request)
        options = self._options(request, target)
        at, way = (target.resource, target.key), target.subresource
        if kind == APPLY:
            config, told = configuration(request.body)
            obj, is_new = self._registry.apply_configuration(*at, config, options, subresource=way, told=told)
            return json_response(obj, 201 if is_new else 200)
        body, told = patch_body(request.body, kind, options)
        return json_response(self._registry.patch(*at, body, kind, options, subresource=way, told=told))

    def _options(self, request: Request, target: Target) -> WriteOptions:
        return dataclasses.replace(write_options(request), guard=self._guard(request, target))

    def delete(self, request: Request, target: Target) -> Response:
        """DELETE of an object."""
        asked, options = delete_options(request)
        obj, is_gone = self._registry.end(target.resource, target.key, asked, options)
        if is_gone and not habits_of(target.resource).is_shown:
            return success(target.resource, obj)
        return json_response(obj, 202 if asked.is_cascade and not is_gone else 200)

    def delete_collection(self, request: Request, target: Target) -> Response:
        """DELETE of all that is selected; the answer lists what was there before."""
        resource = target.resource
        picked = page(self._registry.store, target, whole(list_options(request, target)))
        asked, options = delete_options(request)
        warn_of(resource, asked, options)
        options = dataclasses.replace(options, warn=lambda _: None)  # once is enough
        for obj in picked.objects:
            with suppress(NotFoundError):  # it went with another one
                self._registry.delete(resource, key(obj), asked, options)
        return json_response({
            "kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": list_meta(resource, picked.meta),
            "items": [item_of(in_version(obj, resource), resource) for obj in picked.objects],
        })  # fmt: skip


def _object(request: Request, target: Target, options: WriteOptions) -> Object:
    """The object that a request brings."""
    custom = target.resource.custom
    if custom is not None:
        return custom_object_of(request, custom, options)
    return object_of(request, expected_of(target.resource), options)


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


def unsupported(method: str, target: Target) -> ApiError:
    """Nothing is done in this way with a custom object, or a part of it."""
    resource, verb = target.resource, _VERBS.get(method, method.lower())
    why = f"{verb} is not supported on resources of kind {quoted(resource.group_resource)}"
    return ApiError(405, "MethodNotAllowed", why).with_details(**resource.details(""))


def placed(obj: Object, target: Target) -> Object:
    """The object in the namespace that the path says. Raises ApiError (400) when it says another one itself."""
    meta = metadata(obj)
    given = meta.get("namespace") or ""
    if not target.resource.namespaced:
        return {**obj, "metadata": {k: v for k, v in meta.items() if k != "namespace"}} if given else obj
    if given and target.namespace and given != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if given != target.namespace:
        return {**obj, "metadata": {**meta, "namespace": target.namespace}}
    return obj
