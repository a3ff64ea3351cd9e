"""`netproxy proxy` on several nodes against the API of a cluster of the command line, over HTTPS: its death, and strangers."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.cluster import pause, wait_until
from support.realcluster import API, RealCluster, a_service, machine_address
from support.realnode import Machine

from netproxy.client.http import HttpApi
from netproxy.linux import netns
from netproxy.linux.clock import SystemClock
from netproxy.serve.certificates import certificates, kubeconfig_text

MODES = {
    1: ("--proxy-mode", "iptables", "--iptables", "nft"),
    2: ("--proxy-mode", "nftables"),
    3: ("--proxy-mode", "userspace"),
}
A, B = 8, 9
"""The machines that serve."""
VIP, OTHER_VIP = "10.96.0.100", "10.96.0.101"
OUTAGE_S = 20


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RealCluster]:
    made = RealCluster(tmp_path)
    try:
        yield made
    finally:
        made.close()


def a_node(number: int) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"real{number}"},
            "status": {"addresses": [{"type": "InternalIP", "address": machine_address(number)}]}}  # fmt: skip


def register(machine: Machine, kubeconfig: Path, number: int) -> None:
    """Make the Node of a machine, from there, by the API, as a kubelet does."""

    async def create() -> None:
        api = HttpApi.from_kubeconfig(kubeconfig, clock=SystemClock(), random=Random(1))
        try:
            made = await api.create(a_node(number))
            await api.replace_status({**made, "status": a_node(number)["status"]})
        finally:
            await api.close()

    with netns.visiting(machine.namespace):
        asyncio.run(create())


def test_the_api_dies_under_traffic_and_comes_back(cluster: RealCluster) -> None:
    for number in (A, B):
        cluster.machine(number).serve(machine_address(number))
    cluster.up(*a_service("web", VIP, A), address=f"{API}:0")
    kubeconfig = cluster.kubeconfig.read_bytes()
    nodes = [cluster.machine(number) for number in MODES]
    for (number, args), node in zip(MODES.items(), nodes, strict=True):
        register(node, cluster.kubeconfig, number)
        node.run_proxy(cluster.kubeconfig, f"real{number}", *args)
    for node in nodes:
        node.answers(machine_address(A), vip=VIP)
    before = [node.rules() for node in nodes]
    traffic = [cluster.traffic(node, VIP) for node in nodes]

    os.kill(cluster.cluster.pid, signal.SIGKILL)
    killed = time.monotonic()
    for node in nodes:
        wait_until(lambda node=node: "the API does not tell" in node.log())
    pause(OUTAGE_S - (time.monotonic() - killed))
    assert [node.rules() for node in nodes] == before
    assert [node.get(10256, "/livez")[0] for node in nodes] == [200] * len(nodes)

    cluster.up(*a_service("web", VIP, B), *a_service("other", OTHER_VIP, A))
    assert cluster.kubeconfig.read_bytes() == kubeconfig, "the port is the same"
    made = cluster.cluster.namespaces()
    assert not [name for name in made if "real" in name], "who joins by the API has a machine of its own"
    for node, each in zip(nodes, traffic, strict=True):
        node.answers(machine_address(A), 35, vip=OTHER_VIP)
        wait_until(lambda each=each: machine_address(B) in each.new[-3:])
    for each in traffic:
        each.end()
    assert [each.faults for each in traffic] == [[]] * len(nodes)
    for each in traffic:
        assert set(each.kept) == {machine_address(A)}, "a connection lives on"
        assert set(each.new) == {machine_address(A), machine_address(B)}
        assert len(each.kept) > OUTAGE_S * 5
        assert len(each.new) > OUTAGE_S * 5


def test_a_stranger_is_told_nothing_and_says_so(cluster: RealCluster, tmp_path: Path) -> None:
    cluster.up(*a_service("web", VIP, A), address=f"{API}:0")
    own = certificates(cluster.cluster.folder / "tls", [], now=time.time())
    foreign = certificates(tmp_path / "foreign", [], now=time.time())
    port = int((cluster.cluster.folder / "tls" / "port").read_text())
    node = cluster.machine(1)
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig_text(API, port, own.authority, foreign.admin))
    node.run_proxy(file, "real1", *MODES[1])
    wait_until(lambda: "services: the API does not tell:" in node.log())
    why = f"https://{API}:{port}: Server disconnected; perhaps it does not accept our client-certificate"
    assert why in node.log()
    status, _, said = node.get(10256, "/healthz")
    assert status == 503
    assert json.loads(said)["apiError"] == f"services: {why}"
    assert "KUBE-SERVICES" not in node.rules()
