"""The way of a connection's first packet through rules as values, without a kernel: every end that chance allows.

Nobody is remembered (affinity, `recent`), for it is the first packet of its sender.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from netproxy.core import net
from netproxy.core.net import join_host_port
from netproxy.proxy.behaviour import NODE, Probe
from netproxy.proxy.model import NodeView
from netproxy.ruleset import ir, nft

PASS, DROP, REJECT, DONE, BACK, ON = "pass", "drop", "reject", "done", "back", "on"
"""ON: the next rule; BACK: the rule after the jump; DONE: this base chain has no more to say."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet on its way. ORIGINAL is where it went at first."""

    source: str
    destination: str
    port: int
    protocol: str
    original: str
    mark: int = 0
    masquerade: bool = False

    @property
    def is_translated(self) -> bool:
        return join_host_port(self.destination, self.port) != self.original

    def to(self, address: str, port: str | int) -> Packet:
        return replace(self, destination=address, port=int(port))


@dataclass(frozen=True, slots=True)
class End:
    """One of the ends: pass (no rule is about it), drop, reject, or the endpoint that gets it."""

    result: str
    masquerade: bool = False


contains = lru_cache(net.contains)  # the same few questions thousands of times


@lru_cache
def is_local(address: str, node: NodeView) -> bool:
    return address in node.addresses or ipaddress.ip_address(address).is_loopback


def ends(rules: ir.Ruleset | nft.Table, node: NodeView, probe: Probe) -> frozenset[End]:
    """All ends of a probe on a node with these rules."""
    walker = _Iptables(rules, node) if isinstance(rules, ir.Ruleset) else _Nft(rules, node)
    first = Packet(
        probe.source, probe.destination, probe.port, probe.protocol, join_host_port(probe.destination, probe.port)
    )
    hook = "output" if probe.kind == NODE else "prerouting"
    found: set[End] = set()
    for verdict, after in _hook(walker, hook, first):
        later = _LATER[hook, is_local(after.destination, node)]
        found |= {
            _end(*one) for one in ([(verdict, after)] if verdict in (DROP, REJECT) else _hooks(walker, later, after))
        }
    return frozenset(found)


_LATER = {
    ("prerouting", True): ("input",), ("prerouting", False): ("forward", "postrouting"),
    ("output", True): ("input", "postrouting"), ("output", False): ("postrouting",),
}  # fmt: skip
"""What comes after the first hook: for an address of the node itself (True), and for others."""


def _end(verdict: str, packet: Packet) -> End:
    if verdict in (DROP, REJECT):
        return End(verdict)
    return End(join_host_port(packet.destination, packet.port) if packet.is_translated else PASS, packet.masquerade)


def _hooks(walker: _Iptables | _Nft, hooks: tuple[str, ...], packet: Packet) -> Iterator[tuple[str, Packet]]:
    if not hooks:
        yield ON, packet
        return
    for verdict, after in _hook(walker, hooks[0], packet):
        if verdict in (DROP, REJECT):
            yield verdict, after
        else:
            yield from _hooks(walker, hooks[1:], after)


def _hook(walker: _Iptables | _Nft, hook: str, packet: Packet) -> Iterator[tuple[str, Packet]]:
    yield from _bases(walker, list(walker.bases(hook)), packet)


def _bases(walker: _Iptables | _Nft, bases: list[object], packet: Packet) -> Iterator[tuple[str, Packet]]:
    """What comes out of the base chains of one hook."""
    if not bases:
        yield ON, packet
        return
    for verdict, after in walker.chain(bases[0], packet):
        if verdict in (DROP, REJECT):
            yield verdict, after
        else:
            yield from _bases(walker, bases[1:], after)


