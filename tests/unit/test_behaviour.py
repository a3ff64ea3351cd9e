"""What is said of a flow without rules is what the tables of flows say, in every mode."""

import pytest
from support.build import a_node, a_service
from support.cases import Case, expected, flow_cases

from netproxy.core.net import Family, family_of
from netproxy.proxy.behaviour import Ending, Probe, differences, ending, probes
from netproxy.proxy.model import Snapshot
from netproxy.ruleset.ir import InInterface


def views(case: Case, mode: str) -> dict:
    return {family: (mode, case.snapshot(view := case.view(family, mode)), view) for family in Family}


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_it_says_what_the_tables_say(mode: str) -> None:
    wrong = []
    for case in flow_cases(mode):
        known = views(case, mode)
        for flow in case.flows()["flows"]:
            _, snapshot, view = known[family_of(flow["to"])]
            end = ending(
                Probe(flow["from_kind"], flow["from"], flow["to"], flow["port"], flow["proto"].lower()),
                snapshot,
                view,
                mode,
            )
            wanted = expected(case, flow, mode)
            if (end.result, list(end.endpoints)) != (wanted["result"], sorted(wanted["endpoints"])) or (
                "masq" in wanted and not wanted.get("masq_when_endpoint") and end.masquerade != wanted["masq"]
            ):
                wrong.append(f"{case.id} {flow['id']}: {end}, expected {wanted}")
    assert "\n".join(wrong) == ""


def test_differences_are_said_with_the_flow_that_shows_them() -> None:
    case = next(c for c in flow_cases("nftables") if c.folder.name == "clusterip-basics")
    found = list(differences(views(case, "iptables")[Family.IPV4], views(case, "nftables")[Family.IPV4]))
    assert any("a port that the ClusterIP does not have" in d.about and d.second.result == "reject" for d in found)
    assert any("no Service has" in d.about and d.second.result == "drop" for d in found)
    assert not list(differences(views(case, "ipvs")[Family.IPV4], views(case, "ipvs")[Family.IPV4]))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Probe("pod", "10.244.0.9", "10.96.0.10", 80, "tcp"), "pod 10.244.0.9 -> 10.96.0.10:80/TCP"),
        (Probe("node", "fd00::2", "fd00:10:96::1", 53, "udp"), "node fd00::2 -> [fd00:10:96::1]:53/UDP"),
        (Probe("external", "198.51.100.7", "10.96.0.10", 0, "icmp"), "external 198.51.100.7 pings 10.96.0.10"),
        (Ending("accept", ("10.0.0.1:80", "10.0.0.2:80")), "goes to 10.0.0.1:80, 10.0.0.2:80"),
        (Ending("accept", ("10.0.0.1:80",), masquerade=True), "goes to 10.0.0.1:80, source rewritten"),
        (Ending("reject"), "is refused"),
        (Ending("drop"), "gets no answer"),
        (Ending("close"), "is accepted and closed at once"),
        (Ending("local"), "is answered by the node itself"),
        (Ending("pass"), "is left alone"),
    ],
)
def test_flows_and_their_ends_in_words(said: Probe | Ending, words: str) -> None:
    assert str(said) == words


def test_every_address_is_probed_from_everywhere_it_can_be_reached() -> None:
    service = a_service("10.244.0.5", node_port=30080, external_ips=("192.0.2.1",))
    snapshot = Snapshot((service,), ("fd00:10:96::/112", "10.96.0.0/16"))
    found = {(about.rpartition(": ")[2], probe.kind) for about, probe in probes(snapshot, a_node())}
    assert {kind for about, kind in found if about == "node port on 192.168.0.2"} == {"pod", "node", "external"}
    assert {kind for about, kind in found if about == "node port on loopback"} == {"node"}
    assert ("an address of the Service range that no Service has", "pod") in found
    probed = [probe.destination for _, probe in probes(snapshot, a_node())]
    assert "10.96.255.254" in probed


@pytest.mark.parametrize("ranges", [(), ("fd00:10:96::/112",)], ids=["none known", "only of the other family"])
def test_without_a_range_no_unused_address_is_probed(ranges: tuple[str, ...]) -> None:
    snapshot = Snapshot((a_service("10.244.0.5"),), ranges)
    assert not [about for about, _ in probes(snapshot, a_node()) if "no Service has" in about]


@pytest.mark.parametrize(("kind", "masquerade"), [("pod", False), ("external", True)])
def test_pods_may_be_known_by_their_interfaces(kind: str, masquerade: bool) -> None:
    node = a_node(local_traffic=InInterface("veth+"))
    probe = Probe(kind, "172.16.0.9", "10.96.0.10", 80, "tcp")
    end = ending(probe, Snapshot((a_service("10.244.0.5"),)), node, "iptables")
    assert end == Ending("accept", ("10.244.0.5:8080",), masquerade)


def test_a_process_closes_what_nobody_can_take() -> None:
    probe = Probe("pod", "10.244.0.9", "10.96.0.10", 80, "tcp")
    assert ending(probe, Snapshot((a_service(),)), a_node(), "userspace") == Ending("close")


@pytest.mark.parametrize(("destination", "mode", "result"), [
    ("192.168.0.3", "iptables", "reject"), ("127.0.0.1", "iptables", "reject"), ("10.0.0.9", "iptables", "pass"),
    ("192.168.0.3", "nftables", "pass"), ("192.168.0.2", "iptables", "reject"),
])  # fmt: skip
def test_iptables_refuses_a_node_port_of_nobody_on_every_address_of_the_node(destination, mode, result) -> None:
    node = a_node(addresses=("192.168.0.2", "192.168.0.3", "127.0.0.1"), node_port_addresses=("192.168.0.2/32",),
                  localhost_node_ports=False)  # fmt: skip
    asked = Probe("node", "192.168.0.2", destination, 30080, "tcp")
    assert ending(asked, Snapshot((a_service(node_port=30080),)), node, mode) == Ending(result)


def test_a_node_port_that_somebody_has_is_left_alone_where_no_node_port_is() -> None:
    node = a_node(addresses=("192.168.0.2", "192.168.0.3"), node_port_addresses=("192.168.0.2/32",))
    for port in (30080, 30081):
        asked = Probe("external", "198.51.100.7", "192.168.0.3", port, "tcp")
        assert ending(asked, Snapshot((a_service("10.244.0.5", node_port=30080),)), node, "iptables") == Ending("pass")
