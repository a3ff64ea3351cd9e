"""HTTP over a Unix socket, to netproxy's own agent, for who has nothing else to do while it answers: the command line.

The words are those of the other ways (`wire`, `http1`); asyncio, which takes longer to import than most commands run, is
not needed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from netproxy.client import wire
from netproxy.client.http1 import HEAD_BYTES, Body, head_of, parsed_head
from netproxy.client.transport import Request
from netproxy.core.errors import UnavailableError


class BlockingReply:
    """An answer whose body is still to come. Raises UnavailableError when the connection is lost meanwhile."""

    def __init__(self, sock: socket.socket, where: str) -> None:
        self._sock = sock
        self._where = where
        with _lost(where):
            head, self._first = self._head()
            self.status, self.headers = parsed_head(head)
            self._body = Body(self.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sock.close()

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece as it comes."""
        with _lost(self._where):
            yield from self._body.of(self._first)
            while not self._body.ended:
                piece = self._sock.recv(HEAD_BYTES)
                yield from self._body.of(piece)
                if not piece:
                    self._body.stop()

    def lines(self) -> Iterator[bytes]:
        """The body, line by line as it comes."""
        lines = wire.Lines()
        for chunk in self.chunks():
            yield from lines.of(chunk)

    def _head(self) -> tuple[bytes, bytes]:
        """The head, and what came with it."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self._sock.recv(HEAD_BYTES)
            if not piece or len(got) > HEAD_BYTES:
                raise EOFError("the connection ended before an answer" if not piece else "the answer has no head")
            got += piece
        head, _, rest = got.partition(b"\r\n\r\n")
        return head, rest


def opened(path: Path, request: Request) -> BlockingReply:
    """Send a request to the server behind a Unix socket and wait for the head of its answer, whatever its status.

    Raises UnavailableError.
    """
    where = f"{path}: "
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _lost(where):
            sock.settimeout(request.idle_s)
            sock.connect(str(path))
            sock.sendall(head_of(request) + request.body)
        return BlockingReply(sock, where)
    except BaseException:
        sock.close()
        raise


@contextmanager
def _lost(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError) as error:
        raise UnavailableError(0, "Lost", f"{where}{str(error) or type(error).__name__}") from error
