"""What is refused about StatefulSets.

Source: kubernetes pkg/apis/apps/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.objects.meta import Object, spec, status
from netproxy.objects.validation.names import dns_label
from netproxy.objects.validation.pod import template_metadata_problems, template_problems
from netproxy.objects.validation.podwarnings import is_renewed, template_warnings
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.storage import claim_spec_problems
from netproxy.objects.validation.templated import (
    collision_problems,
    counts_problems,
    is_readable,
    is_selected,
    lasting_problems,
    mismatch_problems,
    not_negative,
    selector_of_set_problems,
    selector_shown,
)
from netproxy.objects.validation.volumewarnings import claim_warnings
from netproxy.objects.validation.words import Problems, forbidden, invalid, invalids, unsupported

_MAY_CHANGE = (
    "replicas", "template", "updateStrategy", "minReadySeconds", "ordinals", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
)  # fmt: skip
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_LIMIT = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"

Part = Mapping[str, Any]


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _spec(spec(obj), is_new=True)


def _spec(given: Part, *, is_new: bool) -> Problems:
    order = given.get("podManagementPolicy")
    if order not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", order, "must be 'OrderedReady' or 'Parallel'")
    yield from _strategy(given["updateStrategy"], "spec.updateStrategy")
    for field, policy in given["persistentVolumeClaimRetentionPolicy"].items():
        if policy not in ("Retain", "Delete"):
            place = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            yield unsupported(place, policy, ("Retain", "Delete"))
    for index, claim in enumerate((given.get("volumeClaimTemplates") or ()) if is_new else ()):
        yield from claim_spec_problems(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
    yield from not_negative(given, "spec", "replicas", "minReadySeconds")
    yield from not_negative(given.get("ordinals") or {}, "spec.ordinals", "start")
    name = given.get("serviceName")
    if name and is_new:
        yield from invalids("spec.serviceName", name, dns_label(name))
    yield from _template(given)


def _strategy(strategy: Part, path: str) -> Problems:
    kind, rolling = strategy["type"], strategy.get("rollingUpdate")
    shown = _rolling_shown(rolling)
    if kind == "OnDelete":
        if rolling is not None:
            yield invalid(f"{path}.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    elif kind != "RollingUpdate":
        yield invalid(path, {"Type": kind, "RollingUpdate": shown}, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        yield from not_negative(rolling, f"{path}.rollingUpdate", "partition")


def _rolling_shown(rolling: Part | None) -> Any:
    if rolling is None:
        return None
    return {"Partition": rolling.get("partition") or 0, "MaxUnavailable": rolling.get("maxUnavailable")}


def _template(given: Part) -> Problems:
    selector, template = given.get("selector"), given.get("template") or {}
    yield from selector_of_set_problems(selector, "spec.selector", "statefulset")
    if not is_readable(selector):
        yield invalid("spec.selector", selector_shown(selector))
    else:
        is_empty = selector is not None and not selector_shown(selector)
        is_match = is_empty or is_selected(selector, template)
        yield from mismatch_problems(template, "spec.template", is_match=is_match)
        whole = {**template, "spec": _with_claims(template.get("spec") or {}, given)}
        yield from template_problems(whole, "spec.template")
        yield from template_metadata_problems(template.get("metadata") or {}, whole["spec"], "spec.template")
    yield from lasting_problems(template, "spec.template", "StatefulSet")


def _with_claims(pod: Part, given: Part) -> dict[str, Any]:
    """The Pods' spec as they get it: with a volume for each claim, and names of their own."""
    result = {field: value for field, value in pod.items() if field not in ("hostname", "subdomain")}
    names = [(claim.get("metadata") or {}).get("name") or "" for claim in given.get("volumeClaimTemplates") or ()]
    if names:
        made = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in dict.fromkeys(names)]
        others = [volume for volume in pod.get("volumes") or () if volume.get("name") not in names]
        result["volumes"] = [*made, *others]
    return result


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _spec(spec(new), is_new=False)
    kept = [{field: value for field, value in spec(obj).items() if field not in _MAY_CHANGE} for obj in (new, old)]
    if kept[0] != kept[1]:
        yield forbidden("spec", _FIXED)


def _status(new: Object, old: Object, meta: Meta) -> Problems:
    given = status(new)
    fields = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    yield from not_negative(given, "status", "replicas", *fields, "observedGeneration", "collisionCount")
    yield from counts_problems(given, "status", *fields, of_ready="status.readyReplicas")
    yield from meta.change
    yield from collision_problems(given, status(old))


def _warnings(new: Object, old: Object | None) -> Any:
    if is_renewed(new, old):
        yield from template_warnings(spec(new)["template"], "spec.template")
    for index, claim in enumerate(spec(new).get("volumeClaimTemplates") or ()):
        place = f"spec.volumeClaimTemplates[{index}]" + ("" if old is None else ".Spec")
        yield from claim_warnings(claim.get("spec") or {}, place)
    if (spec(new).get("revisionHistoryLimit") or 0) < 0:
        yield _LIMIT


STATEFUL_SET = Rules(create=_create, update=_update, status=_status, name=dns_label, warnings=_warnings)
