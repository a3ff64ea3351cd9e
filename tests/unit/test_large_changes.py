"""Where a compiler says that whole states are to be compared, and how a first load is cut into transactions."""

import pytest
from support.build import a_node, a_service, a_snapshot

from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.iptables import IptablesCompiler
from netproxy.proxy.ipvs import IpvsCompiler
from netproxy.proxy.ledger import MANY
from netproxy.proxy.model import Snapshot
from netproxy.proxy.nftables import FIRST_CHUNK, NftCompiler, compile_nftables
from netproxy.proxy.userspace import UserspaceCompiler
from netproxy.ruleset.nft_plan import applied

COMPILERS = {
    "iptables": IptablesCompiler, "nftables": NftCompiler, "ipvs": IpvsCompiler, "userspace": UserspaceCompiler,
}  # fmt: skip
each_mode = pytest.mark.parametrize("make", COMPILERS.values(), ids=COMPILERS.keys())


def services(count, ip="10.244.0.5", **more):
    return [
        a_service(ip, service=f"s{n:05}", cluster_ip=f"10.96.{n // 250}.{n % 250 + 1}", **more) for n in range(count)
    ]


@each_mode
def test_so_many_changes_are_compared_as_a_whole(make):
    compiler = make(a_node())
    compiler.whole(a_snapshot(*services(2 * MANY + 2)))
    assert compiler.change(a_snapshot(*services(2 * MANY + 2, "10.244.0.6"))) is None
    compiler.whole(a_snapshot(*services(MANY + 1, "10.244.0.6")))
    assert compiler.change(a_snapshot(*services(MANY + 1, "10.244.0.7"))) is None


@each_mode
def test_other_service_ranges_are_compared_as_a_whole(make):
    compiler = make(a_node())
    compiler.whole(Snapshot((), ("10.96.0.0/16",)))
    assert compiler.change(Snapshot((), ("10.97.0.0/16",))) is None


def test_a_set_whose_timeout_changes_takes_its_chains_with_it():
    compiler = NftCompiler(a_node())
    compiler.whole(a_snapshot(a_service("10.244.0.5", affinity_s=60)))
    assert compiler.change(a_snapshot(a_service("10.244.0.5", affinity_s=90))) is None


def ipvs_change(before, after):
    compiler = IpvsCompiler(a_node())
    compiler.whole(a_snapshot(before))
    return compiler.change(a_snapshot(after))


def test_another_endpoint_leaves_its_ipvs_server_and_its_affinity_alone():
    change = ipvs_change(a_service("10.244.0.5"), a_service("10.244.0.6"))
    assert change is not None
    assert (change.servers, len(change.destinations), len(change.removed_destinations)) == ((), 1, 1)
    change = ipvs_change(a_service("10.244.0.5"), a_service("10.244.0.5", affinity_s=60))
    assert change is not None
    assert [server.persistent_s for server in change.servers] == [60]
    assert not change.destinations


def test_rules_of_ipvs_mode_are_compared_as_a_whole_when_a_guard_comes_or_goes():
    """A guard keeps the node itself out of a load balancer's IP: it is a rule, and no entry of a set."""
    near, far = (
        a_service("10.244.0.5", load_balancer_ips=("192.0.2.1",), source_ranges=(cidr,))
        for cidr in ("192.168.0.0/16", "203.0.113.0/24")
    )
    assert ipvs_change(near, far) is None
    assert ipvs_change(far, near) is None


@pytest.mark.parametrize("layout", NFTABLES_LAYOUTS)
def test_a_first_load_is_live_only_when_all_is_there(layout):
    snapshot = a_snapshot(
        *services(FIRST_CHUNK + 5, affinity_s=60), *services(3, "10.244.0.9", namespace="ns2", node_port=30080)
    )
    compiler = NftCompiler(a_node(), layout=layout)
    table = None
    for step in compiler.fresh(snapshot):
        assert not any(chain.hook for chain in (table.chains.values() if table else ()))
        table = applied(table, step)
    assert table == compile_nftables(snapshot, a_node(), layout=layout)
    assert not compiler.change(snapshot), "the next change begins where the load ended"
    assert compiler.look(snapshot) == table
