"""All ports in memory, refusing what Linux refuses; `tests/kernel/test_ports.py` asks both the same questions.

A FakeKernel is one namespace. `refuse("word")` has it refuse every transaction that says the word, as a kernel does that
lacks something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from netproxy.core.errors import KernelError
from netproxy.core.net import Family, family_of
from netproxy.linux.kernel import TrackedFlow
from netproxy.linux.nfacct import why_not_counted
from netproxy.ruleset import ipvs, nft_plan
from netproxy.ruleset.diff import Delete, Insert, Plan, applied
from netproxy.ruleset.iptables import render, render_plan
from netproxy.ruleset.ipvs import Ipvs, IpvsPlan, ServerKey
from netproxy.ruleset.ir import (
    Chain,
    Comment,
    Counters,
    Destination,
    MatchSet,
    Nfacct,
    Rule,
    Ruleset,
    Source,
    Table,
    targets,
)
from netproxy.ruleset.limits import IPTABLES_CHAIN, NFT_COMMENT, NFT_NAME
from netproxy.ruleset.nft import Chain as NftChain
from netproxy.ruleset.nft import Dispatch, DnatFromMap, InSet, Remember, chains_of
from netproxy.ruleset.nft import Table as NftTableValue
from netproxy.ruleset.nft_plan import NftPlan

BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"), "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}  # fmt: skip
"""The chains that each table of iptables has from the beginning."""


@dataclass
class FakeKernel:
    """What one namespace holds."""

    rules: dict[Family, Ruleset] = field(default_factory=dict)
    tables: dict[tuple[Family, str], NftTableValue] = field(default_factory=dict)
    servers: dict[Family, Ipvs] = field(default_factory=dict)
    flows: dict[Family, list[TrackedFlow]] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    has_device: bool = False
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)
    """nfacct objects: packets and bytes."""
    refused: set[str] = field(default_factory=set)
    strangers: int | None = 0
    """How often the nftables were changed by others than an nft_table: iptables' tools are such others. None: who can tell."""
    asked: list[str] = field(default_factory=list)
    """Every transaction, as text, refused ones among them."""

    def refuse(self, word: str) -> None:
        """Refuse every transaction that says this word, from now on."""
        self.refused.add(word)

    def hear(self, text: str) -> None:
        """Note a transaction. Raises KernelError for one that says a refused word."""
        self.asked.append(text)
        for word in self.refused:
            if word in text:
                raise KernelError(f"{word}: Operation not supported", request=text)


class FakeHost:
    """One address family of a FakeKernel."""

    def __init__(self, kernel: FakeKernel, family: Family, *, is_new: bool = False) -> None:
        self.kernel = kernel
        self.family = family
        self.is_new = is_new
        self.iptables = FakeIptables(kernel, family)
        self.flows = FakeFlows(kernel, family)
        self.sysctls = FakeSysctls(kernel)
        self.packet_counters = FakeCounters(kernel)
        self.forwarder = FakeForwarder()

    def why_not_counted(self) -> str:
        """Why rules cannot count packets here; `refuse("nfacct")` or only the match `refuse("-m nfacct")` has it so."""
        return why_not_counted(self)

    def nft_table(self, name: str) -> FakeNftTable:
        """The nftables table of this name."""
        return FakeNftTable(self.kernel, self.family, name)

    def virtual_servers(self, family: Family) -> FakeVirtualServers:
        """The virtual servers of a family."""
        return FakeVirtualServers(self.kernel, family)

    def addresses(self) -> tuple[str, ...]:
        """The addresses of the interfaces."""
        return ()

    def trial(self) -> FakeHost:
        """An empty kernel that refuses the same words."""
        return FakeHost(FakeKernel(refused=self.kernel.refused), self.family, is_new=True)

    def close(self) -> None:
        """Nothing is held."""
        self.forwarder.close()


