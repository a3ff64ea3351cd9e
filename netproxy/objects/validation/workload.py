"""What is refused about Deployments, ReplicaSets, ReplicationControllers and DaemonSets.

Source: kubernetes pkg/apis/apps/validation/validation.go, pkg/apis/core/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.objects.meta import Object, spec, status
from netproxy.objects.validation.pod import template_problems
from netproxy.objects.validation.podwarnings import is_renewed, label_name_warnings, template_warnings
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.templated import (
    amount_of,
    amount_problems,
    collision_problems,
    counts_problems,
    is_readable,
    is_selected,
    lasting_problems,
    mismatch_problems,
    not_negative,
    selector_of_set_problems,
    selector_shown,
    share_problems,
    unchanged_selector,
)
from netproxy.objects.validation.words import Problems, forbidden, invalid, required, unsupported

Part = Mapping[str, Any]


# --- Deployment


def _deployment(given: Part) -> Problems:
    yield from not_negative(given, "spec", "replicas")
    yield from _selected_template(given)
    yield from _strategy(given.get("strategy") or {}, "spec.strategy")
    yield from not_negative(given, "spec", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline_s = given.get("progressDeadlineSeconds")
    if deadline_s is not None and deadline_s <= (given.get("minReadySeconds") or 0):
        yield invalid("spec.progressDeadlineSeconds", deadline_s, "must be greater than minReadySeconds")


def _selected_template(given: Part) -> Problems:
    selector, template = given.get("selector"), given.get("template") or {}
    yield from selector_of_set_problems(selector, "spec.selector", "deployment")
    if not is_readable(selector):
        yield invalid("spec.selector", selector_shown(selector), "invalid label selector")
        return
    is_empty = selector is not None and not selector_shown(selector)
    is_match = is_empty or is_selected(selector, template)
    yield from mismatch_problems(template, "spec.template", is_match=is_match)
    yield from template_problems(template, "spec.template")
    yield from lasting_problems(template, "spec.template", "ReplicaSet")


def _strategy(strategy: Part, path: str) -> Problems:
    kind: str | None = strategy.get("type")
    rolling: Any = strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        surge, gone, place = rolling["maxSurge"], rolling["maxUnavailable"], f"{path}.rollingUpdate"
        yield from amount_problems(gone, f"{place}.maxUnavailable")
        yield from amount_problems(surge, f"{place}.maxSurge")
        if not amount_of(gone) and not amount_of(surge):
            yield invalid(f"{place}.maxUnavailable", gone, "may not be 0 when `maxSurge` is 0")
        yield from share_problems(gone, f"{place}.maxUnavailable")
    else:
        yield unsupported(path, _strategy_shown(strategy), ("Recreate", "RollingUpdate"))


def _strategy_shown(strategy: Part) -> dict[str, Any]:
    rolling = strategy.get("rollingUpdate")
    if rolling is not None:
        fields = ("maxUnavailable", "maxSurge")
        rolling = {field[0].upper() + field[1:]: rolling.get(field, 0) for field in fields}
    return {"Type": strategy.get("type") or "", "RollingUpdate": rolling}


def _deployment_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _deployment(spec(new))
    yield from unchanged_selector(spec(new), spec(old))


def _deployment_status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    given = status(new)
    fields = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    yield from not_negative(given, "status", "observedGeneration", *fields, "terminatingReplicas", "collisionCount")
    yield from counts_problems(given, "status", "updatedReplicas", "readyReplicas", "availableReplicas")
    yield from collision_problems(given, status(old))


# --- ReplicaSet


def _replica_set(given: Part) -> Problems:
    yield from not_negative(given, "spec", "replicas", "minReadySeconds")
    yield from _selected_template(given)


def _replica_set_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _replica_set(spec(new))
    yield from unchanged_selector(spec(new), spec(old))


def _replica_set_status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    given = status(new)
    fields = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    yield from not_negative(given, "status", "replicas", *fields, "observedGeneration", "terminatingReplicas")
    yield from counts_problems(given, "status", *fields)


# --- ReplicationController


def _controller(given: Part) -> Problems:
    selector, template = given.get("selector"), given.get("template")
    yield from not_negative(given, "spec", "minReadySeconds")
    if not selector:
        yield required("spec.selector")
    yield from not_negative(given, "spec", "replicas")
    if template is None:
        yield required("spec.template")
    else:
        labels = (template.get("metadata") or {}).get("labels") or {}
        is_match = (selector or {}).items() <= labels.items()
        yield from mismatch_problems(template, "spec.template", is_match=is_match)
        yield from template_problems(template, "spec.template")
        yield from lasting_problems(template, "spec.template", "ReplicationController")


def _controller_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _controller(spec(new))


# --- DaemonSet


def _daemon_set(given: Part) -> Problems:
    selector, template = given.get("selector"), given.get("template") or {}
    wrong = [] if selector is None else list(selector_of_set_problems(selector, "spec.selector", "daemonset"))
    yield from (problem for problem in wrong if "empty selector" not in problem.message)
    if is_readable(selector):
        is_match = is_selected(selector, template)
        yield from mismatch_problems(template, "spec.template", is_match=is_match)
    yield from (problem for problem in wrong if "empty selector" in problem.message)
    yield from template_problems(template, "spec.template")
    yield from lasting_problems(template, "spec.template", "DaemonSet")
    yield from not_negative(given, "spec", "minReadySeconds")
    yield from _daemon_strategy(given.get("updateStrategy") or {}, "spec.updateStrategy")
    yield from not_negative(given, "spec", "revisionHistoryLimit")


def _daemon_strategy(strategy: Part, path: str) -> Problems:
    kind: str | None = strategy.get("type")
    rolling: Any = strategy.get("rollingUpdate")
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        yield unsupported(path, _strategy_shown(strategy), ("RollingUpdate", "OnDelete"))
        return
    surge, gone, place = rolling["maxSurge"], rolling["maxUnavailable"], f"{path}.rollingUpdate"
    for check in (amount_problems, share_problems):
        yield from check(gone, f"{place}.maxUnavailable")
        yield from check(surge, f"{place}.maxSurge")
    if amount_of(gone) and amount_of(surge):
        yield invalid(f"{place}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif not amount_of(gone) and not amount_of(surge):
        yield required(f"{place}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def _daemon_set_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from unchanged_selector(spec(new), spec(old))
    yield from _daemon_set(spec(new))


def _daemon_set_status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    fields = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    more = ("updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount")
    yield from not_negative(status(new), "status", *fields, "observedGeneration", *more)
    yield from collision_problems(status(new), status(old))


def _rules(
    check: Any,
    update: Any,
    status_check: Any,
    *,
    warns_of_name: bool = False,
    is_daemon: bool = False,
    is_turned: bool = False,
) -> Rules:
    def create(obj: Object, meta: Found) -> Problems:
        yield from meta
        yield from check(spec(obj))

    def warnings(new: Object, old: Object | None) -> Any:  # is_turned: of a change, it looks at the old template
        if warns_of_name and old is None:
            yield from label_name_warnings(new, "this is used in Pod names and hostnames")
        turned = old if old is not None and is_turned else new
        template = spec(turned)["template"]
        is_due = template != spec(old or {}).get("template") if is_daemon else is_renewed(new, old)
        if is_due:
            yield from template_warnings(template, "spec.template")

    return Rules(create=create, update=update, status=status_check, warnings=warnings)


DEPLOYMENT = _rules(_deployment, _deployment_update, _deployment_status)
REPLICA_SET = _rules(_replica_set, _replica_set_update, _replica_set_status, warns_of_name=True)
REPLICATION_CONTROLLER = _rules(
    _controller, _controller_update, _replica_set_status, warns_of_name=True, is_turned=True
)
DAEMON_SET = _rules(_daemon_set, _daemon_set_update, _daemon_set_status, is_daemon=True)
