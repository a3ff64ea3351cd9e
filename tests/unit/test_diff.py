"""Plans between rulesets."""

import pytest

from netproxy.core.net import Family
from netproxy.ruleset.diff import Delete, Insert, applied, in_batches, owned_by_prefix, plan
from netproxy.ruleset.iptables import render_plan
from netproxy.ruleset.ir import Chain, Jump, Return, Rule, Ruleset, Source, Table

OWNED = owned_by_prefix(("MINE-",))


def rule(n):
    return Rule((Source(f"10.0.0.{n}/32"),), Return(), "a test")


def ruleset(**chains):
    made = {}
    for name, rules in chains.items():
        name = name.replace("_", "-")
        made[name] = Chain(name, tuple(rules), "ACCEPT" if name.isupper() and "-" not in name else None)
    return Ruleset(Family.IPV4, {"nat": Table("nat", made)})


def change(old, new, **more):
    return plan(ruleset(**new), ruleset(**old), owned=OWNED, **more)


def test_the_same_needs_nothing():
    assert not change({"MINE_A": [rule(1)]}, {"MINE_A": [rule(1)]})


def test_a_new_chain_is_written_whole():
    (table,) = change({}, {"MINE_A": [rule(1), rule(2)]}).tables
    assert table.written == (Chain("MINE-A", (rule(1), rule(2))),)
    assert not table.operations


def test_a_stale_chain_goes_unless_it_may_linger():
    old = {"MINE_A": [], "YOURS_B": []}
    assert change(old, {}).tables[0].removed == ("MINE-A",)
    assert not change(old, {}, keep_stale=True)


def test_a_small_change_of_a_long_chain_is_small():
    old = [rule(n) for n in range(1, 100)]
    new = [*old[:50], rule(200), *old[51:]]
    (table,) = change({"MINE_A": old}, {"MINE_A": new}).tables
    assert table.operations == (Delete("MINE-A", 51), Insert("MINE-A", 51, rule(200)))
    assert not table.written


def test_a_large_change_writes_the_chain_again():
    (table,) = change({"MINE_A": [rule(1), rule(2)]}, {"MINE_A": [rule(3), rule(4)]}).tables
    assert [chain.name for chain in table.written] == ["MINE-A"]


def test_a_built_in_chain_only_gets_what_it_lacks():
    (table,) = change({"INPUT": [rule(9), rule(2)]}, {"INPUT": [rule(1), rule(2), rule(3)]}).tables
    assert table.operations == (Insert("INPUT", 1, rule(1)), Insert("INPUT", 4, rule(3)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([1, 2, 3], [3, 2, 1]),
        ([1, 2, 3, 4, 5, 6], [1, 3, 5, 6]),
        ([], [1]),
        ([1], []),
        ([1, 1, 2], [1, 2, 1]),
        ([1, 2, 3, 4, 5], [9, 1, 2, 3, 4, 8, 5]),
    ],
)
def test_applying_a_plan_gives_what_was_wanted(old, new):
    present, desired = ruleset(MINE_A=map(rule, old), MINE_C=[]), ruleset(MINE_A=map(rule, new), MINE_B=[rule(1)])
    after = applied(present, plan(desired, present, owned=OWNED))
    assert after == desired
    assert not plan(desired, after, owned=OWNED)


def test_batches_never_jump_to_what_is_not_there():
    chains = {f"MINE_{n:03}": [rule(1)] for n in range(10)}
    chains["MINE_DISPATCH"] = [Rule((), Jump(name.replace("_", "-")), "x") for name in chains]
    present = ruleset(MINE_005=[rule(7)])
    whole = plan(ruleset(**chains), present, owned=OWNED)
    batches = in_batches(whole, present, chains=4)
    state = present
    for batch in batches:
        state = applied(state, batch)
        there = state.tables["nat"].chains
        for owner in there.values():
            assert all(r.action.chain in there for r in owner.rules if isinstance(r.action, Jump))
    assert state == applied(present, whole)
    assert "MINE-005" in [chain.name for chain in batches[-1].tables[0].written], (
        "a chain that exists changes in the last transaction"
    )
    assert in_batches(whole, present, chains=100) == [whole]


def test_a_plan_reads_as_a_transaction():
    text = render_plan(change({"MINE_A": [rule(1)], "MINE_OLD": []}, {"MINE_A": [], "MINE_B": [rule(2)]}))
    assert text == (
        "*nat\n:MINE-A - [0:0]\n:MINE-B - [0:0]\n:MINE-OLD - [0:0]\n-A MINE-B -s 10.0.0.2/32 -j RETURN\n-X MINE-OLD\nCOMMIT\n"
    )
