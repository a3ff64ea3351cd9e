"""The API's words on the wire: paths and queries of requests, errors in answers, events in a stream. Values only, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from netproxy.client.port import Selector, WatchEvent
from netproxy.core.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ExpiredError,
    ManifestError,
    NetproxyError,
    NotFoundError,
    Problem,
    UnavailableError,
    UnsupportedError,
)
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object

EVENT_TYPES = frozenset(("ADDED", "MODIFIED", "DELETED", "BOOKMARK"))
TOO_BUSY = frozenset((429, 502, 503, 504))
"""Statuses of a server (or of what stands before it) that may answer later."""


def path_of(resource: Resource, at: NamespacedName, subresource: str = "") -> str:
    """The path of one object, or of all of a namespace when the name is empty, or of all when both are.

    >>> from netproxy.objects.kinds import DEPLOYMENTS, NODES
    >>> path_of(DEPLOYMENTS, NamespacedName("shop", "web"), "status"), path_of(NODES, NamespacedName("", ""))
    ('/apis/apps/v1/namespaces/shop/deployments/web/status', '/api/v1/nodes')
    """
    namespace = f"/namespaces/{quote(at.namespace, safe='')}" if resource.namespaced and at.namespace else ""
    parts = [f"{resource.prefix}{namespace}/{resource.plural}", quote(at.name, safe=""), subresource]
    return "/".join(part for part in parts if part)


def target_of(resource: Resource, selector: Selector, **query: object) -> str:
    """The path and query of a list or a watch.

    >>> from netproxy.objects.kinds import PODS
    >>> target_of(PODS, Selector("shop", "app=web"), limit=500)
    '/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb&limit=500'
    """
    given = {"labelSelector": selector.labels, "fieldSelector": selector.fields, **query}
    return with_query(path_of(resource, NamespacedName(selector.namespace, "")), given)


def with_query(path: str, query: Mapping[str, object]) -> str:
    """A path and its query; what is empty is left out."""
    text = urlencode([(name, value) for name, value in query.items() if value not in ("", None)])
    return f"{path}?{text}" if text else path


def delete_options(
    *, grace_s: int | None = None, propagation: str | None = None, uid: str | None = None
) -> Object | None:
    """The body of a DELETE; None when nothing is asked for but the end of the object.

    >>> delete_options(grace_s=0), delete_options()
    ({'kind': 'DeleteOptions', 'apiVersion': 'v1', 'gracePeriodSeconds': 0}, None)
    """
    given = {"gracePeriodSeconds": grace_s, "propagationPolicy": propagation, "preconditions": uid and {"uid": uid}}
    options = {name: value for name, value in given.items() if value is not None}
    return {"kind": "DeleteOptions", "apiVersion": "v1", **options} if options else None


def decoded(body: bytes) -> Object:
    """The object that an answer is. Raises UnavailableError for what is none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnavailableError(0, "Garbage", f"the server answered with what is no JSON: {body[:100]!r}") from error
    if not isinstance(value, dict):
        raise UnavailableError(0, "Garbage", f"the server answered with what is no object: {body[:100]!r}")
    return value


# --- errors ----------------------------------------------------------------------------------------------------------


def error_of(code: int, body: bytes, retry_after: str = "") -> NetproxyError:
    """The error that an answer of this HTTP status stands for; RETRY_AFTER is its header."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = body[:500].decode(errors="replace").strip()
        status = {"code": code, "message": f"HTTP {code}: {text}" if text else f"HTTP {code}"}
    return error_of_status({**status, "code": code}, retry_after)


def error_of_status(status: Mapping[str, Any], retry_after: str = "") -> NetproxyError:
    """The error that a Status object stands for.

    Source: kubernetes apimachinery pkg/api/errors.
    """
    code = status["code"] if isinstance(status.get("code"), int) else 500
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    details = status["details"] if isinstance(status.get("details"), dict) else {}
    if code == 410 or reason in ("Expired", "Gone"):
        return ExpiredError(message)
    if code in TOO_BUSY:
        return UnavailableError(
            code, reason, message, retry_after_s=_seconds(retry_after, details.get("retryAfterSeconds"))
        )
    if reason == "Invalid" or (reason == "BadRequest" and details.get("causes")):
        return ManifestError(_problems(message, details.get("causes")))
    if code == 404:
        return NotFoundError(message)
    if code == 409:
        return AlreadyExistsError(message) if reason == "AlreadyExists" else ConflictError(message)
    return UnsupportedError(message) if code == 415 else ApiError(code, reason, message)


def _seconds(*given: object) -> float | None:
    for text in map(str, given):
        if text.isdigit():
            return float(text)
    return None


def _problems(message: str, causes: object) -> list[Problem]:
    found = [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return [
        Problem(*(str(c.get(part) or "") for part in ("field", "message", "object", "source", "reason"))) for c in found
    ] or [Problem("", message)]


# --- streams ---------------------------------------------------------------------------------------------------------


class Lines:
    """Cuts a stream of bytes into lines of any length, in time proportional to their bytes.

    >>> lines = Lines()
    >>> list(lines.of(b"one\\ntw")), list(lines.of(b"o")), list(lines.of(b"\\n\\nthree")), lines.rest
    ([b'one'], [], [b'two'], b'three')
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    @property
    def rest(self) -> bytes:
        """The beginning of a line that has not ended yet."""
        return b"".join(self._parts)

    def of(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in this chunk; empty ones are left out."""
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            self._parts.append(line)
            whole = self.rest
            self._parts.clear()
            if whole.strip():
                yield whole
        if rest:
            self._parts.append(rest)


def event_of(line: bytes) -> WatchEvent | None:
    """One event of a watch (a Table, where those were asked for); None for a type that is not known.

    Raises what an ERROR event says (ExpiredError for 410), and UnavailableError for what is no event at all.
    """
    try:
        event = orjson.loads(line)
        what, obj = event["type"], event["object"]
        if what == "ERROR":
            raise error_of_status(obj)
        if what not in EVENT_TYPES:
            return None
        if what != "BOOKMARK" and obj.get("kind") != "Table" and not obj["metadata"]["name"]:
            raise ValueError("an object without a name")
        obj["metadata"]["resourceVersion"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnavailableError(0, "Garbage", f"the server sent what is no event: {line[:100]!r}") from error
    return WatchEvent(what, obj)


def objects_of(resource: Resource, items: Iterable[Object]) -> list[Object]:
    """The items of a list, with the kind and apiVersion that API servers leave out there."""
    return [
        item if item.get("kind") else {"kind": resource.kind, "apiVersion": resource.api_version, **item}
        for item in items
    ]
