"""What the iptables compiler writes, where no recording says it."""

import pytest
from support.build import a_node, a_service, a_snapshot, an_endpoint
from support.cases import recorded_cases

from netproxy.core.net import Family
from netproxy.proxy.config import duration_s, node_port_cidrs, node_view, sysctls
from netproxy.proxy.health import HealthCheck, health_answer, health_checks
from netproxy.proxy.iptables import IptablesCompiler, compile_iptables
from netproxy.proxy.iptables_service import service_rules
from netproxy.proxy.rules import in_packet_order
from netproxy.ruleset.iptables import render, rule_words
from netproxy.ruleset.ir import Drop, InInterface, Jump, Reject, comment_of


def chain(ruleset, table, name):
    return ruleset.tables[table].chains[name].rules


def test_a_service_without_endpoints_is_refused():
    rules = compile_iptables(a_snapshot(a_service()), a_node())
    (rule,) = chain(rules, "filter", "KUBE-SERVICES")
    assert rule.action == Reject("icmp-port-unreachable")
    assert comment_of(rule) == "ns1/web:http has no endpoints"


def test_a_service_without_local_endpoints_is_dropped():
    rules = compile_iptables(a_snapshot(a_service("10.0.0.1", internal_local=True)), a_node())
    (rule,) = chain(rules, "filter", "KUBE-SERVICES")
    assert rule.action == Drop()


def test_every_jump_has_a_target_and_every_rule_a_reason():
    for case in recorded_cases():
        for family in Family:
            view = case.view(family)
            ruleset = compile_iptables(case.snapshot(view), view)
            for table in ruleset.tables.values():
                for owner in table.chains.values():
                    for rule in owner.rules:
                        assert rule.why
                        if isinstance(rule.action, Jump):
                            assert rule.action.chain in table.chains


def test_an_open_source_range_matches_without_an_address():
    service = a_service("10.0.0.1", load_balancer_ips=("1.2.3.4",), source_ranges=("0.0.0.0/0",))
    text = render(compile_iptables(a_snapshot(service), a_node()))
    assert '-A KUBE-FW-4LVCYZMTA5CQO6SX -m comment --comment "ns1/web:http loadbalancer IP" -j KUBE-EXT-' in text
    assert "-A KUBE-FW-4LVCYZMTA5CQO6SX -s 1.2.3.4/32 -m comment" in text


@pytest.mark.parametrize(
    ("detector", "expected"),
    [(InInterface("veth+"), "-d 10.96.0.10/32 ! -i veth+ -p tcp"), (None, None)],
)
def test_local_detection(detector, expected):
    rules = compile_iptables(a_snapshot(a_service("10.0.0.1")), a_node(local_traffic=detector))
    lines = [rule_words(r) for r in chain(rules, "nat", "KUBE-SVC-4LVCYZMTA5CQO6SX")]
    assert (expected in lines[0]) if expected else "MARK-MASQ" not in lines[0]


def test_comments_of_endpoints_go_above_a_thousand_endpoints():
    many = [an_endpoint(f"10.1.{n // 250}.{n % 250 + 1}") for n in range(1001)]
    rules = compile_iptables(a_snapshot(a_service(*many)), a_node())
    assert comment_of(chain(rules, "nat", "KUBE-SVC-4LVCYZMTA5CQO6SX")[5]) == ""
    assert comment_of(chain(rules, "nat", "KUBE-SERVICES")[0]) == "ns1/web:http cluster IP"


def test_unchanged_services_are_not_compiled_again():
    compiler = IptablesCompiler(a_node())
    same, other = a_service("10.0.0.1"), a_service("10.0.0.2", service="other")
    first = compiler.whole(a_snapshot(other, same))
    second = compiler.whole(a_snapshot(a_service("10.0.0.3", service="other"), same))
    name = "KUBE-SVC-4LVCYZMTA5CQO6SX"
    assert first.tables["nat"].chains[name] is second.tables["nat"].chains[name]
    assert second == compile_iptables(a_snapshot(a_service("10.0.0.3", service="other"), same), a_node())


def test_ipv6_never_takes_localhost_node_ports():
    node = node_view({"metadata": {"name": "n"}}, {}, Family.IPV6)
    assert not node.localhost_node_ports
    assert node.addresses == ("::1",)


@pytest.mark.parametrize(
    ("given", "family", "cidrs"),
    [
        ([], Family.IPV4, ()),
        (["10.0.0.0/8", "fd00::/8"], Family.IPV6, ("fd00::/8",)),
        (["0.0.0.0/0"], Family.IPV4, ()),
        (["primary"], Family.IPV4, ("192.168.0.2/32",)),
    ],
)
def test_node_port_addresses(given, family, cidrs):
    assert node_port_cidrs({"nodePortAddresses": given}, family, "192.168.0.2") == cidrs


