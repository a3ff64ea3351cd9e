"""How long texts and names may be: beyond that a tool refuses the whole transaction, or cuts so that rules read back differ.

Lengths are bytes. tests/kernel/test_limits.py asks the tools and the kernel.
"""

from __future__ import annotations

NFT_COMMENT = 128
"""Of a rule, an element, a chain, a set or a table (libnftnl: NFTNL_UDATA_COMMENT_MAXLEN)."""
NFT_NAME = 255
"""Of a chain or a set (linux: NFT_NAME_MAXLEN, with its end)."""
IPTABLES_COMMENT = 255
"""iptables takes a longer one and keeps only so much (linux: XT_MAX_COMMENT_LEN, with its end)."""
IPTABLES_CHAIN = 28
"""linux: XT_EXTENSION_MAXNAMELEN, with its end."""
RECENT_NAME = 199
"""Of a list of `-m recent` (linux: XT_RECENT_NAME_LEN, with its end)."""
IPSET_NAME = 31
"""linux: IPSET_MAXNAMELEN, with its end."""


def cut(text: str, most: int) -> str:
    """As much of TEXT as fits into MOST bytes, without half a character.

    >>> cut("short", 8), cut("much too long", 8), cut("größe", 4)
    ('short', 'much too', 'grö')
    """
    if len(text) <= most and text.isascii():
        return text
    return text.encode()[:most].decode(errors="ignore")
