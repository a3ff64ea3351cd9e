"""An API in memory, as strict as the real one, for whoever acts on objects: versions, names, finalizers, grace.

Its indexes are searches: slow, and obviously right.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from netproxy.client.port import EVERYTHING, Listing, Selector
from netproxy.controllers.port import Controller, Outcome
from netproxy.core.clock import timestamp
from netproxy.core.errors import ApiError, ConflictError, ManifestError, NotFoundError, Problem, UnavailableError
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Bind, Change, Create, Delete, Event, Finalize, Update, UpdateStatus, Values
from netproxy.objects.defaults import with_defaults
from netproxy.objects.kinds import NAMESPACES, PODS, RESOURCES, Resource, resource_of, stored_resource
from netproxy.objects.meta import Object, is_deleting, key, labels, metadata, namespace, spec, status, uid
from netproxy.objects.selector import matches, parse_selector
from netproxy.store.store import Event as StoreEvent
from netproxy.store.store import Store
from support.build import FixedClock

STORED = tuple(resource for resource in RESOURCES if stored_resource(resource) is resource)
POLICIES = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


class Searching:
    """An IndexedView over anything that has `find`, `list` and `all`."""

    find: Callable[[Resource, NamespacedName], Object | None]
    all: Callable[[Resource], Iterable[Object]]

    def by_owner(self, uid: str, resource: Resource | None = None) -> tuple[Object, ...]:
        return tuple(
            obj for each in (STORED if resource is None else (resource,)) for obj in self.all(each)
            if uid in [owner["uid"] for owner in metadata(obj).get("ownerReferences") or ()]
        )  # fmt: skip

    def by_node(self, node: str, resource: Resource = PODS) -> tuple[Object, ...]:
        return tuple(obj for obj in self.all(resource) if spec(obj).get("nodeName") == node)

    def by_namespace(self, resource: Resource, namespace: str) -> tuple[Object, ...]:
        return tuple(obj for obj in self.all(resource) if key(obj).namespace == namespace)

    def by_service(self, resource: Resource, service: NamespacedName) -> tuple[Object, ...]:
        return self.having(resource, _service_of, str(service))

    def having(self, resource: Resource, values: Values, value: str) -> tuple[Object, ...]:
        return tuple(obj for obj in self.all(resource) if value in values(obj))


def _service_of(obj: Object) -> Iterable[str]:
    return (f"{namespace(obj)}/{labels(obj).get('kubernetes.io/service-name')}",)


class World(Searching):
    """Objects, how they are asked for and changed, and who hears of it."""

    def __init__(self, *objects: Object) -> None:
        self.clock = FixedClock()
        self.made = 0
        self.store = Store(self.clock, self._new_uid)
        self.find, self.list, self.all = self.store.find, self.store.list, self.store.all
        for obj in objects:
            self.put(obj)

    def _new_uid(self) -> str:
        self.made += 1
        return f"uid-{self.made}"

    # --- what a test does to it

    def put(self, obj: Object) -> Object:
        """Create the object or put it in the place of what is there, status and all."""
        obj = with_defaults(obj)
        if self.find(_resource(obj), key(obj)) is None:
            return self._create(obj)
        meta = {k: v for k, v in metadata(obj).items() if k not in ("resourceVersion", "uid")}
        return self._written({**obj, "metadata": meta})

    def remove(self, resource: Resource, at: NamespacedName) -> None:
        """What the end of an object's grace is, and of its finalizers."""
        self._remove(resource, at)

    def make(self, change: Change) -> Object | None:
        """Carry out one change."""
        match change:
            case Create(obj):
                return self.create(obj)
            case Update(obj):
                return self.replace(obj)
            case UpdateStatus(obj):
                return self.replace_status(obj)
            case Finalize(obj):
                return self.finalize(obj)
            case Bind(pod, node):
                return self.bind(pod, node)
            case Delete(resource, at, of, options):
                return self.delete(resource, at, of, options)

    # --- what the API does

    def create(self, obj: Object) -> Object:
        resource = _resource(obj)
        space = self.find(NAMESPACES, NamespacedName("", namespace(obj))) if resource.namespaced else None
        if space is not None and is_deleting(space):
            raise ApiError(403, "Forbidden", f"namespace {namespace(obj)} is being terminated")
        return self._create(with_defaults({**obj, "metadata": {**metadata(obj), "resourceVersion": ""}}))

    def replace(self, obj: Object) -> Object:
        old = self.store.get(_resource(obj), key(obj))
        if obj["kind"] == "Pod" and spec(obj).get("nodeName") != spec(old).get("nodeName"):
            raise ManifestError([Problem("spec.nodeName", "may not change")])
        return self._written(with_defaults({**obj, "status": dict(status(old))}))

    def replace_status(self, obj: Object) -> Object:
        old = self.store.get(_resource(obj), key(obj))
        version = {"resourceVersion": metadata(obj).get("resourceVersion"), "uid": uid(obj)}
        return self._replace({**old, "metadata": {**old["metadata"], **version}, "status": obj["status"]})

    def bind(self, at: NamespacedName, node: str) -> None:
        pod = self.store.get(PODS, at)
        if spec(pod).get("nodeName") or is_deleting(pod):
            raise ConflictError(f"pod {at} is bound or being deleted")
        self._replace({**pod, "spec": {**spec(pod), "nodeName": node}})

    def finalize(self, obj: Object) -> Object:
        old = self.store.get(NAMESPACES, key(obj))
        given = {"finalizers": spec(obj).get("finalizers") or []}
        meta = {**old["metadata"], "resourceVersion": metadata(obj).get("resourceVersion"), "uid": uid(obj)}
        return self._written({**old, "metadata": meta, "spec": {**spec(old), **given}})

    def delete(
        self, resource: Resource, at: NamespacedName, of: str = "", options: Mapping[str, Any] | None = None
    ) -> None:
        old = self.store.get(resource, at)
        if of and of != uid(old):
            raise ConflictError(f"{resource.plural} {at} is another one")
        policy = POLICIES.get(str((options or {}).get("propagationPolicy")))
        grace = (options or {}).get("gracePeriodSeconds")
        if grace is None:
            grace = spec(old).get("terminationGracePeriodSeconds", 30)
        grace = grace if resource is PODS and spec(old).get("nodeName") else 0
        marked = self.mark_deleted(resource, at, grace_s=grace, finalizers=[policy] if policy else [])
        if resource is NAMESPACES:
            marked = self._replace({**marked, "status": {**status(marked), "phase": "Terminating"}})
        self._gone_if_done(marked)

    def mark_deleted(
        self, resource: Resource, at: NamespacedName, *, grace_s: int, finalizers: Iterable[str] = ()
    ) -> Object:
        """Set the deletion timestamp, and more finalizers."""
        old = self.store.get(resource, at)
        held = [*(metadata(old).get("finalizers") or ())]
        held += [item for item in finalizers if item not in held]
        meta = {**metadata(old), **({"finalizers": held} if held else {})}
        when = metadata(old).get("deletionTimestamp") or timestamp(self.clock.now() + grace_s)
        with self.store.transaction() as change:
            return change.mark_deleted(resource, at, at=when, grace_s=grace_s, changes={"metadata": meta})

    def _create(self, obj: Object) -> Object:
        with self.store.transaction() as change:
            return change.create(obj)

    def _replace(self, obj: Object) -> Object:
        with self.store.transaction() as change:
            return change.replace(obj)

    def _remove(self, resource: Resource, at: NamespacedName) -> Object:
        with self.store.transaction() as change:
            return change.remove(resource, at)

    def _written(self, obj: Object) -> Object:
        return self._gone_if_done(self._replace(obj))

    def _gone_if_done(self, obj: Object) -> Object:
        """An object that is deleted, has no grace left and nobody who finalizes it is removed."""
        holds = metadata(obj).get("finalizers") or (spec(obj).get("finalizers") if obj["kind"] == "Namespace" else ())
        if is_deleting(obj) and not metadata(obj).get("deletionGracePeriodSeconds") and not holds:
            self._remove(_resource(obj), key(obj))
        return obj

    # --- what a cache has, too: nothing here is ever late

    async def synced(self) -> None:
        """It always is."""

    def learn(self, obj: Object) -> None:
        """It is known already."""

    def subscribe(self, listener: Callable[[Event], None], *, replay: bool = False) -> Callable[[], None]:
        for event in [Event("ADDED", obj, None, r) for r in STORED for obj in self.all(r)] if replay else ():
            listener(event)
        return self.store.subscribe(lambda event: listener(Event(event.type, event.obj, event.old, event.resource)))

    # --- controllers, without a manager

    def look(self, controller: Controller[Any], at: Any) -> Outcome:
        """One look of a controller at a key; what it wants is carried out."""
        outcome = controller.reconcile(self, at, self.clock.now())
        if not any(self.is_there(one) for one in outcome.absent):
            for change in outcome.changes:
                self.make(change)
        return outcome

    def is_there(self, identity: Any) -> bool:
        found = self.find(identity.resource, identity.name)
        return found is not None and identity.uid in ("", uid(found))

    def settle(self, *controllers: Controller[Any], limit: int = 2000) -> int:
        """Let controllers look at everything, and at what follows, until nothing changes; how many changes that took."""
        due: dict[tuple[int, Any], None] = {}

        def note(event: Event) -> None:
            for number, controller in enumerate(controllers):
                keys = controller.watches.get(event.resource)
                due.update(dict.fromkeys((number, at) for at in (keys(self, event) if keys else ())))

        for resource in STORED:
            for obj in list(self.all(resource)):
                note(Event("ADDED", obj, None, resource))
        end, changes = self.subscribe(note), 0
        while due:
            number, at = next(iter(due))
            del due[number, at]
            changes += len(self.look(controllers[number], at).changes)
            assert changes < limit, "it never settles"
        end()
        return changes


