"""What admission adds to a Pod on its way in: how long it bears a lost node, its priority, its first status.

Source: kubernetes plugin/pkg/admission/defaulttolerationseconds, priority, runtimeclass; pkg/registry/core/pod/strategy.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from netproxy.core.errors import ApiError
from netproxy.core.names import quoted
from netproxy.objects.kinds import PODS
from netproxy.objects.meta import Object, annotations_of, labels, name, spec
from netproxy.objects.resources import quality
from netproxy.objects.validation.names import path_segment
from netproxy.objects.validation.podannotations import APP_ARMOR, ARMOR_IS_OLD, armor_field
from netproxy.objects.validation.security import armor_problems
from netproxy.registry.priority import OF_THE_SYSTEM
from netproxy.registry.refusal import forbidden

_LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_BEARS_S = 300

Classes = Callable[[], Iterable[Object]]
"""The PriorityClasses that there are."""


def admitted(pod: Object, classes: Iterable[Object]) -> Object:
    """A new Pod with what admission adds. Raises ApiError for a class that is not there, or a priority that is not its."""
    wanted = spec(pod)
    added = {"tolerations": tolerations(wanted.get("tolerations") or []), **_priority(pod, list(classes))}
    if "runtimeClassName" in wanted:
        _check_name(wanted["runtimeClassName"])
        raise _forbidden(pod, f'pod rejected: RuntimeClass "{wanted["runtimeClassName"]}" not found')
    return {**pod, "spec": _matched({**wanted, **added}, labels(pod))}


def _check_name(called: str) -> None:
    """Raise ApiError for a name that no object can have, as whoever asks for the object is told."""
    if not called:
        raise ApiError(500, "", "resource name may not be empty")
    if wrong := path_segment(called):
        raise ApiError(500, "", f"invalid resource name {quoted(called)}: [{' '.join(wrong)}]")


def check_overhead(pod: Object) -> None:
    """Raise ApiError for a new Pod, which is right in itself, with an overhead that nothing here has."""
    if spec(pod).get("overhead"):
        why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        raise _forbidden(pod, why)


def first_status(pod: Object, now: str) -> Object:
    """It waits for a node, or for its gates to open."""
    result: Object = {"phase": "Pending", "qosClass": quality(spec(pod))}
    if spec(pod).get("schedulingGates"):
        result["conditions"] = [
            {
                "type": "PodScheduled", "status": "False", "lastProbeTime": None, "lastTransitionTime": now,
                "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]  # fmt: skip
    return result


def with_armor(pod: Object, warn: Callable[[str], None]) -> Object:
    """A new Pod with what its annotations say of AppArmor in the fields for it."""
    notes, wanted = annotations_of(pod), dict(spec(pod))
    if not any(key.startswith(APP_ARMOR) for key in notes) or (wanted.get("os") or {}).get("name") == "windows":
        return pod
    own = (wanted.get("securityContext") or {}).get("appArmorProfile")
    for group in ("initContainers", "containers"):
        if wanted.get(group):
            wanted[group] = [_armored(item, notes, own, warn) for item in wanted[group]]
    return {**pod, "spec": wanted}


def _armored(container: Object, notes: Mapping[str, str], of_pod: Object | None, warn: Callable[[str], None]) -> Object:
    key, context = APP_ARMOR + container.get("name", ""), container.get("securityContext") or {}
    if key not in notes or context.get("appArmorProfile") is not None:
        return container
    field = armor_field(notes[key])
    is_good = field is not None and not list(armor_problems(field, ""))
    if is_good and field == of_pod:
        return container
    warn(f"metadata.annotations[{key}]: {ARMOR_IS_OLD}")
    return {**container, "securityContext": {**context, "appArmorProfile": field}} if is_good else container


def tolerations(given: list[Object]) -> list[Object]:
    """The tolerations, and those for a node that is lost, where none says anything about that.

    >>> [item["key"] for item in tolerations([{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}])]
    ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']
    """
    added = [
        {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _BEARS_S}
        for taint in _LOST
        if not any(item.get("key", taint) == taint and item.get("effect", "NoExecute") == "NoExecute" for item in given)
    ]
    return [*given, *added]


def _priority(pod: Object, classes: list[Object]) -> Object:
    wanted = spec(pod)
    found = _class(pod, wanted.get("priorityClassName"), classes)
    value, policy = found.get("value") or 0, found.get("preemptionPolicy", "PreemptLowerPriority")
    if wanted.get("priority", value) != value:
        raise _forbidden(
            pod,
            f"the integer value of priority ({wanted['priority']}) must not be provided in pod spec; priority admission"
            f" controller computed {value} from the given PriorityClass name",
        )
    if wanted.get("preemptionPolicy", policy) != policy:
        raise _forbidden(
            pod,
            f"the string value of PreemptionPolicy ({wanted['preemptionPolicy']}) must not be provided in pod spec; "
            f"priority admission controller computed {policy} from the given PriorityClass name",
        )
    named = {"priorityClassName": name(found)} if found else {}
    return {**named, "priority": value, "preemptionPolicy": policy}


def _class(pod: Object, wanted: str | None, classes: list[Object]) -> Object:
    """The class that a Pod names, or the default one; empty when there is none. Raises ApiError."""
    if not wanted:
        usual = [item for item in classes if item.get("globalDefault")]
        return min(usual, key=lambda item: item.get("value") or 0) if usual else {}
    for item in (*classes, *OF_THE_SYSTEM):
        if name(item) == wanted:
            return item
    raise _forbidden(pod, f"no PriorityClass with name {wanted} was found")


def _forbidden(pod: Object, why: str) -> ApiError:
    return forbidden(PODS, name(pod), why)


def _matched(wanted: Object, own: Mapping[str, str]) -> Object:
    """What is to match, or not, the Pod's own labels, in words of a selector."""
    if wanted.get("topologySpreadConstraints"):
        spread = [_selecting(item, own) for item in wanted["topologySpreadConstraints"]]
        wanted = {**wanted, "topologySpreadConstraints": spread}
    affinity = wanted.get("affinity") or {}
    near = {side: _terms(affinity[side], own) for side in ("podAffinity", "podAntiAffinity") if affinity.get(side)}
    return {**wanted, "affinity": {**affinity, **near}} if near else wanted


def _terms(side: Object, own: Mapping[str, str]) -> Object:
    result = dict(side)
    required, preferred = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))
    if side.get(required):
        result[required] = [_selecting(term, own) for term in side[required]]
    if side.get(preferred):
        result[preferred] = [
            {**item, "podAffinityTerm": _selecting(item["podAffinityTerm"], own)} for item in side[preferred]
        ]
    return result


def _selecting(term: Object, own: Mapping[str, str]) -> Object:
    selector = term.get("labelSelector")
    added = [
        {"key": key, "operator": operator, "values": [own[key]]}
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(field) or ()
        if key in own
    ]
    if selector is None or not added:
        return term
    return {
        **term,
        "labelSelector": {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *added]},
    }
