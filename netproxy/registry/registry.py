"""The one door for writers: what happens between a wish and the store. All or nothing.

A strategy a resource says how its objects come in (`strategy`), `steps` in which order it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from netproxy.core.clock import timestamp
from netproxy.core.errors import ApiError, ManifestError, NotFoundError, Problem
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import NAMESPACES, PODS, Resource
from netproxy.objects.manifest import Loaded, placed
from netproxy.objects.meta import Object, key, metadata, name
from netproxy.registry.admission import topology_labels
from netproxy.registry.applying import applied, check_config
from netproxy.registry.binding import bound
from netproxy.registry.blank import blank
from netproxy.registry.convert import as_stored, in_version
from netproxy.registry.deletion import AS_USUAL, Options
from netproxy.registry.given import (
    check_name,
    given_object,
    merged_metadata,
    served,
    with_namespaces,
    write_order,
)
from netproxy.registry.habits import habits_of
from netproxy.registry.managed import Write
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.patch import patched
from netproxy.registry.scale import scale_of
from netproxy.registry.scaled import SCALE, SCALES, of_object, seen_scale
from netproxy.registry.steps import Steps
from netproxy.registry.tracking import kind_of, reset_of
from netproxy.registry.versions import check_uid
from netproxy.store.transaction import Transaction


class Registry(Steps):
    """Admits objects to a store as the API server does. Whoever reads asks the store; whoever writes comes here."""

    @contextmanager
    def transaction(self, *, dry_run: bool = False) -> Iterator[Transaction]:
        """Make all writes of the body together, or none when it raises; what it gives shows the objects with them."""
        with self.store.transaction(dry_run=dry_run) as change:
            yield change

    # --- writes

    def create(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Admit and store a new object. Raises ManifestError, AlreadyExistsError, NotFoundError (no such namespace)."""
        resource, new = self._given(obj)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            return _shown(self._create(change, new, options), resource, None, dry_run=options.dry_run)

    def put(self, obj: Object, options: WriteOptions = PLAIN) -> tuple[Object, bool]:
        """As `replace`, but an object that is not there is made, where its resource is made so; also, whether it was."""
        resource, new = self._given(obj)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            is_new = habits_of(resource).is_put and change.find(resource, key(new)) is None
        return (self.create(obj, options) if is_new else self.replace(obj, options)), is_new

    def replace(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Put a new state in an object's place; its status stays. Raises ManifestError, ConflictError, NotFoundError."""
        resource, new = self._given(obj)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, key(new))
            check_uid(new, old, resource)
            return _shown(self._replace(change, new, old, options), resource, old, dry_run=options.dry_run)

    def replace_part(self, obj: Object, subresource: str, options: WriteOptions = PLAIN) -> Object:
        """Put a part of the object in the place of the stored one's; all else stays. Versions as in `replace`."""
        resource, new = self._given(obj)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, key(new))
            check_uid(new, old, resource)
            made = self._write(subresource)(change, new, old, options)
            return _shown(made, resource, old, dry_run=options.dry_run)

    def replace_status(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Put the object's status in the stored one's place."""
        return self.replace_part(obj, "status", options)

    def finalize(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Put a Namespace's finalizers in the stored ones' place; a deleted Namespace without any goes."""
        return self.replace_part(obj, "finalize", options)

    def bind(
        self, pod: NamespacedName, node: str, options: WriteOptions = PLAIN, binding: Object | None = None
    ) -> Object:
        """Let a Pod run on a node. BINDING may have more for it: labels, annotations, which Pod is meant.

        Raises ConflictError when it has a node already, NotFoundError.
        """
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(PODS, pod)
            check_uid(binding or {}, old, PODS)
            where = topology_labels(change, node)
            new = change.replace(bound(old, node, timestamp(self.store.clock.now()), binding, where))
            return _shown(new, PODS, old, dry_run=options.dry_run)

    def patch(
        self, resource: Resource, at: NamespacedName, body: Any, content_type: str, options: WriteOptions = PLAIN, *,
        subresource: str = "",
    ) -> Object:  # fmt: skip
        """Change an object by a patch. Raises what `replace` raises, and ManifestError for a patch that does not fit."""
        with self.transaction(dry_run=options.dry_run) as change:
            old, options = change.get(resource, at), options.of(resource)
            seen = scale_of(old) if subresource == "scale" else in_version(old, resource)
            obj = patched(seen, body, content_type)
            if not isinstance(obj, dict):
                raise ApiError(400, "BadRequest", "the patch leaves no object")
            new = self._patched(obj, resource, at)
            made = _shown(self._write(subresource)(change, new, old, options), resource, old, dry_run=options.dry_run)
            return scale_of(made) if subresource == "scale" else made

    def apply_configuration(
        self, resource: Resource, at: NamespacedName, config: Any, options: WriteOptions, *, subresource: str = ""
    ) -> tuple[Object, bool]:
        """Server-side apply: make an object as a configuration says, or merge it in; also, whether it was made.

        Raises ApplyConflictError (others manage what would change), ApiError, and what `create` and `replace` raise.
        """
        is_scale, options = subresource == "scale", options.of(resource)
        version, kind_name = (SCALE, "Scale") if is_scale else (resource.api_version, resource.kind)
        kind = SCALES if is_scale else kind_of(resource)
        check_config(config, version, kind_name, kind.shape(version))
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.find(resource, at)
            if old is None and subresource:
                change.get(resource, at)
            live = (
                blank(config) if old is None else seen_scale(old, resource) if is_scale else in_version(old, resource)
            )
            now = timestamp(self.store.clock.now())
            reset = {} if is_scale else reset_of(resource, subresource)
            result = applied(
                live, config, Write(options.manager, version, now, subresource, reset), kind, force=options.force
            )
            meta = {**({"namespace": at.namespace} if resource.namespaced else {}), **metadata(result.obj)}
            new = self._patched({**result.obj, "metadata": meta}, resource, at)
            if old is None:
                made = self._create(change, new, options, entries=result.entries)
            else:
                entries = of_object(old, result.entries, resource) if is_scale else result.entries
                made = self._write(subresource)(change, new, old, options, entries)
            made = _shown(made, resource, old, dry_run=options.dry_run)
            return scale_of(made) if is_scale else made, old is None

    def rescale(self, resource: Resource, scale: Object, options: WriteOptions = PLAIN) -> Object:
        """Want as many copies of an object as a scale of it says; the result is its scale. Versions as in `replace`."""
        with self.transaction(dry_run=options.dry_run) as change:
            old, options = change.get(resource, key(scale)), options.of(resource)
            made = self._rescale(change, scale, old, options)
            return scale_of(_shown(made, resource, old, dry_run=options.dry_run))

    def delete(
        self, resource: Resource, at: NamespacedName, wanted: Options = AS_USUAL, options: WriteOptions = PLAIN
    ) -> Object:
        """As `end`; the result is the object's last state."""
        return self.end(resource, at, wanted, options)[0]

    def end(
        self, resource: Resource, at: NamespacedName, wanted: Options = AS_USUAL, options: WriteOptions = PLAIN
    ) -> tuple[Object, bool]:
        """Ask for an object's end: it goes, or is marked and stays until its grace period and finalizers are over.

        The result is its last state, and whether it has gone. Raises NotFoundError, ConflictError (another object, or
        another state of it, was meant), ApiError (it must stay).
        """
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, at)
            if wanted.propagation is None and habits_of(resource).orphan_warning:
                options.warn(habits_of(resource).orphan_warning)
            last, is_gone = self._delete(change, resource, old, wanted)
            return _shown(last, resource, old, dry_run=options.dry_run), is_gone

    def finish(self, resource: Resource, at: NamespacedName, uid: str) -> None:
        """Whoever had to finish an object's deletion has: it goes when no finalizers are left. One that is gone is fine."""
        with self.transaction() as change:
            old = change.find(resource, at)
            if old is not None and metadata(old)["uid"] == uid:
                self._delete(change, resource, old, Options(grace_s=0))

    def apply(self, items: Iterable[Loaded], options: WriteOptions = PLAIN) -> list[Object]:
        """Create or update all objects, or none: every problem of every object is raised together.

        The namespaces that they are in are made with them. What a manifest says about the status of a new object is
        believed, and about one that nothing here writes.
        """
        options = replace(options, tolerant=True)
        wrong: list[Problem] = []
        made: list[Object] = []
        seen: dict[tuple[str, NamespacedName], str] = {}
        with self.transaction() as change:
            for item in write_order(with_namespaces(items, lambda at: bool(change.find(NAMESPACES, at)))):
                try:
                    made.append(self._apply(change, item, seen, options))
                except ManifestError as error:
                    wrong += placed(error.problems, item)
                except NotFoundError as error:  # its namespace has a problem of its own
                    wrong += placed([Problem("metadata.namespace", str(error))], item)
            if wrong:
                raise ManifestError(wrong)
        return made

    # --- steps

    def _given(self, obj: Object) -> tuple[Resource, Object]:
        resource = served(obj)
        return resource, as_stored(given_object(obj, resource, self.cluster.name), resource)

    def _patched(self, obj: Object, resource: Resource, at: NamespacedName) -> Object:
        """What a patch made of an object, if it is still that object."""
        try:
            _, new = self._given({**obj, "apiVersion": resource.api_version, "kind": resource.kind})
        except ManifestError as error:  # the patch has the wrong type, not the body of the request
            raise ManifestError(Problem(p.path, p.message) for p in error.problems) from error
        check_name(new, at)
        return new

    def _apply(
        self, change: Transaction, item: Loaded, seen: dict[tuple[str, NamespacedName], str], options: WriteOptions
    ) -> Object:
        resource, obj = self._given(item.obj)
        at = (resource.stored, key(obj))
        if at in seen:
            raise ManifestError([Problem("metadata.name", f"Duplicate value: {at[1]}: it is also in {seen[at]}")])
        seen[at], options = item.source, options.of(resource)
        old = change.find(resource, key(obj)) if name(obj) else None
        if old is None:
            meta = {field: value for field, value in metadata(obj).items() if field != "resourceVersion"}
            return self._create(change, {**obj, "metadata": meta}, options, with_status=True)
        made = self._replace(change, {**obj, "metadata": merged_metadata(obj, old)}, old, options)
        if self.strategy(resource).status_is_given and item.obj.get("status"):
            made = change.replace({**made, "status": obj["status"]})
        return made


def _shown(obj: Object, resource: Resource, old: Object | None, *, dry_run: bool) -> Object:
    """What the writer gets: in the version that was asked for; of a dry run, with the version that there was before."""
    if dry_run:
        meta = {**metadata(obj)}
        meta.pop("resourceVersion", None)
        if old is not None:
            meta["resourceVersion"] = metadata(old)["resourceVersion"]
        obj = {**obj, "metadata": meta}
    return in_version(obj, resource)
