"""A request and its answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from netproxy.core.user import ADMIN, User
from netproxy.objects.kinds import Resource

JSON = "application/json"


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

    def values(self, name: str) -> tuple[str, ...]:
        """All values that the query has for NAME, in order."""
        found = self.repeated.get(name)
        return found if found is not None else tuple(self.query[name] for _ in range(name in self.query))

    @property
    def wants_table(self) -> bool:
        """Whether the answer is to be the server's table (`kubectl get`)."""
        return "as=Table" in self.accept

    def flag(self, name: str) -> bool:
        """A boolean of the query."""
        return self.query.get(name, "") in ("1", "true")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    """More headers (Warning, Retry-After, Location), in order; one may be there more than once."""


@dataclass(frozen=True, slots=True)
class Watch:
    """An answer that goes on: events of RESOURCE after VERSION that fit the filter, as a stream of frames."""

    resource: Resource
    version: int
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    table: bool = False
    initial: bool = False
    """Begin with what is there, not with what happened since VERSION."""
    bookmarks: bool = False
    marks_initial: bool = False
    """A bookmark tells the end of what was there."""
    timeout_s: float | None = None


def json_response(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """VALUE as JSON."""
    return Response(status, orjson.dumps(value), headers=headers)
