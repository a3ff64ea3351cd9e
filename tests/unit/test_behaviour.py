"""What is said of a flow without rules is what the tables of flows say, in every mode."""

import pytest
from support.cases import Case, expected, flow_cases

from netproxy.core.net import Family, family_of
from netproxy.proxy.behaviour import Probe, differences, ending
from netproxy.proxy.build import build
from netproxy.proxy.config import node_view


def views(case: Case, mode: str) -> dict:
    objects: dict[str, list] = {}
    for obj in case.objects():
        objects.setdefault(obj["kind"], []).append(obj)
    found = {}
    for family in Family:
        view = node_view(objects["Node"][0], case.config(), family, addresses=case.addresses(), mode=mode)
        snapshot = build(
            objects.get("Service", ()), objects.get("EndpointSlice", ()), view, cidrs=objects.get("ServiceCIDR", ())
        )
        found[family] = mode, snapshot, view
    return found


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
