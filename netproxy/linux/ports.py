"""What a node's service proxy needs of its kernel, as small ports; `fake` has all of them in memory, as strict as Linux.

Whoever opens one of these uses and closes it in the same thread. Every method raises KernelError when the kernel refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from netproxy.core.net import Family
from netproxy.linux.kernel import TrackedFlow
from netproxy.ruleset.diff import Plan
from netproxy.ruleset.ipvs import Counters as ServerCounters
from netproxy.ruleset.ipvs import Ipvs, IpvsPlan, ServerKey
from netproxy.ruleset.ir import Chain, Counters, Ruleset
from netproxy.ruleset.nft import Table
from netproxy.ruleset.nft_plan import NftPlan


class IptablesRules(Protocol):
    """The iptables rules of one family. What was written is remembered; `read` asks the kernel."""

    @property
    def family(self) -> Family:
        """Whose rules these are."""
        ...

    def read(self) -> Ruleset:
        """All rules that the kernel has, other people's among them."""
        ...

    @property
    def is_untouched(self) -> bool:
        """Whether nobody can have changed a rule since all were read; False when that cannot be told."""
        ...

    def present(self) -> Ruleset:
        """What was read or written last; read now when nothing was."""
        ...

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What of other people was in the way when the rules were read last, in words."""
        ...

    def counters(self) -> tuple[Ruleset, Counters]:
        """All rules, with packets and bytes."""
        ...

    @property
    def largest_fresh(self) -> int:
        """Up to how many Services a first load goes in one transaction."""
        ...

    @property
    def is_blank(self) -> bool:
        """Whether there is no chain of anybody, and no rule in the built-in ones."""
        ...

    def write_fresh(self, tables: Iterable[tuple[str, Iterable[Chain]]]) -> None:
        """Write tables into a blank kernel, while they are still being made; `settle` then says what is there."""
        ...

    def settle(self, written: Callable[[], Ruleset]) -> None:
        """How to know what is there now, after `write_fresh`; asked for when somebody needs it."""
        ...

    def write(self, change: Plan) -> None:
        """Make the change to what is present: all of it or nothing, but for very large ones."""
        ...

    def forget(self) -> None:
        """What is there is unknown: the next question reads."""
        ...


class NftTable(Protocol):
    """One nftables table of one family."""

    def strangers(self) -> int | None:
        """A number that stays the same as long as nobody else changes the namespace's nftables; None: somebody may just now."""
        ...

    def read(self) -> Table | None:
        """The table as the kernel has it; None when there is none."""
        ...

    def write(self, change: NftPlan) -> None:
        """Make the change: all of it or nothing."""
        ...

    def write_all(self, changes: Iterable[NftPlan]) -> None:
        """Make several changes, each all or nothing; they may be made ready while others are written."""
        ...

    def close(self) -> None:
        """Give sockets back; it may be used again."""
        ...


class VirtualServers(Protocol):
    """IPVS servers, ipsets and service addresses of one family. What was written is remembered; `read` asks the kernel."""

    def read(self) -> Ipvs:
        """All that the kernel has."""
        ...

    def present(self) -> Ipvs:
        """What was read or written last; read now when nothing was."""
        ...

    def write(self, change: IpvsPlan) -> None:
        """Make the change; sets that go stay for `drop_sets`."""
        ...

    def drop_sets(self, names: Iterable[str]) -> None:
        """Take sets away that no rule asks any more."""
        ...

    def ensure_device(self) -> None:
        """Make the interface that carries the addresses, when it is not there."""
        ...

    def drop_device(self) -> None:
        """Take the interface with all addresses away."""
        ...

    def connections(self, key: ServerKey) -> Mapping[tuple[str, int], int]:
        """How many connections each destination of a virtual server has, active or waiting to be forgotten."""
        ...

    def counters(self) -> ServerCounters:
        """Packets and bytes of each destination so far."""
        ...

    def close(self) -> None:
        """Give sockets back; it may be used again."""
        ...


class Flows(Protocol):
    """The tracked connections of one family."""

    def flows(self, protocol: str) -> list[TrackedFlow]:
        """All flows of a protocol (`udp`)."""
        ...

    def forget(self, flows: Iterable[TrackedFlow]) -> int:
        """Remove flows; one that is gone already is fine. Returns how many were removed."""
        ...


class Sysctls(Protocol):
    """Kernel settings, by their path below /proc/sys."""

    def read(self, path: str) -> str:
        """A setting; empty when there is none of this name."""
        ...

    def write(self, path: str, value: str) -> None:
        """Set it; a name below net/ipv6 that is not there is left alone."""
        ...


class PacketCounters(Protocol):
    """Named objects in which rules count packets (nfacct); both families of a namespace share them."""

    def ensure(self, names: Iterable[str]) -> None:
        """Make those that are not there."""
        ...

    def drop(self, names: Iterable[str]) -> None:
        """Take away those in which no rule counts; there may be none."""
        ...

    def read(self) -> Mapping[str, tuple[int, int]]:
        """Packets and bytes of each, by name."""
        ...


class Forwarder(Protocol):
    """The process of userspace mode: a line for a line."""

    def ask(self, line: str) -> str:
        """Its answer; it begins at the first question."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        ...

    def close(self) -> None:
        """Let it end, and wait for it."""
        ...


class Host(Protocol):
    """One address family of one node's kernel: where all of these come from."""

    @property
    def family(self) -> Family:
        """The address family."""
        ...

    @property
    def is_new(self) -> bool:
        """Whether nobody has written anything there yet."""
        ...

    @property
    def iptables(self) -> IptablesRules:
        """The iptables rules, which several modes share."""
        ...

    @property
    def forwarder(self) -> Forwarder:
        """The process of userspace mode; it may outlive the mode for its connections."""
        ...

    @property
    def flows(self) -> Flows:
        """The tracked connections."""
        ...

    @property
    def sysctls(self) -> Sysctls:
        """The kernel's settings."""
        ...

    @property
    def packet_counters(self) -> PacketCounters:
        """Where rules count packets."""
        ...

    def why_not_counted(self) -> str:
        """Why rules of iptables cannot count packets here, tried where nobody lives; empty when they can."""
        ...

    def nft_table(self, name: str) -> NftTable:
        """The nftables table of this name."""
        ...

    def virtual_servers(self, family: Family) -> VirtualServers:
        """The virtual servers of FAMILY: the own one, or the other one that shares the interface."""
        ...

    def addresses(self) -> tuple[str, ...]:
        """The addresses of the interfaces, loopback's and those of IPVS's interface not among them."""
        ...

    def trial(self) -> Host:
        """Such a kernel without anything in it, where nobody lives: to see what it refuses. Closing it removes it."""
        ...

    def close(self) -> None:
        """Give sockets and the process back."""
        ...