def test_settings_of_a_configuration():
    config = {"conntrack": {"tcpEstablishedTimeout": "1h0m0s", "tcpCloseWaitTimeout": "0s", "tcpBeLiberal": True}}
    written = sysctls(config, a_node())
    assert written["net/netfilter/nf_conntrack_tcp_timeout_established"] == "3600"
    assert "net/netfilter/nf_conntrack_tcp_timeout_close_wait" not in written
    assert written["net/netfilter/nf_conntrack_tcp_be_liberal"] == "1"
    assert duration_s(None, 7) == 7


@pytest.mark.parametrize(
    ("config", "family", "ip"),
    [
        ({}, Family.IPV4, "192.168.0.2"),
        ({"bindAddress": "0.0.0.0"}, Family.IPV4, "192.168.0.2"),
        ({"bindAddress": "192.168.7.7"}, Family.IPV4, "192.168.7.7"),
        ({"bindAddress": "192.168.7.7"}, Family.IPV6, "::1"),
    ],
)
def test_the_nodes_own_address(config, family, ip):
    node = {"metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"}]}}
    assert node_view(node, config, family).node_ip == ip


def test_the_health_check_answers_as_kube_proxy_does():
    service = a_service(an_endpoint("10.0.0.1", local=True), an_endpoint("10.0.0.2"), health_check_node_port=32000)
    (check,) = health_checks(a_snapshot(service))
    status, headers, body = health_answer(check, healthy=True)
    recorded = next(c for c in recorded_cases() if c.recorded("health.txt")).recorded("health.txt")
    assert (status, body) == (200, recorded.partition(": ")[2].rstrip("\n"))
    assert headers["X-Load-Balancing-Endpoint-Weight"] == "1"
    assert health_answer(HealthCheck(1, "a", "b", 0), healthy=True)[0] == 503
    assert health_answer(check, healthy=False)[0] == 503


def test_rules_are_listed_in_packet_order_and_say_what_is_missing():
    service = a_service("10.0.0.1", node_port=30080)
    compiler = IptablesCompiler(a_node())
    ruleset = compiler.whole(a_snapshot(service))
    nothing = type(ruleset)(Family.IPV4, {})
    lines = list(in_packet_order(service_rules(service, a_node()), ruleset, nothing, {}))
    assert [line.chain.rpartition("-")[0] for line in lines][:4] == ["KUBE", "KUBE", "KUBE-EXT", "KUBE-EXT"]
    assert lines[-1].chain == "KUBE-POSTROUTING"
    assert not any(line.present for line in lines)


def plans_of_changes(*snapshots):
    """What a compiler says of each snapshot but the first."""
    compiler = IptablesCompiler(a_node())
    compiler.whole(snapshots[0])
    return [compiler.change(snapshot) for snapshot in snapshots[1:]]


def test_a_change_of_one_endpoint_is_a_plan_of_its_chains_only():
    others = [a_service("10.0.9.9", service=f"s{n}", cluster_ip=f"10.96.1.{n}") for n in range(50)]
    before, after = (
        a_snapshot(*others, a_service(*ips)) for ips in (("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "10.0.0.3"))
    )
    (plan,) = plans_of_changes(before, after)
    (table,) = plan.tables
    assert table.name == "nat"
    assert len(table.written) == 1, "the new endpoint"
    assert len(table.removed) == 1, "the old one"
    assert {operation.chain for operation in table.operations} == {"KUBE-SVC-4LVCYZMTA5CQO6SX"}


def test_a_service_that_loses_its_last_endpoint_is_refused_in_the_same_transaction():
    (plan,) = plans_of_changes(a_snapshot(a_service("10.0.0.1")), a_snapshot(a_service()))
    assert [table.name for table in plan.tables] == ["filter", "nat"]
    assert not plan.without_removals().tables[1].removed


def test_a_cluster_that_becomes_large_or_small_is_compared_as_a_whole():
    small = a_snapshot(a_service("10.0.0.1"))
    large = a_snapshot(a_service(*[an_endpoint(f"10.1.{n // 250}.{n % 250 + 1}") for n in range(1001)]))
    assert plans_of_changes(small, large) == [None]
    assert plans_of_changes(large, small) == [None]
    compiler = IptablesCompiler(a_node())
    compiler.whole(small)
    assert compiler.look(large) == compile_iptables(large, a_node())
    assert compiler.whole(large) == compile_iptables(large, a_node())
    assert compiler.look(large) is compiler.whole(large), "a whole state is remembered while nothing changes"
    assert compiler.whole(small) == compile_iptables(small, a_node())


def test_what_is_looked_at_does_not_count_as_written():
    before, after = a_snapshot(a_service("10.0.0.1")), a_snapshot(a_service("10.0.0.2"))
    compiler = IptablesCompiler(a_node())
    compiler.whole(before)
    assert compiler.look(after) == compile_iptables(after, a_node())
    assert compiler.change(after)
