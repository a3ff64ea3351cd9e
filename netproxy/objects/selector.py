"""Label and field selectors, as the API takes them in a query."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ManifestError, Problem

_TERM = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<gone>[^\s=!,()]+)"
    r"|(?P<key>[^\s=!,()]+)\s*(?:(?P<op>==|=|!=|\bin\b|\bnotin\b)\s*(?:\((?P<set>[^)]*)\)|(?P<value>[^,()]*)))?)\s*(?:,|\Z)"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: KEY is (not) one of VALUES; no values means that KEY only has to exist (or not)."""

    key: str
    values: frozenset[str]
    negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels satisfy the term."""
        if not self.values:
            return (self.key in labels) is not self.negated
        return (self.key in labels and labels[self.key] in self.values) is not self.negated


Selector = tuple[Requirement, ...]


def parse_selector(text: str) -> Selector:
    """Parse the query form of a label selector.

    >>> matches(parse_selector("app=web,tier in (a, b),!old"), {"app": "web", "tier": "b"})
    True

    Raises ManifestError when the text is not a selector.
    """
    terms: list[Requirement] = []
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if not found or found.end() == at:
            raise ManifestError(
                [Problem("labelSelector", f"Invalid value: {text!r}: unable to parse near {text[at:]!r}")]
            )
        at = found.end()
        terms.append(_requirement(found))
    return tuple(terms)


def _requirement(found: re.Match[str]) -> Requirement:
    if found["absent"]:
        return Requirement(found["gone"], frozenset(), negated=True)
    if not found["op"]:
        return Requirement(found["key"], frozenset())
    values = found["set"].split(",") if found["set"] is not None else [found["value"] or ""]
    return Requirement(found["key"], frozenset(v.strip() for v in values), negated=found["op"] in ("!=", "notin"))


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether all terms hold."""
    return all(term.matches(labels) for term in selector)


def selects(match_labels: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Service's `spec.selector` picks these labels; an empty selector picks nothing."""
    return bool(match_labels) and all(labels.get(k) == v for k, v in (match_labels or {}).items())


def label_selector(selector: Mapping[str, Any] | None) -> Selector:
    """Turn `{matchLabels, matchExpressions}` into terms."""
    selector = selector or {}
    terms = [Requirement(k, frozenset((str(v),))) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for item in selector.get("matchExpressions") or ():
        operator = item.get("operator")
        values = frozenset(item.get("values") or ()) if operator in ("In", "NotIn") else frozenset()
        terms.append(Requirement(item["key"], values, negated=operator in ("NotIn", "DoesNotExist")))
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
