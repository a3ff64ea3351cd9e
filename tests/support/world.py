"""A registry and all that is in it, for whoever acts on objects; nothing else is alive in it.

Its indexes are searches: slow, and obviously right.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from netproxy.controllers.port import Controller, Outcome
from netproxy.core.errors import ConflictError, NotFoundError, UnavailableError
from netproxy.core.names import NamespacedName
from netproxy.manager.worker import carried_out
from netproxy.objects.canonical import canonical
from netproxy.objects.change import Change, Event, Values
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.kinds import PODS, RESOURCES, Resource, resource_of, stored_resource
from netproxy.objects.meta import Object, key, labels, metadata, namespace, spec, uid
from netproxy.registry.deletion import Options
from netproxy.registry.registry import Registry
from netproxy.store.store import Event as StoreEvent
from netproxy.store.store import Store
from support.build import FixedClock

STORED = tuple(resource for resource in RESOURCES if stored_resource(resource) is resource)


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
        self.registry = Registry(self.store, ClusterSpec())
        self.find, self.list, self.all = self.store.find, self.store.list, self.store.all
        for obj in objects:
            self.put(obj)

    def _new_uid(self) -> str:
        self.made += 1
        return f"uid-{self.made}"

    # --- what a test does to it

    def put(self, obj: Object) -> Object:
        """Let the object be there as it is given, status and all, whoever may write that."""
        obj = with_defaults(canonical(obj))
        with self.store.transaction() as change:
            if change.find(_resource(obj), key(obj)) is None:
                return change.create(obj)
            meta = {k: v for k, v in metadata(obj).items() if k not in ("resourceVersion", "uid")}
            return change.replace({**obj, "metadata": meta})

    def remove(self, resource: Resource, at: NamespacedName) -> None:
        """Let the object be gone at once."""
        with self.store.transaction() as change:
            change.remove(resource, at)

    def make(self, change: Change) -> Object | None:
        """Carry out one change."""
        return now(carried_out(WorldApi(self), change))

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
    """A World as a client's Api, as far as controllers need one: its registry."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.registry = world.registry

    async def get(self, resource: Resource, at: NamespacedName) -> Object:
        return self.world.store.get(resource, at)

    async def create(self, obj: Object) -> Object:
        return self.registry.create(obj)

    async def replace(self, obj: Object) -> Object:
        return self.registry.replace(obj)

    async def replace_status(self, obj: Object) -> Object:
        return self.registry.replace_status(obj)

    async def bind(self, pod: NamespacedName, node: str) -> None:
        self.registry.bind(pod, node)

    async def finalize(self, obj: Object) -> Object:
        return self.registry.finalize(obj)

    async def delete(
        self, resource: Resource, at: NamespacedName, *, grace_s: int | None = None, propagation: str | None = None,
        uid: str | None = None,
    ) -> None:  # fmt: skip
        self.registry.delete(resource, at, Options(grace_s, propagation, uid))


class Unsteady(WorldApi):
    """An API that fails every now and then: before it did something, after it, or for no reason."""

    def __init__(self, world: World, chance: Callable[[], str]) -> None:
        super().__init__(world)
        self.chance = chance

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        if name not in ("get", "create", "replace", "replace_status", "bind", "finalize", "delete"):
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
    """The result of something that waits for nothing; it may let others have their turn."""
    try:
        while work.send(None) is None:
            pass
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def _resource(obj: Object) -> Resource:
    found = resource_of(obj)
    if found is None:
        raise NotFoundError(f"no resource of kind {obj.get('kind')}")
    return found
