"""iptables in one namespace: `iptables-save` in, `iptables-restore --noflush` out, with either back end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux.command import find, run
from netproxy.linux.iptables_read import PROGRAMS, Reader, legacy_tables
from netproxy.linux.netlink import NETFILTER, Netlink
from netproxy.linux.nftables import generation
from netproxy.ruleset.diff import Plan, applied, in_batches
from netproxy.ruleset.iptables import render_fresh_parts, render_plan_parts
from netproxy.ruleset.ir import Chain, Counters, Ruleset

BATCH_CHAINS = 800
"""New chains in one transaction of iptables-nft, which is quadratic in them (some 200 Services)."""


def back_ends() -> tuple[str, ...]:
    """The back ends whose tools are installed."""
    return tuple(name for name in ("nft", "legacy") if find(f"iptables-{name}-save"))


def back_end_in_use(namespace: str | None) -> str:
    """The back end that this machine's rules are made with: the one in which the kubelet has left its mark, else nft's.

    Source: kubernetes-sigs iptables-wrappers, which kube-proxy's image runs.
    """
    installed = back_ends()
    for name in installed:
        for family, program in PROGRAMS.items():
            if name == "legacy" and "mangle" not in legacy_tables(namespace, family):
                continue
            try:
                saved = run([f"{program}-{name}-save", "-t", "mangle"], namespace=namespace)
            except KernelError:
                continue
            if any(f":{mark} " in saved for mark in ("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY")):
                return name
    return installed[0] if installed else "nft"


class IptablesKernel:
    """The rules of one family in one namespace, by the tools of one back end (`nft` or `legacy`).

    It remembers what it wrote, so that a change of one rule does not read ten thousand; `read` asks the kernel.
    """

    def __init__(self, namespace: str | None, family: Family, *, flavour: str = "nft", lock_file: str = "") -> None:
        self.namespace = namespace
        self.family = family
        self.flavour = flavour
        self.lock_file = lock_file
        self._program = f"{PROGRAMS[family]}-{flavour}"
        self._env = {"XTABLES_LOCKFILE": lock_file} if lock_file else None
        self._reader = Reader(namespace, family, flavour, self._env)
        self._present: Ruleset | None = None
        self._written: Callable[[], Ruleset] | None = None
        self._seen: int | None = None
        """The generation of nftables at which everything was read, while nothing was written since."""

    def read(self) -> Ruleset:
        """All rules that the kernel has."""
        before = self._generation()
        self._present, self._written = self._reader.read(self._known)[0], None
        self._seen = before if before == self._generation() else None
        return self._present

    @property
    def is_untouched(self) -> bool:
        """Whether nobody can have changed a rule since all were read; False when that cannot be told."""
        return self._seen is not None and self._seen == self._generation()

    def _generation(self) -> int | None:
        """What nftables counts, when it counts all that is ours: not with rules of the legacy back end."""
        if self.flavour != "nft" or legacy_tables(self.namespace, self.family):
            return None
        try:
            with closing(Netlink(NETFILTER, self.namespace)) as kernel:
                return generation(kernel)
        except KernelError:  # a kernel without nftables, or without their generation
            return None

    def _known(self) -> Ruleset | None:
        """What was written last, as far as it is known."""
        return self._written() if self._present is None and self._written else self._present

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What of other people was in the way when the rules were read last, in words."""
        return self._reader.obstacles

    def present(self) -> Ruleset:
        """What was read or written last; read now when nothing was."""
        if self._present is None:
            self._present = self._written() if self._written else self.read()
        return self._present

    def assume_empty(self) -> None:
        """The namespace is new: there is nothing to read."""
        self._present = Ruleset(self.family)

    def counters(self) -> tuple[Ruleset, Counters]:
        """The rules with packets and bytes."""
        return self._reader.read(self._known, counted=True)

    @property
    def largest_fresh(self) -> int:
        """Up to how many Services a first load goes in one transaction (iptables-nft is quadratic in chains)."""
        return 200 if self.flavour == "nft" else 1 << 30

    @property
    def is_blank(self) -> bool:
        """Whether there is no chain of anybody, and no rule in the built-in ones."""
        for table in self.present().tables.values():
            if any(chain.policy is None or chain.rules for chain in table.chains.values()):
                return False
        return True

    def write_fresh(self, tables: Iterable[tuple[str, Iterable[Chain]]]) -> None:
        """Write tables into a blank kernel, while they are still being made; `settle` then says what is there."""
        self.forget()
        self._restore(render_fresh_parts(tables))

    def settle(self, written: Callable[[], Ruleset]) -> None:
        """How to know what is there now, after `write_fresh`; asked for when somebody needs it."""
        self._present, self._written = None, written

    def write(self, change: Plan) -> None:
        """Make the change: one transaction; on the nft back end a very large one in batches, dispatch chains last."""
        present = self.present()
        self.forget()
        batches = in_batches(change, present, chains=BATCH_CHAINS) if self.flavour == "nft" else [change]
        for batch in batches:
            self._restore(render_plan_parts(batch))
        self._present = applied(present, change)

    def forget(self) -> None:
        """What is there is unknown until the next write has worked."""
        self._present = self._written = self._seen = None

    def _restore(self, parts: Iterator[str]) -> None:
        # For as long as it takes: a number of seconds is an alarm, which goes off though the lock was got, and ends a
        # restore that waits for more text at that moment.
        wait = ["-w"] if self.flavour == "legacy" else []
        run([f"{self._program}-restore", *wait, "--noflush"], stdin=parts, namespace=self.namespace, env=self._env)
