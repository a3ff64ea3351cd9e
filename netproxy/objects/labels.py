"""What the key and the value of a label may be, in Kubernetes' words.

Source: kubernetes apimachinery pkg/api/validate/content/kube.go.
"""

from __future__ import annotations

import re
from functools import lru_cache

from netproxy.core.names import is_dns_subdomain

LONGEST = 63
"""Characters of a value, and of a key without its prefix."""

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
