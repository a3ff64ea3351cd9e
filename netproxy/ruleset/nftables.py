"""nftables' text ↔ values: what `nft -f` reads, and what `nft list table` prints.

Text and numbers are those of nft 1.0.6; the reader also takes what later versions print for the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from netproxy.core.net import Family
from netproxy.ruleset.ir import Accept, Drop, Goto, Jump, Masquerade, Return
from netproxy.ruleset.nft import (
    WORDS,
    Chain,
    Dispatch,
    Dnat,
    DnatFromMap,
    DnatSpread,
    Element,
    Hook,
    InSet,
    Key,
    MarkIs,
    Match,
    Other,
    Reject,
    Remember,
    Rule,
    Set,
    SetMark,
    Spread,
    Statement,
    Table,
    Verdict,
)
from netproxy.ruleset.nft_rule import parse_rule, read_verdict

# --- values → text


def render(table: Table) -> str:
    """A whole table, as `nft -f` loads it into an empty namespace."""
    return "".join(render_parts(table))


def render_parts(table: Table) -> Iterator[str]:
    """The same, piece by piece."""
    yield f"table {WORDS[table.family]} {table.name} {{\n"
    if table.comment:
        yield f'\tcomment "{table.comment}"\n'
    for item in table.sets.values():
        yield f"\n\t{_kind(item)} {item.name} {{\n"
        yield from (f"\t\t{line}\n" for line in _set_lines(item))
        elements = table.elements.get(item.name)
        if elements:
            yield "\t\telements = {\n"
            yield from _element_lines(elements, "\t\t\t")
            yield "\t\t}\n"
        yield "\t}\n"
    for chain in table.chains.values():
        yield chain_block(chain)
    yield "}\n"


def chain_block(chain: Chain) -> str:
    """A chain with its rules, as part of a table's block."""
    lines = [f"\n\tchain {chain.name} {{\n"]
    if chain.hook:
        lines.append(f"\t\t{_hook(chain.hook)}\n")
    if chain.comment:
        lines.append(f'\t\tcomment "{chain.comment}"\n')
    lines += [f"\t\t{rule_text(rule)}\n" for rule in chain.rules]
    lines.append("\t}\n")
    return "".join(lines)


def set_definition(item: Set) -> str:
    """`map NAME { type …; }`: without its elements."""
    return " ".join([_kind(item), item.name, "{", *(f"{line};" for line in _set_lines(item)), "}"])


def chain_definition(chain: Chain) -> str:
    """`chain NAME { … }`: without its rules."""
    inside = [_hook(chain.hook)] if chain.hook else []
    inside += [f'comment "{chain.comment}";'] if chain.comment else []
    return " ".join(["chain", chain.name, "{", *inside, "}"])


def element_list(elements: Mapping[Key, Element]) -> str:
    """`{ KEY : VALUE, … }`."""
    return "{ " + ", ".join(_element(key, element) for key, element in elements.items()) + " }"


def _kind(item: Set) -> str:
    return "map" if item.value else "set"


def _hook(hook: Hook) -> str:
    return f"type {hook.type} hook {hook.hook} priority {hook.priority}; policy accept;"


def _set_lines(item: Set) -> Iterator[str]:
    word = "typeof" if item.typeof else "type"
    value = f" : {' . '.join(item.value)}" if item.value else ""
    yield f"{word} {' . '.join(item.key)}{value}"
    if item.size:
        yield f"size {item.size}"
    if item.flags:
        yield f"flags {','.join(item.flags)}"
    if item.timeout_s:
        yield f"timeout {_duration(item.timeout_s)}"
    if item.comment:
        yield f'comment "{item.comment}"'


def _element_lines(elements: Mapping[Key, Element], indent: str) -> Iterator[str]:
    for key, (value, comment) in elements.items():
        if type(value) is tuple and not comment:
            yield f"{indent}{' . '.join(key)} : {' . '.join(value)},\n"
        elif type(value) is Goto and not comment:
            yield f"{indent}{' . '.join(key)} : goto {value.chain},\n"
        else:
            yield f"{indent}{_element(key, Element(value, comment))},\n"


