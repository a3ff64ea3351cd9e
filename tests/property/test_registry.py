"""Whatever several clients do in whatever order, and whichever commits fail: what is watched, listed and kept is the same."""

import json
from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from support.api import Backing, a_registry, a_store
from support.build import FixedClock, pod_object, service_object
from support.examples import examples

from netproxy.apiserver.watch import Teller, Told, Watch
from netproxy.core.errors import NetproxyError
from netproxy.objects.kinds import CONFIG_MAPS, EVENTS, EVENTS_V1, IP_ADDRESSES, PODS, SERVICES, resource_of
from netproxy.objects.meta import key, labels, metadata
from netproxy.registry.allocate import Holdings
from netproxy.registry.convert import in_version
from netproxy.registry.deletion import Options, is_over
from netproxy.registry.options import WriteOptions

NAMESPACES = ("default", "kube-system")
RESOURCES = (CONFIG_MAPS, SERVICES, PODS, EVENTS)
names = st.sampled_from(["a", "b", "c"])
namespaces = st.sampled_from(NAMESPACES)
apps = st.sampled_from(["web", "db", None])
finalizers = st.sampled_from([None, ["x/one"], ["x/one", "x/two"]])


class Watcher:
    """One who lists or not, watches, and keeps a view."""

    def __init__(self, registry, watch):
        self.watch, self.view, self.versions = watch, {}, []
        self.tells = Teller(watch, registry.store.clock, Told())
        self.end = registry.store.subscribe(lambda event: self.hear(self.tells.told(event)))
        for frame in list(self.tells.first(registry.store)):
            self.hear(frame)

    def hear(self, frame):
        if frame is None:
            return
        event = json.loads(frame)
        obj, at = event["object"], key(event["object"])
        self.versions.append(int(obj["metadata"]["resourceVersion"]))
        match event["type"]:
            case "ADDED":
                assert at not in self.view
                self.view[at] = obj
            case "MODIFIED":
                assert at in self.view
                self.view[at] = obj
            case "DELETED":
                del self.view[at]


def fresh(registry, watch):
    found = [in_version(obj, watch.resource) for obj in registry.store.list(watch.resource, watch.namespace)]
    return {key(obj): obj for obj in found if watch.picks is None or watch.picks(obj)}


def of_app(app):
    return (lambda obj: labels(obj).get("app") == app) if app else None


