"""Which tracked UDP flows are forgotten, and which are nobody's business."""

import pytest
from support.build import a_node, a_service, a_snapshot, an_endpoint

from netproxy.core.net import Family
from netproxy.linux.kernel import TrackedFlow
from netproxy.proxy.conntrack import stale_flows, udp_targets

VIP, NODE, OTHER_NODE, ALIVE, DEAD = "10.96.0.10", "192.168.0.2", "192.168.0.7", "10.0.0.1", "10.0.0.9"


def dns(*endpoints, **more):
    return a_service(*(endpoints or (an_endpoint(ALIVE, port=5353),)), protocol="udp", port=53, **more)


def nobody(**more):
    return a_service(an_endpoint(ALIVE, port=5353, ready=False, serving=False), protocol="udp", port=53, **more)


def flow(destination, port=53, *, answered_by=None):
    """One to DESTINATION; untranslated when nobody else answers."""
    address, _, answer = (answered_by or "").rpartition(":")
    return TrackedFlow("udp", "10.9.9.9", 4000, destination, port, address or destination, int(answer or port))


def is_stale(one, snapshot, node=None, *, mode="iptables", **more):
    return bool(stale_flows([one], snapshot, node or a_node(), mode=mode, **more))


@pytest.mark.parametrize(
    ("one", "stale"),
    [
        pytest.param(flow(VIP, answered_by=f"{ALIVE}:5353"), False, id="ClusterIP, by an endpoint"),
        pytest.param(flow(VIP, answered_by=f"{DEAD}:5353"), True, id="ClusterIP, by an endpoint that is gone"),
        pytest.param(flow(VIP, answered_by=f"{ALIVE}:53"), True, id="ClusterIP, by another port of an endpoint"),
        pytest.param(flow(VIP), True, id="ClusterIP, from before there was the Service"),
        pytest.param(flow("192.0.2.1"), True, id="external IP, from before there was the Service"),
        pytest.param(flow("198.51.100.1"), True, id="load balancer's IP, from before there was the Service"),
        pytest.param(flow("198.51.100.1", answered_by=f"{DEAD}:5353"), True, id="load balancer's IP, by one that is gone"),
        pytest.param(flow(NODE, 30053, answered_by=f"{ALIVE}:5353"), False, id="node port, by an endpoint"),
        pytest.param(flow(NODE, 30053, answered_by=f"{DEAD}:5353"), True, id="node port, by an endpoint that is gone"),
        pytest.param(flow(NODE, 30053), True, id="node port, from before there was the Service"),
        pytest.param(flow("127.0.0.1", 30053), True, id="node port on loopback, from before there was the Service"),
        pytest.param(flow(VIP, 54), False, id="a port that the ClusterIP does not have"),
        pytest.param(flow(NODE, 53), False, id="the service port of the node itself"),
        pytest.param(flow(VIP, 30053), False, id="the node port of the ClusterIP"),
        pytest.param(flow("8.8.8.8"), False, id="the node asks a name server outside"),
        pytest.param(flow("8.8.8.8", 30053), False, id="the node asks somebody outside at the node port's number"),
        pytest.param(flow("8.8.8.8", 30053, answered_by="172.17.0.2:53"), False, id="somebody else's translation"),
        pytest.param(flow(OTHER_NODE, 30053), False, id="through to another node's node port"),
        pytest.param(flow(ALIVE, 5353), False, id="a Pod asks an endpoint directly"),
        pytest.param(flow(DEAD, 5353), False, id="a Pod asks another Pod directly"),
    ],
)  # fmt: skip
def test_a_service_with_an_endpoint(one, stale):
    service = dns(node_port=30053, external_ips=("192.0.2.1",), load_balancer_ips=("198.51.100.1",))
    assert is_stale(one, a_snapshot(service)) is stale


@pytest.mark.parametrize(
    ("endpoint", "stale"),
    [
        pytest.param(an_endpoint(ALIVE, port=5353), False, id="ready"),
        pytest.param(an_endpoint(ALIVE, port=5353, ready=False, terminating=True), False, id="draining"),
        pytest.param(an_endpoint(ALIVE, port=5353, ready=False), False, id="serving, not ready"),
        pytest.param(an_endpoint(ALIVE, port=5353, ready=False, serving=False), True, id="not serving"),
        pytest.param(an_endpoint(ALIVE, port=5353, zones=("b",)), False, id="of another zone"),
    ],
)
def test_a_flow_goes_on_as_long_as_its_endpoint_serves(endpoint, stale):
    snapshot = a_snapshot(dns(an_endpoint("10.0.0.2", port=5353, zones=("a",)), endpoint))
    assert is_stale(flow(VIP, answered_by=f"{ALIVE}:5353"), snapshot) is stale


@pytest.mark.parametrize(
    ("one", "stale"),
    [
        pytest.param(flow(VIP, answered_by=f"{ALIVE}:5353"), True, id="ClusterIP, by the last endpoint"),
        pytest.param(flow(VIP), True, id="ClusterIP, from before there was the Service"),
        pytest.param(flow(NODE, 30053, answered_by=f"{ALIVE}:5353"), True, id="node port, by the last endpoint"),
        pytest.param(flow(NODE, 30053), True, id="node port, from before there was the Service"),
        pytest.param(flow(OTHER_NODE, 30053), False, id="through to another node's node port"),
    ],
)
def test_a_service_without_an_endpoint_keeps_no_flow(one, stale):
    assert is_stale(one, a_snapshot(nobody(node_port=30053))) is stale


