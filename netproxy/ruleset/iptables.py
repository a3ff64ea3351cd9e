"""`iptables-save` text ↔ Ruleset. `parse(render(rules)) == rules`, and the text is the one that iptables-save prints.

Source: iptables 1.8.9 (both back ends print the same rules).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, assert_never

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.ruleset.diff import Delete, Insert, Plan, TablePlan
from netproxy.ruleset.ir import (
    Accept,
    Action,
    AddrType,
    Chain,
    Comment,
    Counters,
    CtState,
    Destination,
    DestinationPort,
    Dnat,
    Drop,
    Goto,
    InInterface,
    Jump,
    Mark,
    Masquerade,
    Match,
    MatchSet,
    Nfacct,
    OtherTarget,
    OutInterface,
    Proto,
    ProtoModule,
    Random,
    Recent,
    Reject,
    Return,
    Rule,
    Ruleset,
    SetMark,
    Source,
    Table,
    Words,
)

# --- values to text --------------------------------------------------------------------------------------------------


def render(ruleset: Ruleset) -> str:
    """Write a whole Ruleset as `iptables-restore` reads it (without --noflush)."""
    return "".join(render_parts(ruleset))


def render_parts(ruleset: Ruleset) -> Iterator[str]:
    """The same text in pieces of some thousand lines, so that a reader can begin before the writer is done."""
    for table in ruleset.tables.values():
        yield f"*{table.name}\n"
        yield "".join([f":{chain.name} {chain.policy or '-'} [0:0]\n" for chain in table.chains.values()])
        yield from _appended(table.chains.values())
        yield "COMMIT\n"


def render_fresh_parts(tables: Iterable[tuple[str, Iterable[Chain]]]) -> Iterator[str]:
    """Write tables for a kernel that has none of these rules, chain by chain as they come (`--noflush`).

    A reader can work while the chains are still being made: each is declared when it comes, which has to be before any
    other one jumps to it.
    """
    for name, chains in tables:
        yield f"*{name}\n"
        lines: list[str] = []
        for chain in chains:
            if chain.policy is None:
                lines.append(f":{chain.name} - [0:0]\n")
            head = f"-A {chain.name}"
            lines += [f"{head}{rule_words(rule)}\n" for rule in chain.rules]
            if len(lines) > 2000:
                yield "".join(lines)
                lines = []
        yield "".join([*lines, "COMMIT\n"])


def _appended(chains: Iterable[Chain]) -> Iterator[str]:
    lines: list[str] = []
    for chain in chains:
        head = f"-A {chain.name}"
        lines += [f"{head}{rule_words(rule)}\n" for rule in chain.rules]
        if len(lines) > 4000:
            yield "".join(lines)
            lines = []
    yield "".join(lines)


def rule_words(rule: Rule) -> str:
    """The rule as iptables-save prints it after the chain's name, with a space in front.

    >>> rule_words(Rule((Destination("10.96.0.10/32"), Proto("tcp"), DestinationPort("tcp", 80)), Jump("KUBE-SVC-X")))
    ' -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-X'
    """
    words = "".join([_TEXT[type(match)](match) for match in rule.match])
    return words + action_words(rule.action) if rule.action is not None else words


def _sign(negated: bool) -> str:
    return " !" if negated else ""


def quote(text: str) -> str:
    """Quote one word as iptables-save does: only when it has to be.

    >>> quote("plain"), quote('two "words"')
    ('plain', '"two \\\\"words\\\\""')
    """
    if text == "!" or not _QUOTED.search(text):
        return text or '""'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
    return f'"{escaped}"'


_QUOTED = re.compile(r"[^A-Za-z0-9_.:/,%@+=\[\]!-]|^!|^\Z")


def _recent(match: Recent) -> str:
    seconds = f" --seconds {match.seconds}" if match.seconds else ""
    reap = " --reap" if match.reap else ""
    return f" -m recent --{match.mode}{seconds}{reap} --name {match.name} --mask {match.mask} --rsource"


_TEXT: dict[type, Callable[[Any], str]] = {
    Source: lambda m: f"{' !' if m.negated else ''} -s {m.net}",
    Destination: lambda m: f"{' !' if m.negated else ''} -d {m.net}",
    InInterface: lambda m: f"{_sign(m.negated)} -i {m.name}",
    OutInterface: lambda m: f"{_sign(m.negated)} -o {m.name}",
    Proto: lambda m: f"{' !' if m.negated else ''} -p {m.name}",
    Comment: lambda m: f" -m comment --comment {_comment(m.text)}",
    ProtoModule: lambda m: f" -m {m.protocol}",
    DestinationPort: lambda m: f" -m {m.protocol}{' !' if m.negated else ''} --dport {m.port}",
    CtState: lambda m: f" -m conntrack{_sign(m.negated)} --ctstate {','.join(m.states)}",
    Mark: lambda m: f" -m mark{_sign(m.negated)} --mark {_masked(m.value, m.mask)}",
    AddrType: lambda m: f" -m addrtype{_sign(m.negated)} --{m.side}-type {m.kind}",
    Random: lambda m: f" -m statistic --mode random --probability {m.numerator / 2**31:.11f}",
    Recent: _recent,
    MatchSet: lambda m: f" -m set{_sign(m.negated)} --match-set {m.name} {m.sides}",
    Nfacct: lambda m: f" -m nfacct --nfacct-name  {m.name}",  # with two spaces, as iptables-save has it
    Words: lambda m: "".join(f" {quote(word)}" for word in m.words),
}


def _comment(text: str) -> str:
    """iptables-save always quotes a comment's text once it holds a character outside the plain ones; kube-proxy's all do."""
    return (
        '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'") + '"'
        if _COMMENT.search(text)
        else text
    )


_COMMENT = re.compile(r"[^A-Za-z0-9_-]")


def _masked(value: int, mask: int) -> str:
    return f"{value:#x}" if mask == 0xFFFFFFFF else f"{value:#x}/{mask:#x}"


def action_words(action: Action) -> str:
    """The target as iptables-save prints it, with a space in front."""
    match action:
        case Jump():
            return f" -j {action.chain}"
        case Dnat():
            return f" -j DNAT --to-destination {action.destination}"
        case Goto():
            return f" -g {action.chain}"
        case Accept() | Drop() | Return():
            return f" -j {type(action).__name__.upper()}"
        case Reject():
            return f" -j REJECT --reject-with {action.kind}"
        case Masquerade():
            return " -j MASQUERADE --random-fully" if action.random_fully else " -j MASQUERADE"
        case SetMark():
            return f" -j MARK --set-xmark {action.value:#x}/{action.mask:#x}"
        case OtherTarget():
            return "".join(f" {quote(word)}" for word in action.words)
        case _:  # pragma: no cover  # mypy proves that nothing comes here
            assert_never(action)


# --- a plan to text --------------------------------------------------------------------------------------------------


def render_plan(plan: Plan) -> str:
    """Write a Plan as one transaction for `iptables-restore --noflush`."""
    return "".join(render_plan_parts(plan))


def render_plan_parts(plan: Plan) -> Iterator[str]:
    """The same transaction in pieces of some thousand lines."""
    for table in plan.tables:
        yield from _table_plan_parts(table)


def _table_plan_parts(table: TablePlan) -> Iterator[str]:
    yield f"*{table.name}\n"
    yield "".join([f":{name} - [0:0]\n" for name in (*(chain.name for chain in table.written), *table.removed)])
    yield from _appended(table.written)
    lines: list[str] = []
    for operation in table.operations:
        match operation:
            case Insert(chain, index, rule):
                lines.append(f"-I {chain} {index}{rule_words(rule)}\n")
            case Delete(chain, index):
                lines.append(f"-D {chain} {index}\n")
            case _:  # pragma: no cover  # mypy proves that nothing comes here
                assert_never(operation)
    lines += [f"-X {chain}\n" for chain in table.removed]
    lines.append("COMMIT\n")
    yield "".join(lines)


# --- text to values --------------------------------------------------------------------------------------------------

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_COUNTED = re.compile(r"\[(\d+):(\d+)\] ")


def parse(text: str, family: Family) -> Ruleset:
    """Read the text of `iptables-save` or `ip6tables-save`, from any machine.

    Raises KernelError naming the line that cannot be read.
    """
    return parse_counted(text, family)[0]


def parse_counted(text: str, family: Family) -> tuple[Ruleset, Counters]:
    """Read the text of `iptables-save -c`: the rules, and the packets and bytes that each has seen."""
    tables: dict[str, Table] = {}
    counters: dict[tuple[str, str], list[tuple[int, int]]] = {}
    policies: dict[str, str | None] = {}
    rules: dict[str, list[Rule]] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.startswith(("-A ", "[")):
                counted = _COUNTED.match(line)
                words = tokens(line[counted.end() :] if counted else line)
                rules[words[1]].append(parse_rule(words[2:], family))
                count = (int(counted[1]), int(counted[2])) if counted else (0, 0)
                counters.setdefault((name, words[1]), []).append(count)
            elif line.startswith(":"):
                chain, policy = line[1:].split()[:2]
                policies[chain] = None if policy == "-" else policy
                rules[chain] = []
            elif line.startswith("*"):
                name, policies, rules = line[1:].strip(), {}, {}
            elif line == "COMMIT":
                chains = {chain: Chain(chain, tuple(rules[chain]), policies[chain]) for chain in policies}
                tables[name] = Table(name, chains)
        except (KeyError, IndexError, ValueError) as error:
            raise KernelError(f"line {number} of iptables-save cannot be read: {line}", request=line) from error
    return Ruleset(family, tables), {key: tuple(value) for key, value in counters.items()}


def tokens(line: str) -> list[str]:
    """Split one line into words; quotes and backslashes as iptables-save writes them."""
    if '"' not in line:
        return line.split()
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain for quoted, plain in _WORD.findall(line)]


def parse_rule(words: Iterable[str], family: Family = Family.IPV4) -> Rule:
    """Turn the words after `-A CHAIN` into a Rule.

    >>> parse_rule("-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j DROP".split())
    Rule(match=(Destination(net='10.0.0.1/32', negated=False), Proto(name='tcp', negated=False), \
DestinationPort(protocol='tcp', port=80, negated=False)), action=Drop(), why='')
    """
    reader = _Reader(list(words), family)
    matches: list[Match] = []
    action: Action | None = None
    while reader.more():
        if reader.peek() in ("-j", "-g"):
            action = reader.action()
        else:
            matches.append(reader.match())
    return Rule(tuple(matches), action)


class _Reader:
    """A cursor over the words of one rule."""

    def __init__(self, words: list[str], family: Family) -> None:
        self.words = words
        self.at = 0
        self.bits = family.bits
        self.negated = False

    def more(self) -> bool:
        return self.at < len(self.words)

    def peek(self) -> str:
        return self.words[self.at]

    def take(self) -> str:
        self.at += 1
        return self.words[self.at - 1]

    def match(self) -> Match:
        negated = self.peek() == "!"
        if negated:
            self.take()
        word = self.take()
        match word:
            case "-s":
                return Source(self._net(self.take()), negated)
            case "-d":
                return Destination(self._net(self.take()), negated)
            case "-i":
                return InInterface(self.take(), negated)
            case "-o":
                return OutInterface(self.take(), negated)
            case "-p":
                return Proto(self.take(), negated)
            case "-m":
                return self._module(self.take())
            case _:
                return Words((*(("!",) if negated else ()), word, *self._rest()))

    def _net(self, text: str) -> str:
        if "/" not in text:
            return f"{text}/{self.bits}"
        address, _, length = text.partition("/")
        return text if length.isdigit() else f"{address}/{ipaddress.ip_network(text, strict=False).prefixlen}"

    def _rest(self) -> list[str]:
        """Words up to the next match or target."""
        start = self.at
        while self.more() and self.peek() not in ("-m", "-j", "-g"):
            self.take()
        return self.words[start : self.at]

    def _module(self, module: str) -> Match:
        options = self._rest()
        known = _MODULES.get(module)
        result = known(module, options) if known else None
        return result if result is not None else Words(("-m", module, *options))

    def action(self) -> Action:
        goto = self.take() == "-g"
        target = self.take()
        options = self.words[self.at :]
        self.at = len(self.words)
        if goto:
            return Goto(target)
        return _target(target, options)


def _target(target: str, options: list[str]) -> Action:
    match target, options:
        case "ACCEPT", []:
            return Accept()
        case "DROP", []:
            return Drop()
        case "RETURN", []:
            return Return()
        case "REJECT", ["--reject-with", kind]:
            return Reject(kind)
        case "DNAT", ["--to-destination", destination]:
            return Dnat(destination)
        case "MASQUERADE", []:
            return Masquerade(random_fully=False)
        case "MASQUERADE", ["--random-fully"]:
            return Masquerade()
        case "MARK", ["--set-xmark", masked]:
            return SetMark(*_numbers(masked))
        case _, []:
            return Jump(target)
        case _:
            return OtherTarget(("-j", target, *options))


def _numbers(masked: str) -> tuple[int, int]:
    value, slash, mask = masked.partition("/")
    return int(value, 0), int(mask, 0) if slash else 0xFFFFFFFF


def _negation(options: list[str]) -> tuple[bool, list[str]]:
    return (True, options[1:]) if options[:1] == ["!"] else (False, options)


def _parse_comment(_: str, options: list[str]) -> Match | None:
    return Comment(options[1]) if len(options) == 2 else None


def _parse_ports(module: str, options: list[str]) -> Match | None:
    negated, words = _negation(options)
    match words:
        case []:
            return ProtoModule(module)
        case ["--dport", port] if port.isdigit():
            return DestinationPort(module, int(port), negated)
        case _:
            return None


def _parse_ctstate(_: str, options: list[str]) -> Match | None:
    negated, words = _negation(options)
    return CtState(tuple(words[1].split(",")), negated) if len(words) == 2 and words[0] == "--ctstate" else None


def _parse_mark(_: str, options: list[str]) -> Match | None:
    negated, words = _negation(options)
    return Mark(*_numbers(words[1]), negated) if len(words) == 2 else None


def _parse_addrtype(_: str, options: list[str]) -> Match | None:
    negated, words = _negation(options)
    if len(words) == 2 and words[0] in ("--dst-type", "--src-type"):
        return AddrType(words[0][2:5], words[1], negated)
    return None


def _parse_statistic(_: str, options: list[str]) -> Match | None:
    if options[:3] == ["--mode", "random", "--probability"] and len(options) == 4:
        return Random(round(float(options[3]) * 2**31))
    return None


def _parse_recent(_: str, options: list[str]) -> Match | None:
    flags = dict(zip(options, [*options[1:], ""], strict=True))
    mode = next((m for m in ("set", "rcheck") if f"--{m}" in flags), None)
    if mode is None or "--rdest" in flags or "--hitcount" in flags or "!" in flags:
        return None
    return Recent(mode, flags["--name"], flags["--mask"], int(flags.get("--seconds", 0)), "--reap" in flags)


def _parse_set(_: str, options: list[str]) -> Match | None:
    negated, words = _negation(options)
    return MatchSet(words[1], words[2], negated) if len(words) == 3 else None


def _parse_nfacct(_: str, options: list[str]) -> Match | None:
    return Nfacct(options[1]) if len(options) == 2 else None


_MODULES: dict[str, Callable[[str, list[str]], Match | None]] = {
    "comment": _parse_comment,
    "tcp": _parse_ports,
    "udp": _parse_ports,
    "sctp": _parse_ports,
    "conntrack": _parse_ctstate,
    "mark": _parse_mark,
    "addrtype": _parse_addrtype,
    "statistic": _parse_statistic,
    "recent": _parse_recent,
    "set": _parse_set,
    "nfacct": _parse_nfacct,
}
