"""What is refused about where a Pod may run: affinity, tolerations, spreading, gates.

Source: kubernetes pkg/apis/core/validation/validation.go (validateAffinity, ValidateTolerations, … ; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.names import dns_label, dns_subdomain, label_value, qualified
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    forbidden,
    invalid,
    invalids,
    required,
    unsupported,
)

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED, _PREFERRED = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))
_POLICIES = ("Honor", "Ignore")
_WEIGHT = "must be in the range 1-100"

Part = Mapping[str, Any]


def affinity_problems(affinity: Part, path: str) -> Problems:
    """What is wrong with the Nodes and Pods that a Pod wants to be near or far from."""
    if affinity.get("nodeAffinity"):
        yield from _node_affinity(affinity["nodeAffinity"], f"{path}.nodeAffinity")
    for field in ("podAffinity", "podAntiAffinity"):
        side, place = affinity.get(field) or {}, f"{path}.{field}"
        for index, term in enumerate(side.get(_REQUIRED) or ()):
            yield from _term(term, f"{place}.{_REQUIRED}[{index}]")
        for index, item in enumerate(side.get(_PREFERRED) or ()):
            where = f"{place}.{_PREFERRED}[{index}]"
            yield from _weight(item, where)
            yield from _term(item.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")


def _weight(item: Part, path: str) -> Problems:
    if not 0 < item.get("weight", 0) <= 100:
        yield invalid(f"{path}.weight", item.get("weight", 0), _WEIGHT)


def _node_affinity(affinity: Part, path: str) -> Problems:
    needed = affinity.get(_REQUIRED)
    if needed is not None:
        yield from node_selector_problems(needed, f"{path}.{_REQUIRED}")
    for index, item in enumerate(affinity.get(_PREFERRED) or ()):
        place = f"{path}.{_PREFERRED}[{index}]"
        yield from _weight(item, place)
        yield from _node_term(item.get("preference") or {}, f"{place}.preference", with_values=False)


def node_selector_problems(selector: Part, path: str) -> Problems:
    """What is wrong with a choice of Nodes."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        yield from _node_term(term, f"{path}.nodeSelectorTerms[{index}]", with_values=True)


def _node_term(term: Part, path: str, *, with_values: bool) -> Problems:
    for index, item in enumerate(term.get("matchExpressions") or ()):
        yield from _expression(item, f"{path}.matchExpressions[{index}]", with_values=with_values)
    for index, item in enumerate(term.get("matchFields") or ()):
        yield from _field(item, f"{path}.matchFields[{index}]")


