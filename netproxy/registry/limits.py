"""LimitRanges: what a container is given that says nothing of its sizes, and which sizes are refused.

Source: kubernetes 1.36 plugin/pkg/admission/limitranger/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from netproxy.objects.amount import Amount
from netproxy.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PODS, Resource
from netproxy.objects.meta import Object, annotations_of, metadata, name, spec
from netproxy.objects.resources import Amounts, amounts, asked, together
from netproxy.registry.refusal import forbidden

_ANNOTATION = "kubernetes.io/limit-ranger"
_MOST_MILLI = (1 << 63) // 1000 - 1
"""Above this, thousandths do not count."""
_GROUPS = (("containers", "container"), ("initContainers", "init container"))

Rule = Callable[[str, str, Amount, Amounts, Amounts], str]
"""Kind, resource, bound, requests and limits to what is wrong; empty when nothing is."""


def with_sizes(pod: Object, ranges: Iterable[Object]) -> Object:
    """A Pod with what the ranges of its namespace give to containers that do not say it."""
    for limit_range in ranges:
        pod = _given(pod, limit_range)
    return pod


def check_sizes(resource: Resource, obj: Object, ranges: Iterable[Object]) -> None:
    """Raise ApiError when a Pod, or a claim, is smaller or larger than the ranges of its namespace allow."""
    for limit_range in ranges:
        wrong = list(dict.fromkeys(_PROBLEMS[resource](obj, spec(limit_range).get("limits") or ())))
        if wrong:
            raise forbidden(resource, name(obj), f"[{', '.join(wrong)}]" if len(wrong) > 1 else wrong[0])


def _given(pod: Object, limit_range: Object) -> Object:
    usual: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for limit in spec(limit_range).get("limits") or ():
        if limit.get("type") == "Container":
            usual["requests"] |= limit.get("defaultRequest") or {}
            usual["limits"] |= limit.get("default") or {}
    told: list[str] = []
    fields = dict(spec(pod))
    for group, word in _GROUPS:
        if fields.get(group):
            fields[group] = [_sized(item, usual, word, told) for item in fields[group]]
    if not told:
        return pod
    notes = {**annotations_of(pod), _ANNOTATION: f"LimitRanger plugin set: {'; '.join(told)}"}
    return {**pod, "metadata": {**metadata(pod), "annotations": notes}, "spec": fields}


def _sized(container: Object, usual: Mapping[str, Mapping[str, str]], word: str, told: list[str]) -> Object:
    sizes = dict(container.get("resources") or {})
    for side in usual:
        said = sizes.get(side) or {}
        more = {key: value for key, value in usual[side].items() if key not in said}
        if more:
            sizes[side] = {**said, **more}
            told.append(f"{', '.join(sorted(more))} {side[:-1]} for {word} {container['name']}")
    return {**container, "resources": sizes}


# --- what is refused


def _pod_problems(pod: Object, limits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for limit in limits:
        kind = limit.get("type")
        if kind == "Container":
            for container in (item for group, _ in _GROUPS for item in spec(pod).get(group) or ()):
                yield from _problems(limit, asked(container, "requests"), asked(container, "limits"))
        if kind == "Pod":
            yield from _problems(limit, _whole(spec(pod), "requests"), _whole(spec(pod), "limits"))


def _whole(wanted: Mapping[str, Any], side: str) -> Amounts:
    own = {key: found for key, found in asked(wanted, side).items() if key in ("cpu", "memory")}
    return {**together(wanted, lambda container: asked(container, side)), **own}


def _claim_problems(claim: Object, limits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for limit in limits:
        if limit.get("type") == "PersistentVolumeClaim":
            yield from _problems(
                limit, asked(spec(claim), "requests"), {}, (("min", _too_small), ("max", _asks_too_much))
            )


def _problems(
    limit: Mapping[str, Any], requests: Amounts, limits: Amounts, rules: Iterable[tuple[str, Rule]] = ()
) -> Iterator[str]:
    for field, rule in rules or (("min", _too_small), ("max", _too_large), ("maxLimitRequestRatio", _too_far_apart)):
        for key, bound in sorted(amounts(limit.get(field)).items()):
            wrong = rule(limit["type"], key, bound, requests, limits)
            if wrong:
                yield wrong


def _too_small(kind: str, key: str, bound: Amount, requests: Amounts, limits: Amounts) -> str:
    words = f"minimum {key} usage per {kind} is {bound}"
    if key not in requests:
        return f"{words}.  No request is specified"
    asked_for, limit, least = _comparable(requests[key], limits.get(key), bound)
    if asked_for < least:
        return f"{words}, but request is {requests[key]}"
    return f"{words}, but limit is {limits[key]}" if key in limits and limit < least else ""


def _too_large(kind: str, key: str, bound: Amount, requests: Amounts, limits: Amounts) -> str:
    words = f"maximum {key} usage per {kind} is {bound}"
    if key not in limits:
        return f"{words}.  No limit is specified"
    asked_for, limit, most = _comparable(requests.get(key), limits[key], bound)
    if limit > most:
        return f"{words}, but limit is {limits[key]}"
    return f"{words}, but request is {requests[key]}" if key in requests and asked_for > most else ""


def _asks_too_much(kind: str, key: str, bound: Amount, requests: Amounts, _: Amounts) -> str:
    words = f"maximum {key} usage per {kind} is {bound}"
    if key not in requests:
        return f"{words}.  No request is specified"
    asked_for, _limit, most = _comparable(requests[key], None, bound)
    return f"{words}, but request is {requests[key]}" if asked_for > most else ""


def _too_far_apart(kind: str, key: str, bound: Amount, requests: Amounts, limits: Amounts) -> str:
    words = f"{key} max limit to request ratio per {kind} is {bound}"
    asked_for, limit, _ = _comparable(requests.get(key), limits.get(key), bound)
    if not asked_for:
        return f"{words}, but no request is specified or request is 0"
    if not limit:
        return f"{words}, but no limit is specified or limit is 0"
    ratio, most = limit / asked_for, bound.value
    if most <= _MOST_MILLI:
        return f"{words}, but provided ratio is {ratio:f}" if ratio * 1000 > _milli(bound) else ""
    return f"{words}, but provided ratio is {ratio:f}" if ratio > most else ""


def _comparable(*given: Amount | None) -> list[int]:
    """All in thousandths, or, when one is too large for that, all in wholes."""
    found = [item or Amount(0) for item in given]
    is_fine = all(item.value <= _MOST_MILLI for item in found)
    return [_milli(item) if is_fine else item.value for item in found]


def _milli(item: Amount) -> int:
    return -(-item.nano // 10**6)


_PROBLEMS: dict[Resource, Callable[[Object, Sequence[Mapping[str, Any]]], Iterator[str]]] = {
    PODS: _pod_problems, PERSISTENT_VOLUME_CLAIMS: _claim_problems,
}  # fmt: skip
LIMITED = frozenset(_PROBLEMS)
"""Resources whose sizes a LimitRange can limit."""
