"""Endpoints by hand: the slices that they become, and when these go."""

import pytest
from support.build import service_object
from support.world import World

from netproxy.controllers.endpointslice import ENDPOINT_SLICE_CONTROLLER
from netproxy.controllers.garbage import GARBAGE_COLLECTOR
from netproxy.controllers.mirroring import CONTROLLER, LEADER, MAX_ADDRESSES, MIRRORING_CONTROLLER, SKIP
from netproxy.core.errors import ManifestError
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Delete
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.kinds import ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, SERVICES
from netproxy.objects.meta import controller_of, key, labels, metadata, name
from netproxy.objects.validate import problems

WEB = NamespacedName("default", "web")
EVERYBODY = (MIRRORING_CONTROLLER, ENDPOINT_SLICE_CONTROLLER, GARBAGE_COLLECTOR)


def endpoints(*subsets, **meta):
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "default", **meta},
            "subsets": list(subsets)}  # fmt: skip


def subset(*ips, port=8080, not_ready=(), **more):
    """Ready addresses on one port."""
    ports = [{"name": "http", "port": port}] if port else []
    return {
        "addresses": [{"ip": ip} for ip in ips],
        "notReadyAddresses": [{"ip": ip} for ip in not_ready],
        "ports": ports,
        **more,
    }


def service(**spec):
    made = service_object(**spec)
    if "selector" not in spec:
        del made["spec"]["selector"]
    return made


def settled(*objects):
    world = World(*objects)
    world.settle(*EVERYBODY)
    return world


def mirrored(world):
    return [item for item in world.list(ENDPOINT_SLICES) if labels(item).get("endpointslice.kubernetes.io/managed-by") == CONTROLLER]  # fmt: skip


def shown(world):
    """What the slices say: family, ports, addresses with whether they are ready."""
    return {
        (item["addressType"], tuple(p["port"] for p in item["ports"] or ()),
         tuple((a, e["conditions"]["ready"]) for e in item["endpoints"] or () for a in e["addresses"]))
        for item in mirrored(world)
    }  # fmt: skip


def test_endpoints_of_a_service_without_a_selector_become_a_slice():
    world = settled(service(), endpoints(subset("10.0.0.2", "10.0.0.1", not_ready=["10.0.0.3"]), labels={"team": "a"}))
    (item,) = mirrored(world)
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.1", True), ("10.0.0.2", True), ("10.0.0.3", False)))}
    assert item["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert labels(item) == {"team": "a", "kubernetes.io/service-name": "web",
                            "endpointslice.kubernetes.io/managed-by": CONTROLLER}  # fmt: skip
    assert controller_of(item)["kind"] == "Endpoints"
    assert name(item).startswith("web-")
    assert world.settle(*EVERYBODY) == 0


def test_hostnames_nodes_and_pods_are_kept():
    more = {"hostname": "db", "nodeName": "node1", "targetRef": {"kind": "Pod", "name": "db-0", "namespace": "default"}}
    world = settled(service(), endpoints({"addresses": [{"ip": "10.0.0.1", **more}], "ports": [{"port": 1}]}))
    (item,) = mirrored(world)
    assert item["endpoints"] == [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, **more}]


def test_each_family_and_each_set_of_ports_has_a_slice_of_its_own():
    world = settled(service(), endpoints(subset("10.0.0.1", "fd00::1"), subset("10.0.0.2", port=9090)))
    assert shown(world) == {
        ("IPv4", (8080,), (("10.0.0.1", True),)), ("IPv6", (8080,), (("fd00::1", True),)),
        ("IPv4", (9090,), (("10.0.0.2", True),)),
    }  # fmt: skip


def test_subsets_that_have_the_same_addresses_are_one_slice():
    world = settled(
        service(), endpoints(subset("10.0.0.1"), subset("10.0.0.1", ports=[{"name": "more", "port": 9090}]))
    )
    assert shown(world) == {("IPv4", (8080, 9090), (("10.0.0.1", True),))}


def test_ports_of_one_name_are_in_slices_of_their_own():
    world = settled(service(), endpoints(subset("10.0.0.1"), subset("10.0.0.1", port=9090)))
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.1", True),)), ("IPv4", (9090,), (("10.0.0.1", True),))}
    assert world.settle(*EVERYBODY) == 0


