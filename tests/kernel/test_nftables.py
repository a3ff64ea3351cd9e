"""The nftables table in a real kernel: read back, followed, repaired."""

import pytest
from support.cases import DIGESTS, Case, recorded_cases
from support.node import Node

from netproxy.core.net import Family
from netproxy.linux.command import run
from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.versions import V1_30, V1_36
from netproxy.ruleset.nft import WORDS
from netproxy.ruleset.nftables import parse

CASES = recorded_cases(V1_30, file="nft.ruleset")
CASES_136 = [*recorded_cases(V1_36, file="nft.ruleset"), *recorded_cases(V1_36, file=DIGESTS[Family.IPV4])]
ONE = next(c for c in CASES if c.id == "recorded/lb-local")


def nft(namespace: str, *commands: str) -> str:
    return run(["nft", *commands], namespace=namespace)


def assert_right(node: Node, layout: str) -> None:
    for proxy in node.proxies:
        (there,) = parse(nft(node.namespace, "-s", "list", "table", WORDS[proxy.view.family], "kube-proxy"))
        assert there == compile_nftables(proxy.snapshot(), proxy.view, layout=layout)


@pytest.mark.parametrize(
    ("case", "layout"),
    [
        *(pytest.param(case, layout, id=f"{case.id}-{layout}") for case in CASES for layout in NFTABLES_LAYOUTS),
        *(pytest.param(case, "kube-proxy", id=case.id) for case in CASES_136),
    ],
)
def test_the_kernel_follows_the_objects(case: Case, layout: str, namespace: str) -> None:
    node = Node(case, namespace, mode="nftables", layout=layout)
    try:
        node.sync()
        assert_right(node, layout)
        for step in case.steps():
            if not step.get("exec"):
                node.step(step)
                node.sync()
                assert_right(node, layout)
        assert node.sync() == 0, "a second pass changed something"
        assert node.sync(check=True) == 0, "reading the kernel back shows a difference"
    finally:
        node.close()


DAMAGE = {
    "an element is gone": "delete element ip kube-proxy service-nodeports { tcp . 30080 }",
    "an element leads elsewhere": "delete element ip kube-proxy service-nodeports { tcp . 30080 } ; "
                                  "add element ip kube-proxy service-nodeports { tcp . 30080 : drop }",
    "an element is too many": "add element ip kube-proxy service-nodeports { tcp . 1 : drop }",
    "a chain is empty": "flush chain ip kube-proxy services",
    "a rule is too many": "add rule ip kube-proxy services counter accept",
    "a chain is too many": "add chain ip kube-proxy mine",
    "the table is gone": "delete table ip kube-proxy",
    "everything is gone": "flush ruleset",
}  # fmt: skip


@pytest.mark.parametrize("layout", NFTABLES_LAYOUTS)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_others_change_is_seen_and_repaired(damage: str, layout: str, namespace: str) -> None:
    node = Node(ONE, namespace, mode="nftables", layout=layout)
    try:
        node.sync()
        for command in damage.split(" ; "):
            nft(namespace, *command.split())
        assert any(proxy.pending() for proxy in node.proxies)
        assert node.sync(check=True) > 0
        assert_right(node, layout)
        assert not any(proxy.pending() for proxy in node.proxies)
    finally:
        node.close()


def test_tables_of_others_stay(namespace: str) -> None:
    nft(namespace, "add", "table", "ip", "mine")
    node = Node(ONE, namespace, mode="nftables")
    try:
        node.sync()
        node.sync(check=True)
        node.switch("iptables")
        node.sync()
        assert "table ip mine" in nft(namespace, "list", "tables")
    finally:
        node.close()


def test_clients_are_remembered_over_a_change_of_endpoints(namespace: str) -> None:
    case = next(c for c in CASES if c.id == "recorded/session-affinity")
    node = Node(case, namespace, mode="nftables")
    try:
        node.sync()
        name = next(
            n for n in compile_nftables(node.proxies[0].snapshot(), node.proxies[0].view).sets if "affinity" in n
        )
        nft(namespace, "add", "element", "ip", "kube-proxy", name, "{ 10.244.9.9 }")
        slices = [o for o in node.objects.values() if o["kind"] == "EndpointSlice"]
        more = {
            **slices[0],
            "endpoints": [*slices[0]["endpoints"], {"addresses": ["10.244.7.7"], "conditions": {"ready": True}}],
        }
        node.feed(more, slices[0])
        assert node.sync() > 0
        assert node.sync(check=True) == 0
        assert "10.244.9.9" in nft(namespace, "list", "set", "ip", "kube-proxy", name)
    finally:
        node.close()


def test_families_do_not_take_each_other_for_strangers(namespace: str) -> None:
    case = next(c for c in CASES if c.id == "recorded/dual-stack")
    node = Node(case, namespace, mode="nftables")
    try:
        node.sync()
        kernels = [proxy.mode.kernel for proxy in node.proxies]
        node.sync(check=True)
        before = [kernel.strangers() for kernel in kernels]
        node.switch("nftables", "flat")
        node.sync()
        assert [kernel.strangers() for kernel in kernels] == before
        nft(namespace, "add", "table", "ip", "mine")
        assert all(kernel.strangers() > known for kernel, known in zip(kernels, before, strict=True))
        assert {proxy.view.family for proxy in node.proxies} == set(Family)
    finally:
        node.close()
