"""Lists in pieces: which objects, at which version, and how to go on.

Source: kubernetes apiserver pkg/storage/continue.go, pkg/storage/interfaces.go (ValidateListOptions),
pkg/storage/cacher/cacher.go (GetList), pkg/storage/etcd3/errors.go.
"""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from netproxy.apiserver.listing import EXACT, ListOptions, list_version
from netproxy.apiserver.paths import Target
from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ApiError, ExpiredError
from netproxy.objects.meta import Object, key, name
from netproxy.store.order import place
from netproxy.store.store import Store

_TOKEN_VERSION = "meta.k8s.io/v1"
PAGES_LAST_S = 300
"""So long a list can be continued as it was when it began: every so often a real one forgets what is older."""
_EXPIRED = "The resourceVersion for the provided list is too old."
_INCONSISTENT = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the"
    " continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing"
    " with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the"
    " time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a list."""

    objects: Sequence[Object]
    """As they are kept."""
    version: int
    token: str = ""
    """To go on; empty at the end."""
    remaining: int | None = None

    @property
    def meta(self) -> dict[str, Any]:
        """The list's metadata."""
        made: dict[str, Any] = {"resourceVersion": str(self.version)}
        if self.token:
            made["continue"] = self.token
        if self.remaining is not None:
            made["remainingItemCount"] = self.remaining
        return made


class _From(NamedTuple):
    """Where a list begins."""

    version: int | None
    """None is now."""
    key: str = ""
    """The first that may be in it."""
    at_least: int = 0
    """A version that must be there."""
    since: int = 0
    """When the list began of which this is the rest, in seconds since the epoch; 0 when that is not known."""


def page(store: Store, target: Target, options: ListOptions) -> Page:
    """What a list is answered. Raises ApiError: 400 for a token or a version that is none, 504 for one still to come;
    ExpiredError for one that is forgotten.
    """
    begins, now = _begins(options), int(store.clock.now())
    if begins.version is not None and begins.since and now - begins.since > PAGES_LAST_S:
        raise _expired(begins.key)
    version = store.version if begins.version is None else begins.version
    check_there(max(version, begins.at_least), store)
    found = _objects(store, target, options, begins)
    limit = 0 if options.version == "0" or options.is_single else options.limit
    since = (begins.version is not None and begins.since) or now
    return _cut(found, target, options, version, max(limit, 0), since)


def check_there(version: int, store: Store) -> None:
    """Raise ApiError (504) when a version is still to come."""
    if version > store.version:
        raise too_large(version, store.version)


def too_large(version: int, current: int) -> ApiError:
    """The version asked for is still to come."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    error = ApiError(504, "Timeout", f"Timeout: Too large resource version: {version}, current: {current}")
    return error.with_details(causes=causes, retryAfterSeconds=1)


def _begins(options: ListOptions) -> _From:
    if options.token:
        version, start, since = _decoded(options.token)
        if options.version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        return _From(version if version > 0 else None, start, since=since)
    version = list_version(options.version)
    is_page = options.limit > 0 and version > 0 and not options.match and not options.is_single
    if options.match == EXACT or is_page:
        return _From(version)
    return _From(None, at_least=version)


def _objects(store: Store, target: Target, options: ListOptions, begins: _From) -> Sequence[Object]:
    if begins.version is None:
        return store.list(target.resource, target.namespace, start=begins.key)
    try:
        return store.list_at(target.resource, begins.version, target.namespace, start=begins.key)
    except ExpiredError:
        raise _expired(begins.key if options.token else "") from None


def _expired(key: str) -> ExpiredError:
    if not key:
        return ExpiredError(_EXPIRED)
    return ExpiredError(_INCONSISTENT, token=_encoded(-1, key, 0))


def _cut(found: Sequence[Object], target: Target, options: ListOptions, version: int, limit: int, since: int) -> Page:
    picks = options.picks(target.resource)
    if not limit:
        return Page(found if picks is None else [obj for obj in found if picks(obj)], version)
    taken, seen = _first(found, picks, limit)
    if seen == len(found):
        return Page(taken, version)
    token = _encoded(version, _key_of(taken[-1], target) + "\0", since)
    return Page(taken, version, token, len(found) - seen if options.picks_all else None)


def _first(found: Sequence[Object], picks: Callable[[Object], bool] | None, limit: int) -> tuple[Sequence[Object], int]:
    """The first objects that are picked, and how many were looked at for that."""
    if picks is None:
        return found[:limit], min(limit, len(found))
    taken: list[Object] = []
    for at, obj in enumerate(found):
        if picks(obj):
            taken.append(obj)
            if len(taken) == limit:
                return taken, at + 1
    return taken, len(found)


def _key_of(obj: Object, target: Target) -> str:
    """The place of an object in the lists of a path."""
    return name(obj) if target.namespace else place(key(obj))


# --- tokens


def _encoded(version: int, start: str, since: int) -> str:
    token = orjson.dumps({"v": _TOKEN_VERSION, "rv": version, "start": start, **({"since": since} if since else {})})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def _decoded(token: str) -> tuple[int, str, int]:
    """Version and first key of a token, and since when it is one. Raises ApiError (400) for what is none."""
    try:
        found = _token_fields(token)
    except ValueError as error:
        raise _no_token(f": {error}") from None
    if found.get("v") != _TOKEN_VERSION:
        raise _no_token(f": server does not recognize this encoded version {found.get('v') or ''}")
    version, start = found.get("rv") or 0, found.get("start") or ""
    if not version:
        raise _no_token(f": incorrect encoded start resourceVersion (version {_TOKEN_VERSION})")
    if not start:
        raise _no_token(f": encoded start key empty (version {_TOKEN_VERSION})")
    key = start if start.startswith("/") else f"/{start}"
    if posixpath.normpath(key) != key or key.startswith("//"):
        raise _no_token(f": {start}")
    since = found.get("since")
    return version, key[1:], since if isinstance(since, int) else 0


_GO_TYPES = {"v": "string", "rv": "int64", "start": "string"}


def _token_fields(token: str) -> dict[str, Any]:
    """What is in a token, of the right types. Raises ValueError with Go's words."""
    found = _json(_bytes(token))
    if not isinstance(found, dict):
        raise ValueError(f"json: cannot unmarshal {_go_kind(found)} into Go value of type storage.continueToken")
    for field, kind in _GO_TYPES.items():
        value = found.get(field)
        wanted = int if kind == "int64" else str
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            shown = f"number {value}" if isinstance(value, float) else _go_kind(value)
            raise ValueError(
                f"json: cannot unmarshal {shown} into Go struct field continueToken.{field} of type {kind}"
            )
    return found


def _go_kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _bytes(token: str) -> bytes:
    text = token.replace("\r", "").replace("\n", "")
    wrong = re.search(r"[^A-Za-z0-9_-]", text)
    if wrong or len(text) % 4 == 1:
        raise ValueError(f"illegal base64 data at input byte {wrong.start() if wrong else len(text) - 1}")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        first = text.lstrip(b" \t\r\n")[:1].decode("latin-1")
        if not first:
            raise ValueError("unexpected end of JSON input") from None
        shown = first if first.isascii() and first.isprintable() else f"\\u{ord(first):04x}"
        raise ValueError(f"invalid character '{shown}' looking for beginning of value") from None


def _no_token(why: str) -> ApiError:
    return bad_request(f"invalid continue token: continue key is not valid{why}")
