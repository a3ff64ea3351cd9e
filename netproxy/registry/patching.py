"""Patches and configurations to be applied: what an object becomes, and how that is written.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from netproxy.core.clock import timestamp
from netproxy.core.errors import ApiError, ConflictError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, key, metadata
from netproxy.registry.applying import applied, check_config, check_result, tell
from netproxy.registry.blank import blank
from netproxy.registry.convert import as_stored, in_version
from netproxy.registry.custom import given_custom
from netproxy.registry.custompatch import custom_patched
from netproxy.registry.given import check_name, given_object
from netproxy.registry.managed import Write
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.patch import Patch, patched
from netproxy.registry.scale import scale_of
from netproxy.registry.scaled import SCALE, SCALES, of_object, seen_scale
from netproxy.registry.steps import Steps
from netproxy.registry.tracking import kind_of, reset_of
from netproxy.store.transaction import Transaction


class Patches(Steps):
    """Writes that say what is to change, not what is to be."""

    @contextmanager
    def transaction(self, *, dry_run: bool = False) -> Iterator[Transaction]:
        """Make all writes of the body together, or none when it raises; what it gives shows the objects with them."""
        with self.store.transaction(dry_run=dry_run) as change:
            yield change

    def patch(
        self, resource: Resource, at: NamespacedName, body: Any, content_type: str, options: WriteOptions = PLAIN, *,
        subresource: str = "", told: tuple[str, ...] = (),
    ) -> Object:  # fmt: skip
        """Change an object by a patch. TOLD is what was wrong with its text and can be overlooked.

        Raises what `replace` raises, and ApiError for a patch that does not fit.
        """
        options = replace(options.of(resource), is_patch=True)
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, at)
            is_scale = subresource == "scale"
            seen = seen_scale(in_version(old, resource), resource) if is_scale else in_version(old, resource)
            way = Patch(content_type, body, told)
            custom = None if is_scale else resource.custom
            obj = patched(seen, way, options) if custom is None else custom_patched(seen, way, options, custom)
            new = _placed(obj, at) if is_scale else self._patched(obj, resource, at)
            made = shown(self._write(subresource)(change, new, old, options), resource, old, dry_run=options.dry_run)
            return scale_of(made, resource) if is_scale else made

    def apply_configuration(
        self, resource: Resource, at: NamespacedName, config: Any, options: WriteOptions, *, subresource: str = "",
        told: tuple[str, ...] = (),
    ) -> tuple[Object, bool]:  # fmt: skip
        """Server-side apply: make an object as a configuration says, or merge it in; also, whether it was made.

        Raises ApplyConflictError (others manage what would change), ApiError, and what `create` and `replace` raise.
        """
        is_scale, options = subresource == "scale", options.of(resource)
        version, kind_name = (SCALE, "Scale") if is_scale else (resource.api_version, resource.kind)
        kind = SCALES if is_scale else kind_of(resource)
        check_config(config, version, kind_name, kind.shape(version))
        if is_scale and resource.custom is not None:
            raise _no_such_scale(config)
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.find(resource, at)
            if old is None and subresource:
                change.get(resource, at)
            seen = blank(config) if old is None else in_version(old, resource)
            live = seen_scale(seen, resource) if is_scale else seen
            now = timestamp(self.store.clock.now())
            reset = {} if is_scale else reset_of(resource, subresource)
            result = applied(
                live, config, Write(options.manager, version, now, subresource, reset), kind, force=options.force
            )
            check_result(result.obj, config)
            tell(told, options)
            if old is None and metadata(result.obj).get("uid"):
                raise _unknown_uid(result.obj, resource, at)
            new = _placed(result.obj, at) if is_scale else self._patched(result.obj, resource, at)
            if old is None:
                made = self._create(change, new, options, entries=result.entries)
            else:
                entries = of_object(old, result.entries, resource) if is_scale else result.entries
                made = self._write(subresource)(change, new, old, options, entries)
            made = shown(made, resource, old, dry_run=options.dry_run)
            return scale_of(made, resource) if is_scale else made, old is None

    def _given(self, obj: Object, options: WriteOptions = PLAIN) -> tuple[Resource, Object]:
        """The resource of an object and the object; one of a custom kind is seen in the version of its writer."""
        wanted = options.resource
        resource = self.customs.served(obj) if wanted is None or wanted.custom is None else wanted
        if resource.custom is not None:
            return resource, given_custom(obj, resource.custom)
        return resource, as_stored(given_object(obj, resource, self.cluster.name), resource)

    def _patched(self, obj: Object, resource: Resource, at: NamespacedName) -> Object:
        """What a patch made of an object, if it is still that object."""
        if resource.custom is not None:
            return given_custom(_placed(obj, at), resource.custom)
        return self._given(_placed({**obj, "apiVersion": resource.api_version, "kind": resource.kind}, at))[1]


def _no_such_scale(config: Object) -> ApiError:
    """Nobody can apply the scale of a custom object: the API server cannot convert it."""
    meta = metadata(config)
    whose = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}; {SCALE}, Kind=Scale"
    why = f"to proper version: request to convert CR to an invalid group/version: {SCALE}"
    return ApiError(500, "", f"failed to convert new object ({whose}) {why}")


def _unknown_uid(obj: Object, resource: Resource, at: NamespacedName) -> ConflictError:
    what = f'Operation cannot be fulfilled on {resource.group_resource} "{at.name}"'
    why = f"uid mismatch: the provided object specified uid {metadata(obj)['uid']}, and no existing object was found"
    return ConflictError(f"{what}: {why}")


def _placed(obj: Object, at: NamespacedName) -> Object:
    """The object where it was. Raises ApiError (400) when it says that it is another one."""
    if at.namespace and not metadata(obj).get("namespace"):
        obj = {**obj, "metadata": {**metadata(obj), "namespace": at.namespace}}
    if not at.namespace and key(obj).namespace:
        obj = {**obj, "metadata": {field: value for field, value in metadata(obj).items() if field != "namespace"}}
    check_name(obj, at)
    return obj


def shown(obj: Object, resource: Resource, old: Object | None, *, dry_run: bool) -> Object:
    """What the writer gets: in the version that was asked for; of a dry run, with the version that there was before."""
    if dry_run:
        meta = {**metadata(obj)}
        meta.pop("resourceVersion", None)
        if old is not None:
            meta["resourceVersion"] = metadata(old)["resourceVersion"]
        obj = {**obj, "metadata": meta}
    return in_version(obj, resource)
