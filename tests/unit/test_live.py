"""A running cluster takes some changes of Cluster and Node objects, and refuses the others by name."""

import pytest

from netproxy.core.errors import ManifestError
from netproxy.objects.cluster import cluster_spec, modes_asked, node_object
from netproxy.objects.live import live_cluster, live_nodes
from netproxy.objects.manifest import Loaded

RUNNING = cluster_spec([])
NODES = {node.name: node_object(node) for node in RUNNING.nodes}


def cluster(**spec) -> list[Loaded]:
    return [Loaded({"apiVersion": "netproxy.dev/v1alpha1", "kind": "Cluster", "spec": spec}, "file.yaml")]


def node(name: str, **more) -> list[Loaded]:
    return [Loaded({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, **more}}, "file.yaml")]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"nodes": 2, "ipFamilies": ["IPv4"]},
        {"nodes": ["node2"], "podCIDRs": ["10.244.0.0/16"], "iptables": "nft"},
        {"nodes": [{"name": "node1", "zone": "a"}], "nodePortRange": None},
    ],
)
def test_what_is_as_it_is_changes_nothing(spec: dict) -> None:
    assert live_cluster(cluster(**spec), RUNNING) == RUNNING


def test_the_mode_can_change() -> None:
    assert live_cluster(cluster(proxyMode="nftables"), RUNNING).proxy_mode == "nftables"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"nodes": 3}, "spec.nodes"),
        ({"nodes": 1}, "spec.nodes"),
        ({"nodes": ["node1", "other"]}, "spec.nodes"),
        ({"podCIDRs": ["10.9.0.0/16"]}, "spec.podCIDRs"),
        ({"ipFamilies": ["IPv4", "IPv6"]}, "spec.ipFamilies"),
        ({"iptables": "legacy"}, "spec.iptables"),
        ({"dnsDomain": "example.org", "proxyMode": "nftables"}, "spec.dnsDomain"),
        ({"proxyMode": "bogus"}, "spec.proxyMode"),
    ],
)
def test_what_was_fixed_at_the_start_is_refused(spec: dict, field: str) -> None:
    with pytest.raises(ManifestError) as refused:
        live_cluster(cluster(**spec), RUNNING)
    assert [problem.path for problem in refused.value.problems] == [field]


def test_nodes_keep_what_was_fixed_and_take_labels_annotations_and_taints() -> None:
    (made,) = live_nodes(node("node1", labels={"zone": "a"}, annotations={"x": "y"}), NODES)
    assert made.obj["metadata"]["labels"] == {**NODES["node1"]["metadata"]["labels"], "zone": "a"}
    assert made.obj["metadata"]["annotations"] == {"x": "y"}
    assert (made.obj["spec"], made.obj["status"]) == (NODES["node1"]["spec"], NODES["node1"]["status"])
    with pytest.raises(ManifestError, match=r"Node node9.*node1, node2"):
        live_nodes(node("node9"), NODES)


def test_modes_are_found_where_they_are_asked_for() -> None:
    (asked,) = cluster(proxyMode="ipvs", nodes=["a", {"name": "b", "proxyMode": "nftables"}])
    assert modes_asked(asked.obj) == [("spec.proxyMode", "ipvs"), ("spec.nodes[1].proxyMode", "nftables")]
    (asked,) = node("a", annotations={"netproxy.dev/proxy-mode": "userspace"})
    assert modes_asked(asked.obj) == [("metadata.annotations[netproxy.dev/proxy-mode]", "userspace")]
    assert modes_asked({"kind": "KubeProxyConfiguration", "mode": "ipvs"}) == [("mode", "ipvs")]
