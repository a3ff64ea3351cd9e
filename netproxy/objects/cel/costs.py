"""What functions take beyond a look at their arguments: it is reckoned before they make anything.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/cel/library/cost.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

BRIEF = frozenset(
    ("size", "dyn", "type", "hasValue", "value", "or", "orValue", "optional.of", "optional.none", "first", "last")
)
"""Functions that look at no item of their arguments."""
_PRECISION = re.compile(r"%\.(\d{1,9})")


def parts(tree: Any) -> int:
    """How many parts an expression has."""
    if isinstance(tree, tuple):
        return sum(map(parts, tree))
    if hasattr(tree, "__dataclass_fields__"):
        return 1 + sum(parts(getattr(tree, field)) for field in tree.__dataclass_fields__)
    return 0


def _pairs(left: list[Any], right: list[Any]) -> int:
    return len(left) * len(right)


def _replaced(of: str, old: str, new: str, most: int = -1) -> int:
    count = of.count(old)
    return (count if most < 0 else min(count, most)) * len(new) // 10


def _formatted(of: str, _: list[Any]) -> int:
    return sum(int(digits) for digits in _PRECISION.findall(of))


COSTS: Mapping[str, Callable[..., int]] = {
    "lists.range": lambda count: max(count, 0), "sets.contains": _pairs, "sets.intersects": _pairs, "sets.equivalent": _pairs,
    "distinct": lambda of: _pairs(of, of), "replace": _replaced, "join": lambda of, by="": len(of) * len(by) // 10,
    "format": _formatted,
}  # fmt: skip
"""By the name of the function, in steps."""