def _element(key: Key, element: Element) -> str:
    text = " . ".join(key)
    if element.comment:
        text += f' comment "{element.comment}"'
    if element.value is None:
        return text
    if isinstance(element.value, tuple):
        return f"{text} : {' . '.join(element.value)}"
    return f"{text} : {_verdict(element.value)}"


def _verdict(verdict: Verdict) -> str:
    match verdict:
        case Jump(chain):
            return f"jump {chain}"
        case Goto(chain):
            return f"goto {chain}"
        case Drop():
            return "drop"
        case Accept():
            return "accept"
        case Return():
            return "return"
        case _:  # pragma: no cover  # mypy proves that nothing comes here
            assert_never(verdict)


def rule_text(rule: Rule) -> str:
    """A rule as nft prints it.

    >>> rule_text(Rule((Match("ip saddr", ("10.0.0.1",), negated=True), Drop())))
    'ip saddr != 10.0.0.1 drop'
    """
    text = " ".join([_statement(statement) for statement in rule.statements])
    return f'{text} comment "{rule.comment}"' if rule.comment else text


def _statement(statement: Statement) -> str:
    match statement:
        case Jump() | Goto() | Drop() | Accept() | Return():
            return _verdict(statement)
        case Match() | InSet() | MarkIs():
            return _condition(statement)
        case Dispatch(fields, name):
            return f"{' . '.join(fields)} vmap @{name}"
        case Spread(chains):
            inside = ", ".join([f"{at} : goto {chain}" for at, chain in enumerate(chains)])
            return f"numgen random mod {len(chains)} vmap {{ {inside} }}"
        case Dnat(destination):
            return f"dnat to {destination}"
        case DnatSpread(targets):
            word = WORDS[Family.IPV6 if ":" in targets[0][0] else Family.IPV4]
            inside = ", ".join([f"{at} : {address} . {port}" for at, (address, port) in enumerate(targets)])
            return f"dnat {word} addr . port to numgen random mod {len(targets)} map {{ {inside} }}"
        case DnatFromMap(count, fields, name, offset):
            start = f" offset {offset}" if offset else ""
            return f"dnat to numgen random mod {count}{start} . {' . '.join(fields)} map @{name}"
        case _:
            return _effect(statement)


def _condition(statement: Match | InSet | MarkIs) -> str:
    match statement:
        case Match("iifname" | "oifname" as field, (name,), negated):
            return f'{field} {"!= " if negated else ""}"{name}"'
        case Match(field, values, negated):
            inside = values[0] if len(values) == 1 else f"{{ {', '.join(values)} }}"
            return f"{field} {'!= ' if negated else ''}{inside}"
        case InSet(fields, name, negated):
            return f"{' . '.join(fields)} {'!= ' if negated else ''}@{name}"
        case MarkIs(mask, value, negated):
            return f"meta mark & {mask:#010x} {'!=' if negated else '=='} {value:#010x}"
        case _:  # pragma: no cover  # mypy proves that nothing comes here
            assert_never(statement)


def _effect(statement: SetMark | Remember | Masquerade | Reject | Other) -> str:
    match statement:
        case SetMark(operator, value):
            return f"meta mark set meta mark {operator} {value:#010x}"
        case Remember(name, field):
            return f"update @{name} {{ {field} }}"
        case Masquerade(random_fully):
            return "masquerade fully-random" if random_fully else "masquerade"
        case Reject():
            return "reject"
        case Other(words):
            return " ".join(words)
        case _:  # pragma: no cover  # mypy proves that nothing comes here
            assert_never(statement)


_UNITS_S = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def _duration(seconds: int) -> str:
    """Seconds as nft prints them.

    >>> _duration(10800), _duration(90)
    ('3h', '1m30s')
    """
    text = ""
    for unit, length in _UNITS_S:
        if seconds >= length:
            text += f"{seconds // length}{unit}"
            seconds %= length
    return text


# --- text → values


_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
_FAMILIES = {word: family for family, word in WORDS.items()}


