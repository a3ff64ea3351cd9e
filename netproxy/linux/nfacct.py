"""Named packet counters (nfacct), by netlink, and whether rules of iptables can count in them here.

An object belongs to a namespace, not to a family, and outlives the rules that count in it.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Mapping

from netproxy.core.errors import KernelError
from netproxy.linux.netlink import (
    CREATE,
    EXCL,
    NETFILTER,
    Netlink,
    Request,
    attribute,
    netfilter_attributes,
    netfilter_body,
)
from netproxy.linux.ports import Host
from netproxy.ruleset.diff import Insert, Plan, TablePlan
from netproxy.ruleset.ir import CtState, Drop, Nfacct, Rule

_NEW, _GET, _DELETE = (7 << 8) | 0, (7 << 8) | 1, (7 << 8) | 3
_NAME, _PACKETS, _BYTES = 1, 2, 3
_NUMBER = struct.Struct(">Q")
_NOT_OURS = (0, -errno.ENOENT, -errno.EBUSY, -errno.EINVAL, -errno.EOPNOTSUPP)
"""Answers to a removal that are fine: it is gone, or never was, a rule still counts in it, the kernel has none of them."""


class NfacctKernel:
    """The packet counters of one namespace."""

    def __init__(self, namespace: str | None) -> None:
        self._namespace = namespace

    def ensure(self, names: Iterable[str]) -> None:
        """Make those that are not there. Raises KernelError."""
        for request, code in self._answers(_NEW, names, CREATE | EXCL):
            if code not in (0, -errno.EBUSY, -errno.EEXIST):
                raise KernelError(f"{request.what}: {os.strerror(-code)}", request=request.what)

    def drop(self, names: Iterable[str]) -> None:
        """Take away those in which no rule counts; there may be none. Raises KernelError."""
        for request, code in self._answers(_DELETE, names):
            if code not in _NOT_OURS:
                raise KernelError(f"{request.what}: {os.strerror(-code)}", request=request.what)

    def read(self) -> Mapping[str, tuple[int, int]]:
        """Packets and bytes of each, by name. Raises KernelError."""
        sock = Netlink(NETFILTER, self._namespace)
        try:
            found = [
                netfilter_attributes(body) for body in sock.dump(Request(_GET, 0, netfilter_body(0), "nfacct list"))
            ]
        finally:
            sock.close()
        return {
            parts[_NAME].rstrip(b"\0").decode(): (_NUMBER.unpack(parts[_PACKETS])[0], _NUMBER.unpack(parts[_BYTES])[0])
            for parts in found
        }

    def _answers(self, kind: int, names: Iterable[str], flags: int = 0) -> Iterable[tuple[Request, int]]:
        word = "add" if kind == _NEW else "delete"
        requests = [
            Request(kind, flags, netfilter_body(0, attribute(_NAME, name.encode() + b"\0")), f"nfacct {word} {name}")
            for name in names
        ]
        sock = Netlink(NETFILTER, self._namespace)
        try:
            return zip(requests, sock.codes(requests), strict=True)
        finally:
            sock.close()


def why_not_counted(host: Host) -> str:
    """Why rules of iptables cannot count packets on this kernel, tried where nobody lives; empty when they can.

    The object and the rule that asks for it, by the back end that is used: either may be missing without the other.
    """
    name = "netproxy_trial"
    rule = Rule((CtState(("INVALID",)), Nfacct(name)), Drop())
    try:
        trial = host.trial()
    except KernelError as error:
        return str(error)
    try:
        trial.packet_counters.ensure([name])
        trial.iptables.read()
        trial.iptables.write(Plan(trial.family, (TablePlan("filter", (), (Insert("FORWARD", 1, rule),), ()),)))
    except KernelError as error:
        return str(error)
    finally:
        trial.close()
    return ""
