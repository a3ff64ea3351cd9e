"""Packets that no resolver sends, many of them, the same ones each time."""

import random
from collections.abc import Iterator

from netproxy.dns import wire

ZONE = "cluster.local"
NAMES = (f"web.default.svc.{ZONE}", f"_http._tcp.db.default.svc.{ZONE}", f"away.default.svc.{ZONE}", f"10-1-2-3.default.pod.{ZONE}",
         f"none.none.svc.{ZONE}", ZONE, "5.0.96.10.in-addr.arpa", "example.com", "")  # fmt: skip
OPTIONS = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def whole() -> list[bytes]:
    """Queries as they should be, with and without EDNS."""
    plain = [
        wire.query(name, kind, 7) for name in NAMES for kind in ("A", "AAAA", "SRV", "PTR", "ANY", "AXFR", "TYPE65535")
    ]
    return plain + [data[:11] + b"\1" + data[12:] + OPTIONS for data in plain]


def odd_packets(count: int, seed: int = 1) -> Iterator[bytes]:
    """Whole queries with some bytes changed, cut off, repeated or followed by others; one in eight is mere noise."""
    chance = random.Random(seed)
    bits, queries = chance.getrandbits, whole()
    for _ in range(count):
        kind = bits(3)
        if not kind:
            yield chance.randbytes(bits(6))
            continue
        data = bytearray(queries[bits(16) % len(queries)])
        for _ in range(kind & 3):
            data[bits(16) % len(data)] = bits(8)
        if kind & 4:
            at = bits(16) % (len(data) + 1)
            data[at:] = data[at:][: bits(4)] + data[bits(5) :][: bits(5)]
        yield bytes(data)
