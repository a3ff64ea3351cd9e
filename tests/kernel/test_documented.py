"""docs/modes.md, executed: every cell of "Where they differ" is a packet that is sent."""

import re

import pytest
from support.cluster import REPO
from support.flowlab import FlowLab, flow_lab
from support.node import Node

from netproxy.proxy.versions import DEFAULT

MODES = ["iptables", "ipvs", "nftables", "userspace"]
WORDS = {
    "left alone": {"pass", "local-reset"},
    "refused": {"reject"},
    "no answer": {"drop"},
    "goes to a Pod": {"accept", "answered"},
    "accepted and closed": {"answered"},
}
POD, OUT, NODE = ("pod", "10.244.0.9"), ("external", "198.51.100.7"), ("loopback", "127.0.0.1")
PACKETS = {
    "a port that the ClusterIP does not have": (*POD, "10.96.4.20", 81),
    "an address of the Service range that no Service has": (*POD, "10.96.4.99", 80),
    "a node port on the node's second address": (*OUT, "192.168.20.11", 30080),
    "a node port on 127.0.0.1": (*NODE, "127.0.0.1", 30080),
    "externalTrafficPolicy Local, no endpoint here": (*OUT, "192.168.10.11", 30081),
    "internalTrafficPolicy Local, no endpoint here": (*POD, "10.96.4.30", 80),
    "a Service without endpoints": (*POD, "10.96.4.40", 80),
    "a ping of a ClusterIP": (*POD, "10.96.4.20", 0),
}


def service(name: str, ip: str, **spec) -> dict:
    port = {"name": "", "port": 80, "protocol": "TCP", "nodePort": spec.pop("nodePort", 0)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"type": "NodePort" if port["nodePort"] else "ClusterIP", "clusterIP": ip, "ports": [port], **spec}}  # fmt: skip


def endpoints(name: str, address: str) -> dict:
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{name}-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "nodeName": "far-away"}],
            "ports": [{"name": "", "port": 80, "protocol": "TCP"}]}  # fmt: skip


class Documented:
    """What Node asks of a case."""

    version = DEFAULT

    def objects(self) -> list[dict]:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
                "status": {"addresses": [{"type": "InternalIP", "address": a} for a in self.addresses()]}}  # fmt: skip
        cidr = {"kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}}
        return [
            node, cidr, service("web", "10.96.4.20", nodePort=30080), endpoints("web", "10.244.2.5"),
            service("far", "10.96.4.25", nodePort=30081, externalTrafficPolicy="Local"), endpoints("far", "10.244.2.6"),
            service("here", "10.96.4.30", internalTrafficPolicy="Local"), endpoints("here", "10.244.2.7"),
            service("nobody", "10.96.4.40"),
        ]  # fmt: skip

    def config(self) -> dict:
        return {"clusterCIDR": "10.244.0.0/16"}

    def addresses(self) -> list[str]:
        return ["192.168.10.11", "192.168.20.11"]


def documented() -> dict[str, dict[str, str]]:
    text = (REPO / "docs" / "modes.md").read_text().partition("## Where they differ")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]
    assert rows[0] == ["what", *MODES]
    return {row[0]: dict(zip(MODES, row[1:], strict=True)) for row in rows[2:]}


def test_every_packet_is_in_the_table_and_the_other_way_round() -> None:
    assert set(documented()) == set(PACKETS)
    assert {word for row in documented().values() for word in row.values()} <= set(WORDS)


@pytest.mark.parametrize("mode", [pytest.param(m, marks=[pytest.mark.ipvs] if m == "ipvs" else []) for m in MODES])
def test_packets_end_as_the_document_says(mode: str, namespace: str) -> None:
    case = Documented()
    with flow_lab(namespace, case.addresses()) as lab:
        node = Node(case, namespace, mode=mode)
        try:
            node.sync()
            seen = {title: how_it_ends(lab, packet) for title, packet in PACKETS.items()}
        finally:
            node.close()
    wrong = {t: (seen[t], row[mode]) for t, row in documented().items() if seen[t] not in WORDS[row[mode]]}
    assert not wrong


def how_it_ends(lab: FlowLab, packet: tuple) -> str:
    kind, source, destination, port = packet
    flow = {"from_kind": kind, "from": source, "to": destination, "port": port, "proto": "TCP" if port else "ICMP"}
    end = lab.send(flow).result
    return "local-reset" if end == "local" and port else end
