"""The same questions to the kernel and to the kernel in memory: what both take, and what both refuse."""

from collections.abc import Iterator

import pytest
from support.cluster import wait_until

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.command import run
from netproxy.linux.fake import FakeHost, FakeKernel
from netproxy.linux.host import KernelHost
from netproxy.linux.nftables import Generations
from netproxy.linux.ports import Host
from netproxy.ruleset import ipvs
from netproxy.ruleset.diff import Delete, Insert, Plan, TablePlan
from netproxy.ruleset.ipvs import IpSet, Ipvs, IpvsPlan, RealServer, ServerKey, VirtualServer
from netproxy.ruleset.ir import Accept, Chain, Comment, CtState, Destination, Dnat, Drop, Jump, Nfacct, Proto, Rule
from netproxy.ruleset.limits import IPTABLES_CHAIN, NFT_COMMENT, NFT_NAME
from netproxy.ruleset.nft import Chain as NftChain
from netproxy.ruleset.nft import Dispatch, Element, Hook, InSet, Set, Table
from netproxy.ruleset.nft import Rule as NftRule
from netproxy.ruleset.nft_plan import NftPlan, plan, removal


@pytest.fixture(params=["kernel", "kernel-legacy", "fake"])
def host(request: pytest.FixtureRequest, namespace: str) -> Iterator[Host]:
    """One IPv4 host."""
    if request.param == "fake":
        made: Host = FakeHost(FakeKernel(sysctls={"net/ipv4/ip_forward": "0"}), Family.IPV4)
    else:
        flavour = "legacy" if request.param.endswith("legacy") else "nft"
        made = KernelHost(namespace, Family.IPV4, flavour=flavour)
    yield made
    made.close()


@pytest.fixture(params=["kernel", "fake"])
def pair(request: pytest.FixtureRequest, namespace: str) -> Iterator[tuple[Host, Host]]:
    """Both families of one namespace."""
    kernel, generations = FakeKernel(), Generations(namespace)
    made = tuple(
        FakeHost(kernel, family) if request.param == "fake" else KernelHost(namespace, family, generations=generations)
        for family in Family
    )
    yield made  # type: ignore[misc]
    for one in made:
        one.close()


# --- iptables


def nat(*chains: Chain, operations: tuple[Insert | Delete, ...] = (), removed: tuple[str, ...] = ()) -> Plan:
    return Plan(Family.IPV4, (TablePlan("nat", chains, operations, removed),))


def to(chain: str, *, comment: str = "") -> Rule:
    return Rule((Comment(comment),) if comment else (), Jump(chain))


A_CHAIN = Chain("KUBE-A", (Rule((Proto("tcp"), Comment("why not")), Dnat("10.0.0.1:80")), Rule((), Accept())))


def test_iptables_keeps_what_is_written(host: Host) -> None:
    rules = host.iptables
    assert rules.is_blank
    rules.write(nat(A_CHAIN, operations=(Insert("OUTPUT", 1, to("KUBE-A", comment="a way in")),)))
    there = rules.read().tables["nat"].chains
    assert there["KUBE-A"] == A_CHAIN
    assert there["OUTPUT"].rules == (to("KUBE-A", comment="a way in"),)
    assert not rules.is_blank
    rules.write(nat(operations=(Delete("OUTPUT", 1),), removed=("KUBE-A",)))
    assert "KUBE-A" not in rules.read().tables["nat"].chains
    assert rules.present() == rules.read()


def test_iptables_knows_that_nobody_has_changed_a_rule_since_all_were_read(host: Host) -> None:
    rules = host.iptables
    assert not rules.is_untouched
    rules.write(nat(A_CHAIN))
    assert not rules.is_untouched
    rules.read()
    assert rules.is_untouched is (getattr(rules, "flavour", "nft") == "nft"), "the legacy back end does not count"
    rules.write(nat(operations=(Insert("OUTPUT", 1, to("KUBE-A")),)))
    assert not rules.is_untouched


