"""The tables of what runs Pods.

Source: kubernetes 1.36 pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.apiserver.tables.words import (
    NONE,
    Cells,
    Printer,
    age,
    age_of,
    columns,
    containers_cells,
    count,
    human_duration,
    labels_text,
    part,
    seconds,
    selector_cell,
    text,
)
from netproxy.objects.meta import Object, controller_of, is_deleting, name, spec, status
from netproxy.objects.selector import label_selector, selector_text

_PODS = "Containers,Images,Selector"


def _deployment(obj: Object, now: float) -> Cells:
    wanted, state = spec(obj), status(obj)
    return [
        name(obj), f"{count(state, 'readyReplicas')}/{count(wanted, 'replicas')}", count(state, "updatedReplicas"),
        count(state, "availableReplicas"), age_of(obj, now), *containers_cells(part(wanted, "template")),
        selector_text(label_selector(wanted.get("selector"))),
    ]  # fmt: skip


def _replicas(obj: Object, now: float, selector: str) -> Cells:
    wanted, state = spec(obj), status(obj)
    return [
        name(obj), count(wanted, "replicas"), count(state, "replicas"), count(state, "readyReplicas"), age_of(obj, now),
        *containers_cells(part(wanted, "template")), selector,
    ]  # fmt: skip


def _stateful_set(obj: Object, now: float) -> Cells:
    wanted, state = spec(obj), status(obj)
    ready = f"{count(state, 'readyReplicas')}/{count(wanted, 'replicas')}"
    return [name(obj), ready, age_of(obj, now), *containers_cells(part(wanted, "template"))]


_DAEMON_COUNTS = (
    "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
)  # fmt: skip


def _daemon_set(obj: Object, now: float) -> Cells:
    template = part(spec(obj), "template")
    return [
        name(obj), *(count(status(obj), field) for field in _DAEMON_COUNTS),
        labels_text(part(template, "spec").get("nodeSelector")), age_of(obj, now), *containers_cells(template),
        selector_cell(spec(obj).get("selector")),
    ]  # fmt: skip


# --- jobs

_JOB_ENDS = (("Complete", "Complete"), ("Failed", "Failed"))
_JOB_STATES = (
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def _job(obj: Object, now: float) -> Cells:
    wanted = spec(obj)
    return [
        name(obj), _job_status(obj), _completions(wanted, count(status(obj), "succeeded")), _job_duration(status(obj), now),
        age_of(obj, now), *containers_cells(part(wanted, "template")), selector_cell(wanted.get("selector")),
    ]  # fmt: skip


def _job_status(obj: Object) -> str:
    said: dict[Any, bool] = {}
    for item in status(obj).get("conditions") or ():
        said.setdefault(item.get("type"), item.get("status") == "True")
    ending = (("Terminating", "Terminating"),) if is_deleting(obj) else ()
    said["Terminating"] = True
    return next((shown for kind, shown in (*_JOB_ENDS, *ending, *_JOB_STATES) if said.get(kind)), "Running")


def _completions(wanted: Mapping[str, Any], done: int) -> str:
    if wanted.get("completions") is not None:
        return f"{done}/{wanted['completions']}"
    many = count(wanted, "parallelism")
    return f"{done}/1 of {many}" if many > 1 else f"{done}/1"


def _job_duration(state: Mapping[str, Any], now: float) -> str:
    begun, ended = seconds(state.get("startTime")), seconds(state.get("completionTime"))
    return "" if begun is None else human_duration((now if ended is None else ended) - begun)


def _cron_job(obj: Object, now: float) -> Cells:
    wanted, state = spec(obj), status(obj)
    job, last = part(wanted, "jobTemplate", "spec"), state.get("lastScheduleTime")
    zone = wanted.get("timeZone")
    return [
        name(obj), text(wanted, "schedule"), NONE if zone is None else zone, _flag(wanted.get("suspend")),
        len(state.get("active") or ()), age(last, now) if last else NONE, age_of(obj, now),
        *containers_cells(part(job, "template")), selector_cell(job.get("selector")),
    ]  # fmt: skip


def _flag(value: Any) -> str:
    return "<unset>" if value is None else "True" if value else "False"


# --- beside them


def _revision(obj: Object, now: float) -> Cells:
    owner = controller_of(obj)
    group, _, _ = text(owner, "apiVersion").rpartition("/")
    kind = ".".join(filter(None, (text(owner, "kind"), group))).lower()
    return [name(obj), f"{kind}/{text(owner, 'name')}" if owner else NONE, count(obj, "revision"), age_of(obj, now)]


def _budget(obj: Object, now: float) -> Cells:
    least, most = (spec(obj).get(field) for field in ("minAvailable", "maxUnavailable"))
    shown = ["N/A" if value is None else str(value) for value in (least, most)]
    return [name(obj), *shown, count(status(obj), "disruptionsAllowed"), age_of(obj, now)]


def _scale(obj: Object, now: float) -> Cells:
    return [name(obj), count(spec(obj), "replicas"), count(status(obj), "replicas"), age_of(obj, now)]


DEPLOYMENT = Printer(columns("Name,Ready,Up-to-date,Available,Age", _PODS), _deployment)
_REPLICAS = columns("Name,Desired:integer,Current:integer,Ready:integer,Age", _PODS)
REPLICA_SET = Printer(_REPLICAS, lambda obj, now: _replicas(obj, now, selector_cell(spec(obj).get("selector"))))
REPLICATION_CONTROLLER = Printer(
    _REPLICAS, lambda obj, now: _replicas(obj, now, labels_text(spec(obj).get("selector")))
)
STATEFUL_SET = Printer(columns("Name,Ready,Age", "Containers,Images"), _stateful_set)
DAEMON_SET = Printer(
    columns(
        "Name,Desired:integer,Current:integer,Ready:integer,Up-to-date:integer,Available:integer,Node Selector,Age",
        _PODS,
    ),
    _daemon_set,
)
JOB = Printer(columns("Name,Status,Completions,Duration,Age", _PODS), _job)
CRON_JOB = Printer(columns("Name,Schedule,Timezone,Suspend:boolean,Active:integer,Last Schedule,Age", _PODS), _cron_job)
CONTROLLER_REVISION = Printer(columns("Name,Controller,Revision,Age"), _revision)
POD_DISRUPTION_BUDGET = Printer(columns("Name,Min Available,Max Unavailable,Allowed Disruptions:integer,Age"), _budget)
SCALE = Printer(columns("Name,Desired:integer,Available:integer,Age", named=False), _scale)
