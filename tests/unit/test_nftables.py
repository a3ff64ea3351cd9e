"""The nftables table: names and elements of kube-proxy, text of nft, transactions."""

import pytest
from support.build import a_node, a_service, a_snapshot, an_endpoint

from netproxy.core.net import Family
from netproxy.proxy.build import build
from netproxy.proxy.nftables import NftCompiler, compile_nftables
from netproxy.ruleset.ir import Drop, Goto
from netproxy.ruleset.nft import DnatSpread, Element, Hook, MarkIs, Match, Other, Rule
from netproxy.ruleset.nft_plan import plan, removal, render_plan
from netproxy.ruleset.nft_rule import parse_rule
from netproxy.ruleset.nftables import parse, rule_text


def test_base_chains_filter_before_and_after_translation() -> None:
    hooks = {c.name: c.hook for c in compile_nftables(a_snapshot(), a_node()).chains.values() if c.hook}
    assert hooks["filter-prerouting-pre-dnat"] == Hook("filter", "prerouting", -110)
    assert {name: hook.priority for name, hook in hooks.items()} == {
        "filter-prerouting-pre-dnat": -110, "filter-output-pre-dnat": -110, "filter-input": 0, "filter-forward": 0,
        "filter-output": 0, "nat-prerouting": -100, "nat-output": -100, "nat-postrouting": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "ip saddr != 10.244.0.0/16 jump mark-for-masquerade",
        "ip saddr != { 10.0.0.0/8, 192.168.0.1-192.168.0.2 } drop",
        'ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports",
        'iifname != "veth*" jump mark-for-masquerade',
        "meta mark & 0x00004000 == 0x00000000 return",
        "update @affinity-x { ip6 saddr }",
        "meta l4proto udp dnat to [fd00::1]:53",
        "dnat to numgen random mod 3 offset 65536 . ip daddr . tcp dport map @endpoints-tcp",
        "numgen random mod 2 vmap { 0 : goto a, 1 : goto b }",
        "masquerade",
        "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 81 }",
        "meta l4proto udp dnat ip6 addr . port to numgen random mod 1 map { 0 : fd00::1 . 53 }",
        'ip daddr @cluster-ips iifname != "cali*" meta mark set meta mark | 0x00004000 comment "all of them"',
        "meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random",
        "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random",
    ],
)
def test_a_rule_and_back(text: str) -> None:
    rule = parse_rule(text)
    assert not any(isinstance(s, Other) for s in rule.statements)
    assert rule_text(rule) == text


@pytest.mark.parametrize(
    "text",
    [
        "ip saddr 10.0.0.1 counter packets 0 bytes 0 accept",
        "meta mark != 0x1 drop",
        "meta mark 0x1 drop",
        "meta mark",
        "tcp flags syn",
        "dnat to",
        "dnat to numgen random mod 2 map { 0 : 10.0.0.1 }",
        "dnat to numgen random mod 1 map { 0 : 10.0.0.1 }",
        "dnat to numgen random mod 3 map { 0 : 10.0.0.1 . 80 , 1 : 10.0.0.2 . 80 }",
        "numgen random mod 2 vmap { 0 : goto a , 2 : goto b }",
        "numgen random mod 2 vmap { 0 : goto a , 1 : drop }",
        "numgen random mod 1 vmap { 1 : goto a }",
    ],
)
def test_rules_of_others_are_kept_word_by_word(text: str) -> None:
    assert parse_rule(text) == Rule((Other(tuple(text.split())),))


def test_later_versions_of_nft_print_the_same_rules_in_other_words() -> None:
    assert parse_rule("meta mark set meta mark xor 0x4000") == parse_rule("meta mark set meta mark ^ 0x00004000")
    assert parse_rule("dnat ip to 10.0.0.1:80") == parse_rule("dnat to 10.0.0.1:80")
    spread = "numgen random mod 1 map { 0 : fd00::1 . 53 }"
    assert parse_rule(f"dnat ip6 to {spread}") == parse_rule(f"dnat ip6 addr . port to {spread}")
    twelve = ", ".join(f"{n} : 10.0.0.{n} . 80" for n in (*range(2), *range(10, 12), *range(2, 10)))
    assert parse_rule(f"dnat ip to numgen random mod 12 map {{ {twelve} }}") == Rule(
        (DnatSpread(tuple((f"10.0.0.{n}", "80") for n in range(12))),)
    )
    (table,) = parse(
        "table ip t {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1,\n\t\t\t 10.0.0.2 }\n\t}\n}\n"
    )
    assert set(table.elements["s"]) == {("10.0.0.1",), ("10.0.0.2",)}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("meta mark != 0x00000000/1 drop", MarkIs(0x80000000, 0, negated=True)),
        ("meta mark 0x40000000/2 drop", MarkIs(0xC0000000, 0x40000000)),
    ],
)
def test_nft_prints_a_mask_of_the_highest_bits_as_a_length(text: str, meant: MarkIs) -> None:
    assert parse_rule(text) == Rule((meant, Drop()))


def test_the_transaction_for_one_endpoint_touches_that_endpoint_only() -> None:
    compiler = NftCompiler(a_node(), layout="flat")
    others = [a_service("10.244.0.9", service=f"s{n}", cluster_ip=f"10.96.1.{n}") for n in range(50)]
    compiler.whole(a_snapshot(*others, a_service("10.244.0.5", "10.244.0.6")))
    change = compiler.change(a_snapshot(*others, a_service("10.244.0.5", "10.244.0.7")))
    assert change is not None
    assert change.size == 4
    assert set(render_plan(change).splitlines()) == {
        "delete element ip kube-proxy endpoints-tcp { 1 . 10.96.0.10 . 80 }",
        "delete element ip kube-proxy hairpins { 10.244.0.6 . 10.244.0.6 }",
        "add element ip kube-proxy endpoints-tcp { 1 . 10.96.0.10 . 80 : 10.244.0.7 . 8080 }",
        "add element ip kube-proxy hairpins { 10.244.0.7 . 10.244.0.7 }",
    }


def test_a_service_range_without_a_service_gets_no_answer() -> None:
    table = compile_nftables(
        build([], [], a_node(), cidrs=[{"spec": {"cidrs": ["10.96.0.0/16", "fd00::/112"]}}]), a_node()
    )
    assert Drop() in table.chains["cluster-ips-check"].rules[-1].statements
    assert Match("ip daddr", ("10.96.0.0/16",)) in table.chains["cluster-ips-check"].rules[-1].statements


def test_policies_in_flat_maps_keep_local_endpoints_apart() -> None:
    local = a_service(
        an_endpoint("10.244.0.5", local=True), an_endpoint("10.244.1.5"), node_port=30080, external_local=True
    )
    table = compile_nftables(a_snapshot(local), a_node(), layout="flat")
    assert table.elements["service-nodeports"]["tcp", "30080"] == Element(Goto("nodeport-tcp-2-local-1"))
    assert table.elements["nodeport-endpoints-tcp"]["65536", "30080"] == Element(("10.244.0.5", "8080"))


def test_what_cannot_change_in_place_replaces_the_table_in_one_transaction() -> None:
    flat = compile_nftables(a_snapshot(), a_node(), layout="flat")
    change = plan(compile_nftables(a_snapshot(), a_node()), flat)
    assert change.removes_table
    assert render_plan(change).startswith("delete table ip kube-proxy\ntable ip kube-proxy {")
    assert render_plan(removal(Family.IPV6, "kube-proxy")) == "delete table ip6 kube-proxy\n"