def test_an_address_that_is_not_ready_anywhere_is_not_ready():
    world = settled(service(), endpoints(subset("10.0.0.1"), subset(not_ready=["10.0.0.1"])))
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.1", False),))}


def test_a_subset_without_ports_is_a_slice_without_ports():
    assert shown(settled(service(), endpoints(subset("10.0.0.1", port=0)))) == {("IPv4", (), (("10.0.0.1", True),))}


def test_what_is_no_address_is_passed_over():
    assert shown(settled(service(), endpoints(subset("10.0.0.1", "nonsense")))) == {
        ("IPv4", (8080,), (("10.0.0.1", True),))
    }


def test_of_one_subset_so_many_addresses_are_mirrored():
    many = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(MAX_ADDRESSES + 5)]
    (item,) = mirrored(settled(service(), endpoints(subset(*many[5:], not_ready=many[:5]))))
    assert len(item["endpoints"]) == MAX_ADDRESSES
    assert all(e["conditions"]["ready"] for e in item["endpoints"]), "ready ones come first"


def test_a_change_of_the_addresses_changes_the_slice():
    world = settled(service(), endpoints(subset("10.0.0.1")))
    (before,) = mirrored(world)
    world.put(endpoints(subset("10.0.0.9")))
    world.settle(*EVERYBODY)
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.9", True),))}
    assert [key(item) for item in mirrored(world)] == [key(before)]


def test_a_slice_whose_ports_are_not_needed_any_more_is_used_for_others():
    world = settled(service(), endpoints(subset("10.0.0.1")))
    (before,) = mirrored(world)
    world.put(endpoints(subset("10.0.0.1", port=9090)))
    world.settle(*EVERYBODY)
    assert shown(world) == {("IPv4", (9090,), (("10.0.0.1", True),))}
    assert [key(item) for item in mirrored(world)] == [key(before)]


def test_slices_that_nothing_needs_go():
    world = settled(service(), endpoints(subset("10.0.0.1", "fd00::1"), subset("10.0.0.2", port=9090)))
    world.put(endpoints(subset("10.0.0.1")))
    world.settle(*EVERYBODY)
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.1", True),))}


def test_notes_are_copied_but_for_those_of_tools():
    notes = {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    world = settled(service(), endpoints(subset("10.0.0.1"), annotations=notes))
    assert metadata(mirrored(world)[0])["annotations"] == {"a": "b"}
    world.put(endpoints(subset("10.0.0.1")))
    world.settle(*EVERYBODY)
    assert "annotations" not in metadata(mirrored(world)[0])


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([service(selector={"app": "web"}), endpoints(subset("10.0.0.1"))], id="with a selector"),
        pytest.param([service(), endpoints(subset("10.0.0.1"), labels={SKIP: "true"})], id="to be skipped"),
        pytest.param([service(), endpoints(subset("10.0.0.1"), annotations={LEADER: "{}"})], id="a leader's record"),
        pytest.param([endpoints(subset("10.0.0.1"))], id="without a Service"),
        pytest.param([service(), endpoints()], id="without addresses"),
    ],
)
def test_what_is_not_mirrored(objects):
    assert mirrored(settled(*objects)) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda world: world.remove(ENDPOINTS, WEB), id="the Endpoints go"),
        pytest.param(lambda world: world.remove(SERVICES, WEB), id="the Service goes"),
        pytest.param(lambda world: world.put(service(selector={"app": "web"})), id="the Service gets a selector"),
        pytest.param(lambda world: world.put(endpoints(subset("10.0.0.1"), labels={SKIP: "true"})), id="the label comes"),
        pytest.param(lambda world: world.put(endpoints(subset("10.0.0.1"), annotations={LEADER: ""})), id="a leader"),
    ],
)  # fmt: skip
def test_mirrored_slices_go_when(change):
    world = settled(service(), endpoints(subset("10.0.0.1")))
    assert len(mirrored(world)) == 1
    change(world)
    world.settle(MIRRORING_CONTROLLER)
    assert mirrored(world) == []


