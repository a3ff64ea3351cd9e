"""What labels, annotations and the selectors of workloads may be, in Kubernetes' words.

Source: kubernetes apimachinery pkg/api/validate/content/kube.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_subdomain
from netproxy.objects.validation.words import Problems, invalid, required

LONGEST = 63
"""Characters of a value, and of a key without its prefix."""
MOST_ANNOTATION_BYTES = 256 << 10
_WITH_VALUES, _WITHOUT_VALUES = ("In", "NotIn"), ("Exists", "DoesNotExist")

_WORD = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY = re.compile(_WORD)
_VALUE = re.compile(f"({_WORD})?")
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

_TOO_LONG = f"must be no more than {LONGEST} bytes"
_EMPTY = "must be non-empty"
_WRONG_NAME = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
    f" (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_WORD}')"
)
_WRONG_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character"
    f" (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({_WORD})?')"
)
_WRONG_PREFIX = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    f" start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)


@lru_cache(4096)
def label_key_problems(key: str) -> tuple[str, ...]:
    """Why a text is no key of a label; empty for one.

    >>> label_key_problems("app"), label_key_problems("/app")
    ((), ('prefix part must be non-empty',))
    """
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        said = (
            f"a valid label key {_WRONG_NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
        return (said,)
    wrong: list[str] = []
    if slash:
        wrong += _prefix_problems(prefix)
    if not name:
        wrong.append(f"name part {_EMPTY}")
    elif len(name.encode()) > LONGEST:
        wrong.append(f"name part {_TOO_LONG}")
    if not _KEY.fullmatch(name):
        wrong.append(f"name part {_WRONG_NAME}")
    return tuple(wrong)


def _prefix_problems(prefix: str) -> list[str]:
    if not prefix:
        return [f"prefix part {_EMPTY}"]
    wrong = ["prefix part must be no more than 253 bytes"] if len(prefix.encode()) > 253 else []
    if not is_dns_subdomain(prefix[:253]):
        wrong.append(_WRONG_PREFIX)
    return wrong


@lru_cache(4096)
def label_value_problems(value: str) -> tuple[str, ...]:
    """Why a text is no value of a label; empty for one.

    >>> label_value_problems(""), label_value_problems("a" * 64)
    ((), ('must be no more than 63 bytes',))
    """
    wrong = (_TOO_LONG,) if len(value.encode()) > LONGEST else ()
    return wrong if _VALUE.fullmatch(value) else (*wrong, _WRONG_VALUE)


def label_problems(path: str, labels: Mapping[str, str] | None) -> Problems:
    """What is wrong with labels, or with what picks objects by them.

    >>> [str(problem)[:40] for problem in label_problems("metadata.labels", {"a/b": "c", "d": "e f"})]
    ['metadata.labels: Invalid value: "e f": a']
    """
    for key, value in (labels or {}).items():
        for why in label_key_problems(key):
            yield invalid(path, key, why)
        for why in label_value_problems(value):
            yield invalid(path, value, why)


def annotation_problems(path: str, annotations: Mapping[str, str] | None) -> Problems:
    """What is wrong with the keys of annotations, whose values are free, and with their size."""
    size = 0
    for key, value in (annotations or {}).items():
        size += len(key) + len(value)
        for why in label_key_problems(key.lower()):
            yield invalid(path, key, why)
    if size > MOST_ANNOTATION_BYTES:
        yield Problem(path, f"Too long: may not be more than {MOST_ANNOTATION_BYTES} bytes", reason="FieldValueTooLong")


def selector_problems(path: str, selector: Mapping[str, Any] | None) -> Problems:
    """What is wrong with `{matchLabels, matchExpressions}`."""
    selector = selector or {}
    yield from label_problems(f"{path}.matchLabels", selector.get("matchLabels"))
    for index, item in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        for why in label_key_problems(item.get("key") or ""):
            yield invalid(f"{at}.key", item.get("key") or "", why)
        operator, values = item.get("operator"), item.get("values")
        if operator in _WITH_VALUES and not values:
            yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in _WITHOUT_VALUES and values:
            why = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield Problem(f"{at}.values", why, reason="FieldValueForbidden")
        elif operator not in (*_WITH_VALUES, *_WITHOUT_VALUES):
            yield invalid(f"{at}.operator", operator or "", "not a valid selector operator")
