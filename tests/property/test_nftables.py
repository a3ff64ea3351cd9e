"""What holds for the nftables table of every cluster, in both layouts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import a_node
from support.strategies import snapshots

from netproxy.core.net import Family
from netproxy.proxy.model import Snapshot
from netproxy.proxy.nftables import LAYOUTS, NftCompiler, compile_nftables
from netproxy.ruleset.nft_plan import applied, dangling, plan, removal
from netproxy.ruleset.nftables import parse, render

layouts = st.sampled_from(LAYOUTS)


@given(snapshots(), layouts)
def test_every_name_leads_somewhere(services, layout) -> None:
    assert not dangling(compile_nftables(Snapshot(services), a_node(), layout=layout))


@given(snapshots(), layouts)
def test_text_and_back(services, layout) -> None:
    table = compile_nftables(Snapshot(services, ("10.96.0.0/16",)), a_node(), layout=layout)
    assert parse(render(table)) == [table]


@given(snapshots(), snapshots(), layouts)
def test_a_plan_leads_from_any_table_to_any_other(before, after, layout) -> None:
    old, new = (compile_nftables(Snapshot(services), a_node(), layout=layout) for services in (before, after))
    change = plan(new, old)
    assert applied(old, change) == new
    assert not plan(new, new)
    assert bool(change) == (old != new)


@given(snapshots(), st.lists(snapshots(), max_size=4), layouts)
def test_a_compiler_that_remembers_comes_to_the_same_table(first, rest, layout) -> None:
    compiler = NftCompiler(a_node(), layout=layout)
    known: dict = {}
    table = compiler.table(Snapshot(first))
    for services in rest:
        snapshot = Snapshot(tuple(known.setdefault(service, service) for service in services))
        change = compiler.change(snapshot)
        table = compiler.table(snapshot) if change is None else applied(table, change)
        assert table == compile_nftables(snapshot, a_node(), layout=layout)


@given(snapshots())
def test_the_flat_layout_has_no_chain_for_an_endpoint_without_affinity(services) -> None:
    table = compile_nftables(Snapshot(services), a_node(), layout="flat")
    sticky = sum(len(service.endpoints) for service in services if service.affinity_s)
    assert sum(name.startswith("endpoint-") for name in table.chains) <= sticky


@pytest.mark.parametrize("family", list(Family))
def test_a_table_can_be_taken_away(family) -> None:
    table = compile_nftables(Snapshot(), a_node(family=family))
    assert applied(table, removal(family, table.name)) is None
