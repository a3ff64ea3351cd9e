"""`netproxy proxy` in several namespaces against netproxy's own API over HTTPS, which dies and comes back."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.build import service_object
from support.cluster import Cluster, wait_until
from support.realnode import ENDPOINTS, VIP, RealNode, web

from netproxy.linux import netns
from netproxy.linux.command import run

A, B = ENDPOINTS
API = "10.250.0.1"
AWAY_S = 20
WAYS = (
    ("--proxy-mode", "iptables"),
    ("--proxy-mode", "nftables"),
    ("--proxy-mode", "nftables", "--nftables-layout", "flat"),
)


@pytest.fixture
def cluster(namespace: str) -> Iterator[Cluster]:
    """A cluster whose agent is in a namespace, with the API's address."""
    run(["ip", "-batch", "-"], stdin=["link set lo up\n", f"addr add {API}/32 dev lo\n"], namespace=namespace)
    made = Cluster(prefix=["nsenter", f"--net=/run/netns/{namespace}"])
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def nodes(namespace: str, tmp_path: Path) -> Iterator[list[RealNode]]:
    """A namespace for each proxy, with a wire to the API's."""
    made: list[RealNode] = []
    names = [f"{namespace}-{number}" for number in range(len(WAYS))]
    try:
        for number, name in enumerate(names):
            with netns.visiting():
                netns.create(name)
            made.append(RealNode(name, tmp_path / name, with_api=False))
            here, there = f"10.250.{number + 1}.1", f"10.250.{number + 1}.2"
            run(["ip", "-batch", "-"], namespace=namespace, stdin=[
                f"link add w{number} type veth peer name wire netns {name}\n", f"addr add {here}/24 dev w{number}\n",
                f"link set w{number} up\n",
            ])  # fmt: skip
            run(["ip", "-batch", "-"], namespace=name, stdin=[
                f"addr add {there}/24 dev wire\n", "link set wire up\n", f"route add {API}/32 via {here}\n",
            ])  # fmt: skip
        yield made
    finally:
        for node in made:
            node.close()
        for name in names:
            netns.delete(name)


@pytest.mark.timeout(300)
def test_proxies_live_through_the_death_of_the_api(cluster: Cluster, nodes: list[RealNode]) -> None:
    spec = json.dumps({"apiVersion": "netproxy.dev/v1alpha1", "kind": "Cluster", "spec": {"nodes": len(nodes)}})
    cluster("up", "--api-address", f"{API}:0", "-f", "-", stdin=spec)
    service = service_object(clusterIP=VIP, clusterIPs=[VIP])
    del service["spec"]["selector"]
    cluster("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, (service, web(A)))))
    kubeconfig = next(cluster.folder.rglob("kubeconfig"))
    for number, (node, way) in enumerate(zip(nodes, WAYS, strict=True), 1):
        node.start(*way, kubeconfig=kubeconfig, name=f"node{number}")
    for node in nodes:
        node.answers(A)
    kept, before = [node.dial() for node in nodes], [node.rules() for node in nodes]
    os.kill(cluster.pid, signal.SIGKILL)
    until = time.monotonic() + AWAY_S
    while time.monotonic() < until:
        for node, conn in zip(nodes, kept, strict=True):
            assert node.answer() == A, "new connections go on"
            conn.sendall(b"?\n")
            assert conn.recv(100) == f"{A}\n".encode(), "old ones live"
    assert [node.rules() for node in nodes] == before
    cluster("up", "--api-address", f"{API}:0")
    cluster("apply", "-f", "-", stdin=json.dumps(web(B)))
    for node, conn in zip(nodes, kept, strict=True):
        node.answers(B, 35)
        conn.sendall(b"?\n")
        assert conn.recv(100) == f"{A}\n".encode()
        conn.close()
    wait_until(lambda: all(node.get(10256, "/healthz")[0] == 200 for node in nodes))
