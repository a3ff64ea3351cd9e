"""SPDY/3.1, as far as Kubernetes uses it: bytes to frames and back. Nothing is sent here.

Source: the SPDY protocol, draft 3.1; moby/spdystream (which frames it reads and writes, and that it has no flow control).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_WORDS = (
    "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding",
    "accept-language", "accept-ranges", "age", "allow", "authorization", "cache-control", "connection",
    "content-base", "content-encoding", "content-language", "content-length", "content-location", "content-md5",
    "content-range", "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location",
    "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after",
    "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning",
    "www-authenticate", "method", "get", "status", "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie",
    "keep-alive", "origin",
)  # fmt: skip
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal "
    "Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, "
    "Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,"
    "text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS) + _TEXT.encode()
"""What both ends know before the first header, so that it is short."""

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY, HEADERS = 1, 2, 3, 6, 7, 8
FIN = 1
MAX_HEADERS = 1 << 16
"""Longer ones, once they are inflated, are none of Kubernetes'."""
MAX_DATA = (1 << 24) - 1
PROTOCOL_ERROR, CANCEL = 1, 5


class SpdyError(ValueError):
    """What came is no SPDY/3.1."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What came, or is to be sent. KIND 0 is data."""

    kind: int
    stream: int = 0
    """Of a PING its number."""
    data: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False
    """Whether whoever sent this says nothing more on this stream."""
    code: int = 0
    """Why, of a reset and of the end."""


class Reading:
    """Makes frames of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def frames(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now; those of kinds that are not used here are left out. Raises SpdyError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            first, rest = struct.unpack_from(">II", self._buffer)
            length = rest & MAX_DATA
            if len(self._buffer) < 8 + length:
                return
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if first >> 31:
                yield from self._control(first, rest >> 24, body)
            else:
                yield Frame(0, first, body, fin=bool(rest >> 24 & FIN))

    def _control(self, first: int, flags: int, body: bytes) -> Iterator[Frame]:
        if first >> 16 & 0x7FFF != VERSION:
            raise SpdyError(f"version {first >> 16 & 0x7FFF} of SPDY")
        kind, fin = first & 0xFFFF, bool(flags & FIN)
        try:
            match kind:
                case 1:
                    (stream,) = struct.unpack_from(">I", body)
                    yield Frame(kind, stream & _ID, headers=self._headers(body[10:]), fin=fin)
                case 2 | 8:
                    (stream,) = struct.unpack_from(">I", body)
                    yield Frame(kind, stream & _ID, headers=self._headers(body[4:]), fin=fin)
                case 3 | 7:
                    stream, code = struct.unpack_from(">II", body)
                    yield Frame(kind, stream & _ID, code=code)
                case 6:
                    yield Frame(kind, *struct.unpack_from(">I", body))
        except struct.error as error:
            raise SpdyError(f"a frame of kind {kind} is too short") from error

    def _headers(self, block: bytes) -> dict[str, str]:
        """Names in lower case. Raises SpdyError, struct.error."""
        try:
            plain = self._inflate.decompress(block, MAX_HEADERS)
        except zlib.error as error:
            raise SpdyError(f"headers that cannot be inflated: {error}") from error
        if self._inflate.unconsumed_tail:
            raise SpdyError("headers are too long")
        (count,) = struct.unpack_from(">I", plain)
        texts, at = [], 4
        for _ in range(2 * count):
            (length,) = struct.unpack_from(">I", plain, at)
            texts.append(plain[at + 4 : at + 4 + length].decode(errors="replace"))
            at += 4 + length
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


_ID = 0x7FFFFFFF


class Writing:
    """Makes bytes of frames."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def written(self, frame: Frame) -> bytes:
        """The bytes of a frame; those of frames with headers must be sent in the order in which they were made."""
        match frame.kind:
            case 0:
                return struct.pack(">II", frame.stream, frame.fin << 24 | len(frame.data)) + frame.data
            case 1:
                body = struct.pack(">IIH", frame.stream, 0, 0) + self._headers(frame.headers)
            case 2 | 8:
                body = struct.pack(">I", frame.stream) + self._headers(frame.headers)
            case 3 | 7:
                body = struct.pack(">II", frame.stream, frame.code)
            case _:
                body = struct.pack(">I", frame.stream)
        return struct.pack(">II", 1 << 31 | VERSION << 16 | frame.kind, frame.fin << 24 | len(body)) + body

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers)) + b"".join(
            struct.pack(">I", len(text)) + text for pair in headers.items() for text in map(str.encode, pair)
        )
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
