"""What `netproxy proxy` keeps of objects: all that rules depend on, and each thing once."""

import pytest
from support.build import a_node, slice_object
from support.cases import Case, all_cases

from netproxy.nodeproxy.lean import Lean
from netproxy.proxy.tracker import Tracker


def a_slice():
    made = slice_object(addresses=("10.244.0.5", "10.244.0.6"))
    made["metadata"]["managedFields"] = [{"manager": "kube-controller-manager"}]
    for endpoint in made["endpoints"]:
        endpoint |= {"zone": "a", "targetRef": {"kind": "Pod", "name": "web"}, "hints": {"forZones": [{"name": "a"}]}}
    return made


def test_what_nobody_asks_for_is_left_out_and_the_rest_is_as_it_was():
    given, untouched = a_slice(), a_slice()
    expected = a_slice()
    del expected["metadata"]["managedFields"]
    for endpoint in expected["endpoints"]:
        del endpoint["targetRef"]
    assert Lean()(given) == expected
    assert given == untouched


def test_what_endpoints_have_in_common_is_there_once():
    lean = Lean()
    one, other = lean(a_slice())["endpoints"][0], lean(a_slice())["endpoints"][1]
    assert one["conditions"] is other["conditions"]
    assert one["nodeName"] is other["nodeName"]


@pytest.mark.parametrize("endpoints", [
    pytest.param(None, id="none"),
    pytest.param("many", id="no list"),
    pytest.param([None, "one"], id="no objects"),
    pytest.param([{"addresses": ["10.244.0.5"], "conditions": {"ready": []}, "nodeName": {}}], id="odd fields"),
    pytest.param([{"addresses": ["10.244.0.5"], "conditions": ["ready"]}], id="odd conditions"),
])  # fmt: skip
def test_what_is_malformed_stays_so(endpoints):
    given = {**slice_object(), "endpoints": endpoints}
    assert Lean()(given) == given


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_no_rule_depends_on_what_is_left_out(case: Case):
    lean, plain = Lean(), lambda obj: obj
    snapshots = []
    for kept in (plain, lean):
        tracker = Tracker(a_node())
        for obj in case.objects():
            take = {"Service": tracker.set_service, "EndpointSlice": tracker.set_slice}.get(obj["kind"])
            if take:
                take(kept(obj))
        snapshots.append(tracker.snapshot())
    assert snapshots[0] == snapshots[1]
