"""Services get addresses and ports: from their band, once, and back when they go."""

from ipaddress import ip_address

import pytest
from support.api import Client, a_registry
from support.build import service_object

from netproxy.core.errors import ConflictError, ManifestError
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.objects.cluster import cluster_spec
from netproxy.objects.kinds import SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.registry.allocate import Holdings
from netproxy.registry.options import WriteOptions
from netproxy.registry.registry import Registry


def holdings(cidr="10.96.0.0/16", ports="30000-32767", **more):
    spec = {"serviceCIDRs": [cidr], "nodePortRange": ports, **more}
    return Holdings(cluster_spec([{"kind": "Cluster", "spec": spec}]))


def text(number):
    return str(ip_address(number))


def test_addresses_and_ports_come_from_the_dynamic_band_and_run_out():
    known = holdings()
    known.changed(None, service_object(clusterIPs=["10.96.1.1"]))
    assert text(known.addresses(Family.IPV4).free()) == "10.96.1.2"
    six = holdings("fd00::/112", podCIDRs=["fd00:1::/64"]).addresses(Family.IPV6)
    assert text(six.free()) == "fd00::101"
    small = holdings("10.0.0.0/30").addresses(Family.IPV4)
    small.hold(small.free(), "a")
    assert text(small.free()) == "10.0.0.2"
    small.hold(small.free(), "b")
    with pytest.raises(ConflictError, match=r"the range 10\.0\.0\.0/30 is full"):
        small.free()
    assert holdings().ports.free({30086}) == 30087
    few = holdings(ports="5-6").ports
    few.hold(5, "a", "TCP")
    assert few.free() == 6
    with pytest.raises(ConflictError, match="the node port range 5-6 is full"):
        few.free({6})
    with pytest.raises(ConflictError, match="the range of IPv6 is full"):
        holdings().addresses(Family.IPV6).free()


def test_the_static_band_is_the_last_to_be_given():
    pool = holdings("10.0.0.0/27").addresses(Family.IPV4)
    given = []
    for _ in range(30):
        given.append(pool.free())
        pool.hold(given[-1], "x")
    assert [text(given[0]), text(given[-1])] == ["10.0.0.17", "10.0.0.16"]
    with pytest.raises(ConflictError):
        pool.free()
    wide = holdings("10.0.0.0/26").addresses(Family.IPV4)
    assert text(wide.free(range(int(ip_address("10.0.0.17")), int(ip_address("10.0.0.63"))))) == "10.0.0.1"


def test_what_is_released_is_given_again_when_it_is_its_turn():
    pool = holdings(ports="30000-30003").ports
    first, second = pool.free(), pool.free()
    pool.hold(first, "a", "TCP")
    pool.hold(first, "b", "UDP")
    assert (pool.holders(first), pool.holder(first, "UDP")) == ({"a", "b"}, "b")
    pool.release(first, "a", "TCP")
    pool.release(first, "c", "UDP")
    assert [pool.free() for _ in range(4)] == [30002, 30003, second, 30002]
    pool.release(first, "b", "UDP")
    assert [pool.free() for _ in range(2)] == [30003, first]
    pool.hold(99, "a")
    pool.release(99, "a")
    assert pool.holder(99) is None


def test_what_a_service_held_is_free_when_it_is_gone_or_was_never_stored():
    registry = a_registry()
    spec = {"type": "NodePort", "clusterIP": "10.96.7.7", "ports": [{"port": 1, "nodePort": 30001}]}
    registry.create(service_object("first", **spec))
    with pytest.raises(ManifestError, match="already allocated"):
        registry.create(service_object("second", **spec))
    registry.delete(SERVICES, NamespacedName("default", "first"))
    assert (
        registry.create(service_object("second", **spec), WriteOptions(dry_run=True))["spec"]["clusterIP"]
        == "10.96.7.7"
    )
    assert registry.create(service_object("third", **spec))["spec"]["ports"][0]["nodePort"] == 30001


def test_what_is_held_is_known_again_from_the_objects():
    before = a_registry()
    held = before.create(service_object())["spec"]["clusterIP"]
    after = Registry(before.store, before.cluster)
    assert after.create(service_object("b"))["spec"]["clusterIP"] != held
    with pytest.raises(ManifestError, match="already allocated"):
        after.create(service_object("c", clusterIP=held))


def test_a_service_gets_what_it_leaves_open_and_keeps_it():
    registry = a_registry()
    (made,) = registry.apply([Loaded(service_object(type="NodePort"), "x")])
    assert made["spec"]["clusterIP"] == "10.96.1.1"
    assert made["spec"]["ports"][0]["nodePort"] == 30086
    (again,) = registry.apply([Loaded(service_object(type="NodePort"), "x")])
    assert again["spec"]["clusterIP"] == "10.96.1.1"
    assert again["spec"]["ports"][0]["nodePort"] == 30086
    (other,) = registry.apply([Loaded(service_object("b", type="LoadBalancer", externalTrafficPolicy="Local"), "x")])
    assert other["spec"]["ports"][0]["nodePort"] == 30087
    assert other["spec"]["healthCheckNodePort"] == 30088
    (plain,) = registry.apply([Loaded(service_object("b", type="ClusterIP"), "x")])
    assert "nodePort" not in plain["spec"]["ports"][0]


