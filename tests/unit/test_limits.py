"""Texts that a service port's name goes into are never longer than the kernel and its tools take."""

import pytest
from support.build import a_node, a_service, a_snapshot, an_endpoint
from support.limits import too_long_in_iptables, too_long_in_nftables

from netproxy.core.net import Family
from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.iptables import compile_iptables
from netproxy.proxy.ipvs import SETS, set_name
from netproxy.proxy.names import iptables_about, nft_about
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.userspace import compile_userspace, forward_name
from netproxy.ruleset.ir import comment_of
from netproxy.ruleset.limits import IPSET_NAME

LONG = {"namespace": "n" * 63, "service": "s" * 63, "port_name": "p" * 63}
SHAPES = {
    "nobody there": a_service(**LONG, node_port=30080),
    "nobody here": a_service("10.0.0.1", **LONG, external_ips=("192.0.2.1",), external_local=True),
    "source ranges": a_service("10.0.0.1", **LONG, load_balancer_ips=("192.0.2.1",), source_ranges=("10.0.0.0/8",)),
    "sticky": a_service("10.0.0.1", **LONG, affinity_s=60),
    "every way in": a_service(
        an_endpoint("10.0.0.1", local=True), **LONG, node_port=30080, health_check_node_port=32000,
        external_local=True, internal_local=True,
    ),
    "an address of 39 characters": a_service(
        an_endpoint("fd00:1111:2222:3333:4444:5555:6666:7777", port=65535), **LONG, affinity_s=60,
        cluster_ip="fd00:10:96::10", node_port=30080,
    ),
    "names that no API server takes": a_service(
        "10.0.0.1", namespace="n" * 300, service="s" * 300, port_name="", load_balancer_ips=("192.0.2.1",),
        source_ranges=("10.0.0.0/8",), external_local=True, affinity_s=60,
    ),
}  # fmt: skip
each_shape = pytest.mark.parametrize("service", SHAPES.values(), ids=SHAPES.keys())


def node_of(service):
    return a_node(family=Family.IPV6 if ":" in service.cluster_ip else Family.IPV4)


@each_shape
def test_iptables_texts_stay_whole(service):
    assert not too_long_in_iptables(compile_iptables(a_snapshot(service), node_of(service)))
    userspace = compile_userspace(a_snapshot(service), node_of(service), {forward_name(service): 40000})
    assert not too_long_in_iptables(userspace)


@pytest.mark.parametrize("layout", NFTABLES_LAYOUTS)
@each_shape
def test_nft_takes_every_text(service, layout):
    assert not too_long_in_nftables(compile_nftables(a_snapshot(service), node_of(service), layout=layout))


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("short", SETS)
def test_ipset_takes_every_name(short, family):
    assert len(set_name(short, family)) <= IPSET_NAME


def test_a_legal_name_is_whole_in_iptables_and_as_long_as_may_be_in_nftables():
    name = a_service(**LONG).name
    assert iptables_about(name) == name
    assert nft_about(name) == name[:128]
    assert nft_about(name[:128]) == name[:128]


def test_a_name_that_is_cut_still_has_chains_of_its_own():
    """Names that differ only behind the cut must not share a chain."""
    one, other = (a_service("10.0.0.1", namespace="n" * 300, service=end, node_port=30080) for end in ("a", "b"))
    rules = compile_iptables(a_snapshot(one, other), a_node()).tables["nat"].chains
    assert sum(name.startswith("KUBE-SVC-") for name in rules) == 2
    assert len({comment_of(rule) for rule in rules["KUBE-NODEPORTS"].rules}) == 1
    tables = compile_nftables(a_snapshot(one, other), a_node())
    assert sum(name.startswith("service-") and "-nnn" in name for name in tables.chains) == 2
