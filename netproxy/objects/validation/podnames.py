"""What is wrong with the names that only Pods have, in the API server's words.

Source: kubernetes apimachinery pkg/util/validation/validation.go, pkg/apis/core/validation/{validation,names}.go (behaviour).
"""

from __future__ import annotations

import re

from netproxy.objects.validation.names import Reasons, by_regex, cached, longer_than

_HEADER = "[-A-Za-z0-9]+"
_UNDERSCORED_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORED = rf"{_UNDERSCORED_LABEL}(\.{_UNDERSCORED_LABEL})*"
_is_header = re.compile(_HEADER).fullmatch
_is_underscored = re.compile(_UNDERSCORED).fullmatch
_is_variable = re.compile(r"[ -<>-~]*").fullmatch


@cached
def variable_name(text: str) -> Reasons:
    """The name of an environment variable."""
    if not _is_variable(text):
        return ("a valid environment variable name must consist only of printable ASCII characters other than '='",)
    return ()


@cached
def header_name(text: str) -> Reasons:
    """The name of a header of HTTP."""
    if _is_header(text):
        return ()
    words = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return (by_regex(words, _HEADER, "X-Header-Name"),)


@cached
def underscored_subdomain(text: str) -> Reasons:
    """A subdomain in which an underscore may be: where names are searched."""
    reasons = longer_than(text, 253)
    if not _is_underscored(text):
        words = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        reasons += (by_regex(words, _UNDERSCORED, "example.com"),)
    return reasons
