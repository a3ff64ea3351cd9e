"""Whatever somebody asks of the API: it is answered, never a failure of ours; and what is stored harms nobody who reads it."""

import json
import logging
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import a_node
from support.objects import TEXTS, any_resource, anything, spoilt, template
from support.world import World

from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.apiserver.watch import Teller, Told, Watch
from netproxy.controllers import ALL
from netproxy.core.errors import NetproxyError
from netproxy.core.net import Family
from netproxy.dns.parts import build_zone
from netproxy.kubelet.plan import plan, taken_over_pod
from netproxy.kubelet.state import Seen
from netproxy.objects.change import Event
from netproxy.objects.kinds import (
    ENDPOINT_SLICES,
    KUBE_PROXY_CONFIGURATIONS,
    NAMESPACES,
    NODES,
    PODS,
    RESOURCES,
    SERVICE_CIDRS,
    SERVICES,
    Resource,
)
from netproxy.proxy.config import node_view, sysctls
from netproxy.proxy.tracker import Tracker

pytestmark = pytest.mark.timeout(1200)  # with the profile `long` on a busy machine

JSON_PATCH, MERGE, STRATEGIC = (
    f"application/{kind}+json" for kind in ("json-patch", "merge-patch", "strategic-merge-patch")
)
QUERIES = (
    "watch", "resourceVersion", "resourceVersionMatch", "labelSelector", "fieldSelector", "dryRun", "gracePeriodSeconds",
    "propagationPolicy", "orphanDependents", "limit", "continue", "timeoutSeconds", "sendInitialEvents", "allowWatchBookmarks",
    "fieldValidation", "fieldManager", "pretty", "force", "x",
)  # fmt: skip
ASKED = (
    "", "0", "1", "true", "false", "\u00b2", "-1", "abc", "9" * 30, "9" * 18, "0" * 5000, "9" * 5000, "All", "Exact", "NotOlderThan", "Foreground", "Orphan",
    "None", "a=b", "a in (b", "metadata.name=web", "status.phase!=Running", "spec.nodeName=", "metadata.name", ",", "=", "!a", "a,,b",
)  # fmt: skip
POINTERS = (
    "", "/", "/metadata", "/metadata/name", "/metadata/labels/app", "/metadata/resourceVersion", "/spec", "/spec/-", "/spec/ports/0",
    "/spec/ports/-", "/spec/ports/\u00b2", "/spec/containers/0/image", "/status", "/status/conditions/0", "/apiVersion", "~2", "a", "/a~",
)  # fmt: skip
OPERATIONS = ("add", "remove", "replace", "move", "copy", "test", "x", 5)
DELETION = ("gracePeriodSeconds", "propagationPolicy", "preconditions", "dryRun", "orphanDependents")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Faults(logging.Handler):
    """Hears of the requests in which something of ours broke; what the real server calls its own failure is none."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


FAULTS = Faults()
logging.getLogger("netproxy.apiserver.routes").addHandler(FAULTS)


def a_path(random: Random, resource: Resource) -> str:
    at = random.choice(("/namespaces/default", "/namespaces/default", "/namespaces/none", ""))
    name = random.choice(("", "/web", "/web", "/node1", "/other", "/default", "/\u00e9", "/\x00"))
    sub = random.choice(("", "", "", "/status", "/binding", "/finalize", "/scale", "/a/b")) if name else ""
    watch = random.choice(("", "", "", "/watch"))
    return f"{resource.prefix}{watch}{at if resource.namespaced else ''}/{resource.plural}{name}{sub}"


def a_body(random: Random, resource: Resource, method: str, kind: str) -> Any:
    if method == "DELETE":
        given = {random.choice(DELETION): random.choice((anything(random), "Foreground", ["All"])) for _ in range(2)}
        return random.choice((None, given, anything(random)))
    if kind == JSON_PATCH:
        fields = ("op", OPERATIONS), ("path", POINTERS), ("from", POINTERS)
        plain = [{field: random.choice(choices) for field, choices in fields} for _ in range(random.randrange(4))]
        return random.choice(
            ([{**one, "value": anything(random)} for one in plain], [anything(random)], anything(random))
        )
    return spoilt(random, resource) if random.random() < 0.8 else anything(random)


def a_request(random: Random) -> Request:
    resource = any_resource(random)
    method = random.choice(("GET", "POST", "POST", "PUT", "PUT", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS"))
    kinds = (JSON_PATCH, JSON_PATCH, MERGE, STRATEGIC, "application/apply-patch+yaml", "", "text/plain")
    kind = random.choice(kinds) if method == "PATCH" else "application/json"
    body = json.dumps(a_body(random, resource, method, kind)).encode()
    query = {random.choice(QUERIES): random.choice((*ASKED, *TEXTS)) for _ in range(random.randrange(3))}
    if random.random() < 0.05:
        body = random.choice((b"", b"{", b"\xff", b"null", b"[" * 5000, b'{"a": 1e999}'))
    accept = random.choice(("application/json", TABLE, "", "text/html"))
    return Request(method, a_path(random, resource), query, body, kind, accept)


def checked(api: Api, request: Request) -> Response | Watch:
    """The answer; it is no failure of ours, and a refusal says what is wrong."""
    FAULTS.told.clear()
    answer = api.handle(request)
    assert not FAULTS.told, request
    if isinstance(answer, Response):
        about = (request, answer.body)
        assert answer.status in (500, 504) or answer.status < 500, about
        if answer.status >= 400:
            said = json.loads(answer.body)
            assert (said["kind"], said["code"]) == ("Status", answer.status), about
            assert said["message"], about
    return answer


@given(st.integers(0, 2**64))
def test_whatever_is_asked_is_answered(seed: int):
    random, world = Random(seed), a_world()
    api = Api(world.registry, world.clock)
    for _ in range(4):
        request = a_request(random)
        before = world.store.version
        answer = checked(api, request)
        if request.method in ("GET", "HEAD", "OPTIONS"):
            assert world.store.version == before
        if isinstance(answer, Watch):
            list(watched(answer, world))
    everything_reads(world, api)


@given(st.integers(0, 2**64))
def test_what_is_stored_harms_nobody(seed: int):
    random, world = Random(seed), a_world()
    resource = any_resource(random)
    first, second = spoilt(random, resource), spoilt(random, resource)
    api = Api(world.registry, world.clock)
    folder = f"{resource.prefix}{'/namespaces/default' if resource.namespaced else ''}/{resource.plural}"
    checked(api, Request("POST", folder, {}, json.dumps(first).encode()))
    for place in ("", "/status"):
        checked(api, Request("PUT", f"{folder}/{second['metadata'].get('name') if isinstance(second.get('metadata'), dict) else 'web'}{place}",
                             {}, json.dumps(second).encode()))  # fmt: skip
    everything_reads(world, api)


def a_world() -> World:
    """One good object of each kind."""
    world = World()
    for resource in RESOURCES:
        with suppress(NetproxyError):  # a Pod's namespace is there anyhow
            world.registry.create(template(resource))
    return world


# --- everybody who reads


def watched(watch: Watch, world: World) -> list[bytes]:
    """The first frames of a watch, or why there are none."""
    try:
        return list(Teller(watch, world.clock, Told()).first(world.store))
    except NetproxyError:
        return []


def everything_reads(world: World, api: Api) -> None:
    everybody_lists(world, api)
    everybody_acts(world)
    proxies_follow(world)
    names_are_made(world)
    pods_are_run(world)


def everybody_lists(world: World, api: Api) -> None:
    for resource in RESOURCES:
        for accept in ("application/json", TABLE):
            answer = api.handle(Request("GET", f"{resource.prefix}/{resource.plural}", {}, b"", accept=accept))
            assert isinstance(answer, Response)
            assert answer.status == 200, answer.body
        asked = api.handle(Request("GET", f"{resource.prefix}/{resource.plural}", {"watch": "1"}))
        assert isinstance(asked, Watch)
        list(Teller(asked, world.clock, Told()).first(world.store))


def everybody_acts(world: World) -> None:
    """One look of every controller at everything; what it wants may be refused."""
    for controller in ALL:
        for resource, keys in controller.watches.items():
            for obj in list(world.all(resource)):
                for event in ("ADDED", "DELETED"):
                    for at in list(keys(world, Event(event, obj, None, resource))):
                        for change in controller.reconcile(world, at, world.clock.now()).changes[:3]:
                            with suppress(NetproxyError):
                                world.make(change)


def proxies_follow(world: World) -> None:
    for config in [{}, *world.all(KUBE_PROXY_CONFIGURATIONS)]:
        for node in world.all(NODES):
            for family in Family:
                for mode in ("iptables", "nftables", "ipvs"):
                    sysctls(config, node_view(node, config, family, mode=mode), mode=mode)
    for family in Family:
        tracker = Tracker(a_node(family=family))
        for service in world.all(SERVICES):
            tracker.set_service(service)
        for item in world.all(ENDPOINT_SLICES):
            tracker.set_slice(item)
        for cidr in world.all(SERVICE_CIDRS):
            tracker.set_service_cidr(cidr)
        tracker.snapshot()
        assert tracker.faults == {}


def names_are_made(world: World) -> None:
    lists = (list(world.all(resource)) for resource in (SERVICES, ENDPOINT_SLICES, NAMESPACES, PODS))
    services, slices, spaces, pods = lists
    assert build_zone(services, slices, spaces, pods).faults == ()


def pods_are_run(world: World) -> None:
    now = world.clock.now()
    for pod in world.all(PODS):
        for seen in (Seen(), Seen(("10.244.0.9",), plugged=True), taken_over_pod(pod, {}, is_there=True, now=now)):
            plan(pod, seen, "172.18.0.2", now)
