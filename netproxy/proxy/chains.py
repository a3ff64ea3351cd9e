"""From what a few service ports add to chains of iptables to a Plan: for the modes whose rules are such chains.

A service port has chains of its own, and adds rules to chains that all share. A shared chain is put together anew when one
of its contributors changed, and then compared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Protocol, TypeVar

from netproxy.core.net import Family
from netproxy.proxy.ledger import Change
from netproxy.ruleset.diff import Plan, plan
from netproxy.ruleset.ir import Chain, Rule, Ruleset, Table

Slot = tuple[str, str]
"""A chain that is shared: its table and its name."""
Thing = Chain | tuple[Rule, ...]


class Part(Protocol):
    """What one service port adds: chains of its own in the nat table, each after those that it jumps to, and rules."""

    @property
    def name(self) -> str: ...
    @property
    def chains(self) -> tuple[Chain, ...]: ...
    def shared(self) -> tuple[tuple[Slot, tuple[Rule, ...]], ...]: ...


P = TypeVar("P", bound=Part)


def things(part: Part) -> dict[Hashable, Thing]:
    """What a part adds, for a ledger: chains by name, rules by shared chain and whose they are."""
    found: dict[Hashable, Thing] = {chain.name: chain for chain in part.chains}
    return found | {(slot, part.name): rules for slot, rules in part.shared() if rules}


def plan_of(
    changes: Iterable[Change[Thing]],
    family: Family,
    *,
    before: Sequence[P],
    after: Sequence[P],
    shared: Callable[[Slot, Sequence[P]], Chain],
) -> Plan:
    """The transaction that does CHANGES, which lead from the parts BEFORE to those AFTER."""
    old: dict[str, dict[str, Chain]] = {"filter": {}, "nat": {}}
    new: dict[str, dict[str, Chain]] = {"filter": {}, "nat": {}}
    touched: dict[Slot, None] = {}
    for key, was, now in changes:
        if isinstance(was, Chain):
            old["nat"][was.name] = was
        if isinstance(now, Chain):
            new["nat"][now.name] = now
        if isinstance(key, tuple):
            touched[key[0]] = None
    for slot in touched:
        table, name = slot
        old[table][name], new[table][name] = shared(slot, before), shared(slot, after)
    return plan(_ruleset(family, new), _ruleset(family, old), owned=lambda _: True)


def _ruleset(family: Family, chains: dict[str, dict[str, Chain]]) -> Ruleset:
    return Ruleset(family, {name: Table(name, found) for name, found in chains.items()})
