"""Several clients write and watch by the API, in any order: every watcher's view is a fresh list, nothing is a fault of ours.

The store ends every now and then as a killed process does; the next one goes on with what was acknowledged.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.api import Backing, a_registry, a_store
from support.build import FixedClock
from support.examples import examples
from support.objects import template

from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.apiserver.watch import Teller, Told, Watch
from netproxy.core.errors import NetproxyError
from netproxy.objects.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    EVENTS_V1,
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    Resource,
)
from netproxy.objects.meta import Object

pytestmark = pytest.mark.timeout(1200)  # with the profile `long` on a busy machine

JSON_PATCH, MERGE, STRATEGIC, APPLY = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
KINDS = (CONFIG_MAPS, PODS, SERVICES, DEPLOYMENTS, NODES, HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1, LEASES, SECRETS,
         JOBS, ENDPOINT_SLICES, EVENTS, EVENTS_V1, NAMESPACES)  # fmt: skip
FORMS = (
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
)
LISTED = {FORMS[2]: FORMS[2].replace("Metadata;", "MetadataList;")}
"""In which form a list is as its watch is."""
ELEMENTS = ("f:", "k:{", "v:", "i:", ".")

names = st.sampled_from(("a", "b"))
spaces = st.sampled_from(("default", "default", "team"))
which = st.integers(0, 1)
any_of_them = st.integers(0, 1 << 16)
seldom = st.sampled_from((False,) * 7 + (True,))
clients = st.sampled_from(("kubectl", "helm", "operator"))
apps = st.sampled_from(("web", "db", None))
held = st.sampled_from((None, None, ["example.com/one"], ["example.com/one", "example.com/two"]))
dry = st.sampled_from((False, False, False, True))
selectors = st.sampled_from((
    {}, {}, {"labelSelector": "app=web"}, {"labelSelector": "app notin (web)"}, {"labelSelector": "!app"}, {"fieldSelector": "metadata.name=a"},
    {"fieldSelector": "metadata.name!=b", "labelSelector": "app"},
))  # fmt: skip


def folder(resource: Resource, space: str) -> str:
    at = f"/namespaces/{space}" if resource.namespaced and space else ""
    return f"{resource.prefix}{at}/{resource.plural}"


def place(resource: Resource, name: str, space: str, part: str = "") -> str:
    return f"{folder(resource, space)}/{name}{part and f'/{part}'}"


@dataclass(frozen=True)
class Question:
    """What a list is asked for, and the watch that goes on with it."""

    path: str
    selectors: dict[str, str]
    form: str


@dataclass
class Listing:
    """What was answered."""

    question: Question
    version: str
    view: dict[tuple[str, str], Any]
    epoch: int


@dataclass
class Watcher:
    """One who keeps a view true by what a watch tells."""

    question: Question
    tells: Teller
    view: dict[tuple[str, str], Any]
    last: int
    bookmarks: list[Object] = field(default_factory=list)
    is_over: bool = False

    def hear(self, frame: bytes | None, *, initial: bool = False) -> None:
        if not frame or self.is_over:
            return
        event = json.loads(frame)
        for at, obj, version in shown(event["object"], self.question.form):
            assert version > self.last or initial, (self.last, event)
            self.last = max(version, self.last)
            match event["type"]:
                case "BOOKMARK":
                    self.bookmarks.append(event["object"])
                case "DELETED":
                    del self.view[at]
                case kind:
                    assert kind == ("MODIFIED" if at in self.view else "ADDED")
                    self.view[at] = obj


def shown(obj: Object, form: str) -> list[tuple[tuple[str, str], Any, int]]:
    """Places, contents and versions of what is in a list, or in an event; what only one of both says is left out."""
    if form == FORMS[1] and "rows" in obj:
        found = [(row["object"]["metadata"], (row["cells"], row["object"]["metadata"])) for row in obj["rows"]]
    else:
        items = obj["items"] or () if "items" in obj else (obj,)
        plain = [{key: value for key, value in each.items() if key not in ("kind", "apiVersion")} for each in items]
        found = [(each["metadata"], each) for each in plain]
    return [
        ((meta.get("namespace", ""), meta.get("name", "")), content, int(meta["resourceVersion"]))
        for meta, content in found
    ]


def well_formed(entries: list[Object], about: Object, *, is_scaled: bool) -> None:
    """What is said of who manages the fields of an object can be read by everybody."""
    seen = set()
    for entry in entries:
        assert set(entry) - {"subresource", "time"} == {
            "manager",
            "operation",
            "apiVersion",
            "fieldsType",
            "fieldsV1",
        }, about
        assert entry["operation"] in ("Apply", "Update")
        assert entry["fieldsType"] == "FieldsV1"
        assert entry["fieldsV1"], about
        who = (entry["manager"], entry["operation"], entry["apiVersion"], entry.get("subresource", ""))
        assert who not in seen or is_scaled, about  # an update of a scale splits an entry, there as here
        seen.add(who)
        elements(entry["fieldsV1"], about)


def elements(fields: Object, about: Object) -> None:
    for element, below in fields.items():
        assert element.startswith(ELEMENTS), about
        assert isinstance(below, dict)
        if element[0] in "kv":
            json.loads(element[2:])
        assert element != "." or not below
        elements(below, about)


class Clients(RuleBasedStateMachine):
    """Several clients of one API server."""

    def __init__(self) -> None:
        super().__init__()
        self.backing, self.clock, self.epoch = Backing(), FixedClock(), 0
        self.watching: list[Watcher] = []
        self.listings: list[Listing] = []
        self.made: list[tuple[Resource, str, str]] = []
        """What was made at some time."""
        self.begin()
        for name in ("default", "team"):
            self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    @initialize(chosen=st.lists(st.sampled_from(KINDS), min_size=2, max_size=2))
    def begin_with(self, chosen):
        self.kinds = chosen

    def begin(self) -> None:
        store = a_store(self.backing, self.clock)
        self.registry = a_registry(store)
        self.api, self.told = Api(self.registry, self.clock), Told()
        store.subscribe(self.tell)

    def tell(self, event: Any) -> None:
        for watcher in self.watching:
            watcher.hear(watcher.tells.told(event))

    @property
    def version(self) -> int:
        return self.registry.store.version

    def answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
        accept: str = FORMS[0],
        **query: str,
    ):
        data = b"" if body is None else json.dumps(body).encode()
        return self.api.handle(Request(method, path, query, data, kind, accept, user_agent="kubectl/v1"))

    def ask(self, *request: Any, **query: str) -> tuple[int, Object]:
        """An answer; it is never a fault of ours, and a change of which it tells has a version of its own."""
        before = self.version
        answer = self.answer(*request, **query)
        assert isinstance(answer, Response)
        said = json.loads(answer.body)
        assert answer.status < 500, (request, query, said)
        if answer.status >= 400 or query.get("dryRun"):
            assert self.version == before or "deletecollection" in query, (request, said)
        for entry in ([said] if "metadata" in said else []) + list(said.get("items") or ()):
            well_formed(entry["metadata"].get("managedFields") or [], entry, is_scaled="/deployments" in request[1])
        version = said.get("metadata", {}).get("resourceVersion")
        if version and not query.get("dryRun") and answer.status < 400:
            assert int(version) <= self.version
        return answer.status, said

    # --- writes

    @rule(which=which, name=names, space=spaces, app=apps, held=held, client=clients, dry=dry, generated=dry)
    def create(self, which, name, space, app, held, client, dry, generated):
        resource = self.kinds[which]
        obj = self.described(resource, name, space, app, held)
        if generated:
            obj["metadata"] |= {"generateName": f"{name}-", "name": ""}
        options = {"fieldManager": client, **({"dryRun": "All"} if dry else {})}
        code, said = self.ask("POST", folder(resource, space), obj, **options)
        assert code in (201, 403, 404, 409, 422), said
        if code == 201 and not dry:
            self.made.append((resource, said["metadata"]["name"], space))

    def described(self, resource: Resource, name: str, space: str, app: str | None, held: Any) -> Object:
        obj = template(resource, name)
        meta = {"name": name, "labels": {"app": app} if app else {}, "annotations": {"a": "b"}}
        if resource.namespaced:
            meta["namespace"] = space
        if held and resource is not NAMESPACES:
            meta["finalizers"] = held
        if resource is SERVICES:
            obj["spec"] = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}
        if resource is HORIZONTAL_POD_AUTOSCALERS_V1:
            obj["spec"] = {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "web"}}
        if resource in (EVENTS, EVENTS_V1):
            obj |= {"involvedObject": {"kind": "Pod", "name": "a", "namespace": space}}
        if resource is EVENTS_V1:
            obj = {"kind": "Event", "apiVersion": "events.k8s.io/v1", "eventTime": "2026-01-01T00:00:00.000000Z", "reason": "R", "type": "Normal",
                   "action": "a", "reportingController": "c", "reportingInstance": "i", "regarding": {"kind": "Pod", "name": "a", "namespace": space}}  # fmt: skip
        return {**obj, "metadata": meta}

    @precondition(lambda self: self.made)
    @rule(at=any_of_them, app=apps, held=held, client=clients, stale=dry, dry=dry)
    def update(self, at, app, held, client, stale, dry):
        at = self.made[at % len(self.made)]
        code, obj = self.ask("GET", place(*at))
        if code != 200:
            return
        meta = {**obj["metadata"], "labels": {"app": app} if app else None, "annotations": {client: str(self.version)}}
        if at[0] is not NAMESPACES:
            meta["finalizers"] = held
        if stale:
            meta["resourceVersion"] = str(int(meta["resourceVersion"]) - 1)
        options = {"fieldManager": client, **({"dryRun": "All"} if dry else {})}
        code, said = self.ask("PUT", place(*at), {**obj, "metadata": meta}, **options)
        assert code == 409 if stale else code in (200, 422), said

    @precondition(lambda self: self.made)
    @rule(at=any_of_them, client=clients, dry=dry, phase=st.sampled_from(("Running", "Succeeded", "Failed")))
    def report(self, at, client, dry, phase):
        at = self.made[at % len(self.made)]
        if "status" not in at[0].subresources:
            return
        code, obj = self.ask("GET", place(*at))
        if code == 200:
            state = {**(obj.get("status") or {}), "conditions": [{"type": phase, "status": "True"}]}
            options = {"fieldManager": client, **({"dryRun": "All"} if dry else {})}
            assert self.ask("PUT", place(*at, "status"), {**obj, "status": state}, **options)[0] in (200, 409, 422)
            self.ask("PATCH", place(*at, "status"), {"status": {"phase": phase}}, MERGE, **options)

    @precondition(lambda self: self.made)
    @rule(
        at=any_of_them,
        kind=st.sampled_from((JSON_PATCH, MERGE, STRATEGIC)),
        app=apps,
        held=held,
        client=clients,
        dry=dry,
    )
    def patch(self, at, kind, app, held, client, dry):
        at = self.made[at % len(self.made)]
        meta = {
            "labels": {"app": app},
            "annotations": {client: app},
            **({} if at[0] is NAMESPACES else {"finalizers": held}),
        }
        body: Any = {"metadata": meta}
        if kind == JSON_PATCH:
            body = [{"op": "test", "path": "/metadata/name", "value": at[1]}, {"op": "add", "path": "/metadata/labels", "value": {"app": app or "x"}},
                    {"op": "replace", "path": "/metadata/finalizers", "value": held}][: 2 if at[0] is NAMESPACES else 3]  # fmt: skip
        elif at[0] in (DEPLOYMENTS, PODS) and kind == STRATEGIC:
            containers = [{"name": "c", "image": f"{client}:1"}]
            pod = {"containers": containers}
            body["spec"] = pod if at[0] is PODS else {"template": {"spec": pod}}
        options = {"fieldManager": client, **({"dryRun": "All"} if dry else {})}
        assert self.ask("PATCH", place(*at), body, kind, **options)[0] in (200, 404, 409, 422)

    @rule(
        which=which,
        name=names,
        space=spaces,
        app=apps,
        client=clients,
        force=st.booleans(),
        dry=dry,
        whole=st.booleans(),
    )
    def apply(self, which, name, space, app, client, force, dry, whole):
        resource = self.kinds[which]
        obj = self.described(resource, name, space, app, None)
        if not whole:
            obj = {field: obj[field] for field in ("apiVersion", "kind", "metadata")}
        options = {"fieldManager": client, "force": str(force).lower(), **({"dryRun": "All"} if dry else {})}
        code, said = self.ask("PATCH", place(resource, name, space), obj, APPLY, **options)
        assert code in (200, 201, 403, 404, 409, 422), said
        if code == 201 and not dry:
            self.made.append((resource, name, space))

    @precondition(lambda self: self.made)
    @rule(at=any_of_them, replicas=st.integers(0, 3), client=clients, dry=dry, patched=st.booleans())
    def scale(self, at, replicas, client, dry, patched):
        at = self.made[at % len(self.made)]
        if "scale" not in at[0].subresources:
            return
        code, scale = self.ask("GET", place(*at, "scale"))
        if code == 200:
            options = {"fieldManager": client, **({"dryRun": "All"} if dry else {})}
            body = {"spec": {"replicas": replicas}}
            request = (
                ("PATCH", place(*at, "scale"), body, MERGE)
                if patched
                else ("PUT", place(*at, "scale"), {**scale, **body})
            )
            assert self.ask(*request, **options)[0] == 200

    @precondition(lambda self: self.made)
    @rule(at=any_of_them, part=st.sampled_from(("binding", "eviction")), dry=dry)
    def connect(self, at, part, dry):
        at = self.made[at % len(self.made)]
        if at[0] is PODS:
            body = {"metadata": {"name": at[1]}, "target": {"kind": "Node", "name": "a"}}
            said = body if part == "binding" else {"metadata": body["metadata"]}
            code, answer = self.ask("POST", place(*at, part), said, **({"dryRun": "All"} if dry else {}))
            assert code in (201, 404, 409, 429), answer

    @precondition(lambda self: self.made)
    @rule(
        at=any_of_them, grace=st.sampled_from((None, 0, 5)), how=st.sampled_from((None, "Background", "Foreground", "Orphan")), dry=dry,
        meant=st.sampled_from(("", "", "uid", "resourceVersion", "wrong")),
    )  # fmt: skip
    def delete(self, at, grace, how, dry, meant):
        at = self.made[at % len(self.made)]
        code, obj = self.ask("GET", place(*at))
        wanted = (
            {"uid": "other"} if meant == "wrong" else {meant: obj["metadata"][meant]} if meant and code == 200 else {}
        )
        options = {
            "gracePeriodSeconds": grace,
            "propagationPolicy": how,
            "preconditions": wanted,
            "dryRun": ["All"] if dry else None,
        }
        before = self.version
        gone, said = self.ask("DELETE", place(*at), {key: value for key, value in options.items() if value is not None})
        assert gone == (code if code != 200 else 409 if meant == "wrong" else 200), said
        assert not dry or self.version == before

    @rule(which=which, space=spaces, chosen=selectors, dry=dry, seldom=seldom)
    def delete_all(self, which, space, chosen, dry, seldom):
        resource = self.kinds[which]
        if resource is not NAMESPACES and seldom:
            query = {**chosen, **({"dryRun": "All"} if dry else {})}
            assert self.ask("DELETE", folder(resource, space), **query)[0] == 200

    @rule(seldom=seldom)
    def finish_namespaces(self, seldom):
        """What its controller does when nothing is in one any more, here a little early."""
        for space in () if not seldom else self.ask("GET", "/api/v1/namespaces")[1]["items"]:
            if space["metadata"].get("deletionTimestamp"):
                self.ask("PUT", f"/api/v1/namespaces/{space['metadata']['name']}/finalize",
                         {**space, "spec": {}, "kind": "Namespace", "apiVersion": "v1"})  # fmt: skip

    # --- reads

    @rule(which=which, space=st.sampled_from(("", "default", "team")), chosen=selectors, form=st.sampled_from(FORMS))
    def list(self, which, space, chosen, form):
        self.listings.append(self.listed(Question(folder(self.kinds[which], space), chosen, form)))

    def listed(self, question: Question, **more: str) -> Listing:
        _, said = self.ask(
            "GET", question.path, None, FORMS[0], LISTED.get(question.form, question.form), **question.selectors, **more
        )
        view = {at: obj for at, obj, _ in shown(said, question.form)}
        return Listing(question, said["metadata"]["resourceVersion"], view, self.epoch)

    @precondition(lambda self: self.listings)
    @rule(listing=any_of_them)
    def list_again(self, listing):
        """What was there at a version is still there, as long as it is known."""
        listing = self.listings[listing % len(self.listings)]
        if listing.epoch == self.epoch:
            again = self.listed(listing.question, resourceVersion=listing.version, resourceVersionMatch="Exact")
            assert again.view == listing.view
            assert again.version == listing.version

    @precondition(lambda self: self.listings)
    @rule(listing=any_of_them, limit=st.integers(1, 3))
    def list_in_pages(self, listing, limit):
        listing = self.listings[listing % len(self.listings)]
        question, view, token = listing.question, {}, ""
        for _ in range(100):
            options = {"limit": str(limit), **({"continue": token} if token else {})}
            form = LISTED.get(question.form, question.form)
            code, said = self.ask("GET", question.path, None, FORMS[0], form, **question.selectors, **options)
            assert code == 200
            view |= {at: obj for at, obj, _ in shown(said, question.form)}
            token = said["metadata"].get("continue", "")
            if not token:
                break
        assert view == self.listed(question).view

    @precondition(lambda self: self.listings)
    @rule(listing=any_of_them, bookmarks=st.booleans())
    def watch_from(self, listing, bookmarks):
        """Go on from a list, however long ago that was."""
        listing = self.listings[listing % len(self.listings)]
        asked = {"watch": "true", "resourceVersion": listing.version, "allowWatchBookmarks": str(bookmarks).lower()}
        watcher = self.watched(listing.question, dict(listing.view), int(listing.version), asked)
        assert watcher.is_over is (int(listing.version) < self.first)

    @rule(
        which=which,
        space=st.sampled_from(("", "default")),
        chosen=selectors,
        form=st.sampled_from(FORMS),
        streams=st.booleans(),
    )
    def watch_all(self, which, space, chosen, form, streams):
        """Begin with what is there, told by the watch itself."""
        more = (
            {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
            if streams
            else {}
        )
        watcher = self.watched(
            Question(folder(self.kinds[which], space), chosen, form), {}, 0, {"watch": "true", **more}
        )
        assert len(watcher.bookmarks) == streams

    def watched(
        self, question: Question, view: dict[tuple[str, str], Any], version: int, asked: dict[str, str]
    ) -> Watcher:
        answer = self.answer("GET", question.path, None, FORMS[0], question.form, **question.selectors, **asked)
        assert isinstance(answer, Watch)
        watcher = Watcher(question, Teller(answer, self.clock, self.told), view, version)
        try:
            for frame in list(watcher.tells.first(self.registry.store)):
                watcher.hear(frame, initial=answer.initial)
        except NetproxyError:
            watcher.is_over = True  # 410: it is told to list again
        self.watching.append(watcher)
        return watcher

    @rule()
    def compare_all(self):
        for watcher in self.watching:
            self.compare(watcher)

    def compare(self, watcher: Watcher) -> None:
        if watcher.is_over:
            return
        fresh = self.listed(watcher.question)
        assert watcher.view == fresh.view
        assert watcher.last <= int(fresh.version)
        if watcher.tells.watch.bookmarks:
            watcher.hear(watcher.tells.bookmark(self.version), initial=True)

    @rule(seldom=seldom)
    def killed(self, seldom):
        """The process ends and another one begins: what was acknowledged is there, and versions go on."""
        if not seldom:
            return
        before = {path: self.ask("GET", path)[1] for path in (folder(kind, "") for kind in self.kinds)}
        version = self.version
        self.watching = []
        self.epoch += 1
        self.begin()
        assert self.version == version
        self.first = version
        for path, said in before.items():
            assert self.ask("GET", path)[1] == said

    first = 0
    """The oldest version that this process knows."""

    def teardown(self) -> None:
        self.compare_all()


TestClients = Clients.TestCase
TestClients.settings = examples(60, stateful_step_count=40)
