"""The steps of a write: in which order a strategy is asked, and what is looked at on the way.

Source: kubernetes staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go (the order of steps).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from netproxy.core.clock import timestamp
from netproxy.core.errors import AlreadyExistsError, ApiError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.core.numbers import whole
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.kinds import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    IP_ADDRESSES,
    JOBS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUMES,
    PODS,
    PRIORITY_CLASSES,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
    resource_of,
)
from netproxy.objects.meta import Object, is_deleting, key, metadata, name
from netproxy.objects.validate import part_refusals
from netproxy.registry.accounts import with_its_account
from netproxy.registry.admission import admitted, admitted_part, permitted
from netproxy.registry.allocate import Holdings
from netproxy.registry.convert import as_stored, in_version
from netproxy.registry.custom import strategy_of
from netproxy.registry.customs import Customs
from netproxy.registry.definitions import CLEANUP, OWN, DefinitionStrategy, check_open, settled, without_instances
from netproxy.registry.deletion import Options, is_over
from netproxy.registry.disabled import without_disabled
from netproxy.registry.given import (
    as_kept,
    generated_name,
    with_uid,
)
from netproxy.registry.ipaddresses import MANAGER, addresses_of
from netproxy.registry.managed import Entries, is_timely
from netproxy.registry.namespace import NamespaceStrategy, check_namespace
from netproxy.registry.node import NodeStrategy
from netproxy.registry.options import WriteOptions
from netproxy.registry.part import PARTS
from netproxy.registry.pod import PodStrategy
from netproxy.registry.priority import PriorityClassStrategy
from netproxy.registry.scale import scaled
from netproxy.registry.scaled import rescaled
from netproxy.registry.service import ServiceStrategy
from netproxy.registry.strategy import Strategy
from netproxy.registry.tracking import tracked, with_entries
from netproxy.registry.versions import (
    check_uid,
    check_version,
    first_generation,
    next_generation,
    with_fixed,
    with_owners_once,
    without_system_fields,
)
from netproxy.registry.volume import VolumeStrategy
from netproxy.registry.workloads import DaemonSetStrategy, JobStrategy, TemplateStrategy
from netproxy.store.store import Store
from netproxy.store.transaction import Transaction

CONTROLLERS = "kube-controller-manager"
"""Who writes what controllers make."""


def _strategies(store: Store) -> dict[str, Strategy]:
    """The strategies of kinds with habits of their own, but for those of Services."""

    def now() -> str:
        return timestamp(store.clock.now())

    templated = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS)
    return {
        PODS.stored: PodStrategy(PODS, lambda: store.all(PRIORITY_CLASSES), now),
        PERSISTENT_VOLUMES.stored: VolumeStrategy(now),
        PRIORITY_CLASSES.stored: PriorityClassStrategy(PRIORITY_CLASSES),
        JOBS.stored: JobStrategy(JOBS),
        DAEMON_SETS.stored: DaemonSetStrategy(DAEMON_SETS),
        **{kind.stored: TemplateStrategy(kind) for kind in templated},
        NODES.stored: NodeStrategy(NODES),
        NAMESPACES.stored: NamespaceStrategy(NAMESPACES),
        CUSTOM_RESOURCE_DEFINITIONS.stored: DefinitionStrategy(CUSTOM_RESOURCE_DEFINITIONS, now),
    }


class Steps:
    """What a registry does with one object. Each method is called inside a transaction."""

    def __init__(self, store: Store, cluster: ClusterSpec, *, gives_accounts: bool = False) -> None:
        """GIVES_ACCOUNTS: new Pods get a service account, and a volume with its token."""
        self.store = store
        self._gives_accounts = gives_accounts
        self.cluster = cluster
        self.customs = Customs()
        store.index(CUSTOM_RESOURCE_DEFINITIONS, self.customs)
        holdings = Holdings(cluster)
        store.index(SERVICES, holdings)
        self._strategies = {SERVICES.stored: ServiceStrategy(lambda: self.cluster, holdings), **_strategies(store)}

    def strategy(self, resource: Resource) -> Strategy:
        """How objects of a resource come in."""
        if resource.custom is not None:
            return strategy_of(resource.custom)
        found = self._strategies.get(resource.stored)
        if found is None:
            found = self._strategies[resource.stored] = Strategy(resource)
        return found

    def _create(
        self, change: Transaction, obj: Object, options: WriteOptions, *, with_status: bool = False,
        entries: Entries | None = None,
    ) -> Object:  # fmt: skip
        """Store a new object; its fields are managed as ENTRIES say, or by who made it."""
        resource = self.customs.served(obj)
        strategy = self.strategy(resource)
        obj = with_owners_once(without_system_fields(obj), options.warn, late=False)
        sent = strategy.defaulted(obj)
        obj = as_kept(sent, resource)
        if not name(obj) and metadata(obj).get("generateName"):
            obj = {**obj, "metadata": {**metadata(obj), "name": generated_name(obj, self.store.new_uid())}}
        check_namespace(change, resource, key(obj))
        check_open(resource, name(obj))
        obj = with_uid(obj, self.store.new_uid())
        if self._gives_accounts and resource is PODS:
            obj = self._with_account(change, obj)
        obj = admitted(change, obj, None, resource)
        options.guard(obj, None)
        new = _checked(strategy, strategy.new(obj, with_status=with_status), options)
        _warn(strategy, new, None, options)
        self._permit(change, new, None)
        there = change.find(resource, key(new)) if name(new) else None
        if there is not None:
            raise _taken(there, options.resource or resource)
        version = str(metadata(obj).get("resourceVersion") or "0")
        if version.isascii() and version.isdigit() and whole(version) and not options.is_put:
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        new = first_generation(new, resource)
        new = with_entries(new, self._tracked(None, sent, options) if entries is None else entries)
        made = change.create(as_stored(new, resource), resource)
        self._follow(change, made, None)
        self._settle(change, resource, made)
        return made

    def _with_account(self, change: Transaction, pod: Object) -> Object:
        def make(account: Object) -> Object:
            return self._create(change, account, WriteOptions(manager=CONTROLLERS))

        return with_its_account(pod, partial(change.find, SERVICE_ACCOUNTS), make, self.store.new_uid())

    def _replace(
        self, change: Transaction, obj: Object, old: Object, options: WriteOptions, entries: Entries | None = None
    ) -> Object:
        resource = self.customs.served(obj)
        old = _as_seen(old, resource)
        check_version(obj, old, options.resource or resource)
        strategy = self.strategy(resource)
        sent = with_owners_once(strategy.defaulted(obj), options.warn, late=options.is_patch)
        new = strategy.updated(with_fixed(admitted(change, as_kept(sent, resource), old, resource), old), old)
        options.guard(new, old)
        new = strategy.settled(new, old, options)
        strategy.check(new, old, options)
        new = next_generation(new, old, resource)
        _warn(strategy, new, old, options)
        self._permit(change, new, old)
        entries = self._tracked(old, sent, options) if entries is None else entries
        return self._put(change, with_entries(new, entries), old)

    def _replace_status(
        self, change: Transaction, obj: Object, old: Object, options: WriteOptions, entries: Entries | None = None
    ) -> Object:
        resource = self.customs.served(obj)
        old = _as_seen(old, resource)
        check_version(obj, old, options.resource or resource)
        strategy = self.strategy(resource)
        if not strategy.has_status:
            raise NotFoundError("the server could not find the requested resource")
        sent = with_fixed(strategy.defaulted(obj), old)
        new = strategy.reported(sent, old)
        strategy.check_status(new, old)
        for text in strategy.status_warnings(new, old):
            options.warn(text)
        self._permit(change, new, old, "status")
        entries = self._tracked(old, sent, options, "status") if entries is None else entries
        return self._put(change, strategy.defaulted(with_entries(new, entries)), old)

    def _rescale(
        self, change: Transaction, scale: Object, old: Object, options: WriteOptions, entries: Entries | None = None
    ) -> Object:
        resource = self.customs.served(old) if options.resource is None else options.resource
        old = _as_seen(old, resource)
        check_uid(scale, old, resource)
        new = scaled(old, scale, resource)
        if resource.custom is None or metadata(scale).get("resourceVersion"):
            check_version(scale, old, resource)
        if resource.custom is not None:
            self.strategy(resource).check(new, old, options)
        new = next_generation(new, old, resource)
        if entries is None:
            entries = rescaled(
                old, new, options.resource or resource, options.manager, timestamp(self.store.clock.now())
            )
        return self._put(change, with_entries(new, entries), old)

    def _write(self, subresource: str) -> Callable[..., Object]:
        """What puts a new state of an object, or of a part of it, in the place of the old one."""
        if subresource in PARTS:
            return partial(self._replace_part, subresource)
        return {"": self._replace, "status": self._replace_status, "scale": self._rescale}[subresource]

    def _replace_part(
        self, part: str, change: Transaction, obj: Object, old: Object, options: WriteOptions,
        entries: Entries | None = None,
    ) -> Object:  # fmt: skip
        resource = self.customs.served(old)
        check_version(obj, old, options.resource or resource)
        sent = with_defaults(obj)
        new = without_disabled(PARTS[part](admitted_part(change, sent, old, part), old))
        wrong = part_refusals(new, old, part)
        if wrong:
            raise ManifestError(wrong)
        self._permit(change, new, old, part)
        new = next_generation(new, old, resource)
        entries = self._tracked(old, sent, options, part) if entries is None else entries
        return self._put(change, with_entries(new, entries), old)

    def _permit(self, change: Transaction, new: Object, old: Object | None, part: str = "") -> None:
        """Let a write that is right in itself in, and count what it uses. Raises ApiError when it must not be."""
        for quota in permitted(change, new, old, self.customs.served(new), self.store.clock.now(), part):
            before = change.get(RESOURCE_QUOTAS, key(quota))
            self._replace_status(change, quota, before, WriteOptions(manager=MANAGER))

    def _put(self, change: Transaction, new: Object, old: Object) -> Object:
        """Store a new state; a deleted object that nothing holds any more goes."""
        resource = self.customs.served(new)
        if is_over(new) and not self.strategy(resource).is_held(new):
            change.remove(resource, key(old))
            self._follow(change, None, old)
            self._settle(change, resource, None)
            return new
        before = metadata(old).get("managedFields") or []
        if is_timely(metadata(new).get("managedFields") or [], before) and with_entries(new, before) == old:
            return old
        self._follow(change, new, old)
        made = change.replace(as_stored(new, resource), resource)
        self._settle(change, resource, made)
        return made

    def _follow(self, change: Transaction, new: Object | None, old: Object | None) -> None:
        """Make and remove what comes and goes with an object: the IPAddresses of a Service."""
        if (new or old or {}).get("kind") == SERVICES.kind and resource_of(new or old or {}) is SERVICES:
            after, before = addresses_of(new), addresses_of(old)
            for ip in before.keys() - after.keys():
                if change.find(IP_ADDRESSES, NamespacedName("", ip)) is not None:
                    change.remove(IP_ADDRESSES, NamespacedName("", ip))
            for ip in after.keys() - before.keys():
                if change.find(IP_ADDRESSES, NamespacedName("", ip)) is None:
                    self._create(change, after[ip], WriteOptions(manager=MANAGER))

    def _tracked(self, old: Object | None, new: Object, options: WriteOptions, subresource: str = "") -> Entries:
        """Who manages the fields of what was sent, which is as it is stored, with defaults."""
        now = timestamp(self.store.clock.now())
        return tracked(old, new, options.resource or self.customs.served(new), options.manager, now, subresource)

    def _delete(self, change: Transaction, resource: Resource, old: Object, options: Options) -> tuple[Object, bool]:
        strategy = self.strategy(resource)
        strategy.check_deletion(old)
        strategy.check_meant(in_version(old, resource), options)
        result = strategy.verdict(old, options, self.store.clock.now())
        if result.mark:
            meta = {**metadata(old), "finalizers": list(result.mark.finalizers)}
            if not result.mark.finalizers:
                del meta["finalizers"]
            changes = {**strategy.marked(old), "metadata": meta}
            old = change.mark_deleted(
                resource, key(old), at=result.mark.at, grace_s=result.mark.grace_s, changes=changes,
                counts=strategy.end_counts,
            )  # fmt: skip
            self._settle(change, resource, old)
        if not result.gone:
            return old, False
        self._follow(change, None, old)
        last = change.remove(resource, key(old))
        self._settle(change, resource, None)
        return last, True

    def _settle(self, change: Transaction, resource: Resource, made: Object | None) -> None:
        """Do what the server itself does once a definition is written, or the last object of one is gone."""
        if resource is CUSTOM_RESOURCE_DEFINITIONS:
            self._settle_definitions(change, made)
        elif resource.custom is not None and made is None:
            definition = change.find(CUSTOM_RESOURCE_DEFINITIONS, key(resource.custom.definition.obj))
            is_last = not any(True for _ in change.all(resource))
            if is_last and definition is not None and is_deleting(definition):
                self._settle_definitions(change, definition)

    def _settle_definitions(self, change: Transaction, made: Object | None) -> None:
        """Names and conditions of a definition, the end of its objects; of all that are left when one is gone."""
        for obj in (made,) if made is not None else change.list(CUSTOM_RESOURCE_DEFINITIONS):
            wanted = settled(obj, change.all(CUSTOM_RESOURCE_DEFINITIONS), timestamp(self.store.clock.now()))
            if wanted is not None:
                self._replace_status(change, wanted, obj, OWN)
                return  # which has settled what that leads to
        if made is not None and is_deleting(made):
            self._end_instances(change, made)

    def _end_instances(self, change: Transaction, definition: Object) -> None:
        """End the objects of a definition that is to go; once there are none, it goes."""
        if CLEANUP not in (metadata(definition).get("finalizers") or ()):
            return
        custom = self.customs.definition(name(definition))
        resource = custom.storage.resource if custom is not None else None
        if resource is not None:
            for obj in list(change.list(resource)):
                if not is_deleting(obj):
                    self._delete(change, resource, obj, Options())
        current = change.find(CUSTOM_RESOURCE_DEFINITIONS, key(definition))
        if current is not None and (resource is None or not any(True for _ in change.all(resource))):
            done = without_instances(current, timestamp(self.store.clock.now()), had_any=resource is not None)
            self._replace_status(change, done, current, OWN)


def _checked(strategy: Strategy, obj: Object, options: WriteOptions) -> Object:
    """A new object with what is handed out to it, if nothing is wrong with it."""
    try:
        new = strategy.settled(obj, None, options)
        strategy.check(new, None, options)
    except ManifestError as error:  # the request did not name it
        raise error.with_details(**{**(error.details or {}), "name": name(obj)}) from None
    return new


def _taken(there: Object, resource: Resource) -> AlreadyExistsError:
    deleted = "object is being deleted: " if metadata(there).get("deletionTimestamp") else ""
    error = AlreadyExistsError(f'{deleted}{resource.group_resource} "{name(there)}" already exists')
    error.with_details(**resource.details(name(there)))
    return error


def _as_seen(old: Object, resource: Resource) -> Object:
    """A custom object in the version in which it is written."""
    return in_version(old, resource) if resource.custom is not None else old


def _warn(strategy: Strategy, new: Object, old: Object | None, options: WriteOptions) -> None:
    for text in strategy.warnings(new, old):
        options.warn(text)
