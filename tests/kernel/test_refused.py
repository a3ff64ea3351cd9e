"""A Service whose rules this kernel refuses is found, left out and named; all others are served and go on being changed."""

import pytest
from support.build import service_object, slice_object
from support.cases import recorded_cases
from support.node import Node

from netproxy.linux.command import run

CASE = next(c for c in recorded_cases() if c.id == "recorded/session-affinity")
WAYS = [pytest.param("nft", {"mode": "iptables"}, id="iptables-nft"), pytest.param("legacy", {"mode": "iptables"}, id="iptables-legacy"),
        pytest.param("nft", {"mode": "nftables"}, id="nftables"), pytest.param("nft", {"mode": "nftables", "layout": "flat"}, id="flat")]  # fmt: skip
BEYOND = 10**12
"""Seconds of affinity that no tool takes."""


def a_service(name: str, vip: str, seconds: int = 0) -> dict:
    more = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}
    return service_object(name, clusterIP=vip, clusterIPs=[vip], **(more if seconds else {}))


def rules(node: Node) -> str:
    return run(["nft", "list", "ruleset"], namespace=node.namespace) + run(
        ["iptables-legacy-save"], namespace=node.namespace
    )


def blamed(node: Node) -> list[str]:
    return [blame.service.service for proxy in node.proxies for blame in proxy.blamed]


@pytest.mark.parametrize("is_first", [True, False], ids=["from the start", "later"])
@pytest.mark.parametrize(("flavour", "way"), WAYS)
def test_one_service_that_the_kernel_refuses(flavour: str, way: dict, is_first: bool, namespace: str) -> None:
    node = Node(CASE, namespace, flavour, **way)
    try:
        if not is_first:
            node.sync()
        for obj in (a_service("odd", "10.96.66.66", BEYOND), slice_object("odd", ("10.244.66.66",)),
                    a_service("new", "10.96.66.77"), slice_object("new", ("10.244.66.77",))):  # fmt: skip
            node.feed(obj)
        node.sync()
        assert blamed(node) == ["odd"]
        assert "10.96.66.66" not in rules(node)
        assert "10.96.66.77" in rules(node)
        node.feed(slice_object("new", ("10.244.66.78",)), slice_object("new", ("10.244.66.77",)))
        node.sync()
        assert "10.244.66.78" in rules(node)
        node.sync(check=True)
        assert blamed(node) == ["odd"], "it is tried again, and refused again"
        assert not any(proxy.pending() for proxy in node.proxies)
        node.feed(a_service("odd", "10.96.66.66", 600))
        node.sync()
        assert blamed(node) == []
        assert "10.96.66.66" in rules(node)
    finally:
        node.close()
