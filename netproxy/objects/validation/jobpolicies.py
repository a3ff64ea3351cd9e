"""What is refused about when a Job has failed, and when it has succeeded.

Source: kubernetes pkg/apis/batch/validation/validation.go (validatePodFailurePolicy, validateSuccessPolicy; behaviour).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.numbers import whole
from netproxy.objects.validation.names import qualified, size
from netproxy.objects.validation.templated import not_negative
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    invalid,
    invalids,
    quoted,
    required,
    too_long,
    too_many,
    unsupported,
)

_MOST_RULES, _MOST_CODES, _MOST_PATTERNS = 20, 255, 20
_LONGEST_INDEXES = 64 << 10
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATES = ("False", "True", "Unknown")

Part = Mapping[str, Any]


def failure_policy_problems(job: Part, path: str) -> Problems:
    """What is wrong with what counts as a failure."""
    rules, pod = job["podFailurePolicy"].get("rules") or (), job["template"].get("spec") or {}
    if len(rules) > _MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), _MOST_RULES)
    groups = (*(pod.get("containers") or ()), *(pod.get("initContainers") or ()))
    names = {item.get("name") or "" for item in groups}
    for index, rule in enumerate(rules):
        yield from _rule(rule, f"{path}.rules[{index}]", job, names)


def _rule(rule: Part, path: str, job: Part, names: Collection[str]) -> Problems:
    action, codes, patterns = rule.get("action") or "", rule.get("onExitCodes"), rule.get("onPodConditions") or ()
    if not action:
        yield required(f"{path}.action", _valid(_ACTIONS))
    elif action not in _ACTIONS:
        yield unsupported(f"{path}.action", action, _ACTIONS)
    elif action == "FailIndex" and job.get("backoffLimitPerIndex") is None:
        yield invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set")
    if codes is not None:
        yield from _codes(codes, f"{path}.onExitCodes", names)
    if patterns:
        yield from _patterns(patterns, f"{path}.onPodConditions")
    if codes is not None and patterns:
        yield _plain(path, "specifying both OnExitCodes and OnPodConditions is not supported")
    if codes is None and not patterns:
        yield _plain(path, "specifying one of OnExitCodes and OnPodConditions is required")


def _plain(path: str, why: str) -> Problem:
    """A value that cannot be, and is not shown."""
    return Problem(path, f"Invalid value: {why}")


def _valid(choices: tuple[str, ...]) -> str:
    return f"valid values: [{' '.join(map(quoted, choices))}]"


def _codes(codes: Part, path: str, names: Collection[str]) -> Problems:
    operator, container, values = codes.get("operator") or "", codes.get("containerName"), codes.get("values") or []
    if not operator:
        yield required(f"{path}.operator", _valid(_OPERATORS))
    elif operator not in _OPERATORS:
        yield unsupported(f"{path}.operator", operator, _OPERATORS)
    if container is not None and container not in names:
        why = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", container, why)
    if not values:
        yield invalid(f"{path}.values", codes.get("values"), "at least one value is required")
    elif len(values) > _MOST_CODES:
        yield too_many(f"{path}.values", len(values), _MOST_CODES)
    for index, value in enumerate(values):
        if operator == "In" and not value:
            yield invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in values[:index]:
            yield duplicate(f"{path}.values[{index}]", value)
    if sorted(values) != values:
        yield invalid(f"{path}.values", values, "must be ordered")


def _patterns(patterns: Sequence[Part], path: str) -> Problems:
    if len(patterns) > _MOST_PATTERNS:
        yield too_many(path, len(patterns), _MOST_PATTERNS)
    for index, item in enumerate(patterns):
        kind, state, place = item.get("type") or "", item.get("status") or "", f"{path}[{index}]"
        yield from invalids(f"{place}.type", kind, qualified(kind))
        if state not in _STATES:
            yield unsupported(f"{place}.status", state, _STATES)


def success_policy_problems(job: Part, path: str) -> Problems:
    """What is wrong with what counts as a success."""
    rules = job["successPolicy"].get("rules") or ()
    if job.get("completionMode") != "Indexed":
        yield invalid(path, success_policy_shown(job["successPolicy"]), "requires indexed completion mode")
        return
    if not rules:
        why = "at least one rules must be specified when the successPolicy is specified"
        yield required(f"{path}.rules", why)
    if len(rules) > _MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), _MOST_RULES)
    for index, rule in enumerate(rules):
        yield from _success(rule, f"{path}.rules[{index}]", job.get("completions") or 0)


def failure_policy_shown(policy: Part | None) -> Any:
    """What counts as a failure, as a refusal shows it."""
    return None if policy is None else {"Rules": [_rule_shown(rule) for rule in policy.get("rules") or ()] or None}


def _rule_shown(rule: Part) -> dict[str, Any]:
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
    if codes is not None:
        codes = {field[0].upper() + field[1:]: codes.get(field) for field in ("containerName", "operator", "values")}
        codes["Operator"] = codes["Operator"] or ""
    shown = [{"Type": item.get("type") or "", "Status": item.get("status") or ""} for item in patterns]
    return {"Action": rule.get("action") or "", "OnExitCodes": codes, "OnPodConditions": shown or None}


def success_policy_shown(policy: Part | None) -> Any:
    """What counts as a success, as a refusal shows it."""
    return None if policy is None else {"Rules": [_success_shown(rule) for rule in policy.get("rules") or ()] or None}


def _success_shown(rule: Part) -> dict[str, Any]:
    return {"SucceededIndexes": rule.get("succeededIndexes"), "SucceededCount": rule.get("succeededCount")}


def _success(rule: Part, path: str, completions: int) -> Problems:
    indexes, count, total = rule.get("succeededIndexes"), rule.get("succeededCount"), 0
    if indexes is None and count is None:
        yield required(path, "at least one of succeededCount or succeededIndexes must be specified")
    if indexes is not None:
        if size(indexes) > _LONGEST_INDEXES:
            yield too_long(f"{path}.succeededIndexes", _LONGEST_INDEXES)
        try:
            total = count_of_indexes(indexes, completions)
        except ValueError as error:
            yield invalid(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}")
    if count is not None:
        place, why = f"{path}.succeededCount", "must be less than or equal to {} ({})"
        yield from not_negative(rule, path, "succeededCount")
        if count > completions:
            yield invalid(place, count, why.format(completions, "the number of specified completions"))
        if indexes is not None and count > total:
            what = "the number of indexes in the specified succeededIndexes field"
            yield invalid(place, count, why.format(total, what))


def count_of_indexes(text: str, completions: int) -> int:
    """How many indexes a list of intervals names. Raises ValueError in the real server's words.

    >>> count_of_indexes("0,2-4", 5)
    4
    """
    total, last = 0, None
    for interval in text.split(",") if text else ():
        first, final = _interval(interval, completions)
        if last is not None and last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        total += final - first + 1
        last = final
    return total


def _interval(text: str, completions: int) -> tuple[int, int]:
    parts = text.split("-")
    if len(parts) > 2:
        raise ValueError(
            f"the fragment {quoted(text)} violates the requirement that an index interval can have at most two parts "
            "separated by '-'"
        )
    numbers = []
    for part in parts:
        if not (part.isascii() and part.isdigit()):
            raise ValueError(f"cannot convert string to integer for index: {quoted(part)}")
        if whole(part) >= completions:
            raise ValueError(f"too large index: {quoted(part)}")
        numbers.append(whole(part))
    if len(numbers) > 1 and numbers[0] >= numbers[1]:
        raise ValueError(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return numbers[0], numbers[-1]