class FakeIptables:
    """iptables rules."""

    largest_fresh = 200

    def __init__(self, kernel: FakeKernel, family: Family) -> None:
        self.family = family
        self._kernel = kernel
        self._known: Ruleset | None = None
        self._was_read: Ruleset | None = None
        self.obstacles: tuple[str, ...] = ()

    def read(self) -> Ruleset:
        """All rules."""
        self._known = self._kernel.rules.get(self.family, Ruleset(self.family))
        self._was_read = self._known
        return self._known

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has changed a rule since all were read."""
        return self._was_read is not None and self._was_read is self._kernel.rules.get(self.family, self._was_read)

    def present(self) -> Ruleset:
        """What was read or written last."""
        return self.read() if self._known is None else self._known

    def counters(self) -> tuple[Ruleset, Counters]:
        """All rules; no packet has met them."""
        present = self.read()
        return present, {
            (table.name, chain.name): tuple((0, 0) for _ in chain.rules)
            for table in present.tables.values()
            for chain in table.chains.values()
        }

    @property
    def is_blank(self) -> bool:
        """Whether there is no chain of anybody, and no rule in the built-in ones."""
        chains = [chain for table in self.present().tables.values() for chain in table.chains.values()]
        return not any(chain.policy is None or chain.rules for chain in chains)

    def write_fresh(self, tables: Iterable[tuple[str, Iterable[Chain]]]) -> None:
        """Write tables into a blank kernel."""
        self.forget()
        made = {name: Table(name, {chain.name: chain for chain in chains}) for name, chains in tables}
        self._commit(Ruleset(self.family, made), "fresh")

    def settle(self, written: Callable[[], Ruleset]) -> None:
        """What is there is known when somebody asks."""
        self._known = None

    def write(self, change: Plan) -> None:
        """Make the change, or nothing."""
        text = render_plan(change)
        self.forget()
        before = self.read()
        self.forget()
        for table in change.tables:
            _check_places(table.operations, before.tables.get(table.name))
        self._commit(applied(before, change), text)
        self._known = self._kernel.rules[self.family]

    def forget(self) -> None:
        """The next question reads."""
        self._known = self._was_read = None

    def _commit(self, after: Ruleset, text: str) -> None:
        self._kernel.hear(text if text != "fresh" else render(after))
        for table in after.tables.values():
            _check_table(table, self.family)
            for name in set(_counted(table)) - set(self._kernel.counters):
                raise KernelError(f"iptables-restore: nfacct object `{name}': No such file or directory")
        self._kernel.rules[self.family] = after
        self._kernel.strangers = (self._kernel.strangers or 0) + 1


def _check_places(operations: Iterable[Insert | Delete], table: Table | None) -> None:
    lengths = {chain.name: len(chain.rules) for chain in table.chains.values()} if table else {}
    for operation in operations:
        length = lengths.get(operation.chain, 0)
        most = length + 1 if isinstance(operation, Insert) else length
        if not 1 <= operation.index <= most:
            raise KernelError(
                f"iptables-restore: Index of {type(operation).__name__.lower()} too big: {operation.index}"
            )
        lengths[operation.chain] = length + (1 if isinstance(operation, Insert) else -1)


def _check_table(table: Table, family: Family) -> None:
    if table.name not in BUILT_IN:
        raise KernelError(f"iptables-restore: The table `{table.name}' does not exist")
    for chain in table.chains.values():
        if len(chain.name.encode()) > IPTABLES_CHAIN:
            raise KernelError(f"iptables-restore: chain name `{chain.name}' too long (must be under 29 chars)")
        if chain.policy is not None and chain.name not in BUILT_IN[table.name]:
            raise KernelError(f"iptables-restore: Can't set policy on `{chain.name}'")
        for rule in chain.rules:
            _check_rule(rule, table, family)


def _check_rule(rule: Rule, table: Table, family: Family) -> None:
    for to in targets(rule):
        if to not in table.chains or to in BUILT_IN[table.name]:
            raise KernelError(f"iptables-restore: Couldn't load target `{to}': No such file or directory")
    for match in rule.match:
        if isinstance(match, Source | Destination) and family_of(match.net) is not family:
            raise KernelError(f"iptables-restore: host/network `{match.net}' not found")
        if isinstance(match, Comment) and "\n" in match.text:
            raise KernelError("iptables-restore: line ends within a comment")
        if isinstance(match, MatchSet) and not match.name:
            raise KernelError("iptables-restore: a set has a name")


def _counted(table: Table) -> Iterator[str]:
    for chain in table.chains.values():
        for rule in chain.rules:
            yield from (match.name for match in rule.match if isinstance(match, Nfacct))


class FakeNftTable:
    """One nftables table."""

    def __init__(self, kernel: FakeKernel, family: Family, name: str) -> None:
        self._kernel = kernel
        self._at = family, name

    def strangers(self) -> int | None:
        """How many transactions were others'."""
        return self._kernel.strangers

    def read(self) -> NftTableValue | None:
        """The table; None when there is none."""
        return self._kernel.tables.get(self._at)

    def write(self, change: NftPlan) -> None:
        """Make the change, or nothing."""
        self._kernel.hear(nft_plan.render_plan(change))
        before = self.read()
        if change.removes_table and before is None:
            raise KernelError("nft: Error: Could not process rule: No such file or directory")
        if before is not None and change.whole is None and not change.removes_table:
            _check_change(change, before)
        after = nft_plan.applied(before, change)
        if after is None and not change.removes_table:
            raise KernelError("nft: Error: No such file or directory")
        if after is not None:
            _check_nft(after)
            self._kernel.tables[self._at] = after
        else:
            self._kernel.tables.pop(self._at, None)

    def write_all(self, changes: Iterable[NftPlan]) -> None:
        """Make several changes."""
        for change in changes:
            self.write(change)

    def close(self) -> None:
        """Nothing is held."""


