"""The connection tracking table, by netlink: list the flows of a protocol, forget some."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator

from netproxy.core.errors import KernelError
from netproxy.core.net import PROTOCOL_NUMBERS, Family
from netproxy.linux.kernel import TrackedFlow
from netproxy.linux.netlink import (
    NESTED,
    NETFILTER,
    Netlink,
    Request,
    attribute,
    attributes,
    netfilter_attributes,
    netfilter_body,
)

_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_ORIG, _REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_BUFFER = 1 << 22
_PORT = struct.Struct(">H")


class ConntrackKernel:
    """The flows of one namespace and one address family."""

    def __init__(self, namespace: str | None, family: Family = Family.IPV4) -> None:
        self._namespace = namespace
        self._family = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET

    def flows(self, protocol: str) -> list[TrackedFlow]:
        """All flows of a protocol (`udp`). Raises KernelError."""
        return [flow for flow, _ in self._entries(protocol)]

    def forget(self, flows: Iterable[TrackedFlow]) -> int:
        """Remove flows; one that is gone already is fine. Returns how many were removed."""
        wanted = set(flows)
        if not wanted:
            return 0
        protocols = {flow.protocol for flow in wanted}
        found = [entry for protocol in protocols for entry in self._entries(protocol) if entry[0] in wanted]
        requests = [
            Request(_DELETE, 0, netfilter_body(self._family, attribute(_ORIG | NESTED, original)), f"conntrack delete {flow}")
            for flow, original in found
        ]  # fmt: skip
        sock = Netlink(NETFILTER, self._namespace, buffer=_BUFFER)
        try:
            codes = sock.codes(requests)
        finally:
            sock.close()
        for code in codes:
            if code not in (0, -errno.ENOENT):
                raise KernelError(f"conntrack delete: {errno.errorcode.get(-code, code)}")
        return codes.count(0)

    def _entries(self, protocol: str) -> Iterator[tuple[TrackedFlow, bytes]]:
        number = PROTOCOL_NUMBERS[protocol]
        sock = Netlink(NETFILTER, self._namespace, buffer=_BUFFER)
        try:
            for body in sock.dump(Request(_GET, 0, netfilter_body(self._family), "conntrack dump")):
                parsed = _flow(netfilter_attributes(body), protocol, number)
                if parsed:
                    yield parsed
        finally:
            sock.close()


def _flow(parts: dict[int, bytes], protocol: str, number: int) -> tuple[TrackedFlow, bytes] | None:
    original, reply = _tuple(parts.get(_ORIG, b"")), _tuple(parts.get(_REPLY, b""))
    if original is None or reply is None or original[4] != number:
        return None
    flow = TrackedFlow(protocol, original[0], original[2], original[1], original[3], reply[0], reply[2], reply[1])
    return flow, parts[_ORIG]


def _tuple(data: bytes) -> tuple[str, str, int, int, int] | None:
    """(source, destination, source port, port, protocol number) of one direction."""
    parts = dict(attributes(data))
    ips = dict(attributes(parts.get(_TUPLE_IP, b"")))
    proto = dict(attributes(parts.get(_TUPLE_PROTO, b"")))
    source, destination = ips.get(1) or ips.get(3), ips.get(2) or ips.get(4)
    if not source or not destination or 2 not in proto or 3 not in proto:
        return None
    ports = _PORT.unpack(proto[2])[0], _PORT.unpack(proto[3])[0]
    return str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination)), *ports, proto[1][0]
