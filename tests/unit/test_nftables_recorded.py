"""The nftables tables that both versions of kube-proxy left, from objects alone: joined at once, and followed step by step."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest
from support.cases import DIGESTS, Case, recorded_cases
from support.digests import facts, facts_of, is_whole, table_of

from netproxy.core.net import Family
from netproxy.proxy.config import ZONE_LABEL
from netproxy.proxy.model import NodeView, Snapshot
from netproxy.proxy.nftables import NftCompiler, compile_nftables, service_part
from netproxy.proxy.versions import V1_30, V1_36
from netproxy.ruleset import nft_plan
from netproxy.ruleset.nft import Chain, Element, Other, Table, chains_of
from netproxy.ruleset.nftables import parse, render, rule_text


class Deaf(Case):
    """As a kube-proxy 1.36.2 saw it that had not heard of all when it wrote its table: docs/versions.md says how that comes."""

    def objects(self) -> list[dict[str, Any]]:
        return [obj for obj in map(self._heard, super().objects()) if obj["kind"] != "ServiceCIDR"]

    def _heard(self, obj: dict[str, Any]) -> dict[str, Any]:
        if obj["kind"] != "Node":
            return obj
        labels = {name: value for name, value in obj["metadata"]["labels"].items() if name != ZONE_LABEL}
        return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


DEAF = {"random/r71039@1.36", "flows/no-local-endpoints-metric-7@1.36"}
CASES = [Deaf(c.folder, c.version) if c.id in DEAF else c for c in recorded_cases(file="nft.ruleset")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_table_is_that_of_kube_proxy(case: Case) -> None:
    tables = case.tables()
    assert tables
    for recorded in tables:
        view = case.view(recorded.family, "nftables")
        snapshot = case.snapshot(view)
        table = compile_nftables(snapshot, view)
        assert_same(table, recorded, snapshot, view)
        assert parse(render(table)) == [table]


DIGESTED = recorded_cases(V1_36, file=DIGESTS[Family.IPV4])


@pytest.mark.parametrize("family", Family, ids=lambda family: family.value)
@pytest.mark.parametrize("case", DIGESTED, ids=lambda case: case.id)
def test_the_table_is_that_of_which_a_digest_was_kept(case: Case, family: Family) -> None:
    digest = case.recorded(DIGESTS[family])
    view = case.view(family, "nftables")
    table = compile_nftables(case.snapshot(view), view)
    if is_whole(digest):
        recorded = table_of(digest, family)
        assert {**recorded.sets} == {**table.sets}
        assert recorded.elements == table.elements
        assert recorded.chains == {name: replace(chain, comment="") for name, chain in table.chains.items()}
    else:
        assert facts(table) == facts_of(digest)


@pytest.mark.parametrize("case", [c for c in CASES if c.has_steps], ids=lambda case: case.id)
def test_the_table_follows_the_objects_as_kube_proxy_does(case: Case) -> None:
    compiler, state = None, None
    for family, step, view, snapshot in case.moments("nftables"):
        if compiler is None or view != compiler.node:
            compiler, state = NftCompiler(view), None
        change = compiler.change(snapshot) if state else None
        state = nft_plan.applied(state, change) if state and change is not None else compiler.whole(snapshot)
        assert state is not None
        for recorded in case.tables(step):
            if recorded.family is family:
                assert_same(state, recorded, snapshot, view)


def assert_same(table: Table, recorded: Table, snapshot: Snapshot, view: NodeView) -> None:
    assert (table.name, table.comment) == (recorded.name, recorded.comment)
    assert {**table.sets} == {**recorded.sets}
    assert settled(table, snapshot, view) == settled(recorded, snapshot, view)
    there = without_stale(recorded)
    if view.version is V1_30:
        assert {c.name: lines(c) for c in table.chains.values() if not c.hook} == {
            c.name: lines(c) for c in there.values() if not c.hook
        }
        return
    assert {**table.chains} == there
    assert not [rule for chain in there.values() for rule in chain.rules if isinstance(rule.statements[0], Other)]
    for here, wanted in ((table.sets, recorded.sets), (table.chains, there)):
        assert [name for name in here if "/" not in name] == [name for name in wanted if "/" not in name]


def settled(table: Table, snapshot: Snapshot, view: NodeView) -> dict[tuple[str, Hashable], object]:
    """The elements; of one that several service ports want each in its own way (kube-proxy leaves it to chance who gets
    it) only whether somebody has it who wants it."""
    wanted: dict[tuple[str, Hashable], list[Element]] = {}
    for service in snapshot.services:
        for name, key, element in service_part(service, view).elements:
            wanted.setdefault((name, key), []).append(element)
    return {
        (name, key): element if len(set(wanted.get((name, key), ()))) < 2 else element in wanted[name, key]
        for name, elements in table.elements.items()
        for key, element in elements.items()
    }


def without_stale(table: Table) -> dict[str, Chain]:
    """The chains without those that kube-proxy has emptied and deletes a second later, or at its next sync."""
    used = {to for chain in table.chains.values() for rule in chain.rules for to in chains_of(rule)}
    used |= {getattr(value, "chain", "") for entries in table.elements.values() for value, _ in entries.values()}
    return {name: c for name, c in table.chains.items() if c.rules or c.hook or name in used or "/" not in name}


def lines(chain: Chain) -> list[str]:
    """1.30 matches a bridge by its number, which it must have when the rule is made; we match its name. Its base chains
    are other ones: it filters before it translates."""
    return [chain.comment, *(rule_text(rule).replace("iif ", "iifname ") for rule in chain.rules)]


def test_a_stale_chain_is_no_difference_but_one_in_use_is() -> None:
    case = next(c for c in CASES if c.id == "recorded/nodeport-tcp@1.36")
    (table, *_) = case.tables()
    service = next(name for name in table.chains if name.startswith("service-"))
    more = {service: Chain(service), "external-gone/": Chain("external-gone/")}
    assert set(without_stale(replace(table, chains={**table.chains, **more}))) == set(table.chains)
