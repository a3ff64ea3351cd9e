"""What the API server refuses in labels, annotations and the selectors of workloads, in its words.

Source: kubernetes apimachinery/pkg/util/validation/validation.go, apis/meta/v1/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_subdomain
from netproxy.objects.validation.words import Problems
from netproxy.objects.validation.words import invalid as _invalid
from netproxy.objects.validation.words import required as _required

LONGEST = 63
MOST_ANNOTATION_BYTES = 256 << 10
_WORD = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_CHARACTERS = (
    "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_BAD_NAME = f"name part must {_CHARACTERS} (e.g. 'MyName', or 'my.name', or '123-abc')"
_BAD_VALUE = f"a valid label must be an empty string or {_CHARACTERS} (e.g. 'MyValue', or 'my_value', or '12345')"
_WITH_VALUES, _WITHOUT_VALUES = ("In", "NotIn"), ("Exists", "DoesNotExist")


def label_problems(path: str, labels: Mapping[str, str] | None) -> Problems:
    """What is wrong with labels, or with what picks objects by them.

    >>> [str(problem)[:40] for problem in label_problems("metadata.labels", {"a/b": "c", "d": "e f"})]
    ['metadata.labels: Invalid value: "e f": a']
    """
    for key, value in (labels or {}).items():
        if why := bad_key(key):
            yield _invalid(path, key, why)
        if why := bad_value(value):
            yield _invalid(path, value, why)


def annotation_problems(path: str, annotations: Mapping[str, str] | None) -> Problems:
    """What is wrong with the keys of annotations, whose values are free, and with their size."""
    size = 0
    for key, value in (annotations or {}).items():
        size += len(key) + len(value)
        if why := bad_key(key.lower()):
            yield _invalid(path, key, why)
    if size > MOST_ANNOTATION_BYTES:
        yield Problem(path, f"Too long: may not be more than {MOST_ANNOTATION_BYTES} bytes", reason="FieldValueTooLong")


def selector_problems(path: str, selector: Mapping[str, Any] | None) -> Problems:
    """What is wrong with `{matchLabels, matchExpressions}`."""
    selector = selector or {}
    yield from label_problems(f"{path}.matchLabels", selector.get("matchLabels"))
    for index, item in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        if why := bad_key(item.get("key") or ""):
            yield _invalid(f"{at}.key", item.get("key") or "", why)
        operator, values = item.get("operator"), item.get("values")
        if operator in _WITH_VALUES and not values:
            yield _required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in _WITHOUT_VALUES and values:
            why = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield Problem(f"{at}.values", why, reason="FieldValueForbidden")
        elif operator not in (*_WITH_VALUES, *_WITHOUT_VALUES):
            yield _invalid(f"{at}.operator", operator or "", "not a valid selector operator")


@lru_cache(4096)
def bad_key(key: str) -> str:
    """Why a text is no key of a label; empty for one that is.

    >>> bad_key("app"), bad_key("a/b/c"), bad_key("/a")
    ('', "a qualified name must be NAME or PREFIX/NAME, such as 'example.com/MyName'", 'prefix part must be non-empty')
    """
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return "a qualified name must be NAME or PREFIX/NAME, such as 'example.com/MyName'"
    if slash and not prefix:
        return "prefix part must be non-empty"
    if prefix and not is_dns_subdomain(prefix):
        return "prefix part must be a lowercase RFC 1123 subdomain of at most 253 characters (e.g. 'example.com')"
    if not name:
        return "name part must be non-empty"
    if len(name) > LONGEST:
        return f"name part must be no more than {LONGEST} bytes"
    return "" if _WORD.match(name) else _BAD_NAME


@lru_cache(4096)
def bad_value(value: str) -> str:
    """Why a text is no value of a label; empty for one that is."""
    if len(value) > LONGEST:
        return f"must be no more than {LONGEST} bytes"
    return "" if not value or _WORD.match(value) else _BAD_VALUE
