"""What of a node and of its configuration shows in the rules, in every mode."""

from dataclasses import replace

import pytest
from support.build import a_node, a_service, a_snapshot, service_object, slice_object

from netproxy.core.net import Family
from netproxy.proxy.build import build
from netproxy.proxy.config import IPVS_SYSCTLS, node_view, sysctls
from netproxy.proxy.health import health_checks
from netproxy.proxy.ipvs import compile_ipvs
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.tracker import Tracker
from netproxy.proxy.userspace import Forward, forwards
from netproxy.proxy.versions import V1_30
from netproxy.ruleset.iptables import rule_words
from netproxy.ruleset.ir import InInterface, Source
from netproxy.ruleset.nftables import rule_text

NODE = {"metadata": {"name": "node1"}, "spec": {"podCIDR": "10.244.1.0/24"}}
PODS = Source("10.244.0.0/16")


@pytest.mark.parametrize(
    ("config", "detector"),
    [
        ({"clusterCIDR": "fd00::/64,10.244.0.0/16"}, PODS),
        ({}, None),
        ({"detectLocalMode": "NodeCIDR"}, Source("10.244.1.0/24")),
        ({"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "br0"}}, InInterface("br0")),
        ({"detectLocalMode": "BridgeInterface"}, None),
        (
            {"detectLocalMode": "InterfaceNamePrefix", "detectLocal": {"interfaceNamePrefix": "veth"}},
            InInterface("veth+"),
        ),
        ({"detectLocalMode": "InterfaceNamePrefix"}, None),
    ],
)
def test_how_pods_are_known(config, detector):
    assert node_view(NODE, config, Family.IPV4).local_traffic == detector


DETECTORS = [
    pytest.param(a_node(), "! -s 10.244.0.0/16", "ip saddr != 10.244.0.0/16", id="by their range"),
    pytest.param(a_node(local_traffic=InInterface("br0")), "! -i br0", 'iifname != "br0"', id="by their bridge"),
    pytest.param(a_node(local_traffic=InInterface("veth+")), "! -i veth+", 'iifname != "veth*"', id="by how their links are called"),
    pytest.param(a_node(masquerade_all=True), "-m comment", "ip daddr 10.96.0.10", id="everybody is rewritten"),
]  # fmt: skip


@pytest.mark.parametrize(("node", "in_iptables", "in_nft"), DETECTORS)
def test_who_is_rewritten_on_the_way_to_a_cluster_ip(node, in_iptables, in_nft):
    snapshot = a_snapshot(a_service("10.244.0.5"))
    asking = [rule_words(r) for r in compile_ipvs(snapshot, node).rules.tables["nat"].chains["KUBE-SERVICES"].rules]
    (marking,) = [words for words in asking if "KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ" in words]
    assert marking.strip().startswith(in_iptables)
    old = compile_nftables(snapshot, replace(node, version=V1_30))
    (chain,) = [c for c in old.chains.values() if c.name.startswith("service-") and "/" in c.name]
    assert in_nft in rule_text(chain.rules[0])
    assert "mark-for-masquerade" in rule_text(chain.rules[0])
    guard = rule_text(compile_nftables(snapshot, node).chains["services"].rules[0])
    assert in_nft.replace("10.96.0.10", "@cluster-ips") in guard
    assert "meta mark set meta mark" in guard


def test_where_nobody_knows_the_pods_only_the_node_itself_is_rewritten():
    snapshot, node = (
        a_snapshot(a_service("10.244.0.5", node_port=30080, external_local=True)),
        a_node(local_traffic=None),
    )
    asking = [rule_words(r) for r in compile_ipvs(snapshot, node).rules.tables["nat"].chains["KUBE-SERVICES"].rules]
    assert any("KUBE-CLUSTER-IP src,dst -j KUBE-MARK-MASQ" in words for words in asking)
    external = next(c for c in compile_nftables(snapshot, node).chains.values() if c.name.startswith("external-"))
    assert [rule.comment for rule in external.rules] == ["masquerade local traffic", "short-circuit local traffic"]


def test_pods_behind_a_bridge_take_the_short_way_out():
    service = a_service("10.244.0.5", node_port=30080, external_local=True)
    table = compile_nftables(a_snapshot(service), a_node(local_traffic=InInterface("br0")))
    external = next(c for c in table.chains.values() if c.name.startswith("external-"))
    assert rule_text(external.rules[0]).startswith('iifname "br0" goto service-')


def test_kernel_settings_of_each_mode():
    quiet = {"conntrack": {"tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}}
    assert sysctls(quiet, a_node(localhost_node_ports=False)) == {}
    assert sysctls(quiet, a_node()) == {"net/ipv4/conf/all/route_localnet": "1"}
    assert sysctls(quiet, a_node(localhost_node_ports=False), mode="ipvs") == dict.fromkeys(IPVS_SYSCTLS, "1")
    strict = sysctls({**quiet, "ipvs": {"strictARP": True}}, a_node(localhost_node_ports=False), mode="ipvs")
    assert strict["net/ipv4/conf/all/arp_ignore"] == "1"
    assert strict["net/ipv4/conf/all/arp_announce"] == "2"


def test_endpoints_without_an_address_and_ports_without_a_number_are_nobody():
    bare = slice_object(endpoints=[{"addresses": []}, {"addresses": ["10.244.0.5"]}])
    view = node_view(NODE, {}, Family.IPV4)
    (port,) = build([service_object(clusterIP="10.96.0.10")], [bare], view).services
    assert [endpoint.address for endpoint in port.endpoints] == ["10.244.0.5"]
    unnumbered = slice_object(ports=[{"name": "http", "protocol": "TCP"}])
    (port,) = build([service_object(clusterIP="10.96.0.10")], [unnumbered], view).services
    assert port.endpoints == ()


def test_a_tracker_knows_the_service_ranges_of_this_moment():
    tracker = Tracker(a_node())
    first, second = ({"metadata": {"name": name}, "spec": {"cidrs": cidrs}} for name, cidrs in
                     (("a", ["10.96.0.0/16"]), ("b", ["fd00::/112"])))  # fmt: skip
    tracker.set_service_cidr(first)
    tracker.set_service_cidr(second)
    assert tracker.snapshot().service_cidrs == ("10.96.0.0/16", "fd00::/112")
    tracker.set_service_cidr(first, deleted=True)
    assert tracker.snapshot().service_cidrs == ("fd00::/112",)


def test_a_tracker_hands_its_objects_to_another_view():
    tracker = Tracker(a_node(name="elsewhere"))
    tracker.set_service(service_object(clusterIP="10.96.0.10"))
    tracker.set_slice(slice_object())
    tracker.set_service_cidr({"metadata": {"name": "a"}, "spec": {"cidrs": ["10.96.0.0/16"]}})
    ((here,), (there,)) = ([port.endpoints[0].local for port in t.snapshot().services] for t in
                           (tracker.again_for(a_node(name="node1")), tracker))  # fmt: skip
    assert (here, there) == (True, False)
    assert tracker.again_for(a_node()).snapshot().service_cidrs == ("10.96.0.0/16",)


def test_a_service_whose_objects_are_not_what_they_should_be_is_left_out_and_noted():
    tracker = Tracker(a_node())
    tracker.set_service(service_object("good", clusterIP="10.96.0.10"))
    tracker.set_service(service_object("bad", clusterIP="10.96.0.11", ports=[{"name": "http"}]))
    assert [port.service for port in tracker.snapshot().services] == ["good"]
    assert list(tracker.faults) == [("default", "bad")]
    tracker.set_service(service_object("bad", clusterIP="10.96.0.11"))
    assert [port.service for port in tracker.snapshot().services] == ["bad", "good"]
    assert not tracker.faults


def test_only_services_that_ask_for_it_have_a_health_check():
    asked = a_service("10.244.0.5", service="asked", health_check_node_port=32000)
    assert [check.service for check in health_checks(a_snapshot(a_service("10.244.0.5"), asked))] == ["asked"]


def test_a_process_is_told_tcp_and_udp_ports_and_their_ready_endpoints():
    web, gtp = a_service("10.244.0.5", affinity_s=60), a_service("10.244.0.6", service="gtp", protocol="sctp")
    assert forwards(a_snapshot(gtp, web)) == (Forward("ns1/web:http/tcp", "tcp", (("10.244.0.5", 8080),), 60),)
