"""Plans as text: what a person reads before it is done, and what the tools are given."""

from support.build import a_node, a_service, a_snapshot

from netproxy.core.net import Family
from netproxy.proxy.ipvs import compile_ipvs
from netproxy.proxy.names import nft_endpoint
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.versions import V1_30
from netproxy.ruleset import ipvs, nft_plan
from netproxy.ruleset.diff import Plan, applied, plan
from netproxy.ruleset.iptables import render_fresh_parts, render_plan
from netproxy.ruleset.ir import Accept, Chain, Drop, Jump, Return, Rule, Ruleset, Source, Table
from netproxy.ruleset.nft import Chain as NftChain
from netproxy.ruleset.nft import Element, Hook, Set
from netproxy.ruleset.nft import Rule as NftRule
from netproxy.ruleset.nft import Table as NftTable
from netproxy.ruleset.nftables import parse, rule_text

IP, ENDPOINT = "10.244.0.5", "endpoint-" + nft_endpoint("ns1", "web", "tcp", "http", "10.244.0.6", 8080)
STICKY = a_service("10.244.0.5", affinity_s=60)


def rule(n: int, to: str = "") -> Rule:
    return Rule((Source(f"10.0.0.{n}/32"),), Jump(to) if to else Return(), "a test")


def filters(**chains: Chain) -> Ruleset:
    return Ruleset(Family.IPV4, {"filter": Table("filter", {chain.name: chain for chain in chains.values()})})


def test_iptables_steps_are_inserts_and_deletes_by_place() -> None:
    long = tuple(rule(n) for n in range(1, 9))
    old = filters(mine=Chain("MINE", long), hook=Chain("INPUT", (rule(1, "MINE"),), "ACCEPT"))
    new = filters(mine=Chain("MINE", (*long[:3], rule(99), *long[4:])))
    change = plan(new, old, owned=lambda name: name == "MINE")
    assert render_plan(change) == (
        "*filter\n-D INPUT 1\n-D MINE 4\n-I MINE 4 -s 10.0.0.99/32 -j RETURN\nCOMMIT\n"
    )  # fmt: skip
    assert change.size == 3
    assert applied(old, change).tables["filter"].chains["INPUT"].rules == ()


def test_a_plan_counts_what_it_writes_and_can_leave_what_it_removes() -> None:
    old, new = filters(gone=Chain("GONE")), filters(new=Chain("NEW", (rule(1), rule(2))))
    change = plan(new, old, owned=lambda _: True)
    assert change.size == 4
    assert change.without_removals().size == 3
    assert not plan(filters(), old, owned=lambda _: True).without_removals()
    assert not Plan(Family.IPV4)


def test_a_first_load_is_written_in_pieces() -> None:
    parts = list(render_fresh_parts([("nat", [Chain("A", tuple(rule(n % 250) for n in range(2500))), Chain("B")])]))
    assert len(parts) > 2
    assert "".join(parts).startswith("*nat\n:A - [0:0]\n-A A -s 10.0.0.0/32")
    assert "".join(parts).endswith(":B - [0:0]\nCOMMIT\n")


def test_nft_transactions_take_away_before_they_put_in() -> None:
    old, new = compile_nftables(a_snapshot(STICKY), a_node()), compile_nftables(a_snapshot(), a_node())
    away, back = nft_plan.render_plan(nft_plan.plan(new, old)), nft_plan.render_plan(nft_plan.plan(old, new))
    verbs = [" ".join(line.split()[:2]) for line in away.splitlines()]
    assert list(dict.fromkeys(verbs)) == ["flush chain", "delete element", "delete chain", "delete set"]
    verbs = [" ".join(line.split()[:2]) for line in back.splitlines()]
    assert list(dict.fromkeys(verbs)) == ["add set", "add chain", "add element", "add rule"]
    assert "type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }" in back


def test_an_nft_chain_that_exists_gets_its_rules_anew() -> None:
    one, two = (
        compile_nftables(a_snapshot(a_service(*ips)), a_node(version=V1_30)) for ips in ((IP,), (IP, "10.244.0.6"))
    )
    lines = nft_plan.render_plan(nft_plan.plan(two, one)).splitlines()
    assert [line.split()[4] for line in lines if line.startswith("add chain")] == [ENDPOINT]
    assert [line.split()[4].partition("-")[0] for line in lines if line.startswith("flush chain")] == ["service"]


def test_nft_definitions_say_hook_and_comment() -> None:
    base = NftChain("c", (NftRule((Accept(),)), NftRule((Return(),))), Hook("filter", "input", 5), "mine")
    text = nft_plan.render_plan(nft_plan.NftPlan(Family.IPV4, "t", chains=(base, NftChain("d"))))
    assert text == (
        'add chain ip t c { type filter hook input priority 5; policy accept; comment "mine"; }\n'
        "add chain ip t d { }\nadd rule ip t c accept\nadd rule ip t c return\n"
    )


