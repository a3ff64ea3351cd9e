"""What is refused about a ResourceQuota and a LimitRange.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateResourceQuota, ValidateLimitRange; behaviour),
pkg/registry/core/resourcequota/strategy.go (warnings).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netproxy.objects.amounts import amount
from netproxy.objects.meta import Object, spec, status
from netproxy.objects.validation.names import qualified
from netproxy.objects.validation.resources import (
    container_name_problems,
    is_standard_in_quota,
    may_be_overcommitted,
    quantity_problems,
    quota_name_problems,
    resource_name_problems,
)
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import (
    IMMUTABLE,
    Problems,
    Typed,
    duplicate,
    forbidden,
    invalid,
    invalids,
    required,
)

_POD_SCOPES = ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")
_EXISTING_ONLY = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_POD_RESOURCES = frozenset(
    ("pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
)  # fmt: skip
_SCOPED = {
    **dict.fromkeys(_POD_SCOPES, _POD_RESOURCES), "BestEffort": frozenset(("pods",)),
    "VolumeAttributesClass": frozenset(("persistentvolumeclaims", "requests.storage")),
}  # fmt: skip
"""Of what a scope can be a part."""
_PAIRS = (("BestEffort", "NotBestEffort"), ("NotTerminating", "Terminating"))

Part = Mapping[str, Any]


def _quota(obj: Object) -> Problems:
    given = spec(obj)
    hard = given.get("hard") or {}
    yield from _amounts(hard, "spec.hard")
    scopes = given.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPED:
            yield invalid("spec.scopes", scopes, "unsupported scope")
        for _ in range(_misfits(scope, hard)):
            yield invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    yield from _conflicts(set(scopes), "spec.scopes", scopes)
    if (selector := given.get("scopeSelector")) is not None:
        yield from _scope_selector(selector, hard, scopes)


def _amounts(amounts: Mapping[str, str], path: str) -> Problems:
    for name, given in amounts.items():
        yield from quota_name_problems(f"{path}[{name}]", name)
        yield from quantity_problems(f"{path}[{name}]", name, given)


def _misfits(scope: str, hard: Mapping[str, str]) -> int:
    """How many resources have no such scope."""
    fitting = _SCOPED.get(scope)
    return sum(is_standard_in_quota(name) and fitting is not None and name not in fitting for name in hard)


def _conflicts(scopes: set[str], path: str, shown: Any) -> Problems:
    for pair in _PAIRS:
        if scopes.issuperset(pair):
            yield invalid(path, shown or None, "conflicting scopes")


def _scope_selector(selector: Part, hard: Mapping[str, str], scopes: Sequence[str]) -> Problems:
    path, items = "spec.scopeSelector.matchExpressions", selector.get("matchExpressions") or ()
    shown = {"MatchExpressions": [
        {"ScopeName": i.get("scopeName") or "", "Operator": i.get("operator") or "", "Values": i.get("values")} for i in items
    ]}  # fmt: skip
    for item in items:
        scope = item.get("scopeName") or ""
        if scope not in _SCOPED:
            yield invalid(f"{path}.scopeName", Typed(scope), "unsupported scope")
        for _ in range(_misfits(scope, hard)):
            yield invalid(path, shown, "unsupported scope applied to resource")
        yield from _scope_operator(item, scope, path)
    yield from _conflicts({item.get("scopeName") or "" for item in items}, path, scopes)


def _scope_operator(item: Part, scope: str, path: str) -> Problems:
    operator, values = item.get("operator") or "", item.get("values")
    if scope in _EXISTING_ONLY and operator != "Exists":
        why = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
            "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        yield invalid(f"{path}.operator", Typed(operator), why)
    if operator in ("In", "NotIn"):
        if not values:
            why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            yield required(f"{path}.values", why)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            yield invalid(f"{path}.values", values, why)
    else:
        yield invalid(f"{path}.operator", Typed(operator), "not a valid selector operator")


def _quota_create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _quota(obj)
    yield from _quota_status(obj, obj, Meta())


def _quota_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _quota(new)
    scopes = spec(new).get("scopes") or []
    if set(scopes) != set(spec(old).get("scopes") or ()):
        yield invalid("spec.scopes", scopes or None, IMMUTABLE)


def _quota_status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    for field in ("hard", "used"):
        yield from _amounts(status(new).get(field) or {}, f"status.{field}")


def _quota_warnings(new: Object, old: Object | None) -> Iterator[str]:
    hard = spec(new).get("hard") or {}
    for name in ("cpu", "memory", "ephemeral-storage") if old is None else ():
        asked = f"requests.{name}"
        if asked not in hard and name != "ephemeral-storage":
            asked = name
        limit = f"limits.{name}"
        if asked in hard and limit in hard and amount(hard[asked]) > amount(hard[limit]):
            yield f"ResourceQuota {asked} ({hard[asked]}) should be less than {limit} ({hard[limit]})"


def _limit_range(obj: Object) -> Problems:
    kinds: set[str] = set()
    for index, limit in enumerate(spec(obj).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", limit.get("type") or ""
        if reasons := qualified(kind):
            yield from invalids(f"{path}.type", Typed(kind), reasons)
        elif "/" not in kind and kind not in ("Pod", "Container", "PersistentVolumeClaim"):
            yield invalid(f"{path}.type", Typed(kind), "must be a standard limit type or fully qualified")
        if kind in kinds:
            yield duplicate(f"{path}.type", kind)
        kinds.add(kind)
        yield from _limit(limit, kind, path)


def _limit(limit: Part, kind: str, path: str) -> Problems:
    rule = container_name_problems if kind in ("Pod", "Container") else resource_name_problems
    fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
    for field in fields:
        if kind == "Pod" and field.startswith("default"):
            if limit.get(field):
                yield forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'")
            continue
        stored = any("storage" in (limit.get(bound) or {}) for bound in ("min", "max"))
        if field == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim" and not stored:
            why = "either minimum or maximum storage value is required, but neither was provided"
            yield required(f"{path}.limits", why)
        for name in limit.get(field) or ():
            yield from rule(f"{path}.{field}[{name}]", name)
    used = [field for field in fields if kind != "Pod" or not field.startswith("default")]
    for name in dict.fromkeys(name for field in used for name in limit.get(field) or ()):
        values = {field: limit[field][name] for field in used if name in (limit.get(field) or {})}
        yield from _bounds(values, name, path)
        yield from _ratio(values, name, path)


_ORDER = (
    ("min", "max", "min", "min", "min value {0} is greater than max value {1}"),
    ("min", "defaultRequest", "defaultRequest", "defaultRequest", "min value {0} is greater than default request value {1}"),
    ("defaultRequest", "max", "defaultRequest", "defaultRequest", "default request value {0} is greater than max value {1}"),
    ("defaultRequest", "default", "defaultRequest", "defaultRequest",
     "default request value {0} is greater than default limit value {1}"),
    ("min", "default", "default", "min", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "max", "default value {0} is greater than max value {1}"),
)  # fmt: skip
"""What is not above what; at which field that is told, with whose value, and how."""


def _bounds(values: Mapping[str, str], name: str, path: str) -> Problems:
    for low, high, place, shown, words in _ORDER:
        if low in values and high in values and amount(values[low]) > amount(values[high]):
            yield invalid(f"{path}.{place}[{name}]", values[shown], words.format(values[low], values[high]))


def _ratio(values: Mapping[str, str], name: str, path: str) -> Problems:
    ratio, place = values.get("maxLimitRequestRatio"), f"{path}.maxLimitRequestRatio[{name}]"
    if ratio is not None:
        if amount(ratio) < 1:
            yield invalid(place, ratio, f"ratio {ratio} is less than 1")
        if amount(values.get("min", "0")) and "max" in values:
            most = float(amount(values["max"]) / amount(values["min"]))
            if float(amount(ratio)) > most:
                yield invalid(place, ratio, f"ratio {ratio} is greater than max/min = {most:f}")
    default, asked = values.get("default"), values.get("defaultRequest")
    if (
        default is not None
        and asked is not None
        and not may_be_overcommitted(name)
        and amount(default) != amount(asked)
    ):
        why = f"default value {default} must equal to defaultRequest value {asked} in {name}"
        yield invalid(f"{path}.defaultRequest[{name}]", asked, why)


def _limit_create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _limit_range(obj)


def _limit_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _limit_create(new, meta.whole)


RESOURCE_QUOTA = Rules(create=_quota_create, update=_quota_update, status=_quota_status, warnings=_quota_warnings)
LIMIT_RANGE = Rules(create=_limit_create, update=_limit_update)
