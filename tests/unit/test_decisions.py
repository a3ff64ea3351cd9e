"""Who takes traffic for a service port, who is refused, and whose source is rewritten: the facts all modes are made of."""

import pytest
from support.build import a_node, a_service, an_endpoint

from netproxy.objects.proxyconfig import PROXY_MODES
from netproxy.proxy.decisions import (
    Origin,
    Policy,
    Refusal,
    Role,
    Way,
    closed_addresses,
    decide,
    drops_unallocated,
    fronts,
    node_port_addresses,
    own_packets_pass,
    rewritten_inside,
)
from netproxy.ruleset.ir import InInterface

HERE, THERE = an_endpoint("10.0.0.1", local=True), an_endpoint("10.0.1.1")
UNREADY = an_endpoint("10.0.0.3", ready=False, local=True)
RULES = ["iptables", "nftables"]
EXPOSED = {"node_port": 30080, "external_ips": ("192.0.2.1",), "load_balancer_ips": ("198.51.100.1",)}
ANY, POD, NODE = Origin.ANYBODY, Origin.POD, Origin.NODE


@pytest.mark.parametrize(
    ("endpoints", "policy", "who", "refusal"),
    [
        pytest.param((HERE, THERE), {}, (HERE, THERE), None, id="any endpoint"),
        pytest.param((HERE, THERE), {"internal_local": True}, (HERE,), None, id="Local: those here"),
        pytest.param((THERE,), {"internal_local": True}, (), Refusal.DROP, id="Local: nobody here"),
        pytest.param((), {}, (), Refusal.REJECT, id="nobody"),
        pytest.param((UNREADY,), {}, (), Refusal.REJECT, id="nobody ready"),
        pytest.param((), {"internal_local": True}, (), Refusal.REJECT, id="Local: nobody at all"),
    ],
)
@pytest.mark.parametrize("mode", RULES)
def test_the_cluster_ip_in_modes_of_rules(mode, endpoints, policy, who, refusal):
    decision = decide(a_service(*endpoints, **policy), a_node(), mode)
    assert (decision.inside, decision.no_inside) == (who, refusal)


SHORT_CUTS = (Way(POD, Policy.CLUSTER, rewrites_source=False), Way(NODE, Policy.CLUSTER, rewrites_source=True))


@pytest.mark.parametrize(
    ("endpoints", "local", "ways", "refusal"),
    [
        pytest.param((THERE,), False, (Way(ANY, Policy.CLUSTER, rewrites_source=True),), None, id="policy Cluster"),
        pytest.param(
            (HERE, THERE), True, (*SHORT_CUTS, Way(ANY, Policy.LOCAL, rewrites_source=False)), None, id="policy Local"
        ),
        pytest.param((THERE,), True, SHORT_CUTS, Refusal.DROP, id="policy Local, nobody here"),
        pytest.param((), True, (), Refusal.REJECT, id="policy Local, nobody"),
        pytest.param((), False, (), Refusal.REJECT, id="policy Cluster, nobody"),
    ],
)
@pytest.mark.parametrize("mode", RULES)
def test_external_addresses_in_modes_of_rules(mode, endpoints, local, ways, refusal):
    decision = decide(a_service(*endpoints, external_local=local, **EXPOSED), a_node(), mode)
    assert (decision.ways, decision.no_outside) == (ways, refusal)


def test_without_a_detector_pods_are_nobody_special():
    decision = decide(a_service(HERE, external_local=True, **EXPOSED), a_node(local_traffic=None), "iptables")
    assert [way.origin for way in decision.ways] == [NODE, ANY]
    assert rewritten_inside(a_node(local_traffic=None), "iptables") is None


def test_who_is_behind_a_way():
    decision = decide(a_service(HERE, THERE, external_local=True, **EXPOSED), a_node(), "iptables")
    assert [decision.who(way) for way in decision.ways] == [(HERE, THERE), (HERE, THERE), (HERE,)]


@pytest.mark.parametrize("mode", PROXY_MODES)
def test_a_service_that_is_not_exposed_has_no_way_from_outside(mode):
    decision = decide(a_service(HERE), a_node(), mode)
    if mode in RULES:
        assert (decision.ways, decision.no_outside, decision.ranges) == ((), None, None)
    assert [front.role for front in fronts(a_service(HERE))] == [Role.CLUSTER]


@pytest.mark.parametrize(
    ("endpoints", "policy", "who"),
    [
        pytest.param((HERE, THERE), {}, (HERE, THERE), id="any endpoint"),
        pytest.param((HERE, THERE), {"internal_local": True, "external_local": True}, (HERE,), id="Local: those here"),
        pytest.param(
            (THERE,), {"internal_local": True, "external_local": True}, (THERE,), id="Local: nobody here, so anybody"
        ),
        pytest.param((), {"internal_local": True, "external_local": True}, (), id="nobody"),
    ],
)
def test_ipvs_takes_endpoints_elsewhere_before_it_takes_none(endpoints, policy, who):
    decision = decide(a_service(*endpoints, **policy, **EXPOSED), a_node(), "ipvs")
    assert decision.inside == decision.outside == who
    assert decision.no_inside is decision.no_outside is (None if who else Refusal.REJECT)
    assert [decision.who(way) for way in decision.ways] == ([who] if who else [])
    assert [way.rewrites_source for way in decision.ways] == ([not policy] if who else [])