class _Iptables:
    def __init__(self, rules: ir.Ruleset, node: NodeView) -> None:
        self.rules, self.node = rules, node

    def bases(self, hook: str) -> Iterator[object]:
        for name in ("mangle", "nat", "filter"):
            table = self.rules.tables.get(name)
            if table and hook.upper() in table.chains and (name, hook) != ("nat", "input"):
                yield name, hook.upper()

    def chain(self, at: object, packet: Packet) -> Iterator[tuple[str, Packet]]:
        table, name = at
        yield from self._rules(table, self.rules.tables[table].chains[name].rules, packet)

    def _rules(self, table: str, rules: tuple[ir.Rule, ...], packet: Packet) -> Iterator[tuple[str, Packet]]:
        for at, rule in enumerate(rules):
            answers = _all(self._fits(match, packet) for match in rule.match)
            if answers == {False}:
                continue
            if False in answers:
                yield from self._rules(table, rules[at + 1 :], packet)
            for verdict, after in self._act(table, rule.action, packet):
                if verdict == ON:
                    yield from self._rules(table, rules[at + 1 :], after)
                else:
                    yield verdict, after
            return
        yield BACK, packet

    def _act(self, table: str, action: ir.Action | None, packet: Packet) -> Iterator[tuple[str, Packet]]:
        match action:
            case None:
                yield ON, packet
            case ir.Jump(name) | ir.Goto(name):
                back = ON if isinstance(action, ir.Jump) else BACK
                for verdict, after in self.chain((table, name), packet):
                    yield (back if verdict == BACK else verdict), after
            case ir.SetMark(value, mask):
                yield ON, replace(packet, mark=packet.mark & ~mask ^ value)
            case ir.Dnat(to):
                address, _, port = to.rpartition(":")
                yield DONE, packet.to(address.strip("[]"), port)
            case ir.Masquerade():
                yield DONE, replace(packet, masquerade=True)
            case _:
                yield {ir.Accept: DONE, ir.Return: BACK, ir.Drop: DROP, ir.Reject: REJECT}[type(action)], packet

    def _fits(self, match: ir.Match, packet: Packet) -> tuple[bool, ...]:
        """The answers that a match may give."""
        match match:
            case ir.Random():
                return True, False
            case ir.Recent(mode):
                return (mode == "set",)
            case ir.Comment() | ir.Nfacct() | ir.ProtoModule():
                return (True,)
        return (self._holds(match, packet) is not match.negated,)

    def _holds(self, match: ir.Match, packet: Packet) -> bool:
        match match:
            case ir.Source(cidr):
                return contains(cidr, packet.source)
            case ir.Destination(cidr):
                return contains(cidr, packet.destination)
            case ir.Proto(name):
                return packet.protocol == name
            case ir.DestinationPort(protocol, port):
                return (packet.protocol, packet.port) == (protocol, port)
            case ir.CtState(states):
                return bool({"NEW", *(("DNAT",) if packet.is_translated else ())} & {*states})
            case ir.Mark(value, mask):
                return packet.mark & mask == value
            case ir.AddrType(side, "LOCAL"):
                return is_local(packet.source if side == "src" else packet.destination, self.node)
        raise AssertionError(match)


def _all(answers: Iterable[tuple[bool, ...]]) -> set[bool]:
    """The answers of several matches together."""
    found = {True}
    for answer in answers:
        found = {one and other for one in found for other in answer}
        if found == {False}:
            break
    return found


