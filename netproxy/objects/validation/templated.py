"""What the kinds that make Pods from templates have in common: selectors, amounts in rollouts, counts in statuses.

Source: kubernetes pkg/apis/apps/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.numbers import whole
from netproxy.objects.selector import label_selector, matches
from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.names import percent
from netproxy.objects.validation.words import (
    NOT_NEGATIVE,
    Problems,
    forbidden,
    invalid,
    invalids,
    required,
    unchanged_shown,
    unsupported,
)

_MISMATCH = "`selector` does not match template `labels`"

Part = Mapping[str, Any]


def labels_shown(template: Part) -> dict[str, str] | None:
    """A template's labels as a refusal shows them."""
    labels: Mapping[str, str] | None = (template.get("metadata") or {}).get("labels")
    return None if labels is None else dict(sorted(labels.items()))


def mismatch_problems(template: Part, path: str, *, is_match: bool) -> Problems:
    """The refusal of a template whose Pods are not selected."""
    if not is_match:
        yield invalid(f"{path}.metadata.labels", labels_shown(template), _MISMATCH)


def is_selected(selector: Part | None, template: Part) -> bool:
    """Whether a selector, which is right, selects the Pods of a template; one that is not there selects nothing."""
    return selector is not None and matches(label_selector(selector), labels_shown(template) or {})


def selector_of_set_problems(selector: Part | None, path: str, kind: str) -> Problems:
    """What is wrong with the selector of a kind that must have one."""
    if selector is None:
        yield required(path)
        return
    yield from selector_problems(selector, path)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid(path, selector_shown(selector), f"empty selector is invalid for {kind}")


def selector_shown(selector: Part | None) -> Any:
    """A selector as a refusal shows it."""
    if selector is None:
        return None
    shown: dict[str, Any] = {}
    if selector.get("matchLabels"):
        shown["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        shown["matchExpressions"] = [_expression_shown(item) for item in selector["matchExpressions"]]
    return shown


def _expression_shown(item: Part) -> dict[str, Any]:
    shown = {field: item.get(field) or "" for field in ("key", "operator")}
    return {**shown, "values": item["values"]} if item.get("values") else shown


def unchanged_selector(given: Part, before: Part) -> Problems:
    """Whether the Pods that are selected are still chosen as they were."""
    new, old = given.get("selector"), before.get("selector")
    yield from unchanged_shown("spec.selector", new, old, selector_shown(new))


def is_readable(selector: Part | None) -> bool:
    """Whether a selector can be used at all."""
    return not list(selector_problems(selector, ""))


def lasting_problems(template: Part, path: str, kind: str) -> Problems:
    """Whether the Pods of a template go on for ever, as those of most kinds must."""
    given = template.get("spec") or {}
    if given.get("restartPolicy", "Always") != "Always":
        yield unsupported(f"{path}.spec.restartPolicy", given["restartPolicy"], ("Always",))
    if given.get("activeDeadlineSeconds") is not None:
        yield forbidden(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def not_negative(given: Part, path: str, *fields: str) -> Problems:
    """Whether these numbers, as far as they are there, are not below zero."""
    for field in fields:
        if (given.get(field) or 0) < 0:
            yield invalid(f"{path}.{field}", given[field], NOT_NEGATIVE)


def amount_problems(value: Any, path: str) -> Problems:
    """Whether a value is a number of Pods, or a share of them."""
    if isinstance(value, str):
        yield from invalids(path, value, percent(value))
    elif value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def share_problems(value: Any, path: str) -> Problems:
    """Whether a share is no more than all."""
    if isinstance(value, str) and not percent(value) and whole(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def amount_of(value: Any) -> int:
    """The number that a number of Pods, or a share of them, is; nothing for what is neither."""
    if isinstance(value, str):
        text = value if percent(value) else value[:-1]
        return whole(text) if text.lstrip("+-").isdecimal() and text.isascii() else 0
    return int(value)


def counts_problems(status: Part, path: str, *fields: str, of_ready: str = "readyReplicas") -> Problems:
    """What is wrong with the counts of a status: none is above `replicas`, and no more are available than ready."""
    whole = status.get("replicas") or 0
    for field in fields:
        if (status.get(field) or 0) > whole:
            yield invalid(f"{path}.{field}", status[field], "cannot be greater than status.replicas")
    available = status.get("availableReplicas") or 0
    if available > (status.get("readyReplicas") or 0):
        yield invalid(f"{path}.availableReplicas", available, f"cannot be greater than {of_ready}")


def collision_problems(new: Part, old: Part) -> Problems:
    """Whether the count of collisions went down."""
    if old.get("collisionCount") is not None and (new.get("collisionCount") or 0) < old["collisionCount"]:
        yield invalid("status.collisionCount", new.get("collisionCount") or 0, "cannot be decremented")
