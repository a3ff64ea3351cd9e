"""A real packet ends where the table says, in each mode."""

import pytest
from support.cases import Case, expected, flow_cases
from support.flowlab import explain_difference, flow_lab
from support.node import Node

from netproxy.proxy.versions import V1_36

WAYS = [
    *(("iptables", flavour, "kube-proxy", case) for flavour in ("nft", "legacy") for case in flow_cases("iptables")),
    *(("iptables", "nft", "kube-proxy", case) for case in flow_cases("iptables", V1_36)),
    *(("nftables", "nft", layout, case) for layout in ("kube-proxy", "flat") for case in flow_cases("nftables")),
    *(("nftables", "nft", "kube-proxy", case) for case in flow_cases("nftables", V1_36)),
    *(("ipvs", "nft", "kube-proxy", case) for case in flow_cases("ipvs")),
]


@pytest.mark.parametrize(
    ("mode", "flavour", "layout", "case"),
    [
        pytest.param(
            *way, id=f"{way[0]}-{way[2] if way[0] == 'nftables' else way[1]}-{way[3].id}",
            marks=[pytest.mark.ipvs] if way[0] == "ipvs" else [],
        )
        for way in WAYS
    ],
)  # fmt: skip
def test_every_flow_ends_as_the_table_says(mode: str, flavour: str, layout: str, case: Case, namespace: str) -> None:
    with flow_lab(namespace, case.addresses()) as lab:
        node = Node(case, namespace, flavour, mode=mode, layout=layout)
        try:
            node.sync()
            wrong = []
            for flow in case.flows()["flows"]:
                wrong.append(explain_difference(lab, flow, expected(case, flow, mode, layout)))
        finally:
            node.close()
        assert "\n".join(filter(None, wrong)) == ""
