"""What holds in nftables mode (both layouts) and in IPVS mode, whatever the Services."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import a_node
from support.examples import examples
from support.strategies import snapshots

from netproxy.core.net import Family
from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.ipvs import compile_ipvs
from netproxy.proxy.model import Snapshot
from netproxy.proxy.nftables import compile_nftables
from netproxy.ruleset.ipvs import applied as ipvs_applied
from netproxy.ruleset.ipvs import parse_servers, parse_sets, render_servers, render_sets
from netproxy.ruleset.ipvs import plan as ipvs_plan
from netproxy.ruleset.nft_plan import applied, dangling, plan, removal
from netproxy.ruleset.nftables import parse, render

layouts = st.sampled_from(NFTABLES_LAYOUTS)


@given(snapshots(), layouts)
@examples(60)
def test_every_name_leads_somewhere(services, layout) -> None:
    assert not dangling(compile_nftables(Snapshot(services), a_node(), layout=layout))


@given(snapshots(), layouts)
@examples(60)
def test_text_and_back(services, layout) -> None:
    table = compile_nftables(Snapshot(services, ("10.96.0.0/16",)), a_node(), layout=layout)
    assert parse(render(table)) == [table]


@given(snapshots(), snapshots(), layouts)
@examples(60)
def test_a_plan_leads_from_any_table_to_any_other(before, after, layout) -> None:
    old, new = (compile_nftables(Snapshot(services), a_node(), layout=layout) for services in (before, after))
    change = plan(new, old)
    assert applied(old, change) == new
    assert not plan(new, new)
    assert bool(change) == (old != new)


@given(snapshots())
@examples(60)
def test_the_flat_layout_has_no_chain_for_an_endpoint_without_affinity(services) -> None:
    table = compile_nftables(Snapshot(services), a_node(), layout="flat")
    sticky = sum(len(service.endpoints) for service in services if service.affinity_s)
    assert sum(name.startswith("endpoint-") for name in table.chains) <= sticky


@pytest.mark.parametrize("family", list(Family))
def test_a_table_can_be_taken_away(family) -> None:
    table = compile_nftables(Snapshot(), a_node(family=family))
    assert applied(table, removal(family, table.name)) is None


@given(snapshots())
@examples(60)
def test_ipvs_text_and_back(services) -> None:
    state = compile_ipvs(Snapshot(services), a_node(ipvs_scheduler="mh"))
    assert parse_servers(render_servers(state.servers.values())) == state.servers
    assert parse_sets(render_sets(state.sets.values(), Family.IPV4), Family.IPV4) == state.sets


@given(snapshots(), snapshots())
@examples(60)
def test_a_plan_leads_from_any_ipvs_state_to_any_other(before, after) -> None:
    old, new = (compile_ipvs(Snapshot(services), a_node()) for services in (before, after))
    made = ipvs_applied(old, ipvs_plan(new, old))
    assert not ipvs_plan(new, made)
    assert (made.sets, made.addresses, made.servers.keys()) == (new.sets, new.addresses, new.servers.keys())
