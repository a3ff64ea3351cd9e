"""Where nodes are: what Node objects bring is kept or refused, and the rest of the nodes get what is free."""

import pytest

from netproxy.core.errors import ManifestError
from netproxy.objects.cluster import cluster_spec


def a_node(name: str = "n1", *addresses: str, pods: tuple[str, ...] = ()) -> dict:
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    spec = {"podCIDRs": list(pods)} if pods else {}
    return {"kind": "Node", "metadata": {"name": name}, "spec": spec, "status": {"addresses": listed}}


def refused(*objects: dict) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        cluster_spec(objects)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("172.18.0.254", "is the address of the machine outside the cluster; take another one"),
        ("172.18.0.0", "is the network's own or its broadcast address in spec.nodeCIDRs, 172.18.0.0/24"),
        ("172.18.0.255", "is the network's own or its broadcast address in spec.nodeCIDRs, 172.18.0.0/24"),
        ("127.0.0.1", "must not be one of the loopback addresses"),
        ("0.0.0.0", "must not be one of the unspecified addresses"),
        ("224.0.0.1", "must not be one of the multicast addresses"),
        ("10.96.0.10", "is in the range of the Services, 10.96.0.0/16"),
        ("10.244.0.1", "is in the range of the Pods of node n1, 10.244.0.0/24"),
    ],
)
def test_an_address_that_a_node_cannot_have(address, why):
    (found,) = refused(a_node("n1", address))
    assert found.startswith(f'Node n1: status.addresses: Invalid value: "{address}": {why}')


def test_an_address_of_two_nodes_is_refused_for_both():
    found = refused(a_node("a", "10.1.0.9"), a_node("b", "10.1.0.9"))
    assert ["node b, too" in found[0], "node a, too" in found[1]] == [True, True]


@pytest.mark.parametrize("ranges", [("10.244.0.0/24", "10.244.0.0/24"), ("10.244.0.0/25", "10.244.0.0/23")])
def test_pod_ranges_of_two_nodes_do_not_overlap(ranges):
    (found,) = refused(a_node("a", pods=ranges[:1]), a_node("b", pods=ranges[1:]))
    assert found.startswith(f'Node b: spec.podCIDRs: Invalid value: "{ranges[1]}": overlaps the Pod range of node a')


def test_what_nodes_bring_is_kept_and_leading_zeros_are_decimal():
    made = cluster_spec([a_node("a", "010.001.0.9", pods=("10.244.7.0/24",)), a_node("b", "10.1.0.10")])
    assert [(n.addresses, n.pod_cidrs) for n in made.nodes] == [
        (("10.1.0.9",), ("10.244.7.0/24",)), (("10.1.0.10",), ("10.244.1.0/24",)),
    ]  # fmt: skip


def test_others_get_what_is_free():
    nodes = [a_node("a"), a_node("b", "172.18.0.2", pods=("10.244.0.0/24",)), a_node("c", "172.18.0.5"), a_node("d")]
    made = cluster_spec(nodes).nodes
    assert [n.addresses for n in made] == [("172.18.0.6",), ("172.18.0.2",), ("172.18.0.5",), ("172.18.0.7",)]
    assert [n.pod_cidrs[0] for n in made] == ["10.244.1.0/24", "10.244.0.0/24", "10.244.2.0/24", "10.244.3.0/24"]


def test_where_nothing_is_free_the_clash_is_said():
    cluster = {"kind": "Cluster", "spec": {"nodeCIDRs": ["172.18.0.0/29"], "podCIDRs": ["10.0.0.0/26"]}}
    own = [a_node("b", "172.18.0.2", pods=("10.0.0.0/26",)), a_node("c", "172.18.0.3", "172.18.0.5")]
    assert cluster_spec([cluster, a_node("a"), a_node("c", "172.18.0.5")]).nodes[0].addresses == ("172.18.0.2",)
    assert any("overlaps the Pod range of node" in message for message in refused(cluster, a_node("a"), *own))


def test_addresses_of_both_families():
    cluster = {"kind": "Cluster", "spec": {"ipFamilies": ["IPv4", "IPv6"]}}
    made = cluster_spec([cluster, a_node("a"), a_node("b", "fd00:172:18::2", "10.9.0.1")]).nodes
    assert [n.addresses for n in made] == [
        ("172.18.0.2", "fd00:172:18::4"), ("10.9.0.1", "fd00:172:18::2"),
    ]  # fmt: skip
    (found,) = refused(cluster, a_node("a", "fd00:10:96::5"))
    assert "is in the range of the Services, fd00:10:96::/112" in found