class _Nft:
    def __init__(self, table: nft.Table, node: NodeView) -> None:
        self.table, self.node = table, node

    def bases(self, hook: str) -> Iterator[object]:
        found = [chain for chain in self.table.chains.values() if chain.hook and chain.hook.hook == hook]
        for chain in sorted(found, key=lambda chain: chain.hook.priority):
            yield chain.name

    def chain(self, name: object, packet: Packet) -> Iterator[tuple[str, Packet]]:
        yield from self._rules(self.table.chains[name].rules, packet)

    def _rules(self, rules: tuple[nft.Rule, ...], packet: Packet) -> Iterator[tuple[str, Packet]]:
        if not rules:
            yield BACK, packet
            return
        for verdict, after in self._statements(rules[0].statements, packet):
            if verdict == ON:
                yield from self._rules(rules[1:], after)
            else:
                yield verdict, after

    def _statements(self, statements: tuple[nft.Statement, ...], packet: Packet) -> Iterator[tuple[str, Packet]]:
        """ON when the rule has been gone through, or was not for this packet."""
        for at, statement in enumerate(statements):
            match statement:
                case nft.Match() | nft.InSet() | nft.MarkIs():
                    if self._holds(statement, packet) is statement.negated:
                        break
                case nft.SetMark(operator, value):
                    packet = replace(packet, mark=packet.mark | value if operator == "|" else packet.mark ^ value)
                case nft.Remember():
                    pass
                case _:
                    for verdict, after in self._act(statement, packet):
                        if verdict == ON:
                            yield from self._statements(statements[at + 1 :], after)
                        else:
                            yield verdict, after
                    return
        yield ON, packet

    def _act(self, statement: nft.Statement, packet: Packet) -> Iterator[tuple[str, Packet]]:
        match statement:
            case ir.Jump(name) | ir.Goto(name):
                back = ON if isinstance(statement, ir.Jump) else BACK
                for verdict, after in self.chain(name, packet):
                    yield (back if verdict == BACK else verdict), after
            case nft.Dispatch(fields, name):
                element = self.table.elements.get(name, {}).get(self._key(fields, packet))
                yield from self._act(element.value, packet) if element else [(ON, packet)]
            case nft.Spread(chains):
                for chain in chains:
                    yield from self._act(ir.Goto(chain), packet)
            case nft.Dnat() | nft.DnatSpread() | nft.DnatFromMap():
                for target in self._targets(statement, packet):
                    yield DONE, packet.to(*target)
            case ir.Masquerade():
                yield DONE, replace(packet, masquerade=True)
            case _:
                yield {ir.Accept: DONE, ir.Return: BACK, ir.Drop: DROP, nft.Reject: REJECT}[type(statement)], packet

    def _targets(
        self, statement: nft.Dnat | nft.DnatSpread | nft.DnatFromMap, packet: Packet
    ) -> Iterator[tuple[str, ...]]:
        match statement:
            case nft.Dnat(to):
                address, _, port = to.rpartition(":")
                yield address.strip("[]"), port
            case nft.DnatSpread(targets):
                yield from targets
            case nft.DnatFromMap(count, fields, name, offset):
                key = self._key(fields, packet)
                yield from (self.table.elements[name][str(at), *key].value for at in range(offset, offset + count))

    def _holds(self, statement: nft.Match | nft.InSet | nft.MarkIs, packet: Packet) -> bool:
        match statement:
            case nft.MarkIs(mask, value):
                return packet.mark & mask == value
            case nft.InSet(fields, name):
                return any(_are(self._key(fields, packet), key) for key in self.table.elements.get(name, {}))
            case nft.Match(field, values):
                return any(_are(self._key((field,), packet), (value,)) for value in values)

    def _key(self, fields: tuple[str, ...], packet: Packet) -> tuple[str, ...]:
        return tuple(self._value(field.removeprefix("ip6 ").removeprefix("ip "), packet) for field in fields)

    def _value(self, field: str, packet: Packet) -> str:
        sides = {"saddr": packet.source, "daddr": packet.destination}
        match field.split():
            case [side] if side in sides:
                return sides[side]
            case ["fib", side, "type"]:
                return "local" if is_local(sides[side], self.node) else "unicast"
            case ["meta", "l4proto"]:
                return packet.protocol
            case [protocol, "dport"]:
                return str(packet.port) if protocol in ("th", packet.protocol) else ""
            case ["ct", "state"]:
                return "new"
            case ["ct", "status"]:
                return "dnat" if packet.is_translated else ""
        raise AssertionError(field)


def _are(key: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether each field is the one wanted, or an address in the network wanted."""
    return all(one == other or ("/" in other and contains(other, one)) for one, other in zip(key, wanted, strict=True))