def _check_change(change: NftPlan, before: NftTableValue) -> None:
    for name, entries in change.removed_elements.items():
        for key in entries:
            if key not in before.elements.get(name, {}):
                raise KernelError(f"nft: Error: element {key} of {name}: No such file or directory")
    for name in (*change.removed_chains, *change.flushed):
        if name not in before.chains:
            raise KernelError(f"nft: Error: chain {name}: No such file or directory")
    for name in change.elements:
        if name not in before.sets and name not in {item.name for item in change.sets}:
            raise KernelError(f"nft: Error: set {name}: No such file or directory")
    _check_new_elements(change, before)


def _check_new_elements(change: NftPlan, before: NftTableValue) -> None:
    for name, new in change.elements.items():
        gone = change.removed_elements.get(name, {})
        for key, element in new.items():
            there = before.elements.get(name, {}).get(key)
            if there is not None and key not in gone and there.value != element.value:
                raise KernelError(f"nft: Error: element {key} of {name}: File exists")


def _check_nft(table: NftTableValue) -> None:
    missing = nft_plan.dangling(table)
    if missing:
        raise KernelError(f"nft: Error: chain {min(missing)}: No such file or directory, or it is in use")
    if any(len(name.encode()) > NFT_NAME for name in (*table.chains, *table.sets)):
        raise KernelError("nft: Error: name too long")
    if any(len(text.encode()) > NFT_COMMENT for text in _comments(table)):
        raise KernelError("nft: Error: comment too long, 128 characters maximum allowed")
    for chain in table.chains.values():
        for name in _sets_of(chain):
            if name not in table.sets:
                raise KernelError(f"nft: Error: set {name}: No such file or directory")
        if chain.hook:
            _check_loops(table, chain.name, ())


def _comments(table: NftTableValue) -> Iterator[str]:
    yield table.comment
    yield from (chain.comment for chain in table.chains.values())
    yield from (item.comment for item in table.sets.values())
    yield from (rule.comment for chain in table.chains.values() for rule in chain.rules)
    yield from (element.comment for entries in table.elements.values() for element in entries.values())


def _sets_of(chain: NftChain) -> Iterator[str]:
    for rule in chain.rules:
        for statement in rule.statements:
            if isinstance(statement, InSet | Remember):
                yield statement.set
            elif isinstance(statement, Dispatch | DnatFromMap):
                yield statement.map


def _check_loops(table: NftTableValue, name: str, path: tuple[str, ...]) -> None:
    if name in path:
        raise KernelError(f"nft: Error: chain {name}: Too many links")
    for rule in table.chains[name].rules:
        for to in chains_of(rule):
            _check_loops(table, to, (*path, name))


