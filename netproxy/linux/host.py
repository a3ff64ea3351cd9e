"""One address family of one node's kernel: opens the drivers that the modes ask for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from netproxy.core import programs
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.conntrack import ConntrackKernel
from netproxy.linux.iptables import IptablesKernel
from netproxy.linux.ipvs import IpvsKernel
from netproxy.linux.nfacct import NfacctKernel, why_not_counted
from netproxy.linux.nftables import Generations, NftablesKernel
from netproxy.linux.partner import Partner
from netproxy.linux.rtnetlink import interface_addresses
from netproxy.ruleset.ipvs import DEVICE

_WHY_NOT_COUNTED: dict[tuple[str, Family], str] = {}
"""What was found out about this kernel, which all namespaces share."""


class KernelHost:
    """Drivers of one family in one namespace; None is the namespace that this process is in.

    All of it belongs to the thread that uses it. GENERATIONS knows the transactions of the node's other family, too.
    """

    def __init__(
        self, namespace: str | None, family: Family, *, generations: Generations | None = None, flavour: str = "nft",
        lock_file: str = "", is_new: bool = False,
    ) -> None:  # fmt: skip
        self.namespace = namespace
        self.family = family
        self.is_new = is_new
        self.iptables = IptablesKernel(namespace, family, flavour=flavour, lock_file=lock_file)
        if is_new:
            self.iptables.assume_empty()
        self.flows = ConntrackKernel(namespace, family)
        self.sysctls = KernelSysctls(namespace)
        self.packet_counters = NfacctKernel(namespace)
        number = "ipv6" if family is Family.IPV6 else "ipv4"
        self.forwarder = Partner([sys.executable, "-m", programs.USERSPACE, number], namespace)
        self._writer = (generations or Generations(namespace)).writer()

    def why_not_counted(self) -> str:
        """Why rules of iptables cannot count packets here; tried once in a process for each back end and family."""
        kind = self.iptables.flavour, self.family
        if kind not in _WHY_NOT_COUNTED:
            _WHY_NOT_COUNTED[kind] = why_not_counted(self)
        return _WHY_NOT_COUNTED[kind]

    def nft_table(self, name: str) -> NftablesKernel:
        """The nftables table of this name."""
        return NftablesKernel(self.namespace, self.family, self._writer, table=name)

    def virtual_servers(self, family: Family) -> IpvsKernel:
        """The virtual servers of a family."""
        return IpvsKernel(self.namespace, family)

    def addresses(self) -> tuple[str, ...]:
        """The addresses of the interfaces, loopback's and those of IPVS's interface not among them."""
        found = interface_addresses(self.namespace, self.family)
        return tuple(a.address for a in found if a.interface not in ("lo", DEVICE) and not a.is_link_local)

    def trial(self) -> KernelHost:
        """The same in a namespace of its own, which ends when it is closed."""
        return _Trial(netns.open_unnamed(), self)

    def close(self) -> None:
        """Give sockets and the process back."""
        self.forwarder.close()


class _Trial(KernelHost):
    """A kernel where nobody lives."""

    def __init__(self, fd: int, like: KernelHost) -> None:
        self._fd = fd
        rules = like.iptables
        super().__init__(
            f"/proc/self/fd/{fd}", like.family, flavour=rules.flavour, lock_file=rules.lock_file, is_new=True
        )

    def close(self) -> None:
        """Give sockets back; the namespace ends."""
        super().close()
        os.close(self._fd)


class KernelSysctls:
    """The settings of one namespace."""

    def __init__(self, namespace: str | None) -> None:
        self._namespace = namespace

    def read(self, path: str) -> str:
        """A setting; empty when there is none of this name."""
        with netns.inside(self._namespace):
            return netns.read_sysctl(path)

    def write(self, path: str, value: str) -> None:
        """Set it. Raises KernelError."""
        with netns.inside(self._namespace):
            netns.write_sysctls([(path, value)])


_MOST_RESOLV_CONF = 1 << 20


def resolv_conf(file: Path = Path("/etc/resolv.conf")) -> str:
    """This machine's resolv.conf; empty where there is none that can be read. What is no UTF-8 in it is replaced."""
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_RESOLV_CONF).decode(errors="replace")
    except OSError:
        return ""