def test_a_whole_nft_table_is_one_plan() -> None:
    table = compile_nftables(a_snapshot(STICKY), a_node())
    change = nft_plan.plan(table, None)
    assert change.size == sum(1 + len(c.rules) for c in table.chains.values()) + len(table.sets) + sum(
        map(len, table.elements.values())
    )
    assert nft_plan.applied(None, change) == table
    assert nft_plan.render_plan(change).startswith("table ip kube-proxy {")


def test_a_chain_that_asks_a_set_made_anew_is_written_again() -> None:
    before, after = (compile_nftables(a_snapshot(a_service("10.244.0.5", affinity_s=s)), a_node()) for s in (60, 90))
    change = nft_plan.plan(after, before)
    (new,) = change.sets
    assert new.timeout_s == 90
    assert {chain.name.partition("-")[0] for chain in change.chains} == {"service", "endpoint"}


def test_what_leads_nowhere_is_named() -> None:
    table = NftTable(
        Family.IPV4, "t", sets={"m": Set("m", ("ipv4_addr",), ("verdict",))},
        elements={"m": {("10.0.0.1",): Element(Jump("gone")), ("10.0.0.2",): Element(Drop())}},
        chains={"c": NftChain("c", (NftRule((Jump("away"),)),))},
    )  # fmt: skip
    assert nft_plan.dangling(table) == {"gone", "away"}
    assert "10.0.0.1 : jump gone" in nft_plan.render_plan(nft_plan.plan(table, None))


def test_ipvs_steps_in_the_words_of_its_tools() -> None:
    node = a_node(localhost_node_ports=False)
    nothing = compile_ipvs(a_snapshot(), node)
    one = compile_ipvs(a_snapshot(a_service("10.244.0.5")), node)
    other = compile_ipvs(a_snapshot(a_service("10.244.0.6")), node)
    assert ipvs.render_plan(ipvs.plan(one, nothing)).splitlines() == [
        "ipset add KUBE-CLUSTER-IP 10.96.0.10,tcp:80", "ipset add KUBE-IPVS-IPS 10.96.0.10",
        "ip address add 10.96.0.10/32 dev kube-ipvs0", "ipvsadm -A -t 10.96.0.10:80 -s rr",
        "ipvsadm -a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 1",
    ]  # fmt: skip
    assert ipvs.render_plan(ipvs.plan(other, one)).splitlines() == [
        "ipvsadm -a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 1", "ipvsadm -d -t 10.96.0.10:80 -r 10.244.0.5:8080",
    ]  # fmt: skip
    assert ipvs.render_plan(ipvs.plan(nothing, one)).splitlines() == [
        "ipset del KUBE-CLUSTER-IP 10.96.0.10,tcp:80", "ipset del KUBE-IPVS-IPS 10.96.0.10",
        "ipvsadm -D -t 10.96.0.10:80", "ip address del 10.96.0.10/32 dev kube-ipvs0",
    ]  # fmt: skip
    fresh = ipvs.render_plan(ipvs.plan(one, ipvs.Ipvs(Family.IPV4)))
    assert "ipset create KUBE-CLUSTER-IP hash:ip,port family inet\n" in fresh
    assert "ipset create KUBE-HEALTH-CHECK-NODE-PORT bitmap:port range 0-65535\n" in fresh


def test_an_ipvs_server_whose_scheduler_changes_keeps_its_destinations() -> None:
    one, other = (
        compile_ipvs(a_snapshot(a_service("10.244.0.5")), a_node(ipvs_scheduler=name)) for name in ("rr", "lc")
    )
    change = ipvs.plan(other, one)
    assert [server.scheduler for server in change.servers] == ["lc"]
    assert not change.destinations
    assert ipvs.applied(one, change).servers == other.servers
    assert not ipvs.plan(one, one)


def test_what_ipvsadm_and_ipset_print_beside_what_is_asked_is_passed_over() -> None:
    assert ipvs.parse_servers("IP Virtual Server\n\n-A -t 10.0.0.1:80 -s rr\n").keys() == {("tcp", "10.0.0.1", 80)}
    assert ipvs.parse_sets("create mine list:set size 8\nadd other 10.0.0.1\n", Family.IPV6) == {}


def test_nft_text_that_stops_in_the_middle_gives_what_it_has() -> None:
    """A listing that was cut off: the reader must not wait for an end that never comes."""
    (table,) = parse("table ip t {\n\tchain a {\n\t\tdrop\n")
    assert list(table.chains) == ["a"]
    (table,) = parse("table ip t {\n\tset s {\n\t\ttype ipv4_addr\n")
    assert list(table.sets) == ["s"]
    assert parse("table ip t {\n\tflowtable f {\n\t}\n}\ntable inet x {\n}\n")[0].chains == {}


def test_nft_rules_that_only_look_like_ours_are_kept_word_by_word() -> None:
    for text in (
        "numgen random mod 2 vmap { 0 : drop, 1 : goto b }", "ip saddr", "ip saddr . ip daddr 10.0.0.1", "meta mark != 0x1",
    ):  # fmt: skip
        (table,) = parse(f"table ip t {{\n\tchain c {{\n\t\t{text}\n\t}}\n}}\n")
        (kept,) = table.chains["c"].rules
        assert rule_text(kept).replace(" ,", ",") == text
