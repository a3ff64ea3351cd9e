"""Which endpoints serve which traffic."""

import pytest
from support.build import a_node, a_service, an_endpoint

from netproxy.proxy.topology import categorize

HERE = an_endpoint("10.0.0.1", local=True)
THERE = an_endpoint("10.0.0.2")
HERE_DRAINING = an_endpoint("10.0.0.3", local=True, ready=False, serving=True, terminating=True)
THERE_DRAINING = an_endpoint("10.0.0.4", ready=False, serving=True, terminating=True)
UNREADY = an_endpoint("10.0.0.5", ready=False, serving=False)
EXTERNAL_LOCAL = {"external_local": True, "node_port": 30000}
INTERNAL_LOCAL = {"internal_local": True}


def names(endpoints):
    return [e.address[-1] for e in endpoints]


@pytest.mark.parametrize(
    ("endpoints", "policy", "cluster", "local", "reachable", "anywhere"),
    [
        pytest.param([HERE, THERE], {}, "12", "", "12", True, id="cluster policy: all ready"),
        pytest.param([HERE, UNREADY], {}, "1", "", "1", True, id="unready is left out"),
        pytest.param([UNREADY], {}, "", "", "", False, id="nothing ready anywhere"),
        pytest.param([HERE_DRAINING, THERE_DRAINING], {}, "34", "", "34", True, id="only draining: they serve"),
        pytest.param([HERE, THERE_DRAINING], {}, "1", "", "1", True, id="one ready: draining rests"),
        pytest.param([HERE, THERE], EXTERNAL_LOCAL, "12", "1", "12", True, id="external local: both sets"),
        pytest.param([THERE], EXTERNAL_LOCAL, "2", "", "2", True, id="external local, none here"),
        pytest.param([HERE_DRAINING, THERE], EXTERNAL_LOCAL, "2", "3", "32", True, id="the draining one serves here only"),
        pytest.param([HERE, THERE], INTERNAL_LOCAL, "", "1", "1", True, id="internal local, not reachable from outside"),
        pytest.param([THERE], INTERNAL_LOCAL, "", "", "", True, id="internal local, only there: drop, not reject"),
        pytest.param([], INTERNAL_LOCAL, "", "", "", False, id="internal local, none"),
    ],
)  # fmt: skip
def test_categories(endpoints, policy, cluster, local, reachable, anywhere):
    found = categorize(a_service(*endpoints, **policy), a_node())
    assert "".join(names(found.cluster)) == cluster
    assert "".join(names(found.local)) == local
    assert "".join(names(found.reachable)) == reachable
    assert found.exist_anywhere is anywhere


def zoned(address, zone=(), nodes=(), **more):
    return an_endpoint(address, zones=zone, nodes=nodes, **more)


@pytest.mark.parametrize(
    ("endpoints", "node", "chosen"),
    [
        pytest.param([zoned("10.0.0.1", ("a",)), zoned("10.0.0.2", ("b",))], {}, "1", id="same zone"),
        pytest.param([zoned("10.0.0.1", ("a",)), zoned("10.0.0.2")], {}, "12", id="one without a hint: hints do not hold"),
        pytest.param([zoned("10.0.0.1", ("b",))], {}, "1", id="no hint for this zone"),
        pytest.param([zoned("10.0.0.1", ("a",)), zoned("10.0.0.2", ("b",))], {"zone": ""}, "12", id="node without a zone"),
        pytest.param([zoned("10.0.0.1", ("a",), ("node1",)), zoned("10.0.0.2", ("a",), ("n2",))], {}, "1", id="same node first"),
        pytest.param([zoned("10.0.0.1", ("a",), ("node1",)), zoned("10.0.0.2", ("a",))], {}, "12", id="a missing node hint: zone"),
        pytest.param([zoned("10.0.0.1", ("a",), ("node1",)), zoned("10.0.0.2", ("a",), ("n2",))], {"node_hints": False}, "12",
                     id="gate off: zone only"),
        pytest.param([zoned("10.0.0.1", ("a",)), zoned("10.0.0.2", ("b",), ready=False)], {}, "1", id="unready needs no hint"),
    ],
)  # fmt: skip
def test_hints(endpoints, node, chosen):
    found = categorize(a_service(*endpoints), a_node(**node))
    assert "".join(names(found.cluster)) == chosen


@pytest.mark.parametrize(
    ("annotation", "chosen"), [("", "12"), ("disabled", "12"), ("Disabled", "12"), ("Auto", "1"), ("anything", "1")]
)
def test_without_the_gate_an_annotation_is_needed(annotation, chosen):
    service = a_service(zoned("10.0.0.1", ("a",)), zoned("10.0.0.2", ("b",)), hints_annotation=annotation)
    found = categorize(service, a_node(hints_without_annotation=False))
    assert "".join(names(found.cluster)) == chosen
