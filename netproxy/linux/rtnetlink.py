"""Links, addresses and routes as netlink requests."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import NamedTuple

from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.netlink import CREATE, EXCL, REPLACE, ROUTE, Netlink, Request, attribute, attributes

RTM_NEWLINK = 16
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_NEWROUTE = 20, 21, 22, 24
RTM_DELLINK = 17
IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_NODAD = 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
IFF_UP = 1
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253
RTNH_F_ONLINK = 4

_LINK = struct.Struct("=BxHiII")
_ADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")


def new_veth(name: str, index: int, peer: str, peer_index: int, peer_ns: int) -> Request:
    """A veth pair: NAME here, PEER in the namespace behind the descriptor PEER_NS; both indices are chosen by us."""
    far = _LINK.pack(0, 0, peer_index, 0, 0) + attribute(IFLA_IFNAME, peer.encode() + b"\0")
    far += attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_ns))
    info = attribute(IFLA_INFO_KIND, b"veth\0") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, far))
    body = (
        _LINK.pack(0, 0, index, 0, 0) + attribute(IFLA_IFNAME, name.encode() + b"\0") + attribute(IFLA_LINKINFO, info)
    )
    return Request(RTM_NEWLINK, CREATE | EXCL, body, f"link add {name} type veth peer {peer}")


def new_bridge(name: str, index: int) -> Request:
    """A bridge, up."""
    body = _LINK.pack(0, 0, index, IFF_UP, IFF_UP) + attribute(IFLA_IFNAME, name.encode() + b"\0")
    body += attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"bridge\0"))
    return Request(RTM_NEWLINK, CREATE | EXCL, body, f"link add {name} type bridge")


def new_dummy(name: str) -> Request:
    """A dummy link, down."""
    body = _LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name.encode() + b"\0")
    body += attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"dummy\0"))
    return Request(RTM_NEWLINK, CREATE | EXCL, body, f"link add {name} type dummy")


def del_link(index: int) -> Request:
    """Take a link away."""
    return Request(RTM_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0), f"link del {index}")


def set_up(index: int, *, master: int = 0) -> Request:
    """Bring a link up; into a bridge, when its index is given."""
    body = _LINK.pack(0, 0, index, IFF_UP, IFF_UP)
    if master:
        body += attribute(IFLA_MASTER, struct.pack("=I", master))
    return Request(RTM_NEWLINK, 0, body, f"link set {index} up")


def _packed(address: str) -> tuple[int, bytes]:
    ip = ipaddress.ip_address(address)
    return (socket.AF_INET if ip.version == 4 else socket.AF_INET6), ip.packed


def new_address(index: int, address: str, length: int) -> Request:
    """An address on a link; IPv6 ones without duplicate detection, so that they work at once."""
    family, packed = _packed(address)
    flags = IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = _ADDR.pack(family, length, flags, 0, index) + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    return Request(RTM_NEWADDR, CREATE | REPLACE, body, f"addr add {address}/{length} dev {index}")


def del_address(index: int, address: str, length: int) -> Request:
    """Take an address off a link."""
    family, packed = _packed(address)
    body = _ADDR.pack(family, length, 0, 0, index) + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    return Request(RTM_DELADDR, 0, body, f"addr del {address}/{length} dev {index}")


def new_route(destination: str, index: int, *, via: str = "", source: str = "") -> Request:
    """A route to a CIDR (`default` included) over a link, by way of a gateway when one is given."""
    net = (
        "::/0" if destination == "default" and ":" in via else "0.0.0.0/0" if destination == "default" else destination
    )
    network = ipaddress.ip_network(net)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    scope = SCOPE_UNIVERSE if via or family == socket.AF_INET6 else SCOPE_LINK
    flags = RTNH_F_ONLINK if via else 0
    body = _ROUTE.pack(family, network.prefixlen, 0, 0, 254, 4, scope, 1, flags)
    if network.prefixlen:
        body += attribute(RTA_DST, network.network_address.packed)
    body += attribute(RTA_OIF, struct.pack("=I", index))
    if via:
        body += attribute(RTA_GATEWAY, _packed(via)[1])
    if source:
        body += attribute(RTA_PREFSRC, _packed(source)[1])
    words = f"route replace {net}" + (f" via {via}" if via else "") + f" dev {index}"
    return Request(RTM_NEWROUTE, CREATE | REPLACE, body, words)


def route_socket(namespace: str | None = None) -> Netlink:
    """A socket for these requests in a namespace; None is where the calling thread is."""
    return Netlink(ROUTE, namespace)


class InterfaceAddress(NamedTuple):
    """One address of one interface."""

    interface: str
    address: str

    @property
    def is_link_local(self) -> bool:
        """Whether it means nothing beyond the link."""
        return ipaddress.ip_address(self.address).is_link_local


def interface_addresses(namespace: str | None, family: Family) -> tuple[InterfaceAddress, ...]:
    """All addresses of a family in a namespace, in the kernel's order. Raises KernelError."""
    number = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET
    sock = route_socket(namespace)
    try:
        bodies = list(sock.dump(Request(RTM_GETADDR, 0, _ADDR.pack(number, 0, 0, 0, 0), "addr show")))
    finally:
        sock.close()
    with netns.inside(namespace):
        names = dict(socket.if_nameindex())
    found = []
    for body in bodies:
        index = _ADDR.unpack_from(body)[4]
        parts = dict(attributes(body[_ADDR.size :]))
        packed = parts.get(IFA_LOCAL) or parts.get(IFA_ADDRESS)
        if packed and index in names:
            found.append(InterfaceAddress(names[index], str(ipaddress.ip_address(packed))))
    return tuple(found)
