"""Rules of other people that are in the way: of nft's own in iptables' tables, of the other back end of iptables."""

import os
import subprocess

import pytest
from support.cases import recorded_cases
from support.node import Node

from netproxy.core.net import Family
from netproxy.linux.command import find, run
from netproxy.linux.iptables import IptablesKernel

CASE = next(c for c in recorded_cases() if c.id == "recorded/lb-local")


def nft(namespace: str, *commands: str) -> str:
    return run(["nft", "-f", "-"], stdin=[f"{command}\n" for command in commands], namespace=namespace)


def listed(namespace: str) -> list[str]:
    """The lines of table ip nat, without counters."""
    text = run(["nft", "-s", "list", "table", "ip", "nat"], namespace=namespace)
    return [line for line in text.splitlines() if not line.startswith("#")]


NATIVE = {
    "in a chain of its own": ("add chain ip nat mine", "add rule ip nat mine masquerade"),
    "before ours in a base chain": ("insert rule ip nat PREROUTING ip daddr 7.7.7.7 dnat to 8.8.8.8",),
    "behind ours in a base chain": ("add rule ip nat OUTPUT ip daddr 7.7.7.7 dnat to 8.8.8.8",),
}  # fmt: skip


@pytest.fixture
def node(namespace: str):
    made = Node(CASE, namespace)
    made.sync()
    yield made
    made.close()


@pytest.mark.parametrize("commands", NATIVE.values(), ids=NATIVE.keys())
def test_our_rules_stay_single_beside_rules_of_nfts_own(commands: tuple[str, ...], node: Node) -> None:
    nft(node.namespace, *commands)
    before = listed(node.namespace)
    for _ in range(3):
        assert node.sync(check=True) == 0
        assert listed(node.namespace) == before
    (said,) = node.proxies[0].obstacles
    assert said.startswith("table ip nat has rules of nft's own (chain ")
    assert not node.proxies[1].obstacles, "nothing is in the way of IPv6"
    assert not any(proxy.pending() for proxy in node.proxies)


@pytest.mark.parametrize("commands", NATIVE.values(), ids=NATIVE.keys())
def test_a_proxy_that_begins_beside_them_takes_over_what_is_there(commands: tuple[str, ...], node: Node) -> None:
    nft(node.namespace, *commands)
    before = listed(node.namespace)
    again = Node(CASE, node.namespace)
    for _ in range(2):
        again.sync(check=True)
        assert sorted(listed(node.namespace)) == sorted(before)
    again.close()


DAMAGE = {
    "a jump to us is gone": "flush chain ip nat OUTPUT",
    "a chain of ours is empty": "flush chain ip nat KUBE-SERVICES",
    "a rule is in a chain of ours": "add rule ip nat KUBE-POSTROUTING ct state new counter",
    "a chain of ours is too many": "add chain ip nat KUBE-SVC-ABCDEFGHIJKLMNOP",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_can_be_repaired_is_repaired(damage: str, node: Node) -> None:
    nft(node.namespace, *NATIVE["in a chain of its own"])
    before = listed(node.namespace)
    nft(node.namespace, damage)
    assert node.sync(check=True) > 0
    assert sorted(listed(node.namespace)) == sorted(before)
    assert node.sync(check=True) == 0


STRICT = """#!/bin/sh
text=$({real} "$@") || exit $?
case $text in
*incompatible*) echo "iptables-save v9: table `nat' is incompatible, use 'nft' tool." >&2; exit 1;;
esac
echo "$text"
"""


def test_a_tool_that_fails_because_of_them_is_asked_table_by_table(node: Node, tmp_path, monkeypatch) -> None:
    tool = tmp_path / "iptables-nft-save"
    tool.write_text(STRICT.replace("{real}", str(find("iptables-nft-save"))).replace("`nat'", "\\`nat'"))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    nft(node.namespace, *NATIVE["in a chain of its own"])
    before = listed(node.namespace)
    assert node.sync(check=True) == 0
    assert listed(node.namespace) == before
    assert len(node.proxies[0].obstacles) == 1


def test_a_base_chain_of_its_own_is_no_obstacle(node: Node) -> None:
    nft(node.namespace, "add chain ip nat late { type nat hook postrouting priority 110 ; }",
        "add rule ip nat late masquerade")  # fmt: skip
    assert node.sync(check=True) == 0


def test_changes_go_on_beside_them(node: Node) -> None:
    jumps = node.saved(Family.IPV4).count("-j KUBE-SERVICES\n")
    nft(node.namespace, *NATIVE["before ours in a base chain"])
    node.sync(check=True)
    service = next(o for o in node.objects.values() if o["kind"] == "Service")
    node.feed(service, deleted=True)
    node.sync()
    assert node.sync(check=True) == 0
    nft(node.namespace, "flush chain ip nat PREROUTING")
    node.sync(check=True)
    assert node.saved(Family.IPV4).count("-j KUBE-SERVICES\n") == jumps
    assert not node.proxies[0].obstacles


def test_counters_are_seen_beside_them(node: Node) -> None:
    nft(node.namespace, *NATIVE["in a chain of its own"])
    found = [line for _, lines in node.proxies[0].lines(lambda _: True) for line in lines]
    assert found
    assert all(line.present for line in found)
    assert all(line.packets == 0 for line in found)


@pytest.mark.parametrize(("ours", "theirs"), [("nft", "legacy"), ("legacy", "nft")])
def test_rules_of_the_other_back_end_are_told(ours: str, theirs: str, namespace: str) -> None:
    def theirs_do(*args: str) -> None:
        argv = ["ip", "netns", "exec", namespace, f"iptables-{theirs}", *args]
        subprocess.run(argv, check=True)

    node = Node(CASE, namespace, ours)
    try:
        node.sync()
        node.sync(check=True)
        assert not node.proxies[0].obstacles, "two back ends are no obstacle as long as one of them has nothing"
        theirs_do("-t", "nat", "-N", "KUBE-SERVICES")
        theirs_do("-t", "nat", "-A", "OUTPUT", "-j", "KUBE-SERVICES")
        theirs_do("-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
        before = node.saved(Family.IPV4)
        node.sync(check=True)
        (said,) = node.proxies[0].obstacles
        assert said.startswith(
            f"iptables-{theirs} has 2 rules beside those of iptables-{ours}, 1 of them about Services"
        )
        assert node.saved(Family.IPV4) == before
    finally:
        node.close()


def test_a_table_of_somebody_else_alone_is_read_as_before(namespace: str) -> None:
    kernel = IptablesKernel(namespace, Family.IPV4)
    nft(namespace, "add table ip other", "add chain ip other x", "add rule ip other x masquerade")
    assert not kernel.read().tables.get("other")
    assert not kernel.obstacles
