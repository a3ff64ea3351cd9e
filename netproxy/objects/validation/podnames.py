"""What is wrong with the names that only Pods have, in the API server's words.

Source: kubernetes apimachinery pkg/util/validation/validation.go, pkg/apis/core/validation/{validation,names}.go (behaviour).
"""

from __future__ import annotations

import re

from netproxy.objects.validation.names import Reasons, by_regex, cached, dns_label, dns_subdomain, longer_than
from netproxy.objects.validation.words import Problems, invalid, invalids, quoted, required, too_long

_HEADER = "[-A-Za-z0-9]+"
_UNDERSCORED_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORED = rf"{_UNDERSCORED_LABEL}(\.{_UNDERSCORED_LABEL})*"
_is_header = re.compile(_HEADER).fullmatch
_is_underscored = re.compile(_UNDERSCORED).fullmatch
_is_variable = re.compile(r"[ -<>-~]*").fullmatch


@cached
def variable_name(text: str) -> Reasons:
    """The name of an environment variable."""
    if not text:
        return ("environment variable name must be non-empty",)
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


def signer_problems(path: str, name: str) -> Problems:
    """Whether a text can name who signs certificates: `example.com/name`."""
    if not name:
        yield required(path)
        return
    domain, slash, last = name.partition("/")
    if not slash or "/" in last:
        yield invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
        return
    if len(domain) > 253:
        yield too_long(path, 253)
    yield from _first_wrong(path, domain, dns_label)
    if "." not in domain:
        yield invalid(path, domain, "should be a domain with at least two segments separated by dots")
    yield from _first_wrong(path, last, dns_subdomain)
    if len(name) > 571:
        yield too_long(path, 571)


def _first_wrong(path: str, text: str, rule: object) -> Problems:
    check = dns_label if rule is dns_label else dns_subdomain
    for part in text.split("."):
        if reasons := check(part):
            yield from invalids(path, text, (f"validating label {quoted(part)}: {why}" for why in reasons))
            return


def bundle_name(text: str) -> Reasons:
    """The name of a ClusterTrustBundle: its signer's comes first, if it has one."""
    _, colon, last = text.rpartition(":")
    return dns_subdomain(last if colon else text)
