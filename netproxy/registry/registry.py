"""The one door for writers: what happens between a wish and the store. All or nothing.

A strategy a resource says how its objects come in (`strategy`), `steps` in which order it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netproxy.core.clock import timestamp
from netproxy.core.errors import ManifestError, NotFoundError, Problem
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import NAMESPACES, PODS, Resource
from netproxy.objects.manifest import Loaded, placed
from netproxy.objects.meta import Object, key, metadata, name
from netproxy.registry.accounts import with_what_was_given
from netproxy.registry.admission import topology_labels
from netproxy.registry.binding import bound
from netproxy.registry.deletion import AS_USUAL, Options
from netproxy.registry.given import (
    merged_metadata,
    with_namespaces,
    write_order,
)
from netproxy.registry.habits import habits_of
from netproxy.registry.namespace import check_namespace
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.patching import Patches, shown
from netproxy.registry.scale import scale_of
from netproxy.registry.versions import check_precondition, check_uid, without_system_fields
from netproxy.store.transaction import Transaction


class Registry(Patches):
    """Admits objects to a store as the API server does. Whoever reads asks the store; whoever writes comes here."""

    # --- writes

    def create(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Admit and store a new object. Raises ManifestError, AlreadyExistsError, NotFoundError (no such namespace)."""
        resource, new = self._given(obj, options)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            return shown(self._create(change, new, options), resource, None, dry_run=options.dry_run)

    def put(self, obj: Object, options: WriteOptions = PLAIN) -> tuple[Object, bool]:
        """As `replace`, but an object that is not there is made, where its resource is made so; also, whether it was."""
        resource, new = self._given(obj, options)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            is_new = habits_of(resource).is_put and change.find(resource, key(new)) is None
            if is_new:
                check_uid(new, without_system_fields(new), resource)  # there is none with this uid
        return (self.create(obj, replace(options, is_put=True)) if is_new else self.replace(obj, options)), is_new

    def replace(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Put a new state in an object's place; its status stays. Raises ManifestError, ConflictError, NotFoundError."""
        resource, new = self._given(obj, options)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, key(new))
            check_uid(new, old, resource)
            return shown(self._replace(change, new, old, options), resource, old, dry_run=options.dry_run)

    def replace_part(self, obj: Object, subresource: str, options: WriteOptions = PLAIN) -> Object:
        """Put a part of the object in the place of the stored one's; all else stays. Versions as in `replace`."""
        resource, new = self._given(obj, options)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            if options.is_put and habits_of(resource).is_put and change.find(resource, key(new)) is None:
                return self.create(obj, options)
            old = change.get(resource, key(new))
            check_uid(new, old, resource)
            made = self._write(subresource)(change, new, old, options)
            return shown(made, resource, old, dry_run=options.dry_run)

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
            check_namespace(change, PODS, pod)
            old = change.get(PODS, pod)
            check_precondition(binding or {}, old, PODS)
            is_node = binding is None or binding["target"].get("kind") == "Node"
            where = topology_labels(change, node) if is_node else {}
            new = change.replace(bound(old, node, timestamp(self.store.clock.now()), binding, where))
            return shown(new, PODS, old, dry_run=options.dry_run)

    def rescale(self, resource: Resource, scale: Object, options: WriteOptions = PLAIN) -> Object:
        """Want as many copies of an object as a scale of it says; the result is its scale. Versions as in `replace`."""
        with self.transaction(dry_run=options.dry_run) as change:
            old, options = change.get(resource, key(scale)), options.of(resource)
            made = self._rescale(change, scale, old, options)
            return scale_of(shown(made, resource, old, dry_run=options.dry_run), resource)

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
            warn_of(resource, wanted, options)
            last, is_gone = self._delete(change, resource, old, wanted)
            return shown(last, resource, old, dry_run=options.dry_run), is_gone

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
        if resource is PODS:
            obj = with_what_was_given(obj, old)
        made = self._replace(change, {**obj, "metadata": merged_metadata(obj, old)}, old, options)
        if self.strategy(resource).status_is_given and item.obj.get("status"):
            made = change.replace({**made, "status": obj["status"]})
        return made


def warn_of(resource: Resource, wanted: Options, options: WriteOptions) -> None:
    """Say what becomes of what the objects of a resource own, where that may surprise who ends them."""
    if wanted.propagation is None and habits_of(resource).orphan_warning:
        options.warn(habits_of(resource).orphan_warning)
