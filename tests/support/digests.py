"""Tables of nftables that were kept as digests, one line a thing, with rules and elements in the words of `nft -j`.

A whole one says all of its table (`table`, `chain`, `set`, `map`, `element`, `rule`); a neutral one says what does not
depend on how a version writes it (`base`, `has`, `element`, `endpoints`, `clusterip-masquerade`, and `rule CHAIN #N`).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from netproxy.core.net import Family
from netproxy.ruleset.nft import WORDS, Dnat, DnatSpread, Rule, SetMark, Spread, Statement, Table, chains_of
from netproxy.ruleset.nft_rule import parse_rule
from netproxy.ruleset.nftables import parse

MASQUERADE = "MASQUERADE"
"""What a neutral digest says for the statement that asks for masquerading, whichever a version has for it."""
OF_A_VERSION = {"masquerading", "mark-for-masquerade", "hairpin-connections"}


def is_whole(digest: str) -> bool:
    return digest.startswith("table ")


def table_of(digest: str, family: Family) -> Table:
    """The table that a whole digest is of."""
    sets: dict[str, list[str]] = {}
    elements: dict[str, list[str]] = {}
    chains: dict[str, list[str]] = {}
    head: list[str] = []
    for line in digest.splitlines():
        what, rest = line.split(" ", 1)
        if what in ("table", "chain", "set", "map"):
            said = json.loads(rest)
            comment = [f'comment "{said["comment"]}"'] if "comment" in said else []
            match what:
                case "table":
                    head = comment
                case "chain":
                    hook = "type {type} hook {hook} priority {prio}; policy {policy};"
                    chains[said["name"]] = [*([hook.format_map(said)] if "hook" in said else []), *comment]
                case _:
                    key = " . ".join(said["type"]) if isinstance(said["type"], list) else said["type"]
                    value = f" : {said['map']}" if what == "map" else ""
                    sets[f"{what} {said['name']}"] = [f"type {key}{value}", *comment]
        elif what == "element":
            name, said = rest.split(" ", 1)
            elements.setdefault(name, []).append(_element(json.loads(said)))
        else:
            name, said = rest.split(" ", 1)
            chains[name].append(_rule_text(said))
    for name, lines in sets.items():
        found = elements.get(name.split()[1], ())
        lines.extend([f"elements = {{ {', '.join(found)} }}"] if found else ())
    blocks = [*sets.items(), *((f"chain {name}", lines) for name, lines in chains.items())]
    text = "".join(f"\t{name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n" for name, lines in blocks)
    (table,) = parse(f"table {WORDS[family]} kube-proxy {{\n" + "".join(f"\t{line}\n" for line in head) + text + "}\n")
    return table


def facts_of(digest: str) -> dict[tuple[str, str], Any]:
    """What a neutral digest says, as `facts` says it of a table."""
    found: dict[tuple[str, str], Any] = {}
    for line in digest.splitlines():
        what, name, *rest = line.split(" ", 2)
        match what:
            case "base":
                found[what, name] = rest[0]
            case "has":
                found[what, name] = True
            case "element":
                found.setdefault((what, name), set()).add(_element(json.loads(rest[0])))
            case "endpoints":
                found[what, name] = set(rest[0].split())
            case "clusterip-masquerade":
                found[what, ""] = _neutral(parse_rule(_rule_text(f"{name} {rest[0]}")))
            case _:
                number, said = rest[0].split(" ", 1)
                rules = found.setdefault((what, name), [])
                rules.append(_neutral(parse_rule(_rule_text(said))))
                assert number == f"#{len(rules)}"
    return found


def facts(table: Table) -> dict[tuple[str, str], Any]:
    """What does not depend on the version that wrote a table."""
    found: dict[tuple[str, str], Any] = {}
    for name in table.sets.keys() - OF_A_VERSION:
        if not name.startswith("affinity-"):
            found["has", name] = True
        if table.elements.get(name):
            found["element", name] = {_line(key, value) for key, (value, _) in table.elements[name].items()}
    for name, chain in table.chains.items():
        if chain.hook:
            found["base", name] = f"{chain.hook.hook} {chain.hook.priority}"
        if name.startswith("service-") and "/" in name:
            found["endpoints", name] = set(_endpoints(table, name))
        elif not name.startswith("endpoint-") and name not in OF_A_VERSION and chain.rules:
            rules = [_neutral(rule) for rule in chain.rules]
            if name == "services" and MASQUERADE in rules[0]:
                found["clusterip-masquerade", ""] = rules.pop(0)[1:]
            found["rule", name] = rules
    return found


def _line(key: tuple[str, ...], value: Any) -> str:
    chain = getattr(value, "chain", None)
    return " . ".join(key) + (f" : goto {chain}" if chain else f" : {type(value).__name__.lower()}" if value else "")


def _endpoints(table: Table, name: str) -> Iterator[str]:
    for rule in table.chains[name].rules:
        for statement in rule.statements:
            match statement:
                case Dnat(to):
                    yield to
                case DnatSpread(to):
                    yield from (f"{address}:{port}" for address, port in to)
                case Spread():
                    for chain in chains_of(rule):
                        yield from _endpoints(table, chain)


def _neutral(rule: Rule) -> tuple[Statement | str, ...]:
    return tuple(MASQUERADE if isinstance(one, SetMark) else one for one in rule.statements)


def _element(said: Any) -> str:
    if isinstance(said, list):
        return f"{_expression(said[0])} : {_statement(said[1])}"
    return _expression(said)


def _rule_text(said: str) -> str:
    """`[STATEMENT, …]`, and perhaps ` # COMMENT`."""
    statements, end = json.JSONDecoder().raw_decode(said)
    comment = re.sub("^ # ", "", said[end:])
    return " ".join(map(_statement, statements)) + (f' comment "{comment}"' if comment else "")


def _statement(said: Any) -> str:
    if said == MASQUERADE:
        return "meta mark set meta mark | 0x00004000"
    ((what, of),) = said.items()
    match what:
        case "match":
            operator = "!= " if of["op"] == "!=" else ""
            right = of["right"]
            return f"{_expression(of['left'])} {operator}{'0x00000000' if right == 0 else _expression(right)}"
        case "goto" | "jump":
            return f"{what} {of['target']}"
        case "vmap":
            return f"{_expression(of['key'])} vmap {_expression(of['data'])}"
        case "mangle":
            return f"{_expression(of['key'])} set {_expression(of['value'])}"
        case "masquerade":
            return f"masquerade {of['flags']}"
        case "reject":
            assert of["expr"] == "port-unreachable"
            return what
        case "dnat":
            return f"dnat {of['family']} to {_expression(of['addr'])}"
    assert of is None, said
    return what


def _expression(said: Any) -> str:
    if not isinstance(said, dict):
        return str(said)
    ((what, of),) = said.items()
    match what:
        case "payload":
            return f"{of['protocol']} {of['field']}"
        case "meta" | "ct":
            return f"{what} {of['key']}"
        case "concat":
            return " . ".join(map(_expression, of))
        case "fib":
            return f"fib {' '.join(of['flags'])} {of['result']}"
        case "prefix":
            return f"{of['addr']}/{of['len']}"
        case "numgen":
            return f"numgen {of['mode']} mod {of['mod']}"
        case "map":
            values = ", ".join(f"{number} : {_expression(value)}" for number, value in of["data"]["set"])
            return f"{_expression(of['key'])} map {{ {values} }}"
    left, right = of
    assert what in ("&", "^", "|"), said
    return f"{_expression(left)} {what} 0x{right:08x}"
