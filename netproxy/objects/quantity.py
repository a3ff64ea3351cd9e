"""Quantities of bytes, as Kubernetes writes them.

Source: kubernetes apimachinery/pkg/api/resource/quantity.go (the suffixes of whole numbers).
"""

from __future__ import annotations

import re
from typing import Any

_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_QUANTITY = re.compile(r"(\d{1,12})(|k|M|G|Ki|Mi|Gi)")


def bytes_of(quantity: Any) -> int | None:
    """The number of bytes; None for what is no such quantity.

    >>> bytes_of("10Mi"), bytes_of("1500k"), bytes_of("10 MB")
    (10485760, 1500000, None)
    """
    found = _QUANTITY.fullmatch(str(quantity))
    return int(found[1]) * _SUFFIXES[found[2]] if found else None
