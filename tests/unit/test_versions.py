"""What both versions of kube-proxy left in the kernel, from objects alone: joined at once, and followed step by step."""

import pytest
from support.cases import DEFECTS_OF_KUBE_PROXY, FILES, Case, canonical, recorded_cases

from netproxy.core.net import Family
from netproxy.proxy.iptables import IptablesCompiler
from netproxy.ruleset.diff import applied
from netproxy.ruleset.iptables import render

CASES = [c for c in recorded_cases(kinds="recorded flows differences") if c.folder.name not in DEFECTS_OF_KUBE_PROXY]
RANDOM = recorded_cases(kinds="random")
STEPS = [c for c in (*CASES, *RANDOM) if c.steps() and c.folder.name != "large-cluster"]
"""A large cluster's stale chains linger in the kernel: tests/kernel/test_recorded.py."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_iptables_rules_are_those_of_kube_proxy(case: Case) -> None:
    for family, file in FILES.items():
        view = case.view(family, nfacct=case.counts)
        assert canonical(render(IptablesCompiler(view).whole(case.snapshot(view)))) == case.recorded(file)


@pytest.mark.parametrize("case", STEPS, ids=lambda case: case.id)
def test_iptables_rules_follow_the_objects_as_kube_proxy_does(case: Case) -> None:
    compiler, state = IptablesCompiler(case.view(Family.IPV4)), None
    for family, step, view, snapshot in case.moments(nfacct=case.counts):
        if view != compiler.node:
            compiler, state = IptablesCompiler(view), None
        change = compiler.change(snapshot) if state else None
        state = applied(state, change) if state and change is not None else compiler.whole(snapshot)
        assert canonical(render(state)) == case.recorded(FILES[family], step), step
