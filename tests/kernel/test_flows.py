"""A real packet ends where the table says, in iptables mode."""

import pytest
from support.cases import Case, flow_cases
from support.flowlab import explain_difference, flow_lab
from support.node import Node


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
@pytest.mark.parametrize("case", flow_cases("iptables"), ids=lambda case: case.id)
def test_every_flow_ends_as_the_table_says(case: Case, flavour: str, namespace: str) -> None:
    with flow_lab(namespace, case.addresses()) as lab:
        Node(case, namespace, flavour).sync()
        wrong = []
        for flow in case.flows()["flows"]:
            expect = {**flow["expect"], **(flow.get("by_mode") or {}).get("iptables", {})}
            wrong.append(explain_difference(lab, flow, expect))
        assert not [text for text in wrong if text]
