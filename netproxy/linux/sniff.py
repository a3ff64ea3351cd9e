"""Packets of several namespaces at once, as scapy's objects, and the pcapng file that they make together."""

from __future__ import annotations

import ctypes
import selectors
import socket
import struct
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from netproxy.core.errors import KernelError, ManifestError, Problem
from netproxy.linux import netns

BUFFER = 64 << 20
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_OUTGOING = 4
_ALL = 3
_ETHERNET = 1


@dataclass(frozen=True, slots=True)
class Point:
    """Where to listen: every interface of a namespace; LABEL stands before their names."""

    label: str
    namespace: str


def _scapy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scapy.all as scapy
    for layer in (scapy.TCP, scapy.UDP, scapy.SCTP):
        scapy.conf.noenum.add(layer.sport, layer.dport)  # ports as numbers, whatever /etc/services calls them
    return scapy


def compiled_filter(expression: str) -> bytes:
    """The BPF program of a tcpdump expression, as an array of `struct sock_filter`. Raises ManifestError."""
    from scapy.arch.common import compile_filter
    from scapy.error import Scapy_Exception

    try:
        program = compile_filter(expression, linktype=_ETHERNET)
    except Scapy_Exception as error:
        raise ManifestError([Problem("--filter", f'Invalid value: "{expression}": {error}')]) from error
    length = program.bf_len
    return bytes(ctypes.string_at(program.bf_insns, length * 8))


class Capture:
    """Listens at several points; use it as a context manager, then iterate `packets`."""

    def __init__(self, points: Iterable[Point], *, expression: str = "") -> None:
        self._program = compiled_filter(expression) if expression else b""
        self._selector = selectors.DefaultSelector()
        self._scapy = _scapy()
        for point in points:
            self._selector.register(self._open(point), selectors.EVENT_READ, point)

    def _open(self, point: Point) -> socket.socket:
        with netns.visiting(point.namespace):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(_ALL))
        if self._program:
            buffer = ctypes.create_string_buffer(self._program)
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER,
                            struct.pack("HL", len(self._program) // 8, ctypes.addressof(buffer)))  # fmt: skip
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        return sock

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        for entry in list(self._selector.get_map().values()):
            assert isinstance(entry.fileobj, socket.socket)
            entry.fileobj.close()
        self._selector.close()

    def packets(self, wait_s: float | None = None) -> Iterator[Any]:
        """Scapy packets as they come, each with `time` and `sniffed_on` (`label/interface`); ends after WAIT_S of silence."""
        while True:
            ready = self._selector.select(wait_s)
            if not ready:
                return
            for entry, _ in ready:
                assert isinstance(entry.fileobj, socket.socket)
                packet = self._receive(entry.fileobj, entry.data)
                if packet is not None:
                    yield packet

    def _receive(self, sock: socket.socket, point: Point) -> Any:
        try:
            data, ancillary, _, (interface, _, kind, hardware, _) = sock.recvmsg(1 << 16, 64)
        except BlockingIOError:
            return None
        if interface == "lo" and kind == _OUTGOING:
            return None  # the same packet comes again as an incoming one
        packet = (self._scapy.Ether if hardware in (_ETHERNET, 772) else self._scapy.IP)(data)
        for level, name, value in ancillary:
            if (level, name) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                packet.time = seconds + nanoseconds / 1e9
        packet.sniffed_on = f"{point.label}/{interface}"
        return packet


class PcapngFile:
    """A pcapng file whose interfaces have names; Wireshark shows them."""

    def __init__(self, path: str) -> None:
        try:
            self._writer = _scapy().PcapNgWriter(path)
        except OSError as error:
            raise KernelError(f"{path}: {error.strerror}") from error

    def write(self, packet: Any) -> None:
        """Add a packet."""
        self._writer.write(packet)

    def close(self) -> None:
        """Finish the file."""
        self._writer.flush()
        self._writer.close()


def summary(packet: Any) -> str:
    """One line about a packet: when (the time of day here, as tcpdump says it), where, from, to, what."""
    when = datetime.fromtimestamp(float(packet.time)).astimezone()
    return f"{when:%H:%M:%S.%f} {packet.sniffed_on:<28} {packet.summary()}"
