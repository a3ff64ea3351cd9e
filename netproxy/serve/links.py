"""Addresses in what somebody answered behind this server, made to lead through it.

Source: kubernetes apimachinery pkg/util/proxy/transport.go (which attributes of which elements hold addresses).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

_HOLD: Mapping[str, tuple[str, ...]] = {
    "a": ("href",), "applet": ("codebase",), "area": ("href",), "audio": ("src",), "base": ("href",), "blockquote": ("cite",),
    "body": ("background",), "button": ("formaction",), "command": ("icon",), "del": ("cite",), "embed": ("src",),
    "form": ("action",), "frame": ("longdesc", "src"), "head": ("profile",), "html": ("manifest",), "iframe": ("longdesc", "src"),
    "img": ("longdesc", "src", "usemap"), "input": ("src", "usemap", "formaction"), "ins": ("cite",), "link": ("href",),
    "object": ("classid", "codebase", "data", "usemap"), "q": ("cite",), "script": ("src",), "source": ("src",),
    "video": ("poster", "src"),
}  # fmt: skip
_TAG = re.compile(r"<([a-zA-Z]+)(\s[^<>]*)>")
_ATTRIBUTE = re.compile(r"""(\s)([a-zA-Z]+)(\s*=\s*)(?:"([^"]*)"|'([^']*)')""")


def rewritten(address: str, prefix: str, hosts: tuple[str, ...]) -> str:
    """An address below PREFIX when it is one of the HOSTS' own; else as it is.

    >>> rewritten("/a/?b", "/proxy", ("web",)), rewritten("http://web/", "/proxy", ("web",)), rewritten("a", "/proxy", ())
    ('/proxy/a/?b', '/proxy/', 'a')
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if (parts.netloc and parts.netloc not in hosts) or not parts.path.startswith("/"):
        return address
    path = parts.path if parts.path.startswith(prefix) else prefix + parts.path
    return urlunsplit(("", "", path, parts.query, parts.fragment))


def rewritten_page(page: bytes, prefix: str, hosts: tuple[str, ...]) -> bytes:
    """A page in HTML whose links lead below PREFIX.

    >>> rewritten_page(b'<a href="/x">/x</a><b href="/x">', "/p", ())
    b'<a href="/p/x">/x</a><b href="/x">'
    """

    def tag(found: re.Match[str]) -> str:
        hold = _HOLD.get(found[1].lower(), ())

        def attribute(each: re.Match[str]) -> str:
            if each[2].lower() not in hold:
                return each[0]
            value = each[4] if each[4] is not None else each[5]
            return f'{each[1]}{each[2]}{each[3]}"{rewritten(value, prefix, hosts)}"'

        return f"<{found[1]}{_ATTRIBUTE.sub(attribute, found[2])}>"

    return _TAG.sub(tag, page.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
