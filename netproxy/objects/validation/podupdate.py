"""What is refused about a change of a Pod: hardly anything of what runs may change.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodUpdate, ValidatePodStatusUpdate; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.meta import Object, metadata, spec
from netproxy.objects.validation.internal import internal, internal_diff
from netproxy.objects.validation.pod import pod_problems, pod_template_problems, whole_problems
from netproxy.objects.validation.podannotations import APP_ARMOR, MIRROR, pod_annotation_problems
from netproxy.objects.validation.podstatus import status_problems, status_warnings
from netproxy.objects.validation.podwarnings import is_renewed, pod_warnings, template_warnings
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.scheduling import toleration_problems
from netproxy.objects.validation.words import (
    Problems,
    forbidden,
    invalid,
    required,
)

_FIXED = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing"
    " tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_LONGEST_S = (1 << 31) - 1
_FREE = ("activeDeadlineSeconds", "schedulingGates", "tolerations")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

Part = Mapping[str, Any]


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from whole_problems(new, meta.whole)
    yield from _annotations(new, old)
    given, before = spec(new), spec(old)
    for group in ("containers", "initContainers"):
        path, now, then = f"spec.{group}", given.get(group) or (), before.get(group) or ()
        if len(now) != len(then):
            yield forbidden(path, "pod updates may not add or remove containers")
            return
        for index, item in enumerate(now):
            image = item.get("image") or ""
            if not image:
                yield required(f"{path}[{index}].image")
            if image != image.strip():
                yield invalid(f"{path}[{index}].image", image, "must not have leading or trailing whitespace")
    wrong = list(_deadline(given.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")))
    yield from wrong
    if not wrong or given.get("activeDeadlineSeconds") is None:
        yield from _rest(given, before)


def _annotations(new: Object, old: Object) -> Problems:
    now, then = metadata(new).get("annotations") or {}, metadata(old).get("annotations") or {}
    for key in (*then, *(key for key in now if key not in then)):
        if now.get(key) == then.get(key):
            continue
        word = "remove or update" if key in then else "add"
        if key.startswith(APP_ARMOR):
            yield forbidden(f"metadata.annotations[{key}]", f"may not {word} AppArmor annotations")
        if key == MIRROR:
            yield forbidden(f"metadata.annotations[{key}]", f"may not {word} mirror pod annotation")
    yield from pod_annotation_problems(now, spec(new), "metadata.annotations")


def _deadline(now: int | None, then: int | None) -> Problems:
    path = "spec.activeDeadlineSeconds"
    if now is None:
        if then is not None:
            yield invalid(path, None, "must not update from a positive integer to nil value")
    elif not 0 <= now <= _LONGEST_S:
        yield invalid(path, now, f"must be between 0 and {_LONGEST_S}, inclusive")
    elif then is not None and then < now:
        yield invalid(path, now, "must be less than or equal to previous value")


def _rest(given: Part, before: Part) -> Problems:
    yield from _tolerations(given.get("tolerations") or (), before.get("tolerations") or ())
    yield from _gates(given.get("schedulingGates") or (), before.get("schedulingGates") or ())
    if given == before:
        return
    fixed = _fixed(given, before)
    if before.get("schedulingGates"):
        yield from _node_selector(given, before)
        yield from _node_affinity(given, before)
        fixed = _unplaced(fixed, before)
    if fixed != before:
        yield forbidden("spec", f"{_FIXED}\n{internal_diff(before, fixed)}")


def _tolerations(now: Sequence[Part], then: Sequence[Part]) -> Problems:
    for old in then:
        if not any(_without_seconds(item) == _without_seconds(old) for item in now):
            why = "existing toleration can not be modified except its tolerationSeconds"
            yield forbidden("spec.tolerations", why)
            return
    yield from toleration_problems(now, "spec.tolerations")


def _without_seconds(item: Part) -> dict[str, Any]:
    return {field: value for field, value in item.items() if field != "tolerationSeconds"}


def _gates(now: Sequence[Part], then: Sequence[Part]) -> Problems:
    known = {item.get("name") for item in then}
    for name, index in {item.get("name"): index for index, item in enumerate(now)}.items():
        if name not in known:
            why = f"only deletion is allowed, but found new scheduling gate '{name}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", why)


def _fixed(given: Part, before: Part) -> dict[str, Any]:
    """The new spec with the old one's values of what may change."""
    fixed = {field: value for field, value in given.items() if field not in _FREE}
    fixed |= {field: before[field] for field in _FREE if field in before}
    for group in ("containers", "initContainers"):
        if given.get(group):
            pairs = zip(given[group], before[group], strict=True)
            fixed[group] = [{**new, **({"image": old["image"]} if "image" in old else {})} for new, old in pairs]
    return fixed


def _node_selector(given: Part, before: Part) -> Problems:
    now, then = given.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if not then.items() <= now.items():
        why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        yield invalid("spec.nodeSelector", dict(sorted(now.items())) or None, why)


def _node_affinity(given: Part, before: Part) -> Problems:
    path = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    now, then = _terms(given), _terms(before)
    if then and len(now) != len(then):
        shown = [internal("NodeSelectorTerm", term) for term in now] or None
        yield invalid(path, shown, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
        return
    for index, (new, old) in enumerate(zip(now, then, strict=False)):
        if not _only_adds(new, old):
            shown_term = internal("NodeSelectorTerm", new)
            yield invalid(f"{path}[{index}]", shown_term, "only additions are allowed (no mutations or deletions)")


def _terms(given: Part) -> Sequence[Part]:
    affinity = (given.get("affinity") or {}).get("nodeAffinity") or {}
    terms: Sequence[Part] = (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    return terms


def _only_adds(new: Part, old: Part) -> bool:
    fields = ("matchExpressions", "matchFields")
    if not any(old.get(field) for field in fields):
        return not any(new.get(field) for field in fields)
    return all((new.get(field) or [])[: len(old.get(field) or ())] == (old.get(field) or []) for field in fields)


def _unplaced(fixed: dict[str, Any], before: Part) -> dict[str, Any]:
    """With the old choice of Nodes: a Pod that waits at a gate may be given a narrower one."""
    fixed = {field: value for field, value in fixed.items() if field != "nodeSelector"}
    if "nodeSelector" in before:
        fixed["nodeSelector"] = before["nodeSelector"]
    now, then = fixed.get("affinity"), before.get("affinity")
    wanted, old = (now or {}).get("nodeAffinity"), (then or {}).get("nodeAffinity")
    if wanted == old:
        return fixed
    rest = {field: value for field, value in (now or {}).items() if field != "nodeAffinity"}
    if now is not None and then is None and not rest:
        del fixed["affinity"]
    else:
        fixed["affinity"] = rest if old is None else {**rest, "nodeAffinity": old}
    return fixed


# --- status


def _status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _annotations(new, old)
    yield from status_problems(new, old)


# --- PodTemplate


def _template_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from pod_template_problems(new, list(meta.change))


def _template_warnings(new: Object, old: Object | None) -> Any:
    if is_renewed(new, old):
        yield from template_warnings(new["template"], "template")


def _template_create(obj: Object, meta: Found) -> Problems:
    yield from pod_template_problems(obj, meta)


POD = Rules(create=pod_problems, update=_update, status=_status, warnings=pod_warnings, status_warnings=status_warnings)
POD_TEMPLATE = Rules(create=_template_create, update=_template_update, warnings=_template_warnings)