def parse(text: str) -> list[Table]:
    """The tables of families ip and ip6 in what `nft list ruleset` or `nft list table` printed."""
    lines = iter(_whole_lines(text))
    return [_table(line, lines) for line in lines if line.startswith(("table ip ", "table ip6 "))]


def _whole_lines(text: str) -> Iterator[str]:
    """Lines without indentation; one with a list of elements is put together."""
    held: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        held.append(line)
        if "elements = {" in held[0] and not line.endswith("}"):
            continue
        yield " ".join(held)
        held.clear()


def _table(head: str, lines: Iterator[str]) -> Table:
    _, word, name, _ = head.split()
    comment = ""
    sets: dict[str, Set] = {}
    elements: dict[str, dict[Key, Element]] = {}
    chains: dict[str, Chain] = {}
    for line in lines:
        if line == "}":
            break
        kind, _, rest = line.partition(" ")
        label = rest.removesuffix(" {")
        if kind == "comment":
            comment = _quoted(rest)
        elif kind in ("set", "map"):
            sets[label], elements[label] = _set(label, lines)
        elif kind == "chain":
            chains[label] = _chain(label, lines)
    return Table(_FAMILIES[word], name, comment, sets, elements, chains)


def _quoted(text: str) -> str:
    return text.split('"')[1]


def _set(name: str, lines: Iterator[str]) -> tuple[Set, dict[Key, Element]]:
    about: dict[str, str] = {}
    elements: dict[Key, Element] = {}
    for line in lines:
        if line == "}":
            break
        word, _, rest = line.partition(" ")
        if word == "elements":
            elements = dict(_elements(line))
        else:
            about[word] = rest
    word = "typeof" if "typeof" in about else "type"
    key, _, value = about[word].partition(" : ")
    flags = tuple(about["flags"].split(",")) if "flags" in about else ()
    found = Set(
        name, tuple(key.split(" . ")), tuple(value.split(" . ")) if value else (), word == "typeof", flags,
        _seconds(about.get("timeout", "")), int(about.get("size", "0")),
        _quoted(about["comment"]) if "comment" in about else "",
    )  # fmt: skip
    return found, {} if found.is_dynamic else elements


def _seconds(text: str) -> int:
    lengths = dict(_UNITS_S)
    return sum(int(number) * lengths[unit] for number, unit in re.findall(r"(\d+)([dhms])(?!s)", text))


def _elements(line: str) -> Iterator[tuple[Key, Element]]:
    inside = line[line.index("{") + 1 : line.rindex("}")].strip()
    for part in _split_elements(inside.rstrip(", ")):
        text, comment = part, ""
        found = re.search(r' comment "([^"]*)"', text)
        if found:
            comment = found.group(1)
            text = text[: found.start()] + text[found.end() :]
        key, _, value = text.partition(" : ")
        yield tuple(key.strip().split(" . ")), Element(_element_value(value.strip()), comment)


def _split_elements(inside: str) -> Iterable[str]:
    if '"' not in inside:
        return inside.split(",")
    return (found.group(0).strip() for found in re.finditer(r'(?:[^,"]|"[^"]*")+', inside))


def _element_value(text: str) -> Verdict | Key | None:
    if not text:
        return None
    return read_verdict(text.split()) or tuple(text.split(" . "))


def _chain(name: str, lines: Iterator[str]) -> Chain:
    hook, comment = None, ""
    rules = []
    for line in lines:
        if line == "}":
            break
        if line.startswith("type ") and " hook " in line:
            hook = _read_hook(line)
        elif line.startswith('comment "'):
            comment = _quoted(line)
        else:
            rules.append(parse_rule(line))
    return Chain(name, tuple(rules), hook, comment)


def _read_hook(line: str) -> Hook:
    """`type nat hook prerouting priority dstnat - 10; policy accept;`"""
    words = line.partition(";")[0].split()
    base, *shift = words[words.index("priority") + 1 :]
    number = _PRIORITIES[base] if base in _PRIORITIES else int(base)
    return Hook(words[1], words[3], number + (int("".join(shift)) if shift else 0))
