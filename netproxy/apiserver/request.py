"""A request and its answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from netproxy.objects.kinds import Resource

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = JSON
    accept: str = JSON

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


def json_response(value: Any, status: int = 200) -> Response:
    """VALUE as JSON."""
    return Response(status, orjson.dumps(value))
