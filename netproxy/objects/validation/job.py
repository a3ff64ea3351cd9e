"""What is refused about Jobs.

Source: kubernetes pkg/apis/batch/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.objects.meta import Object, name, spec, uid
from netproxy.objects.selector import label_selector, matches
from netproxy.objects.validation.internal import internal
from netproxy.objects.validation.jobpolicies import (
    failure_policy_problems,
    failure_policy_shown,
    success_policy_problems,
    success_policy_shown,
)
from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.names import dns_label, dns_subdomain, http_path, size
from netproxy.objects.validation.pod import template_problems
from netproxy.objects.validation.podwarnings import is_renewed, label_name_warnings, template_warnings
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.templated import (
    is_readable,
    is_selected,
    mismatch_problems,
    not_negative,
    selector_shown,
    unchanged_selector,
)
from netproxy.objects.validation.words import (
    IMMUTABLE,
    Problems,
    invalid,
    invalids,
    one_of,
    required,
    too_long,
    unchanged,
    unchanged_shown,
    unsupported,
)

_MANY, _FEWER = 100_000, 10_000
_LONGEST_MANAGER = 63
_OWN = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")

Part = Mapping[str, Any]


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _whole(obj)


def _whole(obj: Object) -> Problems:
    given = spec(obj)
    yield from _generated(obj)
    yield from _selected(given)
    count = given.get("completions") or 0
    if given.get("completionMode") == "Indexed" and count > 0:
        longest = f"{name(obj)}-{count - 1}"
        if dns_label(longest):
            why = f"will not able to create pod with invalid DNS label: {longest}"
            yield invalid("metadata.name", name(obj), why)


def _generated(obj: Object) -> Problems:
    """Whether the Job selects its own Pods by labels that nothing else has."""
    given = spec(obj)
    selector = given.get("selector")
    if given.get("manualSelector") or selector is None:
        return
    labels = (given["template"].get("metadata") or {}).get("labels") or {}
    wanted = dict(zip(_OWN, (uid(obj), name(obj)) * 2, strict=True))
    for key, value in wanted.items():
        place = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            yield required(place, f"must be '{value}'")
        elif labels[key] != value:
            yield invalid(place, dict(sorted(labels.items())), f"must be '{value}'")
    if is_readable(selector) and not matches(label_selector(selector), wanted):
        yield invalid("spec.selector", selector_shown(selector), "`selector` not auto-generated")


def _selected(given: Part) -> Problems:
    yield from job_spec_problems(given, "spec")
    selector = given.get("selector")
    if selector is None:
        yield required("spec.selector")
    else:
        yield from selector_problems(selector, "spec.selector")
    if is_readable(selector):
        template = given.get("template") or {}
        yield from mismatch_problems(template, "spec.template", is_match=is_selected(selector, template))


def job_spec_problems(given: Part, path: str) -> Problems:
    """What is wrong with the spec of a Job, or of a Job's template."""
    counts = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
    yield from not_negative(given, path, *counts, "backoffLimitPerIndex", "maxFailedIndexes")
    if given.get("maxFailedIndexes") is not None and given.get("backoffLimitPerIndex") is None:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if given.get("managedBy") is not None:
        yield from _manager(given["managedBy"], f"{path}.managedBy")
    yield from _mode(given, path)
    if given.get("podFailurePolicy") is not None:
        yield from failure_policy_problems(given, f"{path}.podFailurePolicy")
    if given.get("successPolicy") is not None:
        yield from success_policy_problems(given, f"{path}.successPolicy")
    policy = given.get("podReplacementPolicy")
    known = ("Failed",) if given.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    yield from one_of(f"{path}.podReplacementPolicy", policy, known)
    template = given.get("template") or {}
    yield from template_problems(template, f"{path}.template")
    restart = (template.get("spec") or {}).get("restartPolicy", "Always")
    yield from _restart(restart, f"{path}.template.spec.restartPolicy", given)


def _restart(policy: str, path: str, given: Part) -> Problems:
    if policy == "Always":
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield unsupported(path, policy, ("OnFailure", "Never"))
    elif given.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _manager(manager: str, path: str) -> Problems:
    if not manager:
        yield required(path)
    else:
        domain, slash, last = manager.partition("/")
        if not slash or not domain or not last:
            yield invalid(path, manager, 'must be a domain-prefixed path (such as "acme.io/foo")')
        else:
            yield from invalids(path, domain, dns_subdomain(domain))
            yield from invalids(path, last, http_path(last))
    if size(manager) > _LONGEST_MANAGER:
        yield too_long(path, _LONGEST_MANAGER)


def _mode(given: Part, path: str) -> Problems:
    mode = given.get("completionMode", "NonIndexed")
    if mode == "Indexed":
        yield from _indexed(given, path)
    elif mode == "NonIndexed":
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if given.get(field) is not None:
                yield invalid(f"{path}.{field}", given[field], "requires indexed completion mode")
    else:
        yield unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))


