"""What is wrong with a name, in the API server's words: a tuple of reasons, empty for a good one.

Source: kubernetes apimachinery pkg/util/validation/validation.go, pkg/api/validate/content (rules and words).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

Reasons = tuple[str, ...]
Rule = Callable[[str], Reasons]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_OLD_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_wildcard = re.compile(_WILDCARD).fullmatch
_is_key = re.compile(_KEY).fullmatch
_is_label_value = re.compile(f"({_KEY})?").fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_http_path = re.compile(_HTTP_PATH).fullmatch
_is_port_name = re.compile("[-a-z0-9]+").fullmatch
_is_percent = re.compile("[0-9]+%").fullmatch

_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_KEY_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)

cached = functools.lru_cache(8192)
"""For rules that are asked the same again and again: a cluster's labels and names."""


def by_regex(words: str, regex: str, *examples: str) -> str:
    """The reason that a regular expression does not match.

    >>> by_regex("must be a", "a+", "a", "aa")
    "must be a (e.g. 'a',  or 'aa', regex used for validation is 'a+')"
    """
    shown = " or ".join(f"'{example}', " for example in examples)
    found = f"regex used for validation is '{regex}')"
    return f"{words} (e.g. {shown}{found}" if examples else f"{words} ({found}"


def size(text: str) -> int:
    """Bytes of a text."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def longer_than(text: str, most: int, unit: str = "characters") -> Reasons:
    """Whether a text has more bytes than there may be; some rules call them characters."""
    return (f"must be no more than {most} {unit}",) if size(text) > most else ()


@cached
def dns_label(text: str) -> Reasons:
    """RFC 1123 label."""
    reasons = longer_than(text, 63)
    if not _is_label(text):
        words = (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
            "and must start and end with an alphanumeric character"
        )
        dotted = "must not contain dots"
        reasons += (dotted if _is_subdomain(text) else by_regex(words, _LABEL, "my-name", "123-abc"),)
    return reasons


@cached
def dns_1035_label(text: str) -> Reasons:
    """RFC 1035 label."""
    reasons = longer_than(text, 63)
    if not re.fullmatch(_OLD_LABEL, text):
        words = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
            "and end with an alphanumeric character"
        )
        reasons += (by_regex(words, _OLD_LABEL, "my-name", "abc-123"),)
    return reasons


@cached
def dns_subdomain(text: str) -> Reasons:
    """RFC 1123 subdomain."""
    reasons = longer_than(text, 253)
    if not _is_subdomain(text):
        reasons += (by_regex(_SUBDOMAIN_WORDS, _SUBDOMAIN, "example.com"),)
    return reasons


@cached
def wildcard_subdomain(text: str) -> Reasons:
    """A `*.` before a subdomain."""
    reasons = longer_than(text, 253)
    if not _is_wildcard(text):
        words = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        reasons += (by_regex(words, _WILDCARD, "*.example.com"),)
    return reasons


@cached
def qualified(text: str) -> Reasons:
    """A label's key: a name with a domain before it, or without."""
    domain, slash, name = text.rpartition("/")
    if "/" in domain:
        words = by_regex(_KEY_WORDS, _KEY, "MyName", "my.name", "123-abc")
        return (f"a valid label key {words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    reasons: Reasons = ()
    if slash:
        wrong = _domain(domain) if domain else ("must be non-empty",)
        reasons = tuple(f"prefix part {why}" for why in wrong)
    if not name:
        reasons += ("name part must be non-empty",)
    elif size(name) > 63:
        reasons += ("name part must be no more than 63 bytes",)
    if not _is_key(name):
        reasons += ("name part " + by_regex(_KEY_WORDS, _KEY, "MyName", "my.name", "123-abc"),)
    return reasons


def _domain(text: str) -> Reasons:
    return longer_than(text, 253, "bytes") + tuple(
        why for why in dns_subdomain(text) if not why.startswith("must be no")
    )


@cached
def label_value(text: str) -> Reasons:
    """A label's value."""
    reasons = longer_than(text, 63, "bytes")
    if not _is_label_value(text):
        words = f"a valid label must be an empty string or {_KEY_WORDS.removeprefix('must ')}"
        reasons += (by_regex(words, f"({_KEY})?", "MyValue", "my_value", "12345"),)
    return reasons


@cached
def path_segment(text: str) -> Reasons:
    """What can be a part of a URL's path."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return path_segment_prefix(text)


def path_segment_prefix(text: str) -> Reasons:
    """What can begin a part of a URL's path."""
    return tuple(f"may not contain '{char}'" for char in "/%" if char in text)


@cached
def config_key(text: str) -> Reasons:
    """A key of a ConfigMap or a Secret: it may become a file."""
    reasons = longer_than(text, 253)
    if not _is_config_key(text):
        words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        reasons += (by_regex(words, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"),)
    if text in (".", ".."):
        reasons += (f"must not be '{text}'",)
    elif text.startswith(".."):
        reasons += ("must not start with '..'",)
    return reasons


@cached
def port_name(text: str) -> Reasons:
    """An IANA service name."""
    reasons = longer_than(text, 15)
    if not _is_port_name(text):
        reasons += ("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",)
    if not any("a" <= char <= "z" for char in text):
        reasons += ("must contain at least one letter (a-z)",)
    if "--" in text:
        reasons += ("must not contain consecutive hyphens",)
    if text.startswith("-") or text.endswith("-"):
        reasons += ("must not begin or end with a hyphen",)
    return reasons


def percent(text: str) -> Reasons:
    """A whole number of percents."""
    if _is_percent(text):
        return ()
    words = "a valid percent string must be a numeric string followed by an ending '%'"
    return (by_regex(words, "[0-9]+%", "1%", "93%"),)


def http_path(text: str) -> Reasons:
    """The path of a URL."""
    return () if _is_http_path(text) else (by_regex("Invalid path", _HTTP_PATH),)


def is_prefix_of_name(text: str, rule: Rule) -> Reasons:
    """What `generateName` must be so that names that begin with it keep the rule."""
    if rule is path_segment:
        return path_segment_prefix(text)
    return rule(text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text)
