"""The one door for writers: what happens between a wish and the store. All or nothing.

A strategy a resource says how its objects come in (`strategy`); here is the order in which it is asked.

Source: kubernetes staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go (the order of steps).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from netproxy.core.clock import timestamp
from netproxy.core.errors import AlreadyExistsError, ApiError, ManifestError, NotFoundError, Problem
from netproxy.core.names import NamespacedName
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.kinds import NAMESPACES, NODES, PODS, SERVICES, Resource
from netproxy.objects.manifest import Loaded, placed
from netproxy.objects.meta import Object, key, metadata, name, spec
from netproxy.registry.allocate import Holdings
from netproxy.registry.convert import as_stored, in_version
from netproxy.registry.deletion import AS_USUAL, Options, check, is_over, verdict
from netproxy.registry.given import (
    check_name,
    generated_name,
    given_object,
    merged_metadata,
    served,
    with_namespaces,
    write_order,
)
from netproxy.registry.habits import habits_of
from netproxy.registry.managed import is_timely
from netproxy.registry.namespace import NamespaceStrategy, check_namespace
from netproxy.registry.node import NodeStrategy
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.patch import patched
from netproxy.registry.pod import PodStrategy, bound
from netproxy.registry.service import ServiceStrategy
from netproxy.registry.strategy import Strategy
from netproxy.registry.tracking import tracked, with_entries
from netproxy.registry.versions import check_uid, check_version, first_generation, next_generation, with_fixed
from netproxy.store.store import Store
from netproxy.store.transaction import Transaction


class Registry:
    """Admits objects to a store as the API server does. Whoever reads asks the store; whoever writes comes here."""

    def __init__(self, store: Store, cluster: ClusterSpec) -> None:
        self.store = store
        self.cluster = cluster
        holdings = Holdings(cluster)
        store.index(SERVICES, holdings)
        self._strategies: dict[str, Strategy] = {
            SERVICES.stored: ServiceStrategy(lambda: self.cluster, holdings),
            PODS.stored: PodStrategy(PODS),
            NODES.stored: NodeStrategy(NODES),
            NAMESPACES.stored: NamespaceStrategy(NAMESPACES),
        }

    def strategy(self, resource: Resource) -> Strategy:
        """How objects of a resource come in."""
        found = self._strategies.get(resource.stored)
        if found is None:
            found = self._strategies[resource.stored] = Strategy(resource)
        return found

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

    def replace_status(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Put the object's status in the stored one's place; all else stays. Versions as in `replace`."""
        resource, new = self._given(obj)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, key(new))
            check_uid(new, old, resource)
            return _shown(self._replace_status(change, new, old, options), resource, old, dry_run=options.dry_run)

    def finalize(self, obj: Object, options: WriteOptions = PLAIN) -> Object:
        """Put a Namespace's finalizers in the stored ones' place; a deleted Namespace without any goes."""
        resource, new = self._given(obj)
        options = options.of(resource)
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, key(new))
            check_uid(new, old, resource)
            return _shown(self._finalize(change, new, old, options), resource, old, dry_run=options.dry_run)

    def bind(self, pod: NamespacedName, node: str, options: WriteOptions = PLAIN) -> Object:
        """Let a Pod run on a node. Raises ConflictError when it has one already, NotFoundError."""
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(PODS, pod)
            new = change.replace(bound(old, node, timestamp(self.store.clock.now())))
            return _shown(new, PODS, old, dry_run=options.dry_run)

    def patch(
        self, resource: Resource, at: NamespacedName, body: Any, content_type: str, options: WriteOptions = PLAIN, *,
        subresource: str = "",
    ) -> Object:  # fmt: skip
        """Change an object by a patch. Raises what `replace` raises, and ManifestError for a patch that does not fit."""
        with self.transaction(dry_run=options.dry_run) as change:
            old, options = change.get(resource, at), options.of(resource)
            obj = patched(in_version(old, resource), body, content_type)
            if not isinstance(obj, dict):
                raise ApiError(400, "BadRequest", "the patch leaves no object")
            new = self._patched(obj, resource, at)
            write = {"": self._replace, "status": self._replace_status, "finalize": self._finalize}[subresource]
            return _shown(write(change, new, old, options), resource, old, dry_run=options.dry_run)

    def delete(
        self, resource: Resource, at: NamespacedName, wanted: Options = AS_USUAL, options: WriteOptions = PLAIN
    ) -> Object:
        """Ask for an object's end: it goes, or is marked and stays until its grace period and finalizers are over.

        The result is its last state (`deletion.is_over` tells whether a marked one has gone). Raises NotFoundError,
        ConflictError (another object, or another state of it, was meant), ApiError (it must stay).
        """
        with self.transaction(dry_run=options.dry_run) as change:
            old = change.get(resource, at)
            return _shown(self._delete(change, resource, old, wanted), resource, old, dry_run=options.dry_run)

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

    def _create(self, change: Transaction, obj: Object, options: WriteOptions, *, with_status: bool = False) -> Object:
        resource = served(obj)
        obj = sent = with_defaults(obj)
        if not name(obj) and metadata(obj).get("generateName"):
            obj = {**obj, "metadata": {**metadata(obj), "name": generated_name(obj, self.store.new_uid())}}
        check_namespace(change, resource, key(obj))
        strategy = self.strategy(resource)
        new = strategy.new(obj, with_status=with_status)
        strategy.check(new, None)
        there = change.find(resource, key(new)) if name(new) else None
        if there is not None:
            deleted = "object is being deleted: " if metadata(there).get("deletionTimestamp") else ""
            raise AlreadyExistsError(f'{deleted}{resource.group_resource} "{name(new)}" already exists')
        if metadata(obj).get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        _warn(strategy, new, None, options)
        new = first_generation(strategy.settled(new, None), resource)
        return change.create(with_entries(new, self._tracked(None, sent, options)))

    def _replace(self, change: Transaction, obj: Object, old: Object, options: WriteOptions) -> Object:
        resource = served(old)
        check_version(obj, old, resource)
        strategy = self.strategy(resource)
        sent = with_defaults(obj)
        new = strategy.updated(with_fixed(sent, old), old)
        strategy.check(new, old)
        _warn(strategy, new, old, options)
        new = next_generation(strategy.settled(new, old), old, resource)
        return self._put(change, with_entries(new, self._tracked(old, sent, options)), old)

    def _replace_status(self, change: Transaction, obj: Object, old: Object, options: WriteOptions) -> Object:
        resource = served(old)
        check_version(obj, old, resource)
        strategy = self.strategy(resource)
        if not strategy.has_status:
            raise NotFoundError("the server could not find the requested resource")
        new = strategy.reported(with_fixed(obj, old), old)
        strategy.check_status(new, old)
        _warn(strategy, new, old, options)
        return self._put(change, with_entries(new, self._tracked(old, new, options, "status")), old)

    def _finalize(self, change: Transaction, obj: Object, old: Object, options: WriteOptions) -> Object:
        check_version(obj, old, served(old))
        finalizers = spec(obj).get("finalizers") or []
        new = {
            **with_fixed(obj, old),
            "spec": {**spec(old), "finalizers": finalizers},
            "status": old.get("status") or {},
        }
        return self._put(change, with_entries(new, self._tracked(old, new, options, "finalize")), old)

    def _put(self, change: Transaction, new: Object, old: Object) -> Object:
        """Store a new state; a deleted object that nothing holds any more goes."""
        if is_over(new) and not self.strategy(served(old)).is_held(new):
            change.remove(served(old), key(old))
            return new
        before = metadata(old).get("managedFields") or []
        if is_timely(metadata(new).get("managedFields") or [], before) and with_entries(new, before) == old:
            return old
        return change.replace(new)

    def _tracked(
        self, old: Object | None, new: Object, options: WriteOptions, subresource: str = ""
    ) -> list[dict[str, Any]]:
        """Who manages the fields of what was sent, which is as it is stored, with defaults."""
        now = timestamp(self.store.clock.now())
        return tracked(old, new, options.resource or served(new), options.manager, now, subresource)

    def _delete(self, change: Transaction, resource: Resource, old: Object, options: Options) -> Object:
        strategy = self.strategy(resource)
        strategy.check_deletion(old)
        check(in_version(old, resource), options)
        grace_s = strategy.grace_s(old, options)
        result = verdict(old, options, grace_s, self.store.clock.now(), held=strategy.is_held(old))
        if result.mark:
            meta = {**metadata(old), "finalizers": list(result.mark.finalizers)}
            if not result.mark.finalizers:
                del meta["finalizers"]
            changes = {**strategy.marked(old), "metadata": meta}
            old = change.mark_deleted(
                resource, key(old), at=result.mark.at, grace_s=result.mark.grace_s, changes=changes
            )
        return change.remove(resource, key(old)) if result.gone else old

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
        if self.strategy(resource).status_is_given and obj.get("status"):
            made = change.replace({**made, "status": obj["status"]})
        return made


def _warn(strategy: Strategy, new: Object, old: Object | None, options: WriteOptions) -> None:
    for text in strategy.warnings(new, old):
        options.warn(text)


def _shown(obj: Object, resource: Resource, old: Object | None, *, dry_run: bool) -> Object:
    """What the writer gets: in the version that was asked for; of a dry run, with the version that there was before."""
    if dry_run:
        meta = {**metadata(obj)}
        meta.pop("resourceVersion", None)
        if old is not None:
            meta["resourceVersion"] = metadata(old)["resourceVersion"]
        obj = {**obj, "metadata": meta}
    return in_version(obj, resource)