def _indexed(given: Part, path: str) -> Problems:
    count, beside, failed = (given.get(field) for field in ("completions", "parallelism", "maxFailedIndexes"))
    place = f"{path}.maxFailedIndexes"
    if count is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if (beside or 0) > _MANY:
        why = f"must be less than or equal to {_MANY} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", beside, why)
    if count is not None and failed is not None and failed > count:
        yield invalid(place, failed, "must be less than or equal to completions")
    if (failed or 0) > _MANY:
        yield invalid(place, failed, f"must be less than or equal to {_MANY}")
    if (count or 0) > _MANY and given.get("backoffLimitPerIndex") is not None:
        if failed is None:
            yield required(place, f"must be specified when completions is above {_MANY}")
        why = (
            f"must be less than or equal to {_FEWER} when completions are above {_MANY} and used with backoff limit per"
            " index"
        )
        for field, value in (("parallelism", beside), ("maxFailedIndexes", failed)):
            if (value or 0) > _FEWER:
                yield invalid(f"{path}.{field}", value, why)


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.whole
    yield from _whole(new)
    yield from meta.change
    given, before = spec(new), spec(old)
    yield from _selected(given)
    yield from _completions(given, before)
    yield from unchanged_selector(given, before)
    yield from _template_change(new, old)
    for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        shown = _SHOWN[field](given.get(field)) if field in _SHOWN else given.get(field)
        yield from unchanged_shown(f"spec.{field}", given.get(field), before.get(field), shown)


_SHOWN = {"podFailurePolicy": failure_policy_shown, "successPolicy": success_policy_shown}


def _completions(given: Part, before: Part) -> Problems:
    new, old = given.get("completions"), before.get("completions")
    if given.get("completionMode") != "Indexed":
        yield from unchanged("spec.completions", new, old)
    elif new != old and new is not None and new != given.get("parallelism"):
        yield invalid("spec.completions", new, "can only be modified in tandem with spec.parallelism")


_DIRECTIVES = ("nodeSelector", "tolerations", "schedulingGates")


def _template_change(new: Object, old: Object) -> Problems:
    """A Job that waits, and of which nothing runs, may still be given another place to run at, and other resources."""
    given, before = spec(new)["template"], spec(old)["template"]
    state = old.get("status") or {}
    is_free = bool(spec(old).get("suspend")) and not state.get("active") and _is_unstarted(state)
    if is_free:
        before = _with_directives(before, given)
        before = {**before, "spec": _with_resources(before["spec"], given["spec"])}
        if given["spec"] != before["spec"]:
            yield invalid("spec.template.spec", internal("PodSpec", given["spec"]), IMMUTABLE)
    elif given != before:
        yield invalid("spec.template", internal("PodTemplateSpec", given), IMMUTABLE)


def _is_unstarted(state: Part) -> bool:
    suspended = any(
        item.get("type") == "Suspended" and item.get("status") == "True" for item in state.get("conditions") or ()
    )
    return state.get("startTime") is None or suspended


def _with_directives(before: Part, given: Part) -> dict[str, Any]:
    pod = {field: value for field, value in before["spec"].items() if field not in _DIRECTIVES}
    pod |= {field: given["spec"][field] for field in _DIRECTIVES if field in given["spec"]}
    near = {k: v for k, v in (pod.pop("affinity", None) or {}).items() if k != "nodeAffinity"}
    wanted = given["spec"].get("affinity")
    if wanted is not None:
        if "nodeAffinity" in wanted:
            near["nodeAffinity"] = wanted["nodeAffinity"]
        pod["affinity"] = near
    elif near:
        pod["affinity"] = near
    meta = {k: v for k, v in (before.get("metadata") or {}).items() if k not in ("labels", "annotations")}
    said = given.get("metadata") or {}
    meta |= {field: said[field] for field in ("labels", "annotations") if field in said}
    return {**before, "metadata": meta, "spec": pod}


def _with_resources(before: Part, given: Part) -> dict[str, Any]:
    result = dict(before)
    for group in ("containers", "initContainers"):
        old, new = before.get(group) or [], given.get(group) or []
        if old and len(old) == len(new):
            result[group] = [
                {**own, "resources": other["resources"]} if own.get("name") == other.get("name") else own
                for own, other in zip(old, new, strict=True)
            ]
    return result


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    if old is None:
        yield from label_name_warnings(new, "this is used in Pod names and hostnames")
    if is_renewed(new, old):
        yield from job_warnings(spec(new), "spec")


def job_warnings(given: Part, path: str) -> Iterator[str]:
    """What is said about the spec of a Job."""
    count, beside = given.get("completions") or 0, given.get("parallelism") or 0
    if given.get("completionMode") == "Indexed" and count > _MANY and beside > _FEWER:
        why = "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
        yield f"{path}: {why}Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
    yield from template_warnings(given["template"], f"{path}.template")


JOB = Rules(create=_create, update=_update, warnings=_warnings)
