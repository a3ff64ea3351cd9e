"""HTTP/1.1 as bytes, for the two ways to a Unix socket: heads, and bodies in pieces. Values only, no I/O.

What a server may do that netproxy's own does not (compression, redirects, trailers) is not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netproxy.client.transport import Request

HEAD_BYTES = 1 << 16
"""A head, or the line before a chunk, that is longer is no HTTP."""


def head_of(request: Request) -> bytes:
    """What goes before a request's body.

    >>> head_of(Request("GET", "/version")).splitlines()[:2]
    [b'GET /version HTTP/1.1', b'Host: netproxy']
    """
    fields = (
        ("Host", "netproxy"), ("Connection", "close"), ("Content-Length", str(len(request.body))), *request.headers,
    )  # fmt: skip
    first = f"{request.method} {request.target} HTTP/1.1"
    return "\r\n".join((first, *(f"{name}: {value}" for name, value in fields), "", "")).encode()


def parsed_head(head: bytes) -> tuple[int, dict[str, str]]:
    """The status of an answer and its headers by their names in lower case. Raises ValueError for what is none.

    >>> parsed_head(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n")
    (200, {'content-length': '2'})
    """
    first, *fields = head.decode("latin-1").rstrip().split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ValueError(f"the answer does not begin as HTTP: {first[:100]!r}")
    pairs = (field.partition(":") for field in fields)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


class Body:
    """Takes an answer's body out of what arrives after its head: by chunks, by length, or until the connection ends.

    >>> body = Body({"transfer-encoding": "chunked"})
    >>> list(body.of(b"3\\r\\nabc\\r\\n2\\r\\nd")), list(body.of(b"e\\r\\n0\\r\\n\\r\\n")), body.ended
    ([b'abc', b'd'], [b'e'], True)
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = "0" if self._chunked else headers.get("content-length")
        self._left = None if length is None else _size(length, 10)
        self.ended = self._left == 0 and not self._chunked
        self._line = b""
        """The beginning of a line that says how long the next chunk is."""

    def of(self, piece: bytes) -> Iterator[bytes]:
        """The content in what arrived. Raises ValueError for what is no HTTP."""
        while piece and not self.ended:
            if self._left is None:
                yield piece
                return
            if self._left:
                content, piece = piece[: self._left], piece[self._left :]
                self._left -= len(content)
                self.ended = not self._left and not self._chunked
                yield content
            else:
                piece = self._begin_chunk(piece)

    def stop(self) -> None:
        """The connection has ended. Raises EOFError when more was to come."""
        if not self.ended and self._left is not None:
            raise EOFError("the connection ended in the middle of an answer")
        self.ended = True

    def _begin_chunk(self, piece: bytes) -> bytes:
        """Read how long the next chunk is; the line end before it belongs to the chunk before. What comes after."""
        self._line += piece
        text = self._line.lstrip(b"\r\n")
        line, newline, rest = text.partition(b"\n")
        if not newline:
            if len(text) > HEAD_BYTES:
                raise ValueError("a chunk does not say how long it is")
            return b""
        self._line = b""
        self._left = _size(line.partition(b";")[0], 16)
        self.ended = not self._left
        return rest


def _size(text: str | bytes, base: int) -> int:
    found = int(text, base)
    if found < 0:
        raise ValueError(f"a size below zero: {found}")
    return found