@pytest.mark.parametrize(
    ("one", "stale"),
    [
        pytest.param(flow(VIP, answered_by=f"{ALIVE}:5353"), True, id="ClusterIP, translated"),
        pytest.param(flow(NODE, 30053, answered_by=f"{ALIVE}:5353"), True, id="node port, translated"),
        pytest.param(flow(VIP), False, id="ClusterIP, untranslated: it is no Service's any more"),
        pytest.param(flow(NODE, 30053), False, id="node port, untranslated: a program of the node has the port now"),
        pytest.param(flow(OTHER_NODE, 30053, answered_by=f"{ALIVE}:5353"), False, id="another node's, translated by others"),
    ],
)  # fmt: skip
def test_a_service_that_is_deleted_leaves_no_translation(one, stale):
    former = udp_targets(a_snapshot(dns(node_port=30053)))
    assert is_stale(one, a_snapshot(), former=former) is stale
    assert not is_stale(one, a_snapshot())


def test_an_address_that_another_service_has_now_is_that_ones():
    former = udp_targets(a_snapshot(dns()))
    snapshot = a_snapshot(dns(an_endpoint("10.0.0.2", port=5353), service="heir"))
    assert is_stale(flow(VIP, answered_by=f"{ALIVE}:5353"), snapshot, former=former)
    assert not is_stale(flow(VIP, answered_by="10.0.0.2:5353"), snapshot, former=former)


def test_services_that_share_an_address_share_its_flows():
    shared = [dns(an_endpoint(ip, port=5353), service=ip, external_ips=("192.0.2.1",)) for ip in (ALIVE, "10.0.0.2")]
    for ip in (ALIVE, "10.0.0.2"):
        assert not is_stale(flow("192.0.2.1", answered_by=f"{ip}:5353"), a_snapshot(*shared))


def test_flows_to_a_tcp_service_of_the_same_number_stay():
    assert not is_stale(flow(VIP, 53), a_snapshot(a_service(an_endpoint(ALIVE), port=53)))


@pytest.mark.parametrize(
    ("address", "limited", "stale"),
    [
        pytest.param(NODE, (), True, id="every address takes node ports"),
        pytest.param("192.168.0.3", (), True, id="and so does the second"),
        pytest.param(NODE, ("192.168.0.2/32",), True, id="the address that may"),
        pytest.param("192.168.0.3", ("192.168.0.2/32",), False, id="an address that may not"),
        pytest.param("127.0.0.1", ("192.168.0.0/24",), False, id="loopback, which may not"),
        pytest.param("127.0.0.1", ("127.0.0.0/8",), True, id="loopback, which may"),
    ],
)
def test_only_addresses_that_take_node_ports_count(address, limited, stale):
    node = a_node(addresses=(NODE, "192.168.0.3", "127.0.0.1"), node_port_addresses=limited)
    assert is_stale(flow(address, 30053), a_snapshot(dns(node_port=30053)), node) is stale


def test_loopback_is_the_nodes_own_where_it_takes_no_node_ports():
    node = a_node(localhost_node_ports=False)
    assert not is_stale(flow("127.0.0.1", 30053), a_snapshot(dns(node_port=30053)), node)
    assert is_stale(flow(NODE, 30053), a_snapshot(dns(node_port=30053)), node)


def test_ipv6_addresses_are_compared_as_addresses():
    node = a_node(family=Family.IPV6, addresses=("FD00:0::2", "::1"), localhost_node_ports=False)
    snapshot = a_snapshot(dns(an_endpoint("fd00:244::5", port=5353), cluster_ip="fd00:10:96::10", node_port=30053))
    assert is_stale(flow("fd00::2", 30053), snapshot, node)
    assert not is_stale(flow("::1", 30053), snapshot, node)
    assert not is_stale(flow("fd00:10:96::10", answered_by="fd00:244::5:5353"), snapshot, node)


@pytest.mark.parametrize(
    ("one", "stale"),
    [
        pytest.param(flow(VIP, answered_by=f"{NODE}:40000"), False, id="translated to the process"),
        pytest.param(flow("127.0.0.1", 30053, answered_by="127.0.0.1:40000"), False, id="loopback, to the process"),
        pytest.param(flow(VIP), True, id="from before there was the Service"),
        pytest.param(flow("127.0.0.1", 30053), True, id="loopback, from before there was the Service"),
    ],
)
def test_where_a_process_takes_the_flows_it_chooses_the_endpoint(one, stale):
    node = a_node(localhost_node_ports=False)
    assert is_stale(one, a_snapshot(dns(node_port=30053)), node, mode="userspace") is stale
    former = udp_targets(a_snapshot(dns()))
    assert is_stale(flow(VIP, answered_by=f"{NODE}:40000"), a_snapshot(), node, former=former, mode="userspace")
