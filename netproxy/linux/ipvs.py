"""IPVS in one namespace: small changes by netlink, large ones by one `ipset restore` and one `ipvsadm -R`."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.command import find, run
from netproxy.linux.ipvs_netlink import DestinationRequest, EntryRequest, IpvsNetlink, Request, ServerRequest
from netproxy.linux.netlink import Netlink
from netproxy.linux.rtnetlink import del_address, del_link, new_address, new_dummy, route_socket
from netproxy.ruleset.ipvs import (
    DEVICE,
    Counters,
    Ipvs,
    IpvsPlan,
    RealServer,
    ServerKey,
    VirtualServer,
    applied,
    parse_counters,
    parse_servers,
    parse_sets,
    render_servers,
    set_commands,
)

BULK = 60
"""From so many requests on, one program that reads them all is faster than asking one by one."""


@cache
def missing_modules(*, load: bool = True) -> tuple[str, ...]:
    """Modules and programs that IPVS mode needs and this host cannot give; with LOAD, modules are loaded."""
    lacking = []
    for module in ("ip_vs", "dummy", "ip_set", "xt_set", "xt_ipvs"):
        if not _is_there(module, load=load):
            lacking.append(module)
    return (*lacking, *(program for program in ("ipvsadm", "ipset") if find(program) is None))


def is_loaded() -> bool:
    """Whether the kernel has IPVS now."""
    return Path("/proc/net/ip_vs").exists() and find("ipvsadm") is not None and find("ipset") is not None


def _is_there(module: str, *, load: bool) -> bool:
    if Path(f"/sys/module/{module}").exists():
        return True
    try:
        run(["modprobe", "-q" if load else "-nq", module])
    except KernelError:
        return _is_built_in(module)
    return True


def _is_built_in(module: str) -> bool:
    """A kernel without modules may still have it."""
    release = Path("/proc/sys/kernel/osrelease").read_text().strip()
    listed = Path(f"/lib/modules/{release}/modules.builtin")
    return listed.exists() and f"/{module}.ko" in listed.read_text()


class IpvsKernel:
    """Virtual servers, sets and service addresses of one family in one namespace.

    It remembers what it wrote; `read` asks the kernel. Sockets stay open, in the namespace.
    """

    def __init__(self, namespace: str | None, family: Family) -> None:
        self.namespace = namespace
        self.family = family
        self._present: Ipvs | None = None
        self._netlink = IpvsNetlink(namespace, family)
        self._routes: Netlink | None = None

    def read(self) -> Ipvs:
        """All that the kernel has."""
        servers = parse_servers(run(["ipvsadm", "-Sn"], namespace=self.namespace))
        own = {key: server for key, server in servers.items() if (":" in key.address) is (self.family is Family.IPV6)}
        sets = parse_sets(run(["ipset", "save"], namespace=self.namespace), self.family)
        ours = {name: item for name, item in sets.items() if name.startswith("KUBE-")}
        self._present = Ipvs(self.family, own, ours, frozenset(self._addresses()))
        return self._present

    def present(self) -> Ipvs:
        """What was read or written last; read now when nothing was."""
        return self._present or self.read()

    def _addresses(self) -> Iterator[str]:
        if not self._index():
            return
        number = "-6" if self.family is Family.IPV6 else "-4"
        text = run(["ip", number, "-o", "address", "show", "dev", DEVICE], namespace=self.namespace)
        for line in text.splitlines():
            words = line.split()
            if words[2] in ("inet", "inet6") and not words[3].startswith("fe80:"):
                yield words[3].partition("/")[0]

    def _index(self) -> int:
        with netns.inside(self.namespace):
            try:
                return socket.if_nametoindex(DEVICE)
            except OSError:
                return 0

    def write(self, change: IpvsPlan) -> None:
        """Make the change: first what is needed, at the end what is not needed any more; sets that go stay for `drop_sets`."""
        present = self.present()
        self._present = None
        self._write_sets(change, present)
        self._write_addresses(change.addresses, new=True)
        self._write_servers(change, present)
        self._write_addresses(change.removed_addresses, new=False)
        self._present = applied(present, change)

    def drop_sets(self, names: Iterable[str]) -> None:
        """Take sets away that no rule asks any more."""
        run(["ipset", "restore"], stdin=[f"destroy {name}\n" for name in names], namespace=self.namespace)

    def drop_device(self) -> None:
        """Take the interface with all addresses away."""
        index = self._index()
        if index:
            self._route_socket().send([del_link(index)])

    def connections(self, key: ServerKey) -> dict[tuple[str, int], int]:
        """How many connections each destination of a virtual server has, active or waiting to be forgotten."""
        return self._netlink.connections(key)

    def counters(self) -> Counters:
        """Packets and bytes of each destination so far."""
        return parse_counters(run(["ipvsadm", "-Ln", "--stats", "--exact"], namespace=self.namespace))

    # sets

    def _write_sets(self, change: IpvsPlan, present: Ipvs) -> None:
        commands = list(set_commands(change))
        if change.sets or len(commands) > BULK:
            run(["ipset", "restore", "-exist"], stdin=[f"{line}\n" for line in commands], namespace=self.namespace)
            return
        self._netlink.ask(
            EntryRequest(command, name, present.sets[name].type, entry)
            for command, entries in (("delete", change.removed_entries), ("add", change.entries))
            for name, listed in entries.items()
            for entry in listed
        )

    # addresses

    def _route_socket(self) -> Netlink:
        if self._routes is None:
            self._routes = route_socket(self.namespace)
        return self._routes

    def ensure_device(self) -> None:
        """Make the interface that carries the addresses, down, when it is not there."""
        if not self._index():
            try:
                self._route_socket().send([new_dummy(DEVICE)])
            except KernelError:
                if not self._index():  # the other family's proxy may have been faster
                    raise

    def _write_addresses(self, addresses: Iterable[str], *, new: bool) -> None:
        if not addresses:
            return
        index, bits = self._index(), self.family.bits
        make = new_address if new else del_address
        self._route_socket().send([make(index, address, bits) for address in addresses])

    # virtual servers

    def _write_servers(self, change: IpvsPlan, present: Ipvs) -> None:
        size = sum(map(len, (change.servers, change.destinations, change.removed_destinations, change.removed_servers)))
        fresh = [server for server in change.servers if server.key not in present.servers]
        if size > BULK and fresh:
            run(["ipvsadm", "-R"], stdin=[render_servers(fresh)], namespace=self.namespace)
            made = {server.key for server in fresh}
            rest = [(key, real) for key, real in change.destinations if key not in made]
            requests = _requests([s for s in change.servers if s.key not in made], rest, change, present)
        else:
            requests = _requests(change.servers, change.destinations, change, present)
        self._netlink.ask(requests)

    def close(self) -> None:
        """Close all sockets."""
        self._netlink.close()
        if self._routes is not None:
            self._routes.close()
            self._routes = None


def _requests(
    servers: Iterable[VirtualServer],
    destinations: Iterable[tuple[ServerKey, RealServer]],
    change: IpvsPlan,
    present: Ipvs,
) -> Iterator[Request]:
    for server in servers:
        yield ServerRequest("set" if server.key in present.servers else "add", server)
    known = {
        (key, real.address, real.port)
        for key in {key for key, _ in destinations}
        if key in present.servers
        for real in present.servers[key].destinations
    }
    for key, real in destinations:
        yield DestinationRequest("set" if (key, real.address, real.port) in known else "add", key, real)
    for key, real in change.removed_destinations:
        yield DestinationRequest("del", key, real)
    for key in change.removed_servers:
        yield ServerRequest("del", VirtualServer(key))