class FakeVirtualServers:
    """IPVS servers, sets and addresses."""

    def __init__(self, kernel: FakeKernel, family: Family) -> None:
        self._kernel = kernel
        self._family = family
        self.busy: dict[tuple[ServerKey, str, int], int] = {}
        """Connections, for a test to put in."""

    def read(self) -> Ipvs:
        """Everything."""
        return self._kernel.servers.get(self._family, Ipvs(self._family))

    def present(self) -> Ipvs:
        """The same."""
        return self.read()

    def write(self, change: IpvsPlan) -> None:
        """Make the change; sets that go stay."""
        self._kernel.hear(ipvs.render_plan(change))
        before = self.read()
        if change.addresses and not self._kernel.has_device:
            raise KernelError("addr add: No such device")
        if any(family_of(address) is not self._family for address in change.addresses):
            raise KernelError("addr add: Invalid argument")
        known = {*before.servers, *(server.key for server in change.servers)}
        for key, real in (*change.destinations, *change.removed_destinations):
            if key not in known:
                raise KernelError(f"ipvs add destination {real.address}:{real.port} of {key}: No such process")
        for key in change.removed_servers:
            if key not in before.servers:
                raise KernelError(f"ipvs del service {key}: No such process")
        sets = {*before.sets, *(item.name for item in change.sets)}
        for name in (*change.entries, *change.removed_entries):
            if name not in sets:
                raise KernelError(f"ipset add {name}: No such file or directory")
        self._kernel.servers[self._family] = ipvs.applied(before, replace(change, removed_sets=()))

    def drop_sets(self, names: Iterable[str]) -> None:
        """Take sets away. Raises KernelError for one that a rule asks."""
        asked = {
            match.name
            for rules in self._kernel.rules.values() for table in rules.tables.values()
            for chain in table.chains.values() for rule in chain.rules for match in rule.match
            if isinstance(match, MatchSet)
        }  # fmt: skip
        before = self.read()
        sets = dict(before.sets)
        for name in names:
            if name in asked:
                raise KernelError(f"ipset destroy {name}: Set cannot be destroyed: it is in use by a kernel component")
            if sets.pop(name, None) is None:
                raise KernelError(f"ipset destroy {name}: The set with the given name does not exist")
        self._kernel.servers[self._family] = replace(before, sets=sets)

    def ensure_device(self) -> None:
        """Make the interface."""
        self._kernel.has_device = True

    def drop_device(self) -> None:
        """Take the interface with all addresses away."""
        self._kernel.has_device = False
        for family, there in self._kernel.servers.items():
            self._kernel.servers[family] = replace(there, addresses=frozenset())

    def connections(self, key: ServerKey) -> Mapping[tuple[str, int], int]:
        """What a test has put in."""
        return {(address, port): count for (at, address, port), count in self.busy.items() if at == key}

    def counters(self) -> ipvs.Counters:
        """No packet has come."""
        return {}

    def close(self) -> None:
        """Nothing is held."""


class FakeFlows:
    """Tracked connections."""

    def __init__(self, kernel: FakeKernel, family: Family) -> None:
        self._kernel = kernel
        self._family = family

    def flows(self, protocol: str) -> list[TrackedFlow]:
        """Those of a protocol."""
        return [flow for flow in self._kernel.flows.get(self._family, []) if flow.protocol == protocol]

    def forget(self, flows: Iterable[TrackedFlow]) -> int:
        """Remove flows; how many were there."""
        there = self._kernel.flows.get(self._family, [])
        gone = set(flows)
        self._kernel.flows[self._family] = [flow for flow in there if flow not in gone]
        return len(there) - len(self._kernel.flows[self._family])


class FakeSysctls:
    """Settings; those that nobody has put in are not there."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def read(self, path: str) -> str:
        """A setting; empty when there is none."""
        return self._kernel.sysctls.get(path, "")

    def write(self, path: str, value: str) -> None:
        """Set it. Raises KernelError when there is none of this name."""
        if path not in self._kernel.sysctls:
            if path.startswith("net/ipv6/"):
                return
            raise KernelError(f"sysctl {path}={value}: No such file or directory", request=path)
        self._kernel.sysctls[path] = value


class FakeCounters:
    """Packet counters; nothing counts in them."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def ensure(self, names: Iterable[str]) -> None:
        """Make those that are not there. Raises KernelError."""
        for name in names:
            self._kernel.hear(f"nfacct add {name}")
            self._kernel.counters.setdefault(name, (0, 0))

    def drop(self, names: Iterable[str]) -> None:
        """Take away those in which no rule counts."""
        tables = [table for rules in self._kernel.rules.values() for table in rules.tables.values()]
        used = {name for table in tables for name in _counted(table)}
        for name in set(names) - used:
            self._kernel.counters.pop(name, None)

    def read(self) -> Mapping[str, tuple[int, int]]:
        """Packets and bytes of each, by name."""
        return dict(self._kernel.counters)


class FakeForwarder:
    """A process that listens nowhere: every forward gets the next port."""

    def __init__(self) -> None:
        self.is_running = False
        self.connections = 0
        self._ports: dict[str, int] = {}

    def ask(self, line: str) -> str:
        """Ports for all forwards, the same as long as a forward stays."""
        import json

        self.is_running = True
        names = [forward[0] for forward in json.loads(line)["forwards"]]
        free = iter(port for port in range(40000, 60000) if port not in self._ports.values())
        self._ports = {name: self._ports.get(name) or next(free) for name in names}
        return json.dumps({"ports": self._ports, "connections": self.connections})

    def close(self) -> None:
        """It ends."""
        self.is_running = False
        self._ports = {}
