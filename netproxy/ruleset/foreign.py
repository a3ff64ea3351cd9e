"""iptables tables that hold rules of nft's own, which iptables' tools will not read: what can be known of them all the same.

libnftables tells every chain and rule as JSON. Of a rule of iptables it tells the verdict, not what `xt` matches say: so a
chain is recognised by its length and its jumps, and one that is not recognised is written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import UnsupportedError
from netproxy.core.net import Family
from netproxy.ruleset.iptables import parse
from netproxy.ruleset.ir import Chain, Jump, Rule, Words, targets

_INCOMPATIBLE = re.compile(r"[Tt]able [`'\"](\w+)['\"] is incompatible")
_STRANGE = "nft"


def incompatible_tables(text: str) -> tuple[str, ...]:
    """The tables of which iptables-nft-save says, on either of its outputs, that it cannot read them.

    >>> incompatible_tables("# Table `nat' is incompatible, use 'nft' tool.")
    ('nat',)
    """
    return tuple(dict.fromkeys(_INCOMPATIBLE.findall(text)))


def count_rules(text: str) -> tuple[int, int]:
    """How many rules there are in what iptables-save printed, and how many of them are about chains of a Service proxy.

    >>> count_rules("-A KUBE-SERVICES -j RETURN\\n:INPUT ACCEPT [0:0]\\n-A INPUT -j ACCEPT")
    (2, 1)
    """
    rules = [line for line in text.splitlines() if line.startswith("-A ")]
    return len(rules), sum("KUBE-" in line for line in rules)


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of one rule: the chain that it leads to (empty for none), and what it has seen."""

    target: str = ""
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of one chain; IS_BASE when the kernel calls it."""

    name: str
    is_base: bool = False
    lines: tuple[Line, ...] = ()

    @property
    def counters(self) -> tuple[tuple[int, int], ...]:
        """Packets and bytes of each rule."""
        return tuple((line.packets, line.bytes) for line in self.lines)


def outlines(text: str) -> tuple[Outline, ...]:
    """The chains in what `nft -j list table` prints. Raises UnsupportedError for other text."""
    try:
        listed = json.loads(text)["nftables"]
        chains = {item["chain"]["name"]: "hook" in item["chain"] for item in listed if "chain" in item}
        lines: dict[str, list[Line]] = {name: [] for name in chains}
        for item in listed:
            if "rule" in item:
                lines[item["rule"]["chain"]].append(_line(item["rule"].get("expr") or ()))
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedError(f"nft tells of a table in an unknown way: {error!r}: {text[:100]}") from error
    return tuple(Outline(name, is_base, tuple(lines[name])) for name, is_base in chains.items())


def _line(statements: Iterable[Any]) -> Line:
    target, packets, size = "", 0, 0
    for statement in statements:
        if not isinstance(statement, dict):
            continue
        jump = statement.get("jump") or statement.get("goto")
        if jump:
            target = jump["target"]
        counter = statement.get("counter")
        if isinstance(counter, dict):
            packets, size = counter.get("packets", 0), counter.get("bytes", 0)
    return Line(target, packets, size)


def resembles(outline: Outline, chain: Chain) -> bool:
    """Whether a chain that we remember may be the one that is there."""
    return [line.target for line in outline.lines] == [next(iter(targets(rule)), "") for rule in chain.rules]


def sketch(outline: Outline, remembered: Chain | None) -> Chain:
    """A chain in the place of one that cannot be read: its jumps are those that we remember, everything else is strange."""
    known: dict[str, Rule] = {}
    for rule in remembered.rules if remembered else ():
        for to in targets(rule):
            known.setdefault(to, rule)
    rules = []
    for number, line in enumerate(outline.lines):
        strange = Rule((Words((_STRANGE, str(number))),), Jump(line.target) if line.target else None)
        rules.append(known.pop(line.target, strange) if line.target else strange)
    return Chain(outline.name, tuple(rules), "ACCEPT" if outline.is_base else None)


def is_sketch(chain: Chain) -> bool:
    """Whether some of a chain's rules are only stand-ins for rules that nobody can read."""
    return any(isinstance(match, Words) and match.words[0] == _STRANGE for rule in chain.rules for match in rule.match)


def listed_chain(text: str, family: Family) -> Chain:
    """The chain in what `iptables -S CHAIN` prints."""
    return parse("".join(_as_saved(text)), family).tables["nat"].chains[_name(text)]


def _name(text: str) -> str:
    return text.split(maxsplit=2)[1]


def _as_saved(text: str) -> Iterator[str]:
    yield "*nat\n"  # whichever: a listing does not say
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["-P"]:
            yield f":{words[1]} {words[2]} [0:0]\n"
        elif words[:1] == ["-N"]:
            yield f":{words[1]} - [0:0]\n"
        else:
            yield f"{line}\n"
    yield "COMMIT\n"
