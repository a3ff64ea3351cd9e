"""Ranges of clusters and nodes that cannot be are refused with their place, and with a way out."""

import pytest

from netproxy.core.errors import ManifestError
from netproxy.objects.cluster import cluster_spec
from netproxy.objects.validate import problems


def cluster(**spec):
    return {"apiVersion": "netproxy.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "c"}, "spec": spec}


def node(name="n1", **spec):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"podCIDRs": ["10.0.0.0/31"]}, ("spec.podCIDRs[0]: Invalid value: \"10.0.0.0/31\": is too small for 1 node: there must be room for"
         " at least 8 Pods on each node; take a /29 or a larger range")),
        ({"podCIDRs": ["10.0.0.0/28"], "nodes": 10}, "is too small for 10 nodes: there must be room for at least 8 Pods on each node; take a /25"),
        ({"podCIDRs": ["fd00::/127"]}, "take a /125 or a larger range"),
        ({"serviceCIDRs": ["10.0.0.0/32"]}, "there must be room for the name server and a Service; take a /30"),
        ({"nodeCIDRs": ["10.0.0.0/31"]}, "room for the nodes, the machine outside and the network itself; take a /29"),
        ({"nodeCIDRs": ["10.0.0.0/29"], "nodes": ["a", "b", "c", "d", "e"]}, "is too small for 5 nodes"),
        ({"podCIDRs": ["10.0.0.0/16"], "serviceCIDRs": ["10.0.1.0/24"]}, ("spec.serviceCIDRs[0]: Invalid value: \"10.0.1.0/24\": overlaps "
         "spec.podCIDRs[0], which is 10.0.0.0/16; give one of them another range")),
        ({"podCIDRs": ["172.18.0.0/16"]}, ("spec.podCIDRs[0]: Invalid value: \"172.18.0.0/16\": overlaps spec.nodeCIDRs (IPv4), which is "
         "172.18.0.0/24 by default")),
        ({"podCIDRs": ["fd00::/64"], "serviceCIDRs": ["10.0.0.0/16"]}, ("spec.serviceCIDRs[0]: Invalid value: \"10.0.0.0/16\": is an IPv4 range,"
         " and the cluster has IPv6 only; leave it out, or add IPv4 to spec.ipFamilies")),
        ({"ipFamilies": ["IPv4"], "podCIDRs": ["10.0.0.0/16", "fd00::/64"]}, "spec.podCIDRs[1]: Invalid value: \"fd00::/64\": is an IPv6 range"),
        ({"podCIDRs": ["10.1.0.0/16", "10.2.0.0/16"]}, "spec.podCIDRs[1]: Invalid value: \"10.2.0.0/16\": is a second IPv4 range"),
        ({"podCIDRs": ["0.0.0.0/0"]}, "must not hold unspecified addresses (0.0.0.0/8); take a private range, such as 10.20.0.0/16"),
        ({"podCIDRs": ["::/0"]}, "such as fd00:20::/56"),
        ({"nodeCIDRs": ["127.0.0.0/8"]}, "must not hold loopback addresses"),
        ({"serviceCIDRs": ["224.1.0.0/16"]}, "must not hold multicast addresses"),
        ({"nodeCIDRs": ["10.0.0.0"]}, "spec.nodeCIDRs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value"),
        ({"dnsAddresses": ["10.97.0.10"]}, "spec.dnsAddresses[0]: Invalid value: \"10.97.0.10\": must be in the range of Services, 10.96.0.0/16"),
        ({"dnsAddresses": ["dns"]}, "must be a valid IP address"),
        ({"dnsAddresses": ["fd00:10:96::a"]}, "is IPv6, and the cluster has IPv4 only"),
        ({"dnsDomain": "-bad-"}, "spec.dnsDomain: Invalid value: \"-bad-\": must be a lowercase RFC 1123 subdomain (e.g. cluster.local)"),
        ({"nodes": True}, "spec.nodes: Invalid value: true: must be a list of nodes or a number between 1 and 100"),
        ({"nodes": [5]}, "spec.nodes[0].name: Invalid value: 5: must be a DNS label"),
        ({"nodes": [f"n{number}" for number in range(101)]}, "spec.nodes: Too many: 101: must have at most 100 items"),
        ({"nodes": [{"name": "a", "zone": 5}]}, "spec.nodes[0].zone: Invalid value: 5: must be of type string; put it into quotes"),
        ({"nodes": [{"name": "a", "labels": 5}]}, "spec.nodes[0].labels: Invalid value: 5: must be an object of strings"),
        ({"nodes": [{"name": "a", "labels": {"b": 5}}]}, "spec.nodes[0].labels: Invalid value"),
        ({"containerLogMaxFiles": 2**63}, "spec.containerLogMaxFiles: Invalid value"),
    ],
)  # fmt: skip
def test_what_a_cluster_cannot_have(spec, says):
    (found,) = map(str, problems(cluster(**spec)))
    assert says in found


@pytest.mark.parametrize(
    "spec",
    [
        {"podCIDRs": ["10.0.0.0/29"], "nodes": 1},
        {"podCIDRs": ["10.0.0.0/25"], "nodes": 16},
        {"nodeCIDRs": ["10.0.0.0/29"], "nodes": 4},
        {"nodeCIDRs": ["10.0.0.0/25"], "nodes": 100},
        {"serviceCIDRs": ["10.0.0.0/30"]},
        {"podCIDRs": ["fd00::/120"], "nodes": [{"name": "a", "labels": {"b": "c"}, "zone": "z"}]},
        {"ipFamilies": ["IPv6", "IPv4"], "podCIDRs": ["10.0.0.0/16", "fd00::/64"], "dnsAddresses": ["10.96.0.7", "fd00:10:96::7"]},
        {"nodeCIDRs": ["169.254.0.0/16"], "dnsDomain": "example.org."},
    ],
)  # fmt: skip
def test_whatever_is_accepted_can_be_made(spec):
    assert problems(cluster(**spec)) == []
    made = cluster_spec([cluster(**spec)])
    addresses = [a for n in made.nodes for a in n.addresses] + [*made.client_addresses, *made.dns_addresses]
    assert len(set(addresses)) == len(addresses)


def test_ranges_without_room_for_the_nodes_that_others_bring():
    with pytest.raises(ManifestError) as raised:
        cluster_spec(
            [cluster(nodeCIDRs=["10.0.0.0/29"], podCIDRs=["10.1.0.0/28"]), *(node(f"n{number}") for number in range(9))]
        )
    assert [problem.path for problem in raised.value.problems] == ["spec.podCIDRs[0]", "spec.nodeCIDRs[0]"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"podCIDRs": ["0.0.0.0/0"]}, "spec.podCIDRs[0]: Invalid value: \"0.0.0.0/0\": must not hold unspecified addresses"),
        ({"podCIDR": "x"}, "spec.podCIDR: Invalid value: \"x\": must be a valid CIDR value"),
        ({"podCIDR": "10.0.0.0/31"}, "spec.podCIDR: Invalid value: \"10.0.0.0/31\": is too small for 1 node"),
        ({"podCIDRs": ["10.0.0.0/24", "10.1.0.0/24"]}, "spec.podCIDRs[1]: Invalid value: \"10.1.0.0/24\": is a second IPv4 range"),
        ({"podCIDRs": ["10.0.0.0/24"], "podCIDR": "10.1.0.0/24"}, "spec.podCIDR: Invalid value: \"10.1.0.0/24\": must be the first of"),
    ],
)  # fmt: skip
def test_what_a_node_cannot_have(spec, says):
    *_, found = map(str, problems(node(**spec)))
    assert says in found
