"""Single packets, made and read by hand: the smallest thing that meets every rule."""

import socket
import struct
from dataclasses import dataclass

PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}


@dataclass(frozen=True)
class Packet:
    """What was seen of one packet.

    KIND: the protocol's name, ICMP for an unreachable, RST for a reset, SYNACK for a server's answer, ECHO and PONG for a
    ping and its answer (their identifier is the source port).
    """

    kind: str
    source: str
    destination: str
    source_port: int
    port: int


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def ping(source: str, destination: str, identifier: int) -> bytes:
    """An IPv4 echo request."""
    body = struct.pack(">BBHHH", 8, 0, 0, identifier, 1) + b"ping"
    body = body[:2] + struct.pack(">H", _checksum(body)) + body[4:]
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 1, 0) + ends
    return header[:10] + struct.pack(">H", _checksum(header)) + header[12:] + body


def build(protocol: str, source: str, destination: str, source_port: int, port: int) -> bytes:
    """A SYN, a datagram or an INIT, with its IP header."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    packed = socket.inet_pton(family, source), socket.inet_pton(family, destination)
    number = PROTOCOLS[protocol]
    if protocol == "TCP":
        body = struct.pack(">HHLLBBHHH", source_port, port, 1000, 0, 5 << 4, 2, 65535, 0, 0)
    elif protocol == "UDP":
        body = struct.pack(">HHHH", source_port, port, 12, 0) + b"ping"
    else:
        chunk = struct.pack(">BBHLLHHL", 1, 0, 20, 1, 65535, 1, 1, 1)
        head = struct.pack(">HHL", source_port, port, 0)
        body = head + struct.pack("<L", _crc32c(head + b"\0\0\0\0" + chunk)) + chunk
    if protocol != "SCTP":
        length = len(body)
        pseudo = packed[0] + packed[1] + struct.pack(">LxxxB", length, number)
        if family == socket.AF_INET:
            pseudo = packed[0] + packed[1] + struct.pack(">xBH", number, length)
        value = _checksum(pseudo + body) or 0xFFFF
        at = 16 if protocol == "TCP" else 6
        body = body[:at] + struct.pack(">H", value) + body[at + 2 :]
    if family == socket.AF_INET6:
        return struct.pack(">LHBB", 6 << 28, len(body), number, 64) + packed[0] + packed[1] + body
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, number, 0) + packed[0] + packed[1]
    return header[:10] + struct.pack(">H", _checksum(header)) + header[12:] + body


def read(data: bytes) -> Packet | None:
    """The packet behind an IP header; None for what no test is about."""
    version = data[0] >> 4
    family, start, number = (
        (socket.AF_INET, (data[0] & 15) * 4, data[9]) if version == 4 else (socket.AF_INET6, 40, data[6])
    )
    ends = (data[12:16], data[16:20]) if version == 4 else (data[8:24], data[24:40])
    source, destination = (socket.inet_ntop(family, end) for end in ends)
    body = data[start:]
    if number in (1, 58):
        if number == 1 and body[0] in (0, 8):
            return Packet("ECHO" if body[0] else "PONG", source, destination, struct.unpack(">H", body[4:6])[0], 0)
        unreachable = (body[0] == 3) if number == 1 else (body[0] == 1)
        if not unreachable:
            return None
        inner = read(body[8:])
        return inner and Packet("ICMP", source, destination, inner.source_port, inner.port)
    name = next((name for name, value in PROTOCOLS.items() if value == number), None)
    if name is None or len(body) < 4:
        return None
    source_port, port = struct.unpack(">HH", body[:4])
    if name == "TCP" and len(body) > 13 and body[13] & 4:
        name = "RST"
    elif name == "TCP" and len(body) > 13 and body[13] & 16:
        return Packet("SYNACK", source, destination, source_port, port) if body[13] & 2 else None
    return Packet(name, source, destination, source_port, port)
