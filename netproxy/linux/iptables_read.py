"""Reading iptables' rules, also where iptables' own tools will not: tables with rules of nft's own, rules of both back ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.command import find, run
from netproxy.ruleset.foreign import (
    Outline,
    count_rules,
    incompatible_tables,
    is_sketch,
    listed_chain,
    outlines,
    resembles,
    sketch,
)
from netproxy.ruleset.iptables import parse_counted
from netproxy.ruleset.ir import Chain, Counters, Ruleset, Table
from netproxy.ruleset.nft import WORDS

PROGRAMS = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}
BUILT_IN = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
TABLES = ("raw", "mangle", "nat", "filter", "security")
MOST_LISTED = 64
"""So many chains are listed one by one; each takes a process."""


def legacy_tables(namespace: str | None, family: Family) -> tuple[str, ...]:
    """The tables that iptables-legacy has in a namespace; they may be empty."""
    file = "ip6_tables_names" if family is Family.IPV6 else "ip_tables_names"
    with netns.inside(namespace):
        try:
            return tuple(Path(f"/proc/thread-self/net/{file}").read_text().split())
        except OSError:
            return ()


class Reader:
    """Reads the rules of one family by the tools of one back end. `obstacles` says what was in the way at the last time."""

    def __init__(self, namespace: str | None, family: Family, flavour: str, env: dict[str, str] | None) -> None:
        self.obstacles: tuple[str, ...] = ()
        self._namespace = namespace
        self._family = family
        self._flavour = flavour
        self._program = f"{PROGRAMS[family]}-{flavour}"
        self._env = env

    def read(self, remembered: Callable[[], Ruleset | None], *, counted: bool = False) -> tuple[Ruleset, Counters]:
        """All rules, with counters when COUNTED; REMEMBERED are those that were known before, asked for when they help."""
        text = self._saved(counted=counted)
        rules, counters = parse_counted(text, self._family)
        blind = incompatible_tables(text)
        obstacles = [said for said in (self._of_the_other_back_end(),) if said]
        if blind:
            known, tables, more = remembered(), dict(rules.tables), dict(counters)
            for name in blind:
                table, strange = self._table(name, known.tables.get(name) if known else None, more)
                tables[name] = table
                obstacles.append(self._obstacle(name, strange))
            rules, counters = Ruleset(self._family, tables), more
        self.obstacles = tuple(obstacles)
        return rules, counters

    def _saved(self, *, counted: bool) -> str:
        argv = [f"{self._program}-save", *(["-c"] if counted else [])]
        try:
            return self._run(argv)
        except KernelError as error:
            if not incompatible_tables(str(error)):
                raise
        return "".join(self._saved_table(argv, name) for name in TABLES)

    def _saved_table(self, argv: list[str], table: str) -> str:
        """One table, where the tool fails for all of them because of one."""
        try:
            return self._run([*argv, "-t", table])
        except KernelError as error:
            if not incompatible_tables(str(error)):
                raise
            return f"# {error}\n"

    def _run(self, argv: list[str]) -> str:
        return run(argv, namespace=self._namespace, env=self._env)

    # --- tables that cannot be read

    def _table(
        self, name: str, remembered: Table | None, counters: dict[tuple[str, str], tuple[tuple[int, int], ...]]
    ) -> tuple[Table, list[str]]:
        """The table as far as it can be known, and the chains that are strange."""
        chains: dict[str, Chain] = {}
        strange: list[str] = []
        known: Mapping[str, Chain] = remembered.chains if remembered else {}
        left = MOST_LISTED
        for outline in self._outlines(name):
            if outline.is_base and outline.name not in BUILT_IN:
                strange.append(outline.name)
                continue
            before = known.get(outline.name)
            is_known = before is not None and resembles(outline, before)
            listed: Chain | None = None
            if (outline.is_base or not is_known) and left:
                left -= 1
                listed = self._listed(name, outline)
                if listed is None:
                    strange.append(outline.name)
            elif is_known:
                listed = before
                strange += [outline.name] if before is not None and is_sketch(before) else []
            chains[outline.name] = listed or sketch(outline, before)
            counters[name, outline.name] = outline.counters
        return Table(name, chains), strange

    def _outlines(self, name: str) -> Iterator[Outline]:
        yield from outlines(self._run(["nft", "-j", "list", "table", WORDS[self._family], name]))

    def _listed(self, table: str, outline: Outline) -> Chain | None:
        """One chain by itself; None when iptables cannot read it either, or reads only some of it."""
        try:
            found = listed_chain(self._run([self._program, "-t", table, "-S", outline.name]), self._family)
        except KernelError:
            return None
        return found if resembles(outline, found) else None

    def _obstacle(self, table: str, strange: list[str]) -> str:
        where = f" (chain {', '.join(strange[:5])})" if strange else ""
        return (
            f"table {WORDS[self._family]} {table} has rules of nft's own{where}, so that {self._program} cannot read it: "
            "it is kept right as far as nft tells; put such rules into a table of their own"
        )

    # --- two back ends in one kernel

    def _of_the_other_back_end(self) -> str:
        other = "legacy" if self._flavour == "nft" else "nft"
        program = f"{PROGRAMS[self._family]}-{other}-save"
        has_others = legacy_tables(self._namespace, self._family) if other == "legacy" else self._has_nft_tables()
        if not has_others or not find(program):
            return ""
        rules, ours = count_rules(self._run([program]))
        if not rules:
            return ""
        kept = f", {ours} of them about Services" if ours else ""
        return (
            f"{program.removesuffix('-save')} has {rules} rules beside those of {self._program}{kept}: packets meet both; "
            "make all rules by one back end"
        )

    def _has_nft_tables(self) -> bool:
        if not find("nft"):
            return False
        listed = self._run(["nft", "list", "tables", WORDS[self._family]])
        return any(f" {name}\n" in listed + "\n" for name in ("filter", "nat", "mangle"))
