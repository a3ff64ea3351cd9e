"""Machines of the lab as namespaces: the LAN's switch, nodes, the outside machine, Pods; their links and routes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from netproxy.core.errors import KernelError
from netproxy.linux import netns, rtnetlink
from netproxy.linux.netlink import Netlink, Request

ETH0 = 2
"""Index of eth0 in every namespace (lo is 1)."""

_REFUSALS = (("net/ipv4/icmp_ratemask", "6160"),)
"""What the kernel limits, without "destination unreachable": else a node that has refused some would let the next time out."""
_REFUSALS6 = (("net/ipv6/icmp/ratemask", "0,3-127"),)

_QUIET6 = (
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
)
_EARLY6 = (
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/autoconf", "0"),
)
_ROUTER = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
)
_ROUTER6 = (("net/ipv6/conf/all/forwarding", "1"), ("net/ipv6/conf/default/forwarding", "1"))


@dataclass(frozen=True, slots=True)
class Machine:
    """A node or the outside machine: its name on the LAN, addresses with lengths, and routes (CIDR, gateway)."""

    namespace: str
    port: str
    addresses: tuple[tuple[str, int], ...]
    routes: tuple[tuple[str, str], ...] = ()
    ipv6: bool = False
    router: bool = True


@dataclass(frozen=True, slots=True)
class PodLink:
    """A Pod's namespace and its link: node side NAME with INDEX; addresses with the gateway of each."""

    namespace: str
    name: str
    index: int
    addresses: tuple[tuple[str, str], ...]


@contextmanager
def _new_namespace(name: str, *, ipv6: bool) -> Iterator[tuple[int, Netlink]]:
    """Make a namespace with lo up; give its descriptor and a socket in it, with the thread inside."""
    with netns.visiting():
        netns.create(name)
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        routes = rtnetlink.route_socket()
        try:
            netns.write_sysctls((*_REFUSALS, *(_EARLY6 + _REFUSALS6 if ipv6 else _QUIET6)))
            yield fd, routes
        finally:
            routes.close()
            os.close(fd)


def create_switch(name: str) -> None:
    """The LAN: a namespace with one bridge."""
    with _new_namespace(name, ipv6=False) as (_, routes):
        routes.send([rtnetlink.set_up(1), rtnetlink.new_bridge("br0", ETH0)])


def create_machine(switch: str, machine: Machine, index: int) -> None:
    """A machine joined to the switch by a veth: eth0 in it, its port's name in the switch; INDEX is the port's."""
    with _new_namespace(machine.namespace, ipv6=machine.ipv6) as (fd, routes):
        netns.write_sysctls((*_ROUTER, *(_ROUTER6 if machine.ipv6 else ())) if machine.router else _ROUTER[1:])
        there = rtnetlink.route_socket(switch)
        try:
            there.send(
                [rtnetlink.new_veth(machine.port, index, "eth0", ETH0, fd), rtnetlink.set_up(index, master=ETH0)]
            )
        finally:
            there.close()
        requests = [rtnetlink.set_up(1), rtnetlink.set_up(ETH0)]
        requests += [rtnetlink.new_address(ETH0, address, length) for address, length in machine.addresses]
        requests += [rtnetlink.new_route(cidr, ETH0, via=via) for cidr, via in machine.routes]
        routes.send(requests)


class NodePort:
    """A node as the place where Pods are plugged in."""

    def __init__(self, namespace: str, *, ipv6: bool = False) -> None:
        self.namespace = namespace
        self.ipv6 = ipv6

    def plug(self, pods: Iterable[PodLink]) -> None:
        """Make each Pod's namespace and link it to this node by a point-to-point veth and a host route."""
        node = rtnetlink.route_socket(self.namespace)
        try:
            for pod in pods:
                self._plug(node, pod)
        finally:
            node.close()

    def _plug(self, node: Netlink, pod: PodLink) -> None:
        with _new_namespace(pod.namespace, ipv6=self.ipv6) as (fd, inside):
            node.send([rtnetlink.new_veth(pod.name, pod.index, "eth0", ETH0, fd), rtnetlink.set_up(pod.index)])
            mine: list[Request] = [rtnetlink.set_up(1), rtnetlink.set_up(ETH0)]
            theirs: list[Request] = []
            for address, gateway in pod.addresses:
                length = 128 if ":" in address else 32
                mine.append(rtnetlink.new_address(ETH0, address, length))
                mine.append(rtnetlink.new_route(f"{gateway}/{length}", ETH0))
                mine.append(rtnetlink.new_route("default", ETH0, via=gateway))
                theirs.append(rtnetlink.new_address(pod.index, gateway, length))
                theirs.append(rtnetlink.new_route(f"{address}/{length}", pod.index))
            inside.send(mine)
            node.send(theirs)


def add_neighbours(namespace: str, cidrs: Iterable[str]) -> None:
    """Routes on the LAN to ranges, or machines, that the own address does not cover."""
    routes = rtnetlink.route_socket(namespace)
    try:
        routes.send([rtnetlink.new_route(cidr, ETH0) for cidr in cidrs])
    finally:
        routes.close()


def try_out() -> None:
    """Make a veth pair and a bridge in the calling thread's namespace, which should be a throw-away one.

    Raises KernelError when the kernel has no such links.
    """
    from pyroute2 import IPRoute, NetlinkError

    try:
        with IPRoute() as routes:
            routes.link("add", ifname="nptest0", kind="veth", peer="nptest1")
            routes.link("add", ifname="nptest2", kind="bridge")
    except NetlinkError as error:
        raise KernelError(f"link add: {error}") from error