def test_ipvs_knows_only_endpoints_of_this_node_that_call_themselves():
    assert decide(a_service(HERE, THERE, UNREADY), a_node(), "ipvs").hairpins == (HERE, UNREADY)
    assert decide(a_service(HERE, THERE, UNREADY), a_node(), "iptables").hairpins == (HERE, THERE)


def test_a_process_chooses_between_ready_endpoints_and_calls_as_the_node():
    decision = decide(a_service(HERE, THERE, UNREADY, external_local=True, **EXPOSED), a_node(), "userspace")
    assert decision.inside == decision.outside == (HERE, THERE)
    assert decision.ways == (Way(ANY, Policy.CLUSTER, rewrites_source=True),)
    assert rewritten_inside(a_node(), "userspace") is ANY
    nobody = decide(a_service(UNREADY), a_node(), "userspace")
    assert (nobody.no_inside, nobody.no_outside, nobody.ways) == (Refusal.CLOSE, Refusal.CLOSE, ())


@pytest.mark.parametrize(
    ("ranges", "source", "enters"),
    [
        pytest.param(("203.0.113.0/24",), "203.0.113.7", True, id="in a range"),
        pytest.param(("203.0.113.0/24", "10.0.0.0/8"), "10.1.1.1", True, id="in the second"),
        pytest.param(("203.0.113.0/24",), "198.51.100.7", False, id="in none"),
        pytest.param(("203.0.113.0/24",), "198.51.100.1", False, id="the balancer's own IP"),
        pytest.param(("192.168.0.0/16",), "198.51.100.1", True, id="the balancer's own IP, the node in a range"),
    ],
)
@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_who_may_enter_through_a_load_balancers_ip(mode, ranges, source, enters):
    decision = decide(a_service(HERE, source_ranges=ranges, **EXPOSED), a_node(), mode)
    assert decision.ranges is not None
    assert decision.ranges.admit(source) is enters


def test_ranges_guard_nothing_where_there_is_nothing():
    bare = {**EXPOSED, "load_balancer_ips": ()}
    assert decide(a_service(HERE, source_ranges=("10.0.0.0/8",), **bare), a_node(), "nftables").ranges is None
    assert decide(a_service(HERE, **EXPOSED), a_node(), "nftables").ranges is None
    nobody = a_service(source_ranges=("10.0.0.0/8",), **EXPOSED)
    assert decide(nobody, a_node(), "iptables").ranges is None, "iptables rejects before it looks at the source"
    assert decide(nobody, a_node(), "nftables").ranges is not None


def test_a_service_port_is_met_in_the_order_of_its_addresses():
    assert [tuple(front) for front in fronts(a_service(**EXPOSED))] == [
        (Role.CLUSTER, "10.96.0.10", 80), (Role.EXTERNAL, "192.0.2.1", 80), (Role.BALANCER, "198.51.100.1", 80),
        (Role.NODE_PORT, "", 30080),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "node", "taken"),
    [
        ("iptables", {}, ("192.168.0.2", "127.0.0.1")),
        ("iptables", {"localhost_node_ports": False}, ("192.168.0.2",)),
        ("iptables", {"node_port_addresses": ("192.168.0.0/16",)}, ("192.168.0.2",)),
        ("nftables", {}, ("192.168.0.2",)),
        ("ipvs", {}, ("192.168.0.2",)),
        ("ipvs", {"node_port_addresses": ("10.0.0.0/8",)}, ()),
        ("userspace", {"localhost_node_ports": False}, ("192.168.0.2", "127.0.0.1")),
    ],
)
def test_addresses_that_take_node_ports(mode, node, taken):
    assert node_port_addresses(a_node(**node), mode) == taken


@pytest.mark.parametrize(
    ("mode", "closed"),
    [
        ("iptables", ()),
        ("nftables", ("10.96.0.10",)),
        ("ipvs", ("10.96.0.10", "198.51.100.1")),
        ("userspace", ()),
    ],
)
def test_addresses_that_have_no_other_ports(mode, closed):
    node = a_node(addresses=("192.168.0.2", "192.0.2.1", "127.0.0.1"))
    assert closed_addresses(a_service(HERE, **EXPOSED), node, mode) == closed


def test_whose_source_is_rewritten_on_the_way_to_a_cluster_ip():
    assert rewritten_inside(a_node(), "iptables") is Origin.OUTSIDER
    assert rewritten_inside(a_node(local_traffic=InInterface("veth+")), "nftables") is Origin.OUTSIDER
    assert rewritten_inside(a_node(masquerade_all=True), "ipvs") is ANY


def test_where_modes_differ_about_what_nobody_has():
    assert [mode for mode in PROXY_MODES if drops_unallocated(mode)] == ["nftables"]
    passing = {(mode, role) for mode in PROXY_MODES for role in Role if own_packets_pass(role, mode)}
    assert passing == {("iptables", Role.EXTERNAL), ("iptables", Role.BALANCER)}