def test_one_node_port_serves_two_protocols_of_a_port():
    ports = [{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]
    (made,) = a_registry().apply([Loaded(service_object(type="NodePort", ports=ports), "x")])
    assert {p["nodePort"] for p in made["spec"]["ports"]} == {30086}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"clusterIP": "10.97.0.1"}, "failed to allocate IP 10.97.0.1: the provided network does not match the current range"),
        ({"type": "NodePort", "ports": [{"port": 1, "nodePort": 29999}]}, ("spec.ports[0].nodePort: Invalid value: 29999: provided port"
         " is not in the valid range. The range of valid ports is 30000-32767")),
        ({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}]}, "nodePort: Invalid value: 30001: provided port is already allocated"),
        ({"clusterIP": "10.96.7.7"}, "failed to allocate IP 10.96.7.7: provided IP is already allocated"),
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        ({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}, 'spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster'),
        ({"ipFamilies": ["IPv6"], "clusterIP": "None"}, "spec.ipFamilies[0]"),
        *[
            ({"ipFamilyPolicy": "RequireDualStack", **more}, ('spec.ipFamilyPolicy: Invalid value: "RequireDualStack": '
             "this cluster is not configured for dual-stack services"))
            for more in ({}, {"type": "NodePort"}, {"clusterIP": "None"}, {"clusterIP": "10.96.0.77"}, {"ipFamilies": ["IPv4"]})
        ],
    ],
)  # fmt: skip
def test_what_is_taken_or_outside_is_refused_and_nothing_is_stored(spec, message):
    registry = a_registry()
    first = service_object("first", type="NodePort", clusterIP="10.96.7.7", ports=[{"port": 1, "nodePort": 30001}])
    with pytest.raises(ManifestError) as error:
        registry.apply([Loaded(first, "x"), Loaded(service_object("second", **spec), "y")])
    assert message in str(error.value)
    assert registry.store.count(SERVICES) == 0


def test_an_address_with_leading_zeros_is_the_one_that_it_means():
    registry = a_registry()
    (made,) = registry.apply([Loaded(service_object(clusterIP="10.096.007.07"), "x")])
    assert (made["spec"]["clusterIP"], made["spec"]["clusterIPs"]) == ("10.96.7.7", ["10.96.7.7"])
    with pytest.raises(ManifestError, match="already allocated"):
        registry.apply([Loaded(service_object("b", clusterIP="10.96.7.7"), "x")])
    (again,) = registry.apply([Loaded(service_object(clusterIP="10.096.007.07"), "x")])
    assert again["spec"] == made["spec"]


def test_all_problems_of_a_set_are_raised_together():
    with pytest.raises(ManifestError) as error:
        a_registry().apply([Loaded(service_object("a", clusterIP="1.1.1.1"), "x"), Loaded(service_object("b", type="X"), "y"),
                            Loaded(service_object("c"), "z"), Loaded(service_object("c"), "z")])  # fmt: skip
    assert len(error.value.problems) == 3


def test_dual_stack_services():
    registry = a_registry(ipFamilies=["IPv4", "IPv6"])
    (both,) = registry.apply([Loaded(service_object(ipFamilyPolicy="PreferDualStack"), "x")])
    assert [("." in ip) for ip in both["spec"]["clusterIPs"]] == [True, False]
    (one,) = registry.apply([Loaded(service_object("b"), "x")])
    assert one["spec"]["ipFamilies"] == ["IPv4"]
    (six,) = registry.apply([Loaded(service_object("c", ipFamilies=["IPv6"]), "x")])
    assert six["spec"]["clusterIP"].startswith("fd00:10:96::")
    (none,) = registry.apply([Loaded(service_object("d", clusterIP="None"), "x")])
    assert none["spec"]["clusterIPs"] == ["None"]


