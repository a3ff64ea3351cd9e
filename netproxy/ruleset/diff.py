"""What must change: a Plan between the rules that should be there and the rules that are.

Chains are owned or shared. An owned chain (every chain that is not built in) becomes exactly what is desired. A
built-in chain belongs to everybody: the desired rules that are missing are put in, at the top, those that lead to an
owned chain and are not desired are taken out, and rules of others stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from netproxy.core.net import Family
from netproxy.ruleset.ir import Chain, Rule, Ruleset, Table, targets


@dataclass(frozen=True, slots=True)
class Insert:
    """Put a rule at a place (1 is the first) of a chain."""

    chain: str
    index: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Delete:
    """Take the rule at a place out of a chain."""

    chain: str
    index: int


Operation = Insert | Delete


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What changes in one table: WRITTEN chains are written whole, then operations run, then REMOVED chains go."""

    name: str
    written: tuple[Chain, ...] = ()
    operations: tuple[Operation, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.written or self.operations or self.removed)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one transaction changes; false when nothing does."""

    family: Family
    tables: tuple[TablePlan, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables)

    @property
    def size(self) -> int:
        """How many chains and rules it touches."""
        return sum(
            len(t.written) + sum(len(c.rules) for c in t.written) + len(t.operations) + len(t.removed)
            for t in self.tables
        )

    def without_removals(self) -> Plan:
        """The same, but chains that nobody needs any more stay."""
        kept = (replace(table, removed=()) for table in self.tables)
        return Plan(self.family, tuple(table for table in kept if table))


Owned = Callable[[str], bool]


def plan(desired: Ruleset, present: Ruleset, *, owned: Owned, keep_stale: bool = False) -> Plan:
    """The smallest change that makes PRESENT what is DESIRED.

    OWNED tells by its name whether a chain that is not desired is ours to remove. KEEP_STALE leaves such chains for a
    later pass (kube-proxy does so in large clusters).
    """
    tables = []
    wanted = {name: Table(name, {}) for name in present.tables} | {**desired.tables}
    for name, table in wanted.items():
        there: Mapping[str, Chain] = present.tables[name].chains if name in present.tables else {}
        change = _table_plan(table, there, owned=owned, keep_stale=keep_stale)
        if change:
            tables.append(change)
    return Plan(desired.family, tuple(tables))


def _table_plan(table: Table, there: Mapping[str, Chain], *, owned: Owned, keep_stale: bool) -> TablePlan:
    written: list[Chain] = []
    operations: list[Operation] = []
    chains = table.chains
    for name in [name for name, chain in there.items() if chain.policy is not None and name not in chains]:
        operations += _shared_steps(Chain(name, (), "ACCEPT"), there[name].rules, owned)
    for name in [name for name, chain in chains.items() if there.get(name) is not chain]:
        chain, present = chains[name], there.get(name)
        if chain.policy is not None:
            operations += _shared_steps(chain, present.rules if present else (), owned)
        elif present is None:
            written.append(chain)
        elif present.rules is not chain.rules and present.rules != chain.rules:
            steps = _steps(name, present.rules, chain.rules)
            if steps is None:
                written.append(chain)
            else:
                operations += steps
    gone = () if keep_stale else there.keys() - chains.keys()
    removed = tuple(sorted(name for name in gone if owned(name)))
    return TablePlan(table.name, tuple(written), tuple(operations), removed)


def _shared_steps(chain: Chain, present: tuple[Rule, ...], owned: Owned) -> list[Operation]:
    """Take out what leads to owned chains and is not desired; put in what is missing, behind the desired rule before it."""
    wanted = set(chain.rules)
    there = list(present)
    result: list[Operation] = []
    for at in range(len(there) - 1, -1, -1):
        if there[at] not in wanted and any(owned(to) for to in targets(there[at])):
            del there[at]
            result.append(Delete(chain.name, at + 1))
    index = 0
    for rule in chain.rules:
        if rule in there:
            index = there.index(rule) + 1
            continue
        there.insert(index, rule)
        index += 1
        result.append(Insert(chain.name, index, rule))
    return result


def _steps(name: str, old: tuple[Rule, ...], new: tuple[Rule, ...]) -> list[Operation] | None:
    """Deletes and inserts that turn OLD into NEW, or None when writing the chain again is as short."""
    start = 0
    limit = min(len(old), len(new))
    while start < limit and (old[start] is new[start] or old[start] == new[start]):
        start += 1
    end = 0
    while end < limit - start and (old[-1 - end] is new[-1 - end] or old[-1 - end] == new[-1 - end]):
        end += 1
    gone, come = old[start : len(old) - end], new[start : len(new) - end]
    kept = set(gone) & set(come)
    if [r for r in gone if r in kept] != [r for r in come if r in kept]:
        kept = set()
    steps: list[Operation] = [
        Delete(name, start + at + 1) for at in range(len(gone) - 1, -1, -1) if gone[at] not in kept
    ]
    steps += [Insert(name, start + at + 1, rule) for at, rule in enumerate(come) if rule not in kept]
    return steps if len(steps) < len(new) else None


def applied(present: Ruleset, change: Plan) -> Ruleset:
    """What is there after the change."""
    tables = dict(present.tables)
    for table in change.tables:
        chains = dict(tables[table.name].chains) if table.name in tables else {}
        rules: dict[str, list[Rule]] = {}
        for chain in table.written:
            chains[chain.name] = chain
        for operation in table.operations:
            if operation.chain not in rules:
                rules[operation.chain] = list(chains[operation.chain].rules) if operation.chain in chains else []
            _apply(rules[operation.chain], operation)
        for name, lines in rules.items():
            old = chains.get(name)
            chains[name] = replace(old, rules=tuple(lines)) if old else Chain(name, tuple(lines))
        for name in table.removed:
            chains.pop(name, None)
        tables[table.name] = Table(table.name, chains)
    return Ruleset(present.family, tables)


def _apply(rules: list[Rule], operation: Operation) -> None:
    if isinstance(operation, Insert):
        rules.insert(operation.index - 1, operation.rule)
    else:
        del rules[operation.index - 1]


def in_batches(change: Plan, present: Ruleset, *, chains: int) -> list[Plan]:
    """Split a Plan so that new chains, which nothing jumps to yet, go in first; what makes them live comes last.

    A Plan of at most CHAINS chains stays whole. Chains that exist, and base chains, change in the last transaction
    only, so no packet ever meets half a state. The order of WRITTEN has to be one in which a chain comes after the
    chains that it jumps to, as `compile_iptables` writes them.
    """
    if sum(len(t.written) for t in change.tables) <= chains:
        return [change]
    batches: list[Plan] = []
    rest: list[TablePlan] = []
    for table in change.tables:
        early = _new_chains(table, present)
        for at in range(0, len(early), chains):
            batches.append(Plan(change.family, (TablePlan(table.name, early[at : at + chains]),)))
        names = {chain.name for chain in early}
        late = tuple(chain for chain in table.written if chain.name not in names)
        rest.append(TablePlan(table.name, late, table.operations, table.removed))
    final = tuple(table for table in rest if table)
    return [*batches, Plan(change.family, final)] if final else batches


def _new_chains(table: TablePlan, present: Ruleset) -> tuple[Chain, ...]:
    """Chains that do not exist yet and jump only to chains that will be there: those written before them."""
    there = set(present.tables[table.name].chains) if table.name in present.tables else set()
    early: dict[str, Chain] = {}
    for chain in table.written:
        jumps = [to for rule in chain.rules for to in targets(rule)]
        if chain.name not in there and all(to in early or to in there or to == chain.name for to in jumps):
            early[chain.name] = chain
    return tuple(early.values())


def owned_by_prefix(prefixes: Iterable[str]) -> Owned:
    """A test for chain names that begin with one of PREFIXES."""
    listed = tuple(prefixes)
    return lambda name: name.startswith(listed)
