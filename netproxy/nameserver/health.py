"""Whether the name server lives and is ready, over HTTP, as CoreDNS tells it; and what its loops have counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from netproxy.nameserver.loops import Beat, Loops
from netproxy.nameserver.state import States

HEALTH_PORT, READY_PORT = 8080, 8181
LONGEST_REQUEST = 8192

Page = Callable[[], tuple[int, str]]
"""A status code and a text."""
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Http:
    """HTTP/1.1 with one request a connection, and only GET."""

    once = True

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages

    def take(self, received: bytearray) -> bytes | None:
        """The request, when its head is whole. Raises ValueError for a head that has no end."""
        head, end, _ = received.partition(b"\r\n\r\n")
        if end:
            received.clear()
            return bytes(head)
        if len(received) > LONGEST_REQUEST:
            raise ValueError("the request has no end")
        return None

    def answer(self, message: bytes, reply: Callable[[bytes], object], beat: Beat) -> bool:
        """Answer a request through REPLY; False for what is no HTTP."""
        words = message.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/"):
            return False
        page = self._pages.get(words[1].decode("latin-1").partition("?")[0])
        code, text = (405, "GET only") if words[0] not in (b"GET", b"HEAD") else page() if page else (404, "not found")
        beat.count(f"http {code}")
        body = f"{text}\n".encode()
        head = f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        reply(head.encode() + b"Connection: close\r\n\r\n" + (b"" if words[0] == b"HEAD" else body))
        return True


def health(loops: Loops) -> Http:
    """`/health`: every loop turns. `/counters`: what was counted since the start, as JSON."""

    def live() -> tuple[int, str]:
        late = loops.late()
        return (503, f"not turning: {', '.join(late)}") if late else (200, "OK")

    return Http({"/health": live, "/counters": lambda: (200, json.dumps(loops.counts()))})


def ready(states: States) -> Http:
    """`/ready`: everything was seen once."""
    return Http({"/ready": lambda: (200, "OK") if states.now.synced else (503, "kubernetes")})
