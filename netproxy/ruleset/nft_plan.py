"""What must change in one nftables table, and the transaction that does it.

The table is ours alone: what is there and not desired goes. Elements that packets put in (session affinity) stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from netproxy.core.net import Family
from netproxy.ruleset.nft import WORDS, Chain, Element, InSet, Key, Remember, Set, Table, chains_of
from netproxy.ruleset.nftables import chain_definition, element_list, render_parts, rule_text, set_definition

Elements = Mapping[str, Mapping[Key, Element]]


@dataclass(frozen=True, slots=True)
class NftPlan:
    """One transaction. WHOLE, when given, replaces whatever is there; otherwise the parts are changed one by one."""

    family: Family
    table: str
    whole: Table | None = None
    removes_table: bool = False
    sets: tuple[Set, ...] = ()
    """New ones."""
    removed_sets: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()
    """New ones, and those whose rules are written anew."""
    flushed: tuple[str, ...] = ()
    """Chains that exist and lose their rules first."""
    removed_chains: tuple[str, ...] = ()
    elements: Elements = field(default_factory=dict)
    removed_elements: Elements = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.whole or self.removes_table or self._parts())

    def _parts(self) -> int:
        listed = (self.sets, self.removed_sets, self.chains, self.removed_chains)
        count = sum(map(len, listed)) + sum(len(chain.rules) for chain in self.chains)
        return count + sum(len(e) for e in (*self.elements.values(), *self.removed_elements.values()))

    @property
    def size(self) -> int:
        """How many sets, chains, rules and elements it touches."""
        if self.whole is None:
            return self._parts() + self.removes_table
        counted = sum(1 + len(chain.rules) for chain in self.whole.chains.values())
        return counted + len(self.whole.sets) + sum(len(e) for e in self.whole.elements.values())


def plan(desired: Table, present: Table | None) -> NftPlan:
    """The smallest transaction that makes PRESENT (None: there is no such table) what is DESIRED."""
    if present is None:
        return NftPlan(desired.family, desired.name, whole=desired)
    if _skeleton(desired) != _skeleton(present):
        return NftPlan(desired.family, desired.name, whole=desired, removes_table=True)
    here = present.sets
    replaced = {name for name, item in desired.sets.items() if name in here and here[name] != item}
    touched = replaced | {name for name in here if name not in desired.sets}
    new = tuple(item for name, item in desired.sets.items() if name not in here or name in replaced)
    chains = tuple(
        chain
        for name, chain in desired.chains.items()
        if present.chains.get(name) != chain or (replaced and _uses(chain, replaced))
    )
    lost: dict[str, dict[Key, Element]] = {}
    come: dict[str, dict[Key, Element]] = {}
    for name, wanted in desired.elements.items():
        old = {} if name in replaced else present.elements.get(name, {})
        lost[name] = {key: old[key] for key in old if wanted.get(key) != old[key]}
        come[name] = {key: element for key, element in wanted.items() if old.get(key) != element}
    return NftPlan(
        desired.family,
        desired.name,
        sets=new,
        removed_sets=tuple(sorted(touched)),
        chains=chains,
        flushed=tuple(chain.name for chain in chains if chain.name in present.chains),
        removed_chains=tuple(sorted(name for name in present.chains if name not in desired.chains)),
        elements={name: entries for name, entries in come.items() if entries},
        removed_elements={name: entries for name, entries in lost.items() if entries},
    )


def _skeleton(table: Table) -> tuple[object, ...]:
    """What cannot be changed in place: the maps' types and where the kernel calls in."""
    hooks = {name: (chain.hook, chain.comment) for name, chain in table.chains.items() if chain.hook or chain.comment}
    return {name: item for name, item in table.sets.items() if not item.is_dynamic}, hooks, table.comment


def _uses(chain: Chain, sets: Iterable[str]) -> bool:
    return any(
        isinstance(statement, InSet | Remember) and statement.set in sets
        for rule in chain.rules
        for statement in rule.statements
    )


def removal(family: Family, table: str) -> NftPlan:
    """The transaction that takes the whole table away."""
    return NftPlan(family, table, removes_table=True)


def render_plan(change: NftPlan) -> str:
    """The transaction as `nft -f` reads it."""
    return "".join(render_plan_parts(change))


def render_plan_parts(change: NftPlan) -> Iterator[str]:
    """The same, piece by piece."""
    where = f"{WORDS[change.family]} {change.table}"
    if change.removes_table:
        yield f"delete table {where}\n"
    if change.whole:
        yield from render_parts(change.whole)
        return
    yield from _taken_away(change, where)
    yield from _put_in(change, where)


def _taken_away(change: NftPlan, where: str) -> Iterator[str]:
    for name in (*change.flushed, *change.removed_chains):
        yield f"flush chain {where} {name}\n"
    for name, entries in change.removed_elements.items():
        yield f"delete element {where} {name} {element_list(dict.fromkeys(entries, Element()))}\n"
    for name in change.removed_chains:
        yield f"delete chain {where} {name}\n"
    for name in change.removed_sets:
        yield f"delete set {where} {name}\n"


def _put_in(change: NftPlan, where: str) -> Iterator[str]:
    for item in change.sets:
        yield "add {} {} {}\n".format(*_placed(set_definition(item), where))
    flushed = set(change.flushed)
    for chain in change.chains:
        if chain.name not in flushed:
            yield "add {} {} {}\n".format(*_placed(chain_definition(chain), where))
    for name, entries in change.elements.items():
        yield f"add element {where} {name} {element_list(entries)}\n"
    for chain in change.chains:
        for rule in chain.rules:
            yield f"add rule {where} {chain.name} {rule_text(rule)}\n"


def _placed(definition: str, where: str) -> tuple[str, str, str]:
    kind, _, rest = definition.partition(" ")
    return kind, where, rest


def applied(present: Table | None, change: NftPlan) -> Table | None:
    """The table after the change."""
    if change.whole:
        return change.whole
    if change.removes_table or present is None:
        return None
    gone = {*change.removed_sets} - {item.name for item in change.sets}
    sets = {name: item for name, item in present.sets.items() if name not in gone}
    sets |= {item.name: item for item in change.sets}
    elements = {name: dict(present.elements.get(name, {})) for name in sets}
    for name, entries in change.removed_elements.items():
        for key in entries:
            elements[name].pop(key, None)
    for name, new in change.elements.items():
        elements[name].update(new)
    chains = {name: chain for name, chain in present.chains.items() if name not in change.removed_chains}
    chains |= {chain.name: chain for chain in change.chains}
    return replace(present, sets=sets, elements=elements, chains=chains)


def dangling(table: Table) -> set[str]:
    """Chains and sets that something in the table names and that are not there."""
    named: set[str] = set()
    for chain in table.chains.values():
        for rule in chain.rules:
            named |= {to for to in chains_of(rule) if to not in table.chains}
    for entries in table.elements.values():
        for value, _ in entries.values():
            target = getattr(value, "chain", None)
            if target is not None and target not in table.chains:
                named.add(target)
    return named