def test_what_a_late_view_lacks_is_asked_for_before_slices_go():
    world = settled(service(), endpoints(subset("10.0.0.1")))

    class Late(World):
        def __init__(self) -> None:
            self.find = lambda resource, at: None if resource is SERVICES else world.find(resource, at)
            self.all = world.all

    outcome = MIRRORING_CONTROLLER.reconcile(Late(), WEB, 0)
    assert [identity.resource for identity in outcome.absent] == [SERVICES]


def test_a_service_that_loses_its_selector_is_mirrored():
    world = settled(service(selector={"app": "web"}), endpoints(subset("10.0.0.1")))
    world.put(service())
    world.settle(*EVERYBODY)
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.1", True),))}


def test_a_slice_that_somebody_changed_is_put_right_and_one_that_was_renamed_is_made_again():
    world = settled(service(), endpoints(subset("10.0.0.1")))
    (item,) = mirrored(world)
    world.put({**item, "endpoints": []})
    world.settle(*EVERYBODY)
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.1", True),))}
    (item,) = mirrored(world)
    world.put({**item, "metadata": {**item["metadata"], "labels": {"kubernetes.io/service-name": "web"}}})
    world.settle(*EVERYBODY)
    assert shown(world) == {("IPv4", (8080,), (("10.0.0.1", True),))}
    assert key(mirrored(world)[0]) != key(item), "that name is taken"


def test_nothing_is_made_in_a_namespace_that_is_to_go():
    at = {"namespace": "shop"}
    there = service()
    world = World({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    world.put({**there, "metadata": {**there["metadata"], **at}})
    world.put(endpoints(subset("10.0.0.1"), **at))
    world.make(Delete(NAMESPACES, NamespacedName("", "shop")))
    assert world.settle(MIRRORING_CONTROLLER) == 0


# --- the objects themselves


@pytest.mark.parametrize(
    ("given", "path", "why"),
    [
        ({"ports": [{"port": 1}]}, "subsets[0]", "must specify"),
        (subset("nonsense"), "subsets[0].addresses[0].ip", "must be a valid IP"),
        ({"addresses": [{}]}, "subsets[0].addresses[0].ip", "must be a valid IP"),
        (subset("0.0.0.0"), "subsets[0].addresses[0].ip", "may not be unspecified"),
        (subset("127.0.0.1"), "subsets[0].addresses[0].ip", "loopback"),
        (subset("fe80::1"), "subsets[0].addresses[0].ip", "link-local range"),
        (subset("224.0.0.5"), "subsets[0].addresses[0].ip", "multicast"),
        (subset("10.0.0.1", not_ready=["::1"]), "subsets[0].notReadyAddresses[0].ip", "loopback"),
        (subset("10.0.0.1", port=70000), "subsets[0].ports[0].port", "between 1 and 65535"),
        (subset("10.0.0.1", ports=[{"port": 1}, {"port": 2, "name": "b"}]), "subsets[0].ports[0].name", "Required"),
        (subset("10.0.0.1", ports=[{"port": 1, "name": "A_B"}]), "subsets[0].ports[0].name", "label"),
        (subset("10.0.0.1", ports=[{"port": 1, "protocol": "ICMP"}]), "subsets[0].ports[0].protocol", "Unsupported"),
        ({"addresses": [{"ip": "10.0.0.1", "hostname": "a.b"}]}, "subsets[0].addresses[0].hostname", "dots"),
        ({"addresses": [{"ip": "10.0.0.1", "nodeName": "A"}]}, "subsets[0].addresses[0].nodeName", "subdomain"),
    ],
)
def test_what_endpoints_cannot_say(given, path, why):
    problem, *_ = problems(endpoints(given))
    assert problem.path == path
    assert why in problem.message


def test_endpoints_that_are_right_and_what_is_filled_in():
    assert problems(endpoints(subset("10.0.0.1", "fd00::1"))) == []
    assert with_defaults(endpoints(subset("10.0.0.1")))["subsets"][0]["ports"][0]["protocol"] == "TCP"
    assert "subsets" not in with_defaults({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "a"}})


def test_wrong_endpoints_are_not_stored():
    with pytest.raises(ManifestError):
        World().registry.create(endpoints(subset("127.0.0.1")))
