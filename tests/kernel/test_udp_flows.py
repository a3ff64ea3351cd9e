"""UDP flows that are under way follow their Service: real packets from one port, again and again."""

from collections.abc import Iterator
from copy import deepcopy

import pytest
from support.cases import Case, recorded_cases
from support.flowlab import Ending, FlowLab, flow_lab
from support.node import Node

from netproxy.linux.conntrack import ConntrackKernel

CASE = next(c for c in recorded_cases() if c.id == "recorded/nodeport-udp")
MODES = [("iptables", "nft"), ("iptables", "legacy"), ("nftables", "nft")]
WAYS = {
    "node port": {"from_kind": "external", "from": "198.51.100.7", "to": "192.168.0.2", "proto": "UDP", "port": 30053},
    "ClusterIP": {"from_kind": "pod", "from": "10.244.0.9", "to": "10.96.0.10", "proto": "UDP", "port": 53},
}
BEFORE = {"node port": Ending("reject"), "ClusterIP": Ending("pass")}
STRANGERS = [
    {"from_kind": "pod", "from": "10.244.0.9", "to": "203.0.113.53", "proto": "UDP", "port": 53},
    {"from_kind": "pod", "from": "10.244.0.9", "to": "192.168.0.7", "proto": "UDP", "port": 30053},
    {"from_kind": "external", "from": "198.51.100.7", "to": "10.244.0.5", "proto": "UDP", "port": 5353},
]


class Scene:
    """A node whose one UDP Service comes and goes."""

    def __init__(self, lab: FlowLab, node: Node) -> None:
        self.lab, self.node = lab, node
        self.service, self.slice = (
            next(o for o in node.case.objects() if o["kind"] == kind) for kind in ("Service", "EndpointSlice")
        )

    def put(self, *objects: dict) -> None:
        self.node.step({"apply": list(objects)})
        self.node.sync()

    def remove(self) -> None:
        self.node.step({"delete": ["services/ns1/dns", "endpointslices/ns1/dns-1"]})
        self.node.sync()

    def with_endpoints(self, *addresses: str) -> dict:
        made = deepcopy(self.slice)
        made["endpoints"] = [
            {"addresses": [ip], "conditions": {"ready": True}, "nodeName": "node1"} for ip in addresses
        ]
        return made

    def tracked(self) -> set[tuple[str, int]]:
        return {(flow.destination, flow.port) for flow in ConntrackKernel(self.node.namespace).flows("udp")}


@pytest.fixture(params=MODES, ids="-".join)
def scene(request: pytest.FixtureRequest, namespace: str) -> Iterator[Scene]:
    mode, flavour = request.param
    with flow_lab(namespace, CASE.addresses()) as lab:
        node = Node(Case(CASE.folder), namespace, flavour, mode=mode)
        try:
            yield Scene(lab, node)
        finally:
            node.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_flow_follows_its_service_from_before_its_birth_to_its_end(way: str, scene: Scene) -> None:
    flow = WAYS[way]
    scene.remove()
    assert scene.lab.send(flow) == BEFORE[way]
    scene.put(scene.service, scene.with_endpoints("10.244.0.5"))
    assert scene.lab.send(flow, again=True).endpoint == "10.244.0.5:5353"
    scene.put(scene.with_endpoints("10.244.0.5", "10.244.0.6"))
    assert scene.lab.send(flow, again=True).endpoint == "10.244.0.5:5353", "its endpoint is still there"
    scene.put(scene.with_endpoints("10.244.0.6"))
    assert scene.lab.send(flow, again=True).endpoint == "10.244.0.6:5353"
    scene.put(scene.with_endpoints())
    assert scene.lab.send(flow, again=True).result == "reject", "nobody is left to answer"
    scene.put(scene.with_endpoints("10.244.0.7"))
    assert scene.lab.send(flow, again=True).endpoint == "10.244.0.7:5353"
    scene.remove()
    assert scene.lab.send(flow, again=True) == BEFORE[way]


def test_flows_of_strangers_are_left_alone(scene: Scene) -> None:
    scene.remove()
    for flow in STRANGERS:
        assert scene.lab.send(flow).result == "pass"
    before = scene.tracked()
    assert before == {(flow["to"], flow["port"]) for flow in STRANGERS}
    scene.put(scene.service, scene.with_endpoints("10.244.0.6"))
    scene.put(scene.with_endpoints())
    scene.remove()
    assert scene.tracked() == before
