"""What nft tells of tables that iptables does not read."""

import json

import pytest

from netproxy.core.errors import UnsupportedError
from netproxy.core.net import Family
from netproxy.ruleset.foreign import Line, Outline, is_sketch, listed_chain, outlines, resembles, sketch
from netproxy.ruleset.ir import Accept, Chain, Goto, Jump, Rule

SAID = {"nftables": [
    {"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "nat"}},
    {"chain": {"name": "OUTPUT", "type": "nat", "hook": "output", "prio": -100, "policy": "accept"}},
    {"chain": {"name": "mine"}},
    {"rule": {"chain": "OUTPUT", "expr": [
        {"xt": {"type": "match", "name": "comment"}}, {"counter": {"packets": 3, "bytes": 180}}, {"jump": {"target": "KUBE-SERVICES"}}]}},
    {"rule": {"chain": "OUTPUT", "expr": [{"goto": {"target": "mine"}}, {"counter": None}, "notrack"]}},
    {"rule": {"chain": "mine", "expr": [{"masquerade": None}]}},
]}  # fmt: skip
BASE = Outline("OUTPUT", True, (Line("KUBE-SERVICES", 3, 180), Line("mine")))
OURS, OWN = Rule((), Jump("KUBE-SERVICES"), "a way in"), Rule((), Goto("mine"))


def test_chains_are_told_with_their_jumps_and_counters() -> None:
    assert outlines(json.dumps(SAID)) == (BASE, Outline("mine", False, (Line(),)))
    assert BASE.counters == ((3, 180), (0, 0))


@pytest.mark.parametrize("text", ["", "[]", '{"nftables": [{"rule": {"chain": "nowhere"}}]}', '{"nftables": 5}'])
def test_other_text_is_no_table(text: str) -> None:
    with pytest.raises(UnsupportedError):
        outlines(text)


def test_a_chain_is_recognised_by_its_jumps() -> None:
    assert resembles(BASE, Chain("OUTPUT", (OURS, OWN)))
    assert not resembles(BASE, Chain("OUTPUT", (OWN, OURS)))
    assert not resembles(BASE, Chain("OUTPUT", (OURS,)))
    assert resembles(Outline("mine", False, (Line(),)), Chain("mine", (Rule((), Accept()),)))


def test_a_sketch_has_the_jumps_that_are_remembered_each_once() -> None:
    twice = Outline("OUTPUT", True, (Line("KUBE-SERVICES"), Line("KUBE-SERVICES"), Line()))
    drawn = sketch(twice, Chain("OUTPUT", (OURS, Rule((), Accept()))))
    assert drawn.policy == "ACCEPT"
    assert drawn.rules[0] is OURS
    assert drawn.rules[1] != OURS
    assert drawn.rules[1].action == Jump("KUBE-SERVICES")
    assert drawn.rules[2].action is None
    assert is_sketch(drawn)
    assert not is_sketch(Chain("OUTPUT", (OURS, Rule((), Accept()))))
    assert sketch(Outline("mine"), None) == Chain("mine")


def test_a_listing_of_one_chain_is_read() -> None:
    assert listed_chain("-N KUBE-X\n-A KUBE-X -j ACCEPT\n", Family.IPV4) == Chain("KUBE-X", (Rule((), Accept()),))
    assert listed_chain("-P OUTPUT DROP\n", Family.IPV4) == Chain("OUTPUT", (), "DROP")
