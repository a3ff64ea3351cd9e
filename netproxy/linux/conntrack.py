"""The connection tracking table, by netlink: list the flows of a protocol, forget some."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator

from netproxy.core.errors import KernelError
from netproxy.core.net import PROTOCOL_NUMBERS
from netproxy.linux import netns
from netproxy.linux.kernel import TrackedFlow

_NEW, _GET, _DELETE = (1 << 8), (1 << 8) | 1, (1 << 8) | 2
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ORIG, _REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_HEADER = struct.Struct("=LHHLL")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


class ConntrackKernel:
    """The flows of one namespace and one address family (AF_INET or AF_INET6)."""

    def __init__(self, namespace: str | None, family: int = socket.AF_INET) -> None:
        self._namespace = namespace
        self._family = family

    def flows(self, protocol: str) -> list[TrackedFlow]:
        """All flows of a protocol (`udp`). Raises KernelError."""
        return [flow for flow, _ in self._entries(protocol)]

    def forget(self, flows: Iterable[TrackedFlow]) -> int:
        """Remove flows; one that is gone already is fine. Returns how many were removed."""
        wanted = set(flows)
        if not wanted:
            return 0
        removed = 0
        protocols = {flow.protocol for flow in wanted}
        entries = [e for protocol in protocols for e in self._entries(protocol) if e[0] in wanted]
        with self._open() as sock:
            for _, original in entries:
                attr = struct.pack("=HH", 4 + len(original), _ORIG | 0x8000) + original + b"\0" * (-len(original) % 4)
                body = struct.pack("=BBH", self._family, 0, 0) + attr
                sock.send(_HEADER.pack(16 + len(body), _DELETE, _REQUEST | _ACK, 1, 0) + body)
                (code,) = struct.unpack_from("=i", sock.recv(1 << 16), 16)
                if code == 0:
                    removed += 1
                elif code != -errno.ENOENT:
                    raise KernelError(f"conntrack delete: {errno.errorcode.get(-code, code)}")
        return removed

    def _open(self) -> socket.socket:
        with netns.visiting(self._namespace):
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 12)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.bind((0, 0))
        return sock

    def _entries(self, protocol: str) -> Iterator[tuple[TrackedFlow, bytes]]:
        number = PROTOCOL_NUMBERS[protocol]
        with self._open() as sock:
            body = struct.pack("=BBH", self._family, 0, 0)
            sock.send(_HEADER.pack(16 + len(body), _GET, _REQUEST | _DUMP, 1, 0) + body)
            while True:
                data = sock.recv(1 << 17)
                at = 0
                while at < len(data):
                    length, kind, _, _, _ = _HEADER.unpack_from(data, at)
                    if kind == 3:
                        return
                    if kind == 2:
                        (code,) = struct.unpack_from("=i", data, at + 16)
                        raise KernelError(f"conntrack dump: {errno.errorcode.get(-code, code)}")
                    parsed = _flow(data[at + 20 : at + length], protocol, number)
                    if parsed:
                        yield parsed
                    at += (length + 3) & ~3


def _flow(data: bytes, protocol: str, number: int) -> tuple[TrackedFlow, bytes] | None:
    parts = dict(_attributes(data))
    original, reply = _tuple(parts.get(_ORIG, b"")), _tuple(parts.get(_REPLY, b""))
    if original is None or reply is None or original[4] != number:
        return None
    flow = TrackedFlow(protocol, original[0], original[2], original[1], original[3], reply[0], reply[2], reply[1])
    return flow, parts[_ORIG]


def _tuple(data: bytes) -> tuple[str, str, int, int, int] | None:
    """(source, destination, source port, port, protocol number) of one direction."""
    parts = dict(_attributes(data))
    ips = dict(_attributes(parts.get(_TUPLE_IP, b"")))
    proto = dict(_attributes(parts.get(_TUPLE_PROTO, b"")))
    source, destination = ips.get(1) or ips.get(3), ips.get(2) or ips.get(4)
    if not source or not destination or 2 not in proto or 3 not in proto:
        return None
    ports = struct.unpack(">H", proto[2])[0], struct.unpack(">H", proto[3])[0]
    return str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination)), *ports, proto[1][0]