def test_a_fresh_load_is_what_is_there(host: Host) -> None:
    empty = [Chain(name, (), "ACCEPT") for name in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")]
    host.iptables.write_fresh([("nat", [*empty, A_CHAIN])])
    host.iptables.settle(lambda: host.iptables.read())
    assert host.iptables.present().tables["nat"].chains["KUBE-A"] == A_CHAIN
    _, counters = host.iptables.counters()
    assert counters["nat", "KUBE-A"] == ((0, 0), (0, 0))


REFUSED = {
    "a jump to a chain that is not there": nat(Chain("KUBE-A", (to("KUBE-NOWHERE"),))),
    "a base chain that jumps to nowhere": nat(operations=(Insert("OUTPUT", 1, to("KUBE-NOWHERE")),)),
    "a chain that goes while it is in use": nat(removed=("KUBE-USED",)),
    "a chain's name is too long": nat(Chain("K" * (IPTABLES_CHAIN + 1))),
    "a rule is put too far down": nat(operations=(Insert("OUTPUT", 9, Rule((), Accept())),)),
    "a rule that is not there goes": nat(operations=(Delete("POSTROUTING", 1),)),
    "an address of the other family": nat(Chain("KUBE-A", (Rule((Destination("fd00::1/128"),), Accept()),))),
    "a table that is not there": Plan(Family.IPV4, (TablePlan("mine", (Chain("KUBE-A"),)),)),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
def test_iptables_refuses_and_nothing_has_changed(change: Plan, host: Host) -> None:
    host.iptables.write(nat(Chain("KUBE-USED"), operations=(Insert("OUTPUT", 1, to("KUBE-USED")),)))
    before = host.iptables.read()
    with pytest.raises(KernelError):
        host.iptables.write(change)
    assert host.iptables.read() == before


# --- nftables


def table(*chains: NftChain, sets: tuple[Set, ...] = (), elements: dict | None = None) -> Table:
    found = {s.name: {} for s in sets} | (elements or {})
    return Table(Family.IPV4, "kube-proxy", "ours", {s.name: s for s in sets}, found, {c.name: c for c in chains})


IPS = Set("ips", ("ipv4_addr",))
WAYS = Set("ways", ("ipv4_addr", "inet_proto", "inet_service"), ("verdict",))
HOOK = Hook("nat", "prerouting", -100)
END = NftChain("end", (NftRule((Drop(),)),))
BASE = NftChain("in", (
    NftRule((InSet(("ip daddr",), "ips"), Drop())),
    NftRule((Dispatch(("ip daddr", "meta l4proto", "th dport"), "ways"),)),
), HOOK)  # fmt: skip
KEY = ("10.0.0.1", "tcp", "80")
WHOLE = table(BASE, END, sets=(IPS, WAYS), elements={"ways": {KEY: Element(Jump("end"), "a way")}, "ips": {}})


def test_a_table_is_what_was_written(host: Host) -> None:
    ours = host.nft_table("kube-proxy")
    assert ours.read() is None
    ours.write(plan(WHOLE, None))
    assert ours.read() == WHOLE
    fewer = table(BASE, END, sets=(IPS, WAYS), elements={"ips": {("10.0.0.9",): Element()}})
    ours.write(plan(fewer, WHOLE))
    assert ours.read() == fewer
    ours.write_all([plan(WHOLE, fewer), removal(Family.IPV4, "kube-proxy")])
    assert ours.read() is None
    ours.close()


def changed(**parts) -> NftPlan:
    return NftPlan(Family.IPV4, "kube-proxy", **parts)


NFT_REFUSED = {
    "a jump to a chain that is not there": changed(chains=(NftChain("a", (NftRule((Jump("nowhere"),)),)),)),
    "an element that leads nowhere": changed(elements={"ways": {("10.0.0.2", "tcp", "80"): Element(Jump("nowhere"))}}),
    "a chain that goes while it is in use": changed(removed_chains=("end",)),
    "an element that is not there goes": changed(removed_elements={"ips": {("10.0.0.7",): Element()}}),
    "an element of a set that is not there": changed(elements={"nobody": {("10.0.0.7",): Element()}}),
    "a rule asks a set that is not there": changed(chains=(NftChain("a", (NftRule((InSet(("ip daddr",), "nobody"), Drop())),)),)),
    "an element leads elsewhere than before": changed(elements={"ways": {KEY: Element(Drop(), "a way")}}),
    "a comment is too long": changed(chains=(NftChain("a", (NftRule((Drop(),), "x" * (NFT_COMMENT + 1)),)),)),
    "a name is too long": changed(chains=(NftChain("n" * (NFT_NAME + 1)),)),
    "chains go round": changed(flushed=("in",), chains=(
        NftChain("a", (NftRule((Jump("b"),)),)), NftChain("b", (NftRule((Jump("a"),)),)),
        NftChain("in", (NftRule((Jump("a"),)),), HOOK),
    )),
}  # fmt: skip


@pytest.mark.parametrize("change", NFT_REFUSED.values(), ids=NFT_REFUSED.keys())
def test_nftables_refuses_and_nothing_has_changed(change: NftPlan, host: Host) -> None:
    ours = host.nft_table("kube-proxy")
    ours.write(plan(WHOLE, None))
    with pytest.raises(KernelError):
        ours.write(change)
    assert ours.read() == WHOLE
    ours.close()


def test_a_table_that_is_not_there_cannot_go(host: Host) -> None:
    ours = host.nft_table("kube-proxy")
    with pytest.raises(KernelError):
        ours.write(removal(Family.IPV4, "kube-proxy"))
    ours.close()


def test_families_are_no_strangers_to_each_other(pair: tuple[Host, Host]) -> None:
    tables = [host.nft_table("kube-proxy") for host in pair]
    tables[0].write(plan(WHOLE, None))
    before = [one.strangers() for one in tables]
    tables[0].write(changed(elements={"ips": {("10.0.0.7",): Element()}}))
    assert [one.strangers() for one in tables] == before
    for one in tables:
        one.close()


# --- IPVS (in a kernel that has it)


@pytest.fixture(params=["fake", pytest.param("kernel", marks=pytest.mark.ipvs)])
def servers(request: pytest.FixtureRequest, namespace: str) -> Iterator[Host]:
    made: Host = FakeHost(FakeKernel(), Family.IPV4) if request.param == "fake" else KernelHost(namespace, Family.IPV4)
    yield made
    made.close()


SERVER = VirtualServer(ServerKey("tcp", "10.96.0.1", 80), destinations=(RealServer("10.0.0.1", 8080),))
WANTED = Ipvs(Family.IPV4, {SERVER.key: SERVER}, {"KUBE-X": IpSet("KUBE-X", "hash:ip", frozenset({"10.0.0.1"}))},
              frozenset({"10.96.0.1"}))  # fmt: skip


def test_virtual_servers_are_what_was_written(servers: Host) -> None:
    ours = servers.virtual_servers(Family.IPV4)
    ours.ensure_device()
    ours.write(ipvs.plan(WANTED, ours.read()))
    assert ours.read() == WANTED
    ours.write(ipvs.plan(Ipvs(Family.IPV4), ours.present()))
    ours.drop_sets(["KUBE-X"])
    ours.drop_device()
    assert ours.read() == Ipvs(Family.IPV4)
    ours.close()


IPVS_REFUSED = {
    "an address without the interface": IpvsPlan(Family.IPV4, addresses=("10.96.0.1",)),
    "a destination of a server that is not there": IpvsPlan(Family.IPV4, destinations=((SERVER.key, RealServer("10.0.0.1", 1)),)),
    "a server that is not there goes": IpvsPlan(Family.IPV4, removed_servers=(SERVER.key,)),
    "an entry of a set that is not there": IpvsPlan(Family.IPV4, entries={"KUBE-NONE": ("10.0.0.1",)}),
}  # fmt: skip


@pytest.mark.parametrize("change", IPVS_REFUSED.values(), ids=IPVS_REFUSED.keys())
def test_ipvs_refuses(change: IpvsPlan, servers: Host) -> None:
    ours = servers.virtual_servers(Family.IPV4)
    with pytest.raises((KernelError, KeyError)):
        ours.write(change)
    ours.close()


# --- the rest


def test_settings(host: Host) -> None:
    host.sysctls.write("net/ipv4/ip_forward", "1")
    assert host.sysctls.read("net/ipv4/ip_forward") == "1"
    assert host.sysctls.read("net/ipv4/no_such_thing") == ""
    with pytest.raises(KernelError):
        host.sysctls.write("net/ipv4/no_such_thing", "1")
    host.sysctls.write("net/ipv6/no_such_thing", "1")


def test_the_forwarder_gives_each_forward_a_port_that_stays(host: Host) -> None:
    import json

    def ports(*names: str) -> dict[str, int]:
        forwards = [[name, "tcp", [["10.0.0.1", 80]], 0] for name in names]
        return json.loads(host.forwarder.ask(json.dumps({"forwards": forwards})))["ports"]

    assert not host.forwarder.is_running
    first = ports("a", "b")
    assert len(set(first.values())) == 2
    assert ports("b", "c")["b"] == first["b"]
    assert host.forwarder.is_running
    host.forwarder.close()
    assert not host.forwarder.is_running


def test_flows_are_seen_and_forgotten(namespace: str) -> None:
    host = KernelHost(namespace, Family.IPV4)
    run(["ip", "-batch", "-"], stdin=["link set lo up\n", "addr add 10.9.9.9/32 dev lo\n"], namespace=namespace)
    run(
        [
            "nft",
            "add table ip t; add chain ip t o { type filter hook output priority 0 ; }; add rule ip t o ct state new accept",
        ],
        namespace=namespace,
    )
    import socket

    with netns.visiting(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.sendto(b"?", ("10.9.9.9", 5353))
        found = wait_until(lambda: [flow for flow in host.flows.flows("udp") if flow.port == 5353])
    assert host.flows.forget(found) == 1
    assert host.flows.forget(found) == 0
    host.close()


def test_a_trial_changes_nothing_and_leaves_nothing(host: Host) -> None:
    before = host.iptables.read()
    trial = host.trial()
    assert trial.is_new
    trial.iptables.write(nat(A_CHAIN))
    assert trial.iptables.read().tables["nat"].chains["KUBE-A"] == A_CHAIN
    trial.close()
    assert host.iptables.read() == before


def test_the_addresses_of_interfaces(namespace: str) -> None:
    commands = ["link set lo up\n", "link add d0 type veth peer name d1\n", "addr add 10.1.2.3/24 dev d0\n",
                "addr add fd00::5/64 dev d0\n", "addr add 169.254.1.1/16 dev d1\n"]  # fmt: skip
    run(["ip", "-batch", "-"], stdin=commands, namespace=namespace)
    found = {family: KernelHost(namespace, family).addresses() for family in Family}
    assert found == {Family.IPV4: ("10.1.2.3",), Family.IPV6: ("fd00::5",)}


# --- packet counters


def test_a_rule_counts_in_an_object_that_outlives_it(host: Host) -> None:
    counters = host.packet_counters
    rule = Rule((CtState(("INVALID",)), Nfacct("here")), Drop())
    if host.why_not_counted():
        pytest.skip("this kernel has no nfacct")
    with pytest.raises(KernelError):
        host.iptables.write(counting(rule))
    counters.ensure(["here", "there"])
    counters.ensure(["here"])
    host.iptables.write(counting(rule))
    assert host.iptables.read().tables["filter"].chains["FORWARD"].rules == (rule,)
    counters.drop(["here", "there", "nowhere"])
    assert counters.read() == {"here": (0, 0)}, "a rule counts in it"
    host.iptables.write(Plan(Family.IPV4, (TablePlan("filter", (), (Delete("FORWARD", 1),), ()),)))
    counters.drop(["here"])
    assert counters.read() == {}


def counting(rule: Rule) -> Plan:
    return Plan(Family.IPV4, (TablePlan("filter", (), (Insert("FORWARD", 1, rule),), ()),))
