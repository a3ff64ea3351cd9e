"""One rule of nftables, as `nft list` prints it, → a Rule; what netproxy never writes is kept word by word.

Takes the words of nft 1.0.6 and those of later versions for the same rules.
"""

from __future__ import annotations

import re

from netproxy.ruleset.ir import Accept, Drop, Goto, Jump, Masquerade, Return
from netproxy.ruleset.nft import (
    Dispatch,
    Dnat,
    DnatFromMap,
    DnatSpread,
    InSet,
    MarkIs,
    Match,
    Other,
    Reject,
    Remember,
    Rule,
    SetMark,
    Spread,
    Statement,
    Verdict,
)

_TOKEN = re.compile(r'"[^"]*"|[{},;]|[^\s{},;]+')
_DNAT = re.compile(r"\bdnat ip6?(?: addr \. port)? to\b")
"""What to translate says itself whether it has a port: versions of nft say it, or do not."""


def parse_rule(line: str) -> Rule:
    """One rule; a statement that netproxy never writes is kept word by word."""
    text, comment = line, ""
    if line.endswith('"') and ' comment "' in line:
        text, _, rest = line.rpartition(' comment "')
        comment = rest[:-1]
    words = _TOKEN.findall(_DNAT.sub("dnat to", text))
    statements: list[Statement] = []
    at = 0
    while at < len(words):
        found = _read_statement(words, at)
        if found is None:
            return Rule((Other(tuple(words)),), comment)
        statement, at = found
        statements.append(statement)
    return Rule(tuple(statements), comment)


_PLAIN: dict[str, Verdict] = {"drop": Drop(), "accept": Accept(), "return": Return()}


def read_verdict(words: list[str]) -> Verdict | None:
    """The verdict that these words are, all of them; None when they are none."""
    if len(words) == 2 and words[0] == "goto":
        return Goto(words[1])
    if len(words) == 2 and words[0] == "jump":
        return Jump(words[1])
    return _PLAIN.get(words[0]) if len(words) == 1 else None


_Found = tuple[Statement, int] | None


def _read_statement(words: list[str], at: int) -> _Found:
    for length in (2, 1):
        verdict = read_verdict(words[at : at + length])
        if verdict is not None:
            return verdict, at + length
    match words[at : at + 8]:
        case ["masquerade", *rest]:
            random_fully = rest[:1] == ["fully-random"]
            return Masquerade(random_fully), at + 1 + random_fully
        case ["reject"]:
            return Reject(), at + 1
        case ["numgen", "random", "mod", _, "vmap", "{", *_]:
            return _read_spread(words, at + 3)
        case ["dnat", "to", *to]:
            return _read_dnat(words, at + 2, to)
        case ["update", name, "{", *_]:
            end = words.index("}", at)
            return Remember(name[1:], " ".join(words[at + 3 : end])), end + 1
        case ["meta", "mark", *_]:
            return _read_mark(words, at + 2)
        case _:
            return _read_fields(words, at)


def _read_spread(words: list[str], at: int) -> _Found:
    numbered, end = _read_numbered(words, at)
    if any(len(value) != 2 or value[0] != "goto" for value in numbered):
        return None
    return (Spread(tuple(value[1] for value in numbered)), end) if numbered else None


def _read_dnat(words: list[str], at: int, to: list[str]) -> _Found:
    match to:
        case ["numgen", "random", "mod", _, "map", "{"]:
            return _read_dnat_spread(words, at + 3)
        case ["numgen", "random", "mod", *_]:
            return _read_dnat_from_map(words, at + 3)
        case [destination, *_]:
            return Dnat(destination), at + 1
        case _:
            return None


def _read_dnat_spread(words: list[str], at: int) -> _Found:
    numbered, end = _read_numbered(words, at)
    if any(len(value) != 3 or value[1] != "." for value in numbered):
        return None
    return (DnatSpread(tuple((value[0], value[2]) for value in numbered)), end) if numbered else None


def _read_numbered(words: list[str], at: int) -> tuple[list[list[str]], int]:
    """`N map { 0 : VALUE, … }`: the values in order, none when they are not N; and where it ends."""
    end = words.index("}", at)
    entries = [part.split() for part in " ".join(words[at + 3 : end]).split(" , ")]
    entries.sort(key=lambda entry: entry[0].zfill(9))
    if [entry[:2] for entry in entries] != [[str(number), ":"] for number in range(int(words[at]))]:
        return [], end
    return [entry[2:] for entry in entries], end + 1


def _read_dnat_from_map(words: list[str], at: int) -> _Found:
    count, offset = int(words[at]), 0
    at += 1
    if words[at] == "offset":
        offset = int(words[at + 1])
        at += 2
    end = words.index("map", at)
    fields = tuple(" ".join(words[at + 1 : end]).split(" . "))
    return DnatFromMap(count, fields, words[end + 1][1:], offset), end + 2


def _read_mark(words: list[str], at: int) -> _Found:
    match words[at : at + 5]:
        case ["set", "meta", "mark", "^" | "|" | "xor" | "or" as operator, value]:
            return SetMark({"xor": "^", "or": "|"}.get(operator, operator), int(value, 0)), at + 5
        case ["&" | "and", mask, "==" | "!=" as comparison, value, *_]:
            return MarkIs(int(mask, 0), int(value, 0), comparison == "!="), at + 4
        case ["!=", prefix, *_] if "/" in prefix:
            return _mark_by_prefix(prefix, negated=True), at + 2
        case [prefix, *_] if "/" in prefix:
            return _mark_by_prefix(prefix, negated=False), at + 1
        case _:
            return None


def _mark_by_prefix(text: str, *, negated: bool) -> MarkIs:
    """`VALUE/LENGTH`: so nft prints a mask of the highest bits."""
    value, _, length = text.partition("/")
    return MarkIs((1 << 32) - (1 << 32 - int(length)), int(value, 0), negated)


_FIELDS = (
    "ip daddr", "ip saddr", "ip6 daddr", "ip6 saddr", "meta l4proto", "th dport", "tcp dport", "udp dport", "sctp dport",
    "ct state", "ct status", "fib daddr type", "fib saddr type", "iifname", "oifname",
)  # fmt: skip


def _field_at(words: list[str], at: int) -> str | None:
    for length in (2, 3, 1):
        text = " ".join(words[at : at + length])
        if text in _FIELDS:
            return text
    return None


def _read_fields(words: list[str], at: int) -> _Found:
    fields: list[str] = []
    while True:
        field = _field_at(words, at)
        if field is None:
            return None
        fields.append(field)
        at += len(field.split())
        if at >= len(words) or words[at] != ".":
            break
        at += 1
    if words[at : at + 1] == ["vmap"] and words[at + 1].startswith("@"):
        return Dispatch(tuple(fields), words[at + 1][1:]), at + 2
    negated = words[at : at + 1] == ["!="]
    at += negated
    if at >= len(words):
        return None
    value = words[at]
    if value.startswith("@"):
        return InSet(tuple(fields), value[1:], negated), at + 1
    if len(fields) > 1:
        return None
    if value == "{":
        end = words.index("}", at)
        values = tuple(word for word in words[at + 1 : end] if word != ",")
        return Match(fields[0], values, negated), end + 1
    return Match(fields[0], (value.strip('"'),), negated), at + 1
