"""Which objects a query picks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ManifestError
from netproxy.objects.meta import Object, labels
from netproxy.objects.selector import Selector, field_filter, matches, parse_selector


def selected(objects: Iterable[Object], query: Mapping[str, str]) -> list[Object]:
    """Those that the query's labelSelector and fieldSelector pick."""
    picked, by_field = terms(query), field_filter(query.get("fieldSelector", ""))
    return [obj for obj in objects if matches(picked, labels(obj)) and by_field(obj)]


def terms(query: Mapping[str, str]) -> Selector:
    """The terms of a query's labelSelector. Raises ApiError (400)."""
    try:
        return parse_selector(query.get("labelSelector", ""))
    except ManifestError as error:
        raise bad_request(f"unable to parse requirement: {error.problems[0].message}") from error
