"""The kernel's rules after a sync are, byte for byte, those that kube-proxy 1.30.5 and 1.36.2 left there."""

import pytest
from support.cases import DEFECTS_OF_KUBE_PROXY, FILES, Case, all_cases, recorded_cases, without_counters
from support.node import Node

from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.command import run
from netproxy.proxy.versions import V1_30


def same(save: str) -> str:
    return save


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
@pytest.mark.parametrize(
    "case", [c for c in recorded_cases() if c.folder.name not in DEFECTS_OF_KUBE_PROXY], ids=lambda case: case.id
)
def test_the_kernel_holds_what_kube_proxy_left(case: Case, flavour: str, namespace: str) -> None:
    node = Node(case, namespace, flavour)
    comparable = same if case.counts and node.counts else without_counters
    node.sync()
    for family, file in FILES.items():
        assert comparable(node.saved(family)) == comparable(case.recorded(file))
    for number, step in enumerate(case.steps(), 1):
        node.sync(check=node.step(step))
        for family, file in FILES.items():
            assert comparable(node.saved(family)) == comparable(case.recorded(file, number))
    assert node.sync() == 0, "a second pass changed something"
    if case.folder.name != "large-cluster":
        assert node.sync(check=True) == 0, "reading the kernel back shows a difference"


@pytest.mark.parametrize("case", [c for c in all_cases() if c.recorded("sysctl.txt")], ids=lambda case: case.id)
def test_sysctls_are_those_of_kube_proxy(case: Case, namespace: str) -> None:
    wanted = {}
    for line in (case.recorded("sysctl.txt") or "").splitlines():
        path, _, change = line.partition(": ")
        wanted[path] = change.partition(" -> ")[2]
    with netns.visiting(namespace):
        before = {path: netns.read_sysctl(path) for path in wanted}
    Node(case, namespace, "nft").sync()
    with netns.visiting(namespace):
        assert {path: netns.read_sysctl(path) for path in wanted} == wanted
    assert before != wanted


def test_stale_chains_of_a_large_cluster_go_at_the_next_check(namespace: str) -> None:
    case = next(c for c in recorded_cases(V1_30) if c.id == "recorded/large-cluster")
    node = Node(case, namespace, "nft")
    node.sync()
    node.step(case.steps()[0])
    node.sync()
    stale = node.saved(Family.IPV4)
    assert stale == case.recorded("iptables.txt", 1)
    assert node.sync(check=True) == 0, "what is left for a check is no difference"
    fresh = node.saved(Family.IPV4)
    assert set(fresh.splitlines()) < set(stale.splitlines())
    assert node.sync(check=True) == 0
    assert node.saved(Family.IPV4) == fresh


def test_rules_of_others_stay(namespace: str) -> None:
    case = next(c for c in recorded_cases(V1_30) if c.id == "recorded/clusterip-tcp")
    mine = ["-t", "filter", "FORWARD", "-s", "192.0.2.1", "-j", "DROP"]
    run(["iptables-nft", mine[0], mine[1], "-A", *mine[2:]], namespace=namespace)
    run(["iptables-nft", "-t", "nat", "-N", "MY-CHAIN"], namespace=namespace)
    node = Node(case, namespace, "nft")
    node.sync()
    node.sync(check=True)
    assert run(["iptables-nft", mine[0], mine[1], "-C", *mine[2:]], namespace=namespace) == ""
    assert ":MY-CHAIN" in run(["iptables-nft-save", "-t", "nat"], namespace=namespace)


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
def test_what_a_look_at_the_kernel_has_seen_the_next_pass_repairs(flavour: str, namespace: str) -> None:
    case = next(c for c in recorded_cases(V1_30) if c.id == "recorded/clusterip-tcp")
    node = Node(case, namespace, flavour)
    node.sync()
    run([f"iptables-{flavour}", "-t", "nat", "-D", "KUBE-SERVICES", "1"], namespace=namespace)
    assert any(proxy.pending() for proxy in node.proxies)
    assert node.sync() > 0
    assert node.saved(Family.IPV4) == case.recorded("iptables.txt")
