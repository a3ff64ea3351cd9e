"""rtnetlink in batches: many requests in one write, all answers checked.

Encoding by hand because it is the hot path of starting Pods (docs/adr/0008): 0.01 ms a request against 0.2–1 ms
through a library.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from netproxy.core.errors import KernelError

RTM_NEWLINK = 16
RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE = 20, 21, 24
RTM_DELLINK = 17
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE = 1, 4, 0x200, 0x400, 0x100
IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_NODAD = 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
IFF_UP = 1
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253
RTNH_F_ONLINK = 4

_HEADER = struct.Struct("=LHHLL")
_LINK = struct.Struct("=BxHiII")
_ADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTR = struct.Struct("=HH")


def _attr(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return _ATTR.pack(length, kind) + data + b"\0" * (-length % 4)


@dataclass(frozen=True, slots=True)
class Request:
    """One message without its header, and words for the error if it is refused."""

    kind: int
    flags: int
    body: bytes
    what: str


def new_veth(name: str, index: int, peer: str, peer_index: int, peer_ns: int) -> Request:
    """A veth pair: NAME here, PEER in the namespace behind the descriptor PEER_NS; both indices are chosen by us."""
    far = _LINK.pack(0, 0, peer_index, 0, 0) + _attr(IFLA_IFNAME, peer.encode() + b"\0")
    far += _attr(IFLA_NET_NS_FD, struct.pack("=I", peer_ns))
    info = _attr(IFLA_INFO_KIND, b"veth\0") + _attr(IFLA_INFO_DATA, _attr(VETH_INFO_PEER, far))
    body = _LINK.pack(0, 0, index, 0, 0) + _attr(IFLA_IFNAME, name.encode() + b"\0") + _attr(IFLA_LINKINFO, info)
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"link add {name} type veth peer {peer}")


def new_bridge(name: str, index: int) -> Request:
    """A bridge, up."""
    body = _LINK.pack(0, 0, index, IFF_UP, IFF_UP) + _attr(IFLA_IFNAME, name.encode() + b"\0")
    body += _attr(IFLA_LINKINFO, _attr(IFLA_INFO_KIND, b"bridge\0"))
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"link add {name} type bridge")


def new_dummy(name: str) -> Request:
    """A dummy link, down."""
    body = _LINK.pack(0, 0, 0, 0, 0) + _attr(IFLA_IFNAME, name.encode() + b"\0")
    body += _attr(IFLA_LINKINFO, _attr(IFLA_INFO_KIND, b"dummy\0"))
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"link add {name} type dummy")


def del_link(index: int) -> Request:
    """Take a link away."""
    return Request(RTM_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0), f"link del {index}")


def set_up(index: int, *, master: int = 0) -> Request:
    """Bring a link up; into a bridge, when its index is given."""
    body = _LINK.pack(0, 0, index, IFF_UP, IFF_UP)
    if master:
        body += _attr(IFLA_MASTER, struct.pack("=I", master))
    return Request(RTM_NEWLINK, 0, body, f"link set {index} up")


def _packed(address: str) -> tuple[int, bytes]:
    ip = ipaddress.ip_address(address)
    return (socket.AF_INET if ip.version == 4 else socket.AF_INET6), ip.packed


def new_address(index: int, address: str, length: int) -> Request:
    """An address on a link; IPv6 ones without duplicate detection, so that they work at once."""
    family, packed = _packed(address)
    flags = IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = _ADDR.pack(family, length, flags, 0, index) + _attr(IFA_LOCAL, packed) + _attr(IFA_ADDRESS, packed)
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, f"addr add {address}/{length} dev {index}")


def del_address(index: int, address: str, length: int) -> Request:
    """Take an address off a link."""
    family, packed = _packed(address)
    body = _ADDR.pack(family, length, 0, 0, index) + _attr(IFA_LOCAL, packed) + _attr(IFA_ADDRESS, packed)
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
        body += _attr(RTA_DST, network.network_address.packed)
    body += _attr(RTA_OIF, struct.pack("=I", index))
    if via:
        body += _attr(RTA_GATEWAY, _packed(via)[1])
    if source:
        body += _attr(RTA_PREFSRC, _packed(source)[1])
    words = f"route replace {net}" + (f" via {via}" if via else "") + f" dev {index}"
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, words)


class RouteSocket:
    """A netlink socket of the namespace in which it was opened."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def send(self, requests: Sequence[Request]) -> None:
        """Send all requests in one write and wait for all answers. Raises KernelError for the first that failed."""
        for at in range(0, len(requests), 64):  # answers must fit into the receive buffer
            self._send(requests[at : at + 64])

    def _send(self, requests: Sequence[Request]) -> None:
        first = self._sequence + 1
        batch = bytearray()
        for request in requests:
            self._sequence += 1
            flags = NLM_F_REQUEST | NLM_F_ACK | request.flags
            batch += _HEADER.pack(16 + len(request.body), request.kind, flags, self._sequence, 0) + request.body
        self._socket.sendto(batch, (0, 0))
        waiting = len(requests)
        while waiting:
            answer = self._socket.recv(1 << 16)
            at = 0
            while at < len(answer):
                length, kind, _, sequence, _ = _HEADER.unpack_from(answer, at)
                if kind == 2:
                    waiting -= 1
                    (code,) = struct.unpack_from("=i", answer, at + 16)
                    if code:
                        failed = requests[sequence - first]
                        self._drain(waiting)
                        raise KernelError(f"{failed.what}: {os.strerror(-code)}", request=failed.what) from OSError(
                            -code, os.strerror(-code)
                        )
                at += (length + 3) & ~3

    def _drain(self, waiting: int) -> None:
        """Take the answers of the other requests off the socket, so that the next batch meets its own."""
        self._socket.settimeout(1)
        try:
            for _ in range(waiting):
                self._socket.recv(1 << 16)
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(None)
