"""The lengths in netproxy.ruleset.limits are those of the tools here, and Services with the longest names are served."""

import pytest
from support.build import a_node, a_service, a_snapshot, an_endpoint

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux.command import run
from netproxy.linux.iptables import IptablesKernel
from netproxy.linux.nftables import Generations, NftablesKernel
from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.iptables import PER_SERVICE, compile_iptables
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.nftables_table import TABLE
from netproxy.ruleset import limits
from netproxy.ruleset.diff import owned_by_prefix, plan
from netproxy.ruleset.ir import Source
from netproxy.ruleset.nft_plan import plan as nft_plan

LONG = {"namespace": "n" * 63, "port_name": "p" * 63}
V4 = a_snapshot(
    a_service(**LONG, service="nobody-there".ljust(63, "x"), node_port=30080, external_ips=("192.0.2.1",)),
    a_service(
        an_endpoint("10.244.0.5", local=True), an_endpoint("10.244.1.5"), **LONG, service="s" * 63, cluster_ip="10.96.0.11",
        node_port=30081, load_balancer_ips=("192.0.2.2",), source_ranges=("203.0.113.0/24",), external_local=True,
        health_check_node_port=32000, affinity_s=60,
    ),
    a_service("10.244.1.6", **LONG, service="t" * 63, cluster_ip="10.96.0.12", internal_local=True),
)  # fmt: skip
V6 = a_snapshot(
    a_service(
        an_endpoint("fd00:1111:2222:3333:4444:5555:6666:7777", port=65535), **LONG, service="s" * 63,
        cluster_ip="fd00:10:96::10", node_port=30080, affinity_s=60,
    ),
)  # fmt: skip
each_family = pytest.mark.parametrize(
    ("node", "snapshot"),
    [
        pytest.param(a_node(), V4, id="IPv4"),
        pytest.param(
            a_node(
                family=Family.IPV6, local_traffic=Source("fd00:244::/64"), node_ip="fd00::2", localhost_node_ports=False
            ),
            V6,
            id="IPv6",
        ),
    ],
)
owned = owned_by_prefix(PER_SERVICE)


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
@each_family
def test_iptables_keeps_the_longest_names(node, snapshot, flavour, namespace):
    desired = compile_iptables(snapshot, node)
    kernel = IptablesKernel(namespace, node.family, flavour=flavour)
    kernel.write(plan(desired, kernel.read(), owned=owned))
    assert not plan(desired, kernel.read(), owned=owned)


@pytest.mark.parametrize("layout", NFTABLES_LAYOUTS)
@each_family
def test_nftables_keeps_the_longest_names(node, snapshot, layout, namespace):
    desired = compile_nftables(snapshot, node, layout=layout)
    generations = Generations(namespace).writer()
    kernel = NftablesKernel(namespace, node.family, generations, table=TABLE)
    try:
        kernel.write(nft_plan(desired, None))
        assert kernel.read() == desired
    finally:
        kernel.close()
        generations.close()


def nft_comment(length):
    return ["nft", f'add table ip t ; add chain ip t c {{ comment "{"x" * length}"; }}']


def nft_element_comment(length):
    return ["nft", f'table ip t {{ set s {{ type ipv4_addr; elements = {{ 10.0.0.1 comment "{"x" * length}" }}; }}; }}']


def nft_rule_comment(length):
    return ["nft", f'table ip t {{ chain c {{ drop comment "{"x" * length}"; }}; }}']


def nft_chain(length):
    return ["nft", f"add table ip t ; add chain ip t {'x' * length}"]


def nft_set(length):
    return ["nft", f"add table ip t ; add set ip t {'x' * length} {{ type ipv4_addr; }}"]


def iptables_chain(length):
    return ["iptables-nft", "-t", "nat", "-N", "x" * length]


def iptables_legacy_chain(length):
    return ["iptables-legacy", "-t", "nat", "-N", "x" * length]


def ipset(length):
    return ["ipset", "create", "x" * length, "hash:ip"]


@pytest.mark.parametrize(
    ("command", "most"),
    [
        (nft_comment, limits.NFT_COMMENT),
        (nft_element_comment, limits.NFT_COMMENT),
        (nft_rule_comment, limits.NFT_COMMENT),
        (nft_chain, limits.NFT_NAME),
        (nft_set, limits.NFT_NAME),
        (iptables_chain, limits.IPTABLES_CHAIN),
        (iptables_legacy_chain, limits.IPTABLES_CHAIN),
        (ipset, limits.IPSET_NAME),
    ],
)
def test_what_is_longer_is_refused(command, most, namespace):
    with pytest.raises(KernelError):
        run(command(most + 1), namespace=namespace)
    run(command(most), namespace=namespace)


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
@pytest.mark.parametrize(
    ("words", "most"),
    [
        pytest.param(["-m", "comment", "--comment"], limits.IPTABLES_COMMENT, id="comment"),
        pytest.param(["-m", "recent", "--set", "--name"], limits.RECENT_NAME, id="recent"),
    ],
)
def test_iptables_cuts_what_is_longer_without_a_word(words, most, flavour, namespace):
    run([f"iptables-{flavour}", "-A", "OUTPUT", *words, "x" * (most + 1)], namespace=namespace)
    saved = run([f"iptables-{flavour}-save"], namespace=namespace)
    assert "x" * most in saved
    assert "x" * (most + 1) not in saved