class WorldApi:
    """A World as a client's Api."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def get(self, resource: Resource, at: NamespacedName) -> Object:
        return self.world.store.get(resource, at)

    async def list(self, resource: Resource, selector: Selector = EVERYTHING) -> Listing:
        terms = parse_selector(selector.labels)
        found = [obj for obj in self.world.list(resource, selector.namespace) if matches(terms, labels(obj))]
        return Listing(tuple(found), str(self.world.store.version))

    async def create(self, obj: Object) -> Object:
        return self.world.create(obj)

    async def replace(self, obj: Object) -> Object:
        return self.world.replace(obj)

    async def replace_status(self, obj: Object) -> Object:
        return self.world.replace_status(obj)

    async def bind(self, pod: NamespacedName, node: str) -> None:
        self.world.bind(pod, node)

    async def finalize(self, obj: Object) -> Object:
        return self.world.finalize(obj)

    async def delete(
        self, resource: Resource, at: NamespacedName, *, grace_s: int | None = None, propagation: str | None = None,
        uid: str | None = None,
    ) -> None:  # fmt: skip
        options = {"gracePeriodSeconds": grace_s, "propagationPolicy": propagation}
        self.world.delete(resource, at, uid or "", options)


class Unsteady(WorldApi):
    """An API that fails every now and then: before it did something, after it, or for no reason."""

    def __init__(self, world: World, chance: Callable[[], str]) -> None:
        super().__init__(world)
        self.chance = chance

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        if name not in ("get", "list", "create", "replace", "replace_status", "bind", "finalize", "delete"):
            return method

        async def tried(*args: Any, **options: Any) -> Any:
            match fault := self.chance():
                case "lost before":
                    raise UnavailableError(503, "ServiceUnavailable", fault)
                case "conflict":
                    raise ConflictError(fault)
                case "bug":
                    raise RuntimeError(fault)
            answer = await method(*args, **options)
            if fault == "lost after":
                raise UnavailableError(0, "", fault)
            return answer

        return tried


class Late(Searching):
    """What a client knows of a World that tells it late: each resource in its own time, in order. Own writes are known at once."""

    def __init__(self, world: World) -> None:
        self._objects: dict[str, dict[NamespacedName, Object]] = {resource.stored: {} for resource in STORED}
        self._told = dict.fromkeys(self._objects, 0)
        self._untold: dict[str, list[StoreEvent]] = {resource.stored: [] for resource in STORED}
        self._listeners: list[Callable[[Event], None]] = []
        world.store.subscribe(lambda event: self._untold[event.resource.stored].append(event))

    def find(self, resource: Resource, name: NamespacedName) -> Object | None:
        return self._objects[resource.stored].get(name)

    def all(self, resource: Resource) -> Iterable[Object]:
        return list(self._objects[resource.stored].values())

    def list(self, resource: Resource, in_namespace: str = "") -> Iterable[Object]:
        return iter(sorted((o for o in self.all(resource) if in_namespace in ("", namespace(o))), key=key))

    async def synced(self) -> None:
        """A test tells it."""

    def subscribe(self, listener: Callable[[Event], None], *, replay: bool = False) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def late(self) -> list[str]:
        """The resources of which there is something to tell."""
        return [stored for stored, events in self._untold.items() if events]

    def tell(self, stored: str) -> None:
        """Tell the next event of a resource."""
        event = self._untold[stored].pop(0)
        self._told[stored] = event.version
        known = self._objects[stored].get(key(event.obj))
        if event.type == "DELETED":
            if known is not None and _version(known) <= event.version:
                del self._objects[stored][key(event.obj)]
                self._say(Event("DELETED", event.obj, known, event.resource))
        else:
            self._put(event.resource, event.obj)

    def learn(self, obj: Object) -> None:
        resource = stored_resource(_resource(obj))
        if _version(obj) > self._told[resource.stored]:
            self._put(resource, obj)

    def _put(self, resource: Resource, obj: Object) -> None:
        objects = self._objects[resource.stored]
        known = objects.get(key(obj))
        if known is not None and _version(known) >= _version(obj):
            return
        objects[key(obj)] = obj
        self._say(Event("MODIFIED" if known else "ADDED", obj, known, resource))

    def _say(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _version(obj: Object) -> int:
    return int(metadata(obj)["resourceVersion"])


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of something that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def _resource(obj: Object) -> Resource:
    found = resource_of(obj)
    if found is None:
        raise NotFoundError(f"no resource of kind {obj.get('kind')}")
    return found
