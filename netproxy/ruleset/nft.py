"""The words of nftables: Statement, Rule, Chain, Set, Element, Table; one table is one program.

Verdicts are those of iptables (`ir.Jump`, `ir.Drop` …): the kernel has only one kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netproxy.core.net import Family
from netproxy.ruleset.ir import Accept, Drop, Goto, Jump, Masquerade, Return

Verdict = Jump | Goto | Drop | Accept | Return
Key = tuple[str, ...]
"""One field of an element's key after the other, as nft prints them."""


@dataclass(frozen=True, slots=True)
class Match:
    """`FIELD VALUE`, or `FIELD { A, B }` for several values."""

    field: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InSet:
    """`FIELD . FIELD @SET`."""

    fields: tuple[str, ...]
    set: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class MarkIs:
    """`meta mark & MASK == VALUE`."""

    mask: int
    value: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Dispatch:
    """`FIELD . FIELD vmap @MAP`: the map says what to do; no entry, no verdict."""

    fields: tuple[str, ...]
    map: str


@dataclass(frozen=True, slots=True)
class Spread:
    """`numgen random mod N vmap { 0 : goto A, … }`: each chain gets the same share of new connections."""

    chains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dnat:
    """`dnat to ADDRESS:PORT`."""

    destination: str


@dataclass(frozen=True, slots=True)
class DnatSpread:
    """`dnat ip addr . port to numgen random mod N map { 0 : ADDRESS . PORT, … }`: each gets the same share."""

    targets: tuple[Key, ...]
    """Address and port of each; there is at least one."""


@dataclass(frozen=True, slots=True)
class DnatFromMap:
    """`dnat to numgen random mod COUNT . FIELD … map @MAP`: one of COUNT entries, each with the same chance."""

    count: int
    fields: tuple[str, ...]
    map: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SetMark:
    """`meta mark set meta mark OPERATOR VALUE`, the operator `|` or `^`."""

    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class Remember:
    """`update @SET { FIELD }`: put it in, or start its timeout anew."""

    set: str
    field: str


@dataclass(frozen=True, slots=True)
class Reject:
    """`reject`: the sender is told at once."""


@dataclass(frozen=True, slots=True)
class Other:
    """Anything else, word by word."""

    words: tuple[str, ...]


Statement = (
    Match | InSet | MarkIs | Dispatch | Spread | Dnat | DnatSpread | DnatFromMap | SetMark | Remember | Masquerade | Reject
    | Jump | Goto | Drop | Accept | Return | Other
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; WHY says in words what it is for and takes no part in comparisons."""

    statements: tuple[Statement, ...]
    comment: str = ""
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Hook:
    """Where the kernel calls a base chain: lower priorities first."""

    type: str
    hook: str
    priority: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; HOOK only for base chains."""

    name: str
    rules: tuple[Rule, ...] = ()
    hook: Hook | None = None
    comment: str = ""


class Element(NamedTuple):
    """What a set or map holds under one key: a verdict or data in a map, nothing in a set."""

    value: Verdict | Key | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Set:
    """A set, or a map when it has a VALUE type. KEY and VALUE are type names, or expressions with TYPEOF."""

    name: str
    key: tuple[str, ...]
    value: tuple[str, ...] = ()
    typeof: bool = False
    flags: tuple[str, ...] = ()
    timeout_s: int = 0
    size: int = 0
    comment: str = ""

    @property
    def is_dynamic(self) -> bool:
        """Whether packets put its elements in: they are nobody's to write or to compare."""
        return "dynamic" in self.flags


@dataclass(frozen=True, slots=True)
class Table:
    """One table of one family, whole."""

    family: Family
    name: str
    comment: str = ""
    sets: Mapping[str, Set] = field(default_factory=dict)
    elements: Mapping[str, Mapping[Key, Element]] = field(default_factory=dict)
    chains: Mapping[str, Chain] = field(default_factory=dict)


WORDS = {Family.IPV4: "ip", Family.IPV6: "ip6"}
"""nft's word for a family: of a table, and in front of an address field."""


def chains_of(rule: Rule) -> tuple[str, ...]:
    """The chains that a rule names itself (those in maps come with the maps' elements)."""
    found: list[str] = []
    for statement in rule.statements:
        if isinstance(statement, Jump | Goto):
            found.append(statement.chain)
        elif isinstance(statement, Spread):
            found += statement.chains
    return tuple(found)
