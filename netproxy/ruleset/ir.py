"""The words of netfilter's iptables: Match, Action, Rule, Chain, Table, Ruleset.

Every choice is a small frozen class and each union is closed, so that mypy finds the case that somebody forgot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netproxy.core.net import Family


@dataclass(frozen=True, slots=True)
class Source:
    """`-s NET`; NET has its length, as the kernel prints it."""

    net: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """`-d NET`."""

    net: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InInterface:
    """`-i NAME`; a name that ends in + is a prefix."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OutInterface:
    """`-o NAME`."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Proto:
    """`-p tcp`."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Comment:
    """`-m comment --comment TEXT`."""

    text: str


@dataclass(frozen=True, slots=True)
class ProtoModule:
    """`-m tcp` with no condition of its own (iptables-save prints it where a target named a port)."""

    protocol: str


@dataclass(frozen=True, slots=True)
class DestinationPort:
    """`-m tcp --dport PORT`."""

    protocol: str
    port: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class CtState:
    """`-m conntrack --ctstate A,B`."""

    states: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """`-m mark --mark VALUE/MASK`."""

    value: int
    mask: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class AddrType:
    """`-m addrtype --dst-type LOCAL` (side `dst`) or `--src-type` (side `src`)."""

    side: str
    kind: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Random:
    """`-m statistic --mode random`; NUMERATOR over 2**31 is the probability, which is what the kernel stores."""

    numerator: int


@dataclass(frozen=True, slots=True)
class Recent:
    """`-m recent`: remember a source (`set`) or ask whether it was seen within SECONDS (`rcheck`)."""

    mode: str
    name: str
    mask: str
    seconds: int = 0
    reap: bool = False


@dataclass(frozen=True, slots=True)
class MatchSet:
    """`-m set --match-set NAME dst,dst`."""

    name: str
    sides: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Nfacct:
    """`-m nfacct --nfacct-name NAME`: count the packet in an object that outlives the rule."""

    name: str


@dataclass(frozen=True, slots=True)
class Words:
    """Any other match, kept word by word, so that rules of other people survive reading and writing."""

    words: tuple[str, ...]


Match = (
    Source | Destination | InInterface | OutInterface | Proto | Comment | ProtoModule | DestinationPort | CtState | Mark
    | AddrType | Random | Recent | MatchSet | Nfacct | Words
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Jump:
    """`-j CHAIN`: come back after it."""

    chain: str


@dataclass(frozen=True, slots=True)
class Goto:
    """`-g CHAIN`: do not come back."""

    chain: str


@dataclass(frozen=True, slots=True)
class Accept:
    """`-j ACCEPT`."""


@dataclass(frozen=True, slots=True)
class Drop:
    """`-j DROP`: the sender waits until it gives up."""


@dataclass(frozen=True, slots=True)
class Return:
    """`-j RETURN`."""


@dataclass(frozen=True, slots=True)
class Reject:
    """`-j REJECT --reject-with KIND`: the sender is told at once."""

    kind: str


@dataclass(frozen=True, slots=True)
class Dnat:
    """`-j DNAT --to-destination ADDRESS:PORT`."""

    destination: str


@dataclass(frozen=True, slots=True)
class Masquerade:
    """`-j MASQUERADE`."""

    random_fully: bool = True


@dataclass(frozen=True, slots=True)
class SetMark:
    """`-j MARK --set-xmark VALUE/MASK`: clear MASK, then xor VALUE."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class OtherTarget:
    """Any other target, word by word."""

    words: tuple[str, ...]


Action = Jump | Goto | Accept | Drop | Return | Reject | Dnat | Masquerade | SetMark | OtherTarget


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; WHY says in words what it is for and takes no part in comparisons."""

    match: tuple[Match, ...]
    action: Action | None
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; POLICY only for the built-in ones."""

    name: str
    rules: tuple[Rule, ...] = ()
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its chains by name, in the order in which they are written."""

    name: str
    chains: Mapping[str, Chain]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All tables of one address family."""

    family: Family
    tables: Mapping[str, Table] = field(default_factory=dict)


Counters = Mapping[tuple[str, str], tuple[tuple[int, int], ...]]
"""(table, chain) → (packets, bytes) of each rule, in order."""


def comment_of(rule: Rule) -> str:
    """The rule's comment, or an empty string."""
    for match in rule.match:
        if isinstance(match, Comment):
            return match.text
    return ""


def targets(rule: Rule) -> tuple[str, ...]:
    """The chains that a rule leads to."""
    return (rule.action.chain,) if isinstance(rule.action, Jump | Goto) else ()
