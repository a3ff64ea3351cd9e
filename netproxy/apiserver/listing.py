"""What a list or a watch is asked for: the options of its query, read and checked in the API server's order and words.

Source: kubernetes apiserver pkg/endpoints/handlers/get.go (listOpts), apimachinery pkg/apis/meta/internalversion (defaults,
validation), apiserver pkg/storage/interfaces.go (versions).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from netproxy.apiserver.fields import FieldSelector, FieldTerm, check_fields, exactly, field_picks, field_selector
from netproxy.apiserver.paths import Target
from netproxy.apiserver.request import Request
from netproxy.apiserver.status import InvalidOptionsError, bad_request
from netproxy.core.errors import ApiError, Problem
from netproxy.core.names import quoted
from netproxy.core.numbers import whole as whole_number
from netproxy.objects.kinds import Resource
from netproxy.objects.labelquery import SelectorError, parse_selector
from netproxy.objects.meta import Object, labels
from netproxy.objects.selector import Selector, matches

EXACT, NOT_OLDER = "Exact", "NotOlderThan"
_MATCH, _INITIAL = "resourceVersionMatch", "sendInitialEvents"
_INT64, _UINT64 = 1 << 63, 1 << 64


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The options of a list or a watch."""

    labels: Selector = ()
    fields: FieldSelector = ()
    is_watch: bool = False
    bookmarks: bool = False
    version: str = ""
    match: str = ""
    timeout_s: int = 0
    limit: int = 0
    token: str = ""
    """To go on with a list."""
    initial: bool | None = None
    """Whether a watch begins with what is there."""

    @property
    def picks_all(self) -> bool:
        return not self.labels and not self.fields

    @property
    def is_single(self) -> bool:
        """Whether it is about one name, which is no list in pieces."""
        return not self.token and exactly(self.fields, "metadata.name") is not None

    def picks(self, resource: Resource) -> Callable[[Object], bool] | None:
        """Whether an object, as it is kept, is picked; None when all are."""
        terms, by_field = self.labels, field_picks(resource, self.fields)
        if not terms:
            return by_field
        if by_field is None:
            return lambda obj: matches(terms, labels(obj))
        return lambda obj: matches(terms, labels(obj)) and by_field(obj)


def list_options(request: Request, target: Target) -> ListOptions:
    """The options of a request for a list, a watch or the deletion of many.

    Raises ApiError (400) for what cannot be read, InvalidOptionsError (422) for what does not go together.
    """
    options = _with_defaults(_read(request))
    wrong = list(_watch_problems(options) if options.is_watch else _list_problems(options))
    if wrong:
        raise InvalidOptionsError("ListOptions", wrong)
    check_fields(target.resource, options.fields)
    return _named(options, target.name) if target.name else options


def whole(options: ListOptions) -> ListOptions:
    """The options of the deletion of many, which lists them in pieces even if nobody says how large these are."""
    is_at = list_version(options.version) > 0 and not options.token and not options.is_single
    return replace(options, match=EXACT) if is_at and not options.limit and not options.match else options


def _read(request: Request) -> ListOptions:
    query = request.query
    timeout_s, limit = (integer(query[field]) if field in query else 0 for field in ("timeoutSeconds", "limit"))
    try:
        terms = parse_selector(query.get("labelSelector", ""))
    except SelectorError as error:
        raise bad_request(error.why) from None
    return ListOptions(
        terms, field_selector(query.get("fieldSelector", "")), request.flag("watch"), request.flag("allowWatchBookmarks"),
        query.get("resourceVersion", ""), query.get(_MATCH, ""), timeout_s, limit, query.get("continue", ""),
        request.flag(_INITIAL) if _INITIAL in query else None,
    )  # fmt: skip


def _with_defaults(options: ListOptions) -> ListOptions:
    """A watch from nowhere begins with what is there."""
    if options.is_watch and options.initial is None and not options.match and options.version in ("", "0"):
        return replace(options, initial=True, match=NOT_OLDER)
    return options


def _named(options: ListOptions, name: str) -> ListOptions:
    """A watch of one object by its path."""
    if not options.fields:
        return replace(options, fields=(FieldTerm("metadata.name", name),))
    if exactly(options.fields, "metadata.name") != name:
        raise bad_request("fieldSelector metadata.name doesn't match requested name")
    return options


def _list_problems(options: ListOptions) -> Iterator[Problem]:
    match = options.match
    if match and not options.version:
        yield _forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match and options.token:
        yield _forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided")
    if match not in ("", EXACT, NOT_OLDER):
        yield _unsupported(match, f'"{EXACT}", "{NOT_OLDER}", ""')
    if match == EXACT and options.version == "0":
        yield _forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if options.initial is not None:
        yield _forbidden(_INITIAL, "sendInitialEvents is forbidden for list")


def _watch_problems(options: ListOptions) -> Iterator[Problem]:
    match = options.match
    if options.initial is not None and match != NOT_OLDER:
        yield _forbidden(_MATCH, f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER}")
    if match and options.initial is None:
        yield _forbidden(_MATCH, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    if match not in ("", NOT_OLDER):
        yield _unsupported(match, f'"{NOT_OLDER}"')
    if match and options.token:
        yield _forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided")


def _forbidden(field: str, why: str) -> Problem:
    return Problem(field, f"Forbidden: {why}", reason="FieldValueForbidden")


def _unsupported(value: str, supported: str) -> Problem:
    why = f"Unsupported value: {quoted(value)}: supported values: {supported}"
    return Problem(_MATCH, why, reason="FieldValueNotSupported")


# --- numbers


def integer(text: str) -> int:
    """A number in a query. Raises ApiError (400) for what is none.

    >>> integer("-5"), integer("+5")
    (-5, 5)
    """
    why = _go_number(text, r"[+-]?[0-9]+", -_INT64, _INT64)
    if why:
        raise bad_request(f"strconv.ParseInt: parsing {quoted(text)}: {why}")
    return whole_number(text)


def version_number(text: str) -> int:
    """A resourceVersion; empty is 0. Raises ApiError for what is none: a fault of the server's, as the real one says it."""
    why = _go_number(text, r"[0-9]+", 0, _UINT64) if text else ""
    if why:
        said = f"strconv.ParseUint: parsing {quoted(text)}: {why}"
        raise ApiError(500, "", f"resourceVersion: Invalid value: {quoted(text)}: {said}")
    return whole_number(text or "0")


def _go_number(text: str, form: str, low: int, high: int) -> str:
    """Why Go reads no number; empty when it does."""
    if not re.fullmatch(form, text, re.ASCII):
        return "invalid syntax"
    return "" if low <= whole_number(text) < high else "value out of range"


def list_version(text: str) -> int:
    """The resourceVersion of a list. Raises ApiError (400) for what is none."""
    try:
        return version_number(text)
    except ApiError as error:
        raise bad_request(f"invalid resource version: {error}") from None
