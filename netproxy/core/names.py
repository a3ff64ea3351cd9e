"""Names of Kubernetes objects and of what they become on this machine."""

from __future__ import annotations

import re
from typing import NamedTuple

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")


class NamespacedName(NamedTuple):
    """`namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def host_name(text: str) -> str:
    """What kube-proxy and the kubelet call a machine of this name.

    >>> host_name(" Node-1\\n")
    'node-1'

    Source: kubernetes pkg/util/node/node.go, GetHostname.
    """
    return text.strip().lower()


def is_dns_label(text: str) -> bool:
    """Tell whether TEXT is an RFC 1123 label.

    >>> is_dns_label("web-1"), is_dns_label("-web"), is_dns_label("a" * 64)
    (True, False, False)
    """
    return len(text) <= 63 and bool(_LABEL.match(text))


def is_dns_subdomain(text: str) -> bool:
    """Tell whether TEXT is an RFC 1123 subdomain.

    >>> is_dns_subdomain("a.b-c"), is_dns_subdomain("a..b")
    (True, False)
    """
    return len(text) <= 253 and bool(_SUBDOMAIN.match(text))


_ESCAPES = {
    '"': r"\"",
    "\\": r"\\",
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}


def quoted(text: str) -> str:
    """A text between quotes, as Go writes it.

    >>> print(quoted('say "ä"'), quoted("a\\0"))
    "say \\"ä\\"" "a\\x00"

    Source: Go strconv.Quote.
    """
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
