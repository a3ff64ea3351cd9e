"""What IPVS mode keeps in the kernel is what kube-proxy 1.30.5 kept there."""

import pytest
from support.cases import Case, canonical, recorded_cases, service_addresses
from support.node import SAVE, Node

from netproxy.core.net import Family
from netproxy.linux.command import run
from netproxy.objects.proxyconfig import IPVS_SCHEDULERS
from netproxy.proxy.versions import V1_30
from netproxy.ruleset.ipvs import VirtualServer, parse_servers, parse_sets

pytestmark = pytest.mark.ipvs
RULES = {Family.IPV4: "ipvs.iptables.txt", Family.IPV6: "ipvs.ip6tables.txt"}


def comparable(text: str) -> dict:
    def values(server: VirtualServer) -> tuple:
        return server.scheduler, server.persistent_s, server.flags, frozenset(server.destinations)

    return {key: values(server) for key, server in parse_servers(text).items()}


def compare(node: Node, case: Case, step: int) -> None:
    where = node.namespace
    assert comparable(run(["ipvsadm", "-Sn"], namespace=where)) == comparable(case.recorded("ipvs.ipvsadm", step) or "")
    shown = run(["ip", "-o", "address", "show", "dev", "kube-ipvs0"], namespace=where)
    assert service_addresses(shown) == service_addresses(case.recorded("ipvs.addresses", step) or "")
    kept, recorded = run(["ipset", "save"], namespace=where), case.recorded("ipvs.ipset", step) or ""
    for family, file in RULES.items():
        assert parse_sets(kept, family) == parse_sets(recorded, family)
        saved = canonical(run([f"{SAVE[family]}-nft-save"], namespace=where))
        assert saved == canonical(case.recorded(file, step) or "")


@pytest.mark.parametrize(
    "case", [c for c in recorded_cases(V1_30) if c.recorded("ipvs.ipvsadm")], ids=lambda case: case.id
)  # fmt: skip
def test_the_kernel_holds_what_kube_proxy_left(case: Case, namespace: str) -> None:
    node = Node(case, namespace, mode="ipvs")
    try:
        node.sync()
        compare(node, case, 0)
        for number, step in enumerate(case.steps(), 1):
            node.sync(check=node.step(step))
            compare(node, case, number)
        assert node.sync() == 0, "a second pass changed something"
        assert node.sync(check=True) == 0, "reading the kernel back shows a difference"
    finally:
        node.close()


def test_every_scheduler_and_persistence(namespace: str) -> None:
    case = next(c for c in recorded_cases(V1_30) if c.id == "recorded/session-affinity")
    node = Node(case, namespace, mode="ipvs")
    try:
        node.sync()
        for scheduler in IPVS_SCHEDULERS:
            config = {**case.config(), "ipvs": {"scheduler": scheduler}}
            for proxy in node.proxies:
                proxy.reconfigure(node.node, config, proxy.choice)
            for obj in node.objects.values():
                node.feed(obj)
            node.sync(check=True)
            (server,) = parse_servers(run(["ipvsadm", "-Sn"], namespace=namespace)).values()
            assert (server.scheduler, server.persistent_s) == (scheduler, 10800)
            assert server.flags == (("mh-port",) if scheduler == "mh" else ())
            assert len(server.destinations) == 2
    finally:
        node.close()


def test_what_others_change_is_repaired(namespace: str) -> None:
    case = next(c for c in recorded_cases(V1_30) if c.id == "recorded/lb-local")
    node = Node(case, namespace, mode="ipvs")
    try:
        node.sync()
        before = run(["ipvsadm", "-Sn"], namespace=namespace)
        run(["ipvsadm", "-C"], namespace=namespace)
        run(["ipset", "flush", "KUBE-CLUSTER-IP"], namespace=namespace)
        run(["ip", "address", "flush", "dev", "kube-ipvs0"], namespace=namespace)
        run(["iptables-nft", "-t", "nat", "-F", "KUBE-SERVICES"], namespace=namespace)
        assert node.sync(check=True) > 0
        compare(node, case, 0)
        assert comparable(run(["ipvsadm", "-Sn"], namespace=namespace)) == comparable(before)
        assert node.sync(check=True) == 0
    finally:
        node.close()
