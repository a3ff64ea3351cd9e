"""IPVS: virtual servers, the sets that its few iptables rules ask, the addresses that it answers; text ↔ values, and Plan.

Text is that of `ipvsadm -Sn` and of `ipset save`; sizes and seeds of sets are left out, since they say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netproxy.core.net import Family, join_host_port
from netproxy.ruleset.ir import Ruleset

DEVICE = "kube-ipvs0"
"""The dummy interface that carries the addresses; it stays down."""

MH_PORT = "mh-port"


class ServerKey(NamedTuple):
    """What a virtual server is found by. PROTOCOL in lower case."""

    protocol: str
    address: str
    port: int


class RealServer(NamedTuple):
    """One destination of a virtual server; with weight 0 it keeps its connections and gets no new ones."""

    address: str
    port: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """How connections to one address and port are spread."""

    key: ServerKey
    scheduler: str = "rr"
    persistent_s: int = 0
    flags: tuple[str, ...] = ()
    destinations: tuple[RealServer, ...] = ()


@dataclass(frozen=True, slots=True)
class IpSet:
    """One set: its type as ipset names it, and its entries as ipset prints them."""

    name: str
    type: str
    entries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ipvs:
    """Everything that IPVS mode keeps in a kernel, for one address family; RULES are the iptables part."""

    family: Family
    servers: Mapping[ServerKey, VirtualServer] = field(default_factory=dict)
    sets: Mapping[str, IpSet] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
    rules: Ruleset | None = None


# --- values → text

_FLAG_OF = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
_PROTOCOL_OF = {flag: protocol for protocol, flag in _FLAG_OF.items()}


def render_servers(servers: Iterable[VirtualServer]) -> str:
    """Virtual servers as `ipvsadm -Sn` prints and `ipvsadm -R` reads them."""
    return "".join(f"{line}\n" for server in servers for line in _server_lines(server))


def _server_lines(server: VirtualServer) -> Iterator[str]:
    where = f"{_FLAG_OF[server.key.protocol]} {join_host_port(server.key.address, server.key.port)}"
    persistent = f" -p {server.persistent_s}" if server.persistent_s else ""
    flags = f" -b {','.join(server.flags)}" if server.flags else ""
    yield f"-A {where} -s {server.scheduler}{persistent}{flags}"
    for address, port, weight in server.destinations:
        yield f"-a {where} -r {join_host_port(address, port)} -m -w {weight}"


def render_sets(sets: Iterable[IpSet], family: Family) -> str:
    """Sets as `ipset restore` reads them."""
    return "".join(f"{line}\n" for item in sets for line in _set_lines(item, family))


def _set_lines(item: IpSet, family: Family) -> Iterator[str]:
    yield create_line(item, family)
    for entry in sorted(item.entries):
        yield f"add {item.name} {entry}"


def create_line(item: IpSet, family: Family) -> str:
    """The command that makes an empty set."""
    if item.type == "bitmap:port":
        return f"create {item.name} {item.type} range 0-65535"
    return f"create {item.name} {item.type} family {'inet6' if family is Family.IPV6 else 'inet'}"


def render_addresses(addresses: Iterable[str]) -> str:
    """One address with its length on a line, what `kube-ipvs0` carries."""
    return "".join(f"{address}/{128 if ':' in address else 32}\n" for address in sorted(addresses))


# --- text → values


def parse_servers(text: str) -> dict[ServerKey, VirtualServer]:
    """What `ipvsadm -Sn` printed."""
    heads: dict[ServerKey, VirtualServer] = {}
    real: dict[ServerKey, list[RealServer]] = {}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] not in ("-A", "-a"):
            continue
        key = ServerKey(_PROTOCOL_OF[words[1]], *_split(words[2]))
        options = _options(words[3:])
        if words[0] == "-A":
            flags = tuple(options["-b"].split(",")) if "-b" in options else ()
            heads[key] = VirtualServer(key, options["-s"], int(options.get("-p", "0")), flags)
            real[key] = []
        else:
            real[key].append(RealServer(*_split(options["-r"]), int(options["-w"])))
    return {
        key: VirtualServer(key, head.scheduler, head.persistent_s, head.flags, tuple(real[key]))
        for key, head in heads.items()
    }


Counters = Mapping[tuple[ServerKey, str, int], tuple[int, int]]
"""(virtual server, address, port) → (packets, bytes) towards a destination; an empty address for all of them."""


def parse_counters(text: str) -> Counters:
    """What `ipvsadm -Ln --stats --exact` printed."""
    found: dict[tuple[ServerKey, str, int], tuple[int, int]] = {}
    key: ServerKey | None = None
    for line in text.splitlines():
        words = line.split()
        if words and words[0].lower() in _FLAG_OF:
            key = ServerKey(words[0].lower(), *_split(words[1]))
            found[key, "", 0] = (int(words[3]), int(words[5]))
        elif words[:1] == ["->"] and key and words[1] != "RemoteAddress:Port":
            found[(key, *_split(words[1]))] = (int(words[3]), int(words[5]))
    return found


def _options(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at, word in enumerate(words):
        if word.startswith("-"):
            found[word] = words[at + 1] if at + 1 < len(words) else ""
    return found


def _split(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def parse_sets(text: str, family: Family) -> dict[str, IpSet]:
    """The sets of one family in what `ipset save` printed; a bitmap has no family and goes by its name."""
    types: dict[str, str] = {}
    entries: dict[str, set[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["create"] and _is_of(words, family):
            types[words[1]], entries[words[1]] = words[2], set()
        elif words[:1] == ["add"] and words[1] in entries:
            entries[words[1]].add(words[2])
    return {name: IpSet(name, kind, frozenset(entries[name])) for name, kind in types.items()}


def _is_of(words: list[str], family: Family) -> bool:
    if words[2].startswith("bitmap:"):
        return words[1].startswith("KUBE-6-") is (family is Family.IPV6)
    return ("inet6" in words) is (family is Family.IPV6)


# --- what must change


@dataclass(frozen=True, slots=True)
class IpvsPlan:
    """What changes of one family, in the order in which it is done: sets, addresses, servers; then what goes."""

    family: Family
    sets: tuple[IpSet, ...] = ()
    """New sets, with all that is in them."""
    entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed_entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed_sets: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    removed_addresses: tuple[str, ...] = ()
    servers: tuple[VirtualServer, ...] = ()
    """New ones, and those whose scheduler or persistence is another; without their destinations."""
    removed_servers: tuple[ServerKey, ...] = ()
    destinations: tuple[tuple[ServerKey, RealServer], ...] = ()
    """New ones, and those whose weight is another."""
    removed_destinations: tuple[tuple[ServerKey, RealServer], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.size)

    @property
    def size(self) -> int:
        """How many things it touches."""
        listed = (
            self.sets, self.removed_sets, self.addresses, self.removed_addresses, self.servers, self.removed_servers,
            self.destinations, self.removed_destinations, *self.entries.values(), *self.removed_entries.values(),
        )  # fmt: skip
        return sum(map(len, listed)) + sum(len(item.entries) for item in self.sets)


def plan(desired: Ipvs, present: Ipvs) -> IpvsPlan:
    """The smallest change that makes PRESENT what is DESIRED; iptables rules are planned apart."""
    lost, come = _entry_changes(desired.sets, present.sets)
    servers, destinations, removed = [], [], []
    for key, server in desired.servers.items():
        there = present.servers.get(key)
        if there is server:
            continue
        if there is None or _head(there) != _head(server):
            servers.append(server)
        add, drop = destination_changes(server, there)
        destinations += add
        removed += drop
    return IpvsPlan(
        desired.family,
        sets=tuple(item for name, item in desired.sets.items() if name not in present.sets),
        entries=come,
        removed_entries=lost,
        removed_sets=tuple(sorted(present.sets.keys() - desired.sets.keys())),
        addresses=tuple(sorted(desired.addresses - present.addresses)),
        removed_addresses=tuple(sorted(present.addresses - desired.addresses)),
        servers=tuple(servers),
        removed_servers=tuple(sorted(present.servers.keys() - desired.servers.keys())),
        destinations=tuple(destinations),
        removed_destinations=tuple(removed),
    )


def _head(server: VirtualServer) -> tuple[str, int, tuple[str, ...]]:
    return server.scheduler, server.persistent_s, server.flags


def destination_changes(
    new: VirtualServer, old: VirtualServer | None
) -> tuple[list[tuple[ServerKey, RealServer]], list[tuple[ServerKey, RealServer]]]:
    """The destinations to add or set, and those to take out."""
    before = {(d.address, d.port): d for d in old.destinations} if old else {}
    after = {(d.address, d.port): d for d in new.destinations}
    add = [(new.key, d) for at, d in after.items() if before.get(at) != d]
    return add, [(new.key, d) for at, d in before.items() if at not in after]


def _entry_changes(
    desired: Mapping[str, IpSet], present: Mapping[str, IpSet]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    lost: dict[str, tuple[str, ...]] = {}
    come: dict[str, tuple[str, ...]] = {}
    for name, item in desired.items():
        there = present.get(name)
        if there is None or there.entries == item.entries:
            continue
        if there.entries - item.entries:
            lost[name] = tuple(sorted(there.entries - item.entries))
        if item.entries - there.entries:
            come[name] = tuple(sorted(item.entries - there.entries))
    return lost, come


def render_plan(change: IpvsPlan) -> str:
    """The change in the words of ipset, ip and ipvsadm, a line for each step."""
    return "".join(f"{line}\n" for line in _plan_lines(change))


def _plan_lines(change: IpvsPlan) -> Iterator[str]:
    yield from (f"ipset {line}" for line in set_commands(change))
    for address in change.addresses:
        yield f"ip address add {address}/{change.family.bits} dev {DEVICE}"
    for server in change.servers:
        yield f"ipvsadm {next(_server_lines(server))}"
    for key, real in change.destinations:
        where = f"{_FLAG_OF[key.protocol]} {join_host_port(key.address, key.port)}"
        yield f"ipvsadm -a {where} -r {join_host_port(real.address, real.port)} -m -w {real.weight}"
    for key, real in change.removed_destinations:
        where = f"{_FLAG_OF[key.protocol]} {join_host_port(key.address, key.port)}"
        yield f"ipvsadm -d {where} -r {join_host_port(real.address, real.port)}"
    for key in change.removed_servers:
        yield f"ipvsadm -D {_FLAG_OF[key.protocol]} {join_host_port(key.address, key.port)}"
    for address in change.removed_addresses:
        yield f"ip address del {address}/{change.family.bits} dev {DEVICE}"


def set_commands(change: IpvsPlan) -> Iterator[str]:
    """What `ipset restore` has to read; sets that go are left out, since rules may still ask them."""
    for item in change.sets:
        yield from _set_lines(item, change.family)
    for name, entries in change.removed_entries.items():
        yield from (f"del {name} {entry}" for entry in entries)
    for name, entries in change.entries.items():
        yield from (f"add {name} {entry}" for entry in entries)


def applied(present: Ipvs, change: IpvsPlan) -> Ipvs:
    """What is there after the change."""
    sets = {name: item for name, item in present.sets.items() if name not in change.removed_sets}
    sets |= {item.name: item for item in change.sets}
    for name in {*change.entries, *change.removed_entries}:
        entries = (sets[name].entries - {*change.removed_entries.get(name, ())}) | {*change.entries.get(name, ())}
        sets[name] = IpSet(name, sets[name].type, frozenset(entries))
    return Ipvs(
        present.family, _applied_servers(present, change), sets,
        (present.addresses - {*change.removed_addresses}) | {*change.addresses}, present.rules,
    )  # fmt: skip


def _applied_servers(present: Ipvs, change: IpvsPlan) -> dict[ServerKey, VirtualServer]:
    gone = {*change.removed_servers}
    servers = {key: server for key, server in present.servers.items() if key not in gone}
    for server in change.servers:
        old = servers.get(server.key)
        kept = old.destinations if old else ()
        servers[server.key] = VirtualServer(server.key, *_head(server), kept)
    for key, real in (*change.removed_destinations, *change.destinations):
        server = servers[key]
        rest = tuple(d for d in server.destinations if (d.address, d.port) != (real.address, real.port))
        stays = () if (key, real) in change.removed_destinations else (real,)
        servers[key] = VirtualServer(key, *_head(server), (*rest, *stays))
    return servers