def _expression(item: Part, path: str, *, with_values: bool) -> Problems:
    operator, values, key = item.get("operator") or "", item.get("values") or (), item.get("key") or ""
    place = f"{path}.values"
    if operator in ("In", "NotIn"):
        if not values:
            yield required(place, "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(place, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(place, "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from invalids(f"{path}.key", key, qualified(key))
    for index, value in enumerate(values if with_values else ()):
        yield from invalids(f"{place}[{index}]", value, label_value(value))


def _field(item: Part, path: str) -> Problems:
    operator, values, key = item.get("operator") or "", item.get("values") or (), item.get("key") or ""
    if operator not in ("In", "NotIn"):
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{path}.values", why)
    if key != "metadata.name":
        yield invalid(f"{path}.key", key, "not a valid field selector key")
        return
    for index, value in enumerate(values):
        yield from invalids(f"{path}.values[{index}]", value, dns_subdomain(value))


def _term(term: Part, path: str) -> Problems:
    for field in ("labelSelector", "namespaceSelector"):
        yield from selector_problems(term.get(field), f"{path}.{field}")
    for name in term.get("namespaces") or ():
        yield from invalids(f"{path}.namespace", name, dns_label(name))
    yield from _label_keys(term, path)
    key = term.get("topologyKey") or ""
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from invalids(f"{path}.topologyKey", key, qualified(key))


def _label_keys(term: Part, path: str) -> Problems:
    selector, match = term.get("labelSelector"), term.get("matchLabelKeys") or ()
    other = term.get("mismatchLabelKeys") or ()
    for field, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", other)):
        if keys and selector is None:
            yield forbidden(f"{path}.{field}", "must not be specified when labelSelector is not set")
        else:
            for index, key in enumerate(keys):
                yield from invalids(f"{path}.{field}[{index}]", key, qualified(key))
    yield from _selected_twice(selector or {}, match, path)
    for index, key in enumerate(match):
        if key in other:
            why = "exists in both matchLabelKeys and mismatchLabelKeys"
            yield invalid(f"{path}.matchLabelKeys[{index}]", key, why)


def _selected_twice(selector: Part, keys: Sequence[str], path: str) -> Problems:
    seen = set(selector.get("matchLabels") or ())
    for item in selector.get("matchExpressions") or ():
        key = item.get("key") or ""
        if key in keys and key in seen:
            at = max(index for index, own in enumerate(keys) if own == key)
            yield invalid(f"{path}[{at}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)


def toleration_problems(tolerations: Sequence[Part], path: str) -> Problems:
    """What is wrong with the taints that a Pod bears."""
    for index, item in enumerate(tolerations):
        yield from _toleration(item, f"{path}[{index}]")


def _toleration(item: Part, path: str) -> Problems:
    key, operator, effect = item.get("key") or "", item.get("operator") or "", item.get("effect") or ""
    if key:
        yield from invalids(f"{path}.key", key, qualified(key))
    elif operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{path}.operator", operator, why)
    if item.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    yield from _operator(operator, item.get("value") or "", f"{path}.operator")
    if effect and effect not in _EFFECTS:
        yield unsupported(f"{path}.effect", effect, _EFFECTS)


def _operator(operator: str, value: str, path: str) -> Problems:
    if operator in ("", "Equal"):
        if reasons := label_value(value):
            yield invalid(path, value, ";".join(reasons))
    elif operator == "Exists":
        if value:
            yield invalid(path, value, "value must be empty when `operator` is 'Exists'")
    elif operator in ("Lt", "Gt"):
        yield unsupported(path, operator, ("Equal", "Exists", "Lt", "Gt"))
    else:
        yield unsupported(path, operator, ("Equal", "Exists"))


def gate_problems(spec: Part, path: str) -> Problems:
    """What is wrong with what a Pod waits for before it is ready, or before it gets a Node."""
    for index, item in enumerate(spec.get("readinessGates") or ()):
        kind = item.get("conditionType") or ""
        yield from invalids(f"{path}.readinessGates[{index}].conditionType", kind, qualified(kind))
    seen: set[str] = set()
    for index, item in enumerate(spec.get("schedulingGates") or ()):
        name, place = item.get("name") or "", f"{path}.schedulingGates[{index}]"
        yield from invalids(place, name, qualified(name))
        if name in seen:
            yield duplicate(place, name)
        seen.add(name)


def spread_problems(constraints: Sequence[Part], path: str) -> Problems:
    """What is wrong with how Pods are to be spread."""
    for index, item in enumerate(constraints):
        yield from _spread(item, constraints[index + 1 :], f"{path}[{index}]")


def _spread(item: Part, others: Sequence[Part], path: str) -> Problems:
    skew, key, when = item.get("maxSkew") or 0, item.get("topologyKey") or "", item.get("whenUnsatisfiable") or ""
    if skew <= 0:
        yield invalid(f"{path}.maxSkew", skew, "must be greater than zero")
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    if when not in ("DoNotSchedule", "ScheduleAnyway"):
        yield unsupported(f"{path}.whenUnsatisfiable", when, ("DoNotSchedule", "ScheduleAnyway"))
    same = [one for one in others if (one.get("topologyKey") or "", one.get("whenUnsatisfiable") or "") == (key, when)]
    if same:
        yield duplicate(f"{path}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {when}}}")
    yield from _domains(item.get("minDomains"), when, f"{path}.minDomains")
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if item.get(field) not in (None, *_POLICIES):
            yield unsupported(f"{path}.{field}", item[field], _POLICIES)
    yield from _label_keys(item, path)
    yield from selector_problems(item.get("labelSelector"), f"{path}.labelSelector")


def _domains(domains: int | None, when: str, path: str) -> Problems:
    if domains is None:
        return
    if domains <= 0:
        yield invalid(path, domains, "must be greater than zero")
    if when != "DoNotSchedule":
        yield invalid(path, domains, f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}")