@pytest.mark.parametrize("cluster", [["IPv4"], ["IPv6"], ["IPv4", "IPv6"]])
@pytest.mark.parametrize(
    ("spec", "families", "policy"),
    [
        ({}, 2, "RequireDualStack"),
        ({"ipFamilyPolicy": "RequireDualStack"}, 2, "RequireDualStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, 2, "PreferDualStack"),
        ({"ipFamilyPolicy": "SingleStack"}, 1, "SingleStack"),
        ({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}, 1, "SingleStack"),
    ],
)
def test_a_headless_service_without_a_selector_may_have_families_that_the_cluster_has_not(
    cluster, spec, families, policy
):
    registry = a_registry(ipFamilies=cluster)
    wanted = service_object(clusterIP="None", **spec)
    del wanted["spec"]["selector"]
    (made,) = registry.apply([Loaded(wanted, "x")])
    assert made["spec"]["ipFamilyPolicy"] == policy
    assert made["spec"]["ipFamilies"][0] == (spec.get("ipFamilies") or cluster)[0]
    assert len(set(made["spec"]["ipFamilies"])) == families


def test_a_cluster_ip_does_not_change_and_an_external_name_has_none():
    registry = a_registry()
    registry.apply([Loaded(service_object(), "x")])
    with pytest.raises(ManifestError, match="may not change once set"):
        registry.apply([Loaded(service_object(clusterIP="10.96.9.9"), "x")])
    (away,) = registry.apply([Loaded(service_object(type="ExternalName", externalName="a.b"), "x")])
    assert "clusterIP" not in away["spec"]


def test_a_health_check_node_port_is_kept_as_long_as_it_is_needed():
    registry = a_registry()
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    made = registry.create(service_object(**local, healthCheckNodePort=31000))
    assert made["spec"]["healthCheckNodePort"] == 31000
    assert registry.replace(service_object(**local))["spec"]["healthCheckNodePort"] == 31000
    held = registry.store.get(SERVICES, NamespacedName("default", "web"))
    plain = registry.replace({**held, "spec": {**held["spec"], "externalTrafficPolicy": "Cluster"}})
    assert plain["spec"]["externalTrafficPolicy"] == "Cluster"
    assert "healthCheckNodePort" not in plain["spec"]


def test_what_an_update_says_about_families_counts():
    registry = a_registry()
    registry.create(service_object())
    assert registry.replace(service_object(ipFamilyPolicy="SingleStack"))["spec"]["clusterIP"] == "10.96.1.1"


def test_a_headless_service_needs_no_ports():
    made = a_registry().create(service_object(clusterIP="None", ports=None))
    assert made["spec"]["clusterIPs"] == ["None"]


def test_addresses_that_are_given_as_a_list_are_one_address_too():
    (made,) = a_registry().apply([Loaded(service_object(clusterIPs=["10.96.3.3"]), "x")])
    assert made["spec"]["clusterIP"] == "10.96.3.3"
    name = a_registry().create({**service_object(), "spec": {"type": "ExternalName", "externalName": "a.b"}})
    assert name["spec"] == {"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}


# --- what is refused of addresses and ports, and how a given one is shared

SERVICES_OF = "/api/v1/namespaces/default/services"


def a_request(name, **spec):
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}, **spec}}


def test_an_address_of_a_family_that_the_cluster_has_not_is_refused():
    ask = Client(a_registry())
    status, answer = ask("POST", SERVICES_OF, a_request("web", clusterIP="fd00::5", clusterIPs=["fd00::5"]))
    assert status == 422
    assert 'spec.clusterIPs[0]: Invalid value: ["fd00::5"]: IPv6 is not configured on this cluster' in answer["message"]


def test_when_all_node_ports_are_taken_that_is_said():
    ask = Client(a_registry(nodePortRange="30000-30000"))
    assert ask("POST", SERVICES_OF, a_request("one", type="NodePort"))[0] == 201
    status, answer = ask("POST", SERVICES_OF, a_request("two", type="NodePort"))
    assert status == 500
    assert "failed to allocate a nodePort" in answer["message"]


def test_ports_of_one_number_that_ask_for_two_node_ports_get_both():
    ports = [{"port": 80, "protocol": protocol, "name": protocol.lower(), **more} for protocol, more in (
        ("TCP", {}), ("UDP", {"nodePort": 30500}), ("SCTP", {"nodePort": 30501}))]  # fmt: skip
    _, made = Client(a_registry())("POST", SERVICES_OF, a_request("web", type="NodePort", ports=ports))
    assert [port["nodePort"] for port in made["spec"]["ports"]] == [30500, 30500, 30501]


def test_an_address_may_be_replaced_by_another_when_the_type_changes():
    ask = Client(a_registry())
    named = {"type": "ExternalName", "externalName": "a.b"}
    _, made = ask("POST", SERVICES_OF, a_request("web", **named))
    changed = {**made, "spec": {**made["spec"], "type": "ClusterIP", "clusterIP": "10.96.0.77"}}
    changed["spec"].pop("externalName")
    status, answer = ask("PUT", f"{SERVICES_OF}/web", changed)
    assert (status, answer["spec"]["clusterIPs"]) == (200, ["10.96.0.77"])
    status, answer = ask("PUT", f"{SERVICES_OF}/web", {**answer, "spec": {**answer["spec"], "clusterIP": "10.96.0.78"}})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.clusterIPs[0]")


def test_a_service_that_becomes_a_name_gives_its_addresses_back():
    ask = Client(a_registry())
    _, made = ask("POST", SERVICES_OF, a_request("web"))
    named = {**made["spec"], "type": "ExternalName", "externalName": "a.b", "clusterIP": ""}
    status, answer = ask("PUT", f"{SERVICES_OF}/web", {**made, "spec": named})
    assert status == 200
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & answer["spec"].keys()
    assert ask("GET", f"/apis/networking.k8s.io/v1/ipaddresses/{made['spec']['clusterIP']}")[0] == 404
