"""Label and field selectors as values: what they pick, and how they are written.

Source: kubernetes apimachinery pkg/labels/selector.go, pkg/apis/meta/v1/helpers.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: what the label KEY has to be."""

    key: str
    operator: str
    """`=` or `==`, `in`, `!=`, `notin`, `exists`, `!` (is absent), `>` or `<`."""
    values: frozenset[str]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels satisfy the term."""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "==" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return value is not None and self._compares(value)

    @property
    def exact(self) -> str | None:
        """The one value that the label has to have; None when it may have several, or any."""
        if self.operator not in ("=", "==", "in") or len(self.values) != 1:
            return None
        return next(iter(self.values))

    def _compares(self, value: str) -> bool:
        if not _INTEGER.fullmatch(value):
            return False
        (limit,) = self.values
        return int(value) > int(limit) if self.operator == ">" else int(value) < int(limit)

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case _:
                return f"{self.key}{self.operator}{''.join(self.values)}"


Selector = tuple[Requirement, ...]


def selector_text(selector: Selector) -> str:
    """A selector as it is written in a query.

    >>> selector_text(label_selector({"matchLabels": {"b": "1"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}))
    'a,b=1'
    """
    return ",".join(str(term) for term in sorted(selector, key=lambda term: term.key))


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether all terms hold."""
    return all(term.matches(labels) for term in selector)


def selects(match_labels: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Service's `spec.selector` picks these labels; an empty selector picks nothing."""
    return bool(match_labels) and all(labels.get(k) == v for k, v in (match_labels or {}).items())


_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def label_selector(selector: Mapping[str, Any] | None) -> Selector:
    """Turn `{matchLabels, matchExpressions}` into terms."""
    selector = selector or {}
    terms = [Requirement(k, "=", frozenset((str(v),))) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for item in selector.get("matchExpressions") or ():
        operator = _OPERATORS.get(str(item.get("operator")), "exists")
        values = frozenset(item.get("values") or ()) if operator in ("in", "notin") else frozenset[str]()
        terms.append(Requirement(item["key"], operator, values))
    return tuple(terms)


_BETWEEN_COMMAS = re.compile(r"(?:\\.|[^,\\])+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def field_filter(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """Turn a field selector (`status.phase!=Succeeded,spec.nodeName=n1`) into a predicate."""
    terms: list[tuple[list[str], str, bool]] = []
    for term in filter(None, (part.strip() for part in _BETWEEN_COMMAS.findall(text))):
        path, negated, value = term.partition("!=")
        if not negated:
            path, _, value = term.partition("=")
            value = value.removeprefix("=")
        terms.append((path.strip().split("."), _ESCAPED.sub(r"\1", value.strip()), bool(negated)))
    return lambda obj: all((_at(obj, path) == value) is not negated for path, value, negated in terms)


def _at(obj: Mapping[str, Any], path: list[str]) -> str:
    here: Any = obj
    for step in _ELSEWHERE.get(".".join(path), path):
        here = here.get(step) if isinstance(here, Mapping) else None
    if isinstance(here, bool) or path[-1] in _SWITCHES:
        return str(bool(here)).lower()
    return "" if here is None else str(here)


_ELSEWHERE = {"source": ["source", "component"], "spec.host": ["spec", "nodeName"]}
"""Fields that selectors have another name for."""
_SWITCHES = ("unschedulable", "hostNetwork")
"""Fields that are false when they are not there."""
