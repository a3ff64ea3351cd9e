"""How requests reach a server: a small port with two ways behind it, a Unix socket and TCP with TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """What goes with a request: the Authorization header (empty for none), and a client certificate with its key."""

    authorization: str = ""
    certificate: bytes = b""
    key: bytes = b""


NOBODY = Identity()


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `idle_s`: after so many seconds without a byte from the server it counts as lost; None is never."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    idle_s: float | None = 60.0
    identity: Identity = NOBODY


class Reply(Protocol):
    """An answer whose body is still to come; reading it raises UnavailableError when the connection is lost."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case."""
        ...

    async def read(self) -> bytes:
        """The whole body."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece as it comes."""
        ...


class Transport(Protocol):
    """One way to one server."""

    def open(self, request: Request) -> AbstractAsyncContextManager[Reply]:
        """Send a request and wait for the head of its answer; the connection is given back on leaving.

        Raises UnavailableError when the server cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Give all connections back."""
        ...