class Clients(RuleBasedStateMachine):
    """Several clients of one registry."""

    watchers = Bundle("watchers")
    known = Bundle("known")

    def __init__(self):
        super().__init__()
        self.backing = Backing()
        self.registry = a_registry(a_store(self.backing, FixedClock()))
        self.all = []

    def attempt(self, work):
        """What a write gives; nothing when it is refused."""
        try:
            return work()
        except NetproxyError:
            return None

    def described(self, resource, name, namespace, app, held):
        meta = {"name": name, "namespace": namespace, "labels": {"app": app} if app else {}}
        if held:
            meta["finalizers"] = held
        kinds = {
            CONFIG_MAPS: lambda: {"apiVersion": "v1", "kind": "ConfigMap", "data": {}},
            EVENTS: lambda: {"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "n", "reason": "R"},
            PODS: lambda: {**pod_object(node=""), "status": {}},
            SERVICES: lambda: service_object(type="NodePort"),
        }
        return {**kinds[resource](), "metadata": meta}

    @rule(failing=st.booleans())
    def disk(self, failing):
        self.backing.failing = failing

    @rule(
        target=known,
        resource=st.sampled_from(RESOURCES),
        name=names,
        at=namespaces,
        app=apps,
        held=finalizers,
        dry=st.booleans(),
    )
    def create(self, resource, name, at, app, held, dry):
        obj = self.described(resource, name, at, app, held)
        made = self.attempt(lambda: self.registry.create(obj, WriteOptions(dry_run=dry)))
        return multiple() if made is None or dry else made

    @rule(target=known, obj=consumes(known), app=apps, held=finalizers, current=st.booleans())
    def replace(self, obj, app, held, current):
        meta = {**metadata(obj), "labels": {"app": app} if app else {}, "finalizers": held or []}
        if not current:
            meta.pop("resourceVersion", None)
        return self.attempt(lambda: self.registry.replace({**obj, "metadata": meta})) or obj

    @rule(target=known, obj=consumes(known), phase=st.sampled_from(["Running", "Succeeded", "Pending"]))
    def status(self, obj, phase):
        return self.attempt(lambda: self.registry.replace_status({**obj, "status": {"phase": phase}})) or obj

    @rule(obj=known, app=apps, sub=st.sampled_from(["", "status"]))
    def patch(self, obj, app, sub):
        body = {"metadata": {"labels": {"app": app}}, "status": {"x": app}}
        self.attempt(
            lambda: self.registry.patch(
                resource_of(obj), key(obj), body, "application/merge-patch+json", subresource=sub
            )
        )

    @rule(obj=known)
    def bind(self, obj):
        if resource_of(obj) is PODS:
            self.attempt(lambda: self.registry.bind(key(obj), "node1"))

    @rule(
        obj=known,
        grace=st.sampled_from([None, 0, 5]),
        how=st.sampled_from([None, "Background", "Foreground", "Orphan"]),
        dry=st.booleans(),
    )
    def delete(self, obj, grace, how, dry):
        at = resource_of(obj), key(obj)
        self.attempt(lambda: self.registry.delete(*at, Options(grace, how), WriteOptions(dry_run=dry)))

    @rule(obj=known)
    def finish(self, obj):
        self.attempt(lambda: self.registry.finish(resource_of(obj), key(obj), metadata(obj)["uid"]))

    @rule(objs=st.lists(known, max_size=3), raises=st.booleans())
    def many(self, objs, raises):
        """Several writes in one, all or none."""

        def work():
            with self.registry.transaction():
                for obj in objs:
                    self.registry.delete(resource_of(obj), key(obj), Options(0, "Background"))
                    self.registry.create({**obj, "metadata": {"name": key(obj).name, "namespace": key(obj).namespace}})
                if raises:
                    raise NetproxyError

        self.attempt(work)

    @rule(
        target=watchers, resource=st.sampled_from((CONFIG_MAPS, SERVICES, PODS, EVENTS, EVENTS_V1)), at=st.sampled_from(("", *NAMESPACES)),
        app=apps, listed=st.booleans(),
    )  # fmt: skip
    def watch(self, resource, at, app, listed):
        chosen = Watch(resource, 0, at, of_app(app), initial=not listed)
        watcher = Watcher(self.registry, chosen)
        if listed:
            watcher.view = fresh(self.registry, chosen)
        self.all.append(watcher)
        return watcher

    @rule(watcher=consumes(watchers))
    def leave(self, watcher):
        watcher.end()
        self.all.remove(watcher)

    @rule(watcher=watchers, back=st.integers(1, 5))
    def come_back(self, watcher, back):
        """Who has missed something hears it later."""
        version = self.registry.store.version - back
        if version > 0:
            asked = Watch(watcher.watch.resource, version)
            missed = list(Teller(asked, self.registry.store.clock, Told()).first(self.registry.store))
            assert len(missed) <= back

    @invariant()
    def every_view_is_a_fresh_list(self):
        for watcher in self.all:
            assert watcher.view == fresh(self.registry, watcher.watch)

    @invariant()
    def what_is_kept_is_what_is_served(self):
        served = {(r.stored, key(obj)): obj for r in (*RESOURCES, IP_ADDRESSES) for obj in self.registry.store.all(r)}
        assert self.backing.rows == served
        assert self.backing.version == self.registry.store.version

    @invariant()
    def what_services_hold_is_what_they_say(self):
        known, anew = self.registry.strategy(SERVICES)._holdings, Holdings(self.registry.cluster)
        for service in self.registry.store.all(SERVICES):
            anew.changed(None, service)
        assert known.ports._held == anew.ports._held
        assert [pool._held for pool in known._addresses.values()] == [pool._held for pool in anew._addresses.values()]

    @invariant()
    def nothing_is_there_that_has_ended(self):
        for resource in RESOURCES:
            assert not any(is_over(obj) for obj in self.registry.store.all(resource))

    def teardown(self):
        with suppress(NetproxyError):
            again = a_store(self.backing)
            for resource in RESOURCES:
                assert list(again.list(resource)) == list(self.registry.store.list(resource))


TestClients = Clients.TestCase
TestClients.settings = examples(100, stateful_step_count=40)
