"""The rules of one Service as people see them, in every mode: where, what, why, and whether it is there."""

from dataclasses import replace

import pytest
from support.build import a_node, a_service, a_snapshot, an_endpoint

from netproxy.core.net import Family
from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.iptables import compile_iptables
from netproxy.proxy.iptables_service import service_rules
from netproxy.proxy.ipvs import compile_ipvs
from netproxy.proxy.ipvs import service_part as ipvs_part
from netproxy.proxy.nftables import compile_nftables, service_part
from netproxy.proxy.rules import in_packet_order, ipvs_lines, nftables_lines, userspace_lines
from netproxy.proxy.userspace import compile_userspace, forward_name
from netproxy.ruleset.ipvs import Ipvs, ServerKey
from netproxy.ruleset.ir import Ruleset

SERVICE = a_service(
    an_endpoint("10.244.0.5", local=True), "10.244.1.5", node_port=30080, load_balancer_ips=("198.51.100.1",),
    source_ranges=("203.0.113.0/24",), external_local=True,
)  # fmt: skip
NOBODY = a_service(node_port=30080)
NODE = a_node(localhost_node_ports=False)


def counted(rules: Ruleset) -> dict:
    return {
        (table.name, chain.name): ((7, 420),) * len(chain.rules)
        for table in rules.tables.values()
        for chain in table.chains.values()
    }


def test_iptables_shows_a_service_from_its_entry_to_its_endpoints_and_out() -> None:
    present = compile_iptables(a_snapshot(SERVICE), NODE)
    lines = list(in_packet_order(service_rules(SERVICE, NODE), present, present, counted(present)))
    chains = list(dict.fromkeys(line.chain.rpartition("-")[0] for line in lines if line.chain.count("-") == 2))
    assert chains == ["KUBE-PROXY", "KUBE-FW", "KUBE-EXT", "KUBE-SVL", "KUBE-SVC", "KUBE-SEP"]
    assert lines[-1].chain == "KUBE-POSTROUTING"
    assert all(line.present and line.number and (line.packets, line.bytes) == (7, 420) and line.why for line in lines)


def test_iptables_shows_only_what_is_blocked_where_nobody_answers() -> None:
    nothing = Ruleset(Family.IPV4)
    lines = list(in_packet_order(service_rules(NOBODY, NODE), compile_iptables(a_snapshot(), NODE), nothing, {}))
    assert [(line.table, line.chain, line.present) for line in lines] == [
        ("filter", "KUBE-SERVICES", False), ("filter", "KUBE-EXTERNAL-SERVICES", False),
    ]  # fmt: skip


@pytest.mark.parametrize("layout", NFTABLES_LAYOUTS)
def test_nftables_shows_elements_then_chains_then_the_way_out(layout: str) -> None:
    part = service_part(SERVICE, NODE, layout=layout)
    present = compile_nftables(a_snapshot(SERVICE), NODE, layout=layout)
    lines = list(nftables_lines(part, NODE, present))
    assert all(line.present and line.why for line in lines)
    assert lines[0].text == "cluster-ips { 10.96.0.10 }"
    assert [line.chain for line in lines if line.number][-1] == "masquerading"
    assert not any(line.present for line in nftables_lines(part, NODE, None))


def test_nftables_tells_a_chain_that_somebody_changed() -> None:
    part = service_part(SERVICE, NODE)
    present = compile_nftables(a_snapshot(SERVICE), NODE)
    name = next(chain.name for chain in part.chains if chain.name.startswith("external-"))
    broken = replace(present.chains[name], rules=present.chains[name].rules[:1])
    lines = nftables_lines(part, NODE, replace(present, chains={**present.chains, name: broken}))
    assert [line.present for line in lines if line.chain == name][:2] == [True, False]


def test_nftables_shows_no_way_out_of_a_table_that_is_not_ours() -> None:
    part = service_part(NOBODY, NODE)
    lines = list(nftables_lines(part, NODE, compile_nftables(a_snapshot(NOBODY), NODE)))
    assert {line.chain for line in lines} == {"cluster-ips", "no-endpoint-services", "no-endpoint-nodeports"}


def test_ipvs_shows_servers_destinations_addresses_entries_and_guards() -> None:
    part = ipvs_part(SERVICE, NODE)
    key = ServerKey("tcp", "10.96.0.10", 80)
    lines = list(ipvs_lines(part, NODE, compile_ipvs(a_snapshot(SERVICE), NODE), {(key, "", 0): (12, 720)}))
    assert all(line.present and line.why for line in lines)
    assert (lines[0].chain, lines[0].packets, lines[0].bytes) == ("virtual server", 12, 720)
    assert list(dict.fromkeys(line.chain for line in lines))[:3] == ["virtual server", "destination", "kube-ipvs0"]
    assert lines[-1].chain == "KUBE-IPVS-OUT-FILTER"


def test_ipvs_says_what_is_missing() -> None:
    lines = ipvs_lines(ipvs_part(SERVICE, NODE), NODE, Ipvs(Family.IPV4), {})
    assert not [line for line in lines if line.present and line.chain != "KUBE-IPVS-OUT-FILTER"]


def test_userspace_shows_what_leads_to_the_process_and_between_whom_it_chooses() -> None:
    service = a_service("10.244.0.5", an_endpoint("10.244.1.5", ready=False), node_port=30080)
    present = compile_userspace(a_snapshot(service), NODE, {forward_name(service): 40000})
    lines = list(userspace_lines(service, NODE, 40000, present, counted(present)))
    assert all(line.present for line in lines)
    assert [line.chain for line in lines] == [
        "KUBE-PORTALS-CONTAINER", "KUBE-NODEPORT-CONTAINER", "KUBE-PORTALS-HOST", "KUBE-NODEPORT-HOST", "port 40000",
    ]  # fmt: skip
    assert lines[-1].text == "connect to 10.244.0.5:8080"
    assert not list(userspace_lines(service, NODE, None, present, {}))


def test_userspace_shows_a_service_without_a_node_port() -> None:
    service = a_service("10.244.0.5")
    lines = userspace_lines(service, NODE, 40000, Ruleset(Family.IPV4), {})
    assert [line.chain for line in lines] == ["KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST", "port 40000"]
