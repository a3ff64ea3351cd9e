"""A request and its answers, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from netproxy.core.user import ADMIN, User

JSON = "application/json"


def unheard(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    """Of what is given more than once: its first value."""
    body: bytes = b""
    content_type: str = JSON
    accept: str = JSON
    repeated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All values of what the query gives more than once."""
    user: User = ADMIN
    user_agent: str = ""
    warn: Callable[[str], None] = unheard
    """Takes what the client should be told beside the answer."""
    headers: tuple[tuple[str, str], ...] = ()
    """Those that name whom the user wants to act as (`impersonate`)."""

    def values(self, name: str) -> tuple[str, ...]:
        """All values that the query has for NAME, in order."""
        found = self.repeated.get(name)
        return found if found is not None else tuple(self.query[name] for _ in range(name in self.query))

    def flag(self, name: str) -> bool:
        """A switch of the query: on when it is there, whatever it says but "false" and "0"."""
        return name in self.query and self.query[name].lower() not in ("0", "false")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    """More headers (Warning, Retry-After, Location), in order; one may be there more than once."""


def json_response(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """VALUE as JSON."""
    return Response(status, orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE), headers=headers)
