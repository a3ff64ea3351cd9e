"""The table of Pods.

Source: kubernetes 1.36 pkg/printers/internalversion/printers.go, printPod.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netproxy.apiserver.tables.words import (
    NONE,
    Cells,
    Conditions,
    Printer,
    age,
    age_of,
    columns,
    containers_cells,
    count,
    labels_text,
    part,
    text,
)
from netproxy.objects.meta import Object, is_deleting, name, spec, status

Fields = Mapping[str, Any]

_COMPLETED: Mapping[Any, Conditions] = {
    "Succeeded": [{"type": "Completed", "status": "True", "reason": "Succeeded", "message": "The pod has completed successfully."}],
    "Failed": [{"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}],
}  # fmt: skip
_LOST = "NodeLost"


@dataclass(slots=True)
class _Restarts:
    """How often containers were started again."""

    count: int = 0
    last: str = ""
    """When the last one ended that was started again."""

    def add(self, container: Fields) -> None:
        """Count those of one container."""
        self.count += count(container, "restartCount")
        before = container.get("lastState")
        if before:
            self.last = max(self.last, text(part(before, "terminated"), "finishedAt"))


@dataclass(slots=True)
class _Seen:
    """What has been found out of a Pod's containers so far."""

    reason: str
    ready: int
    restarts: _Restarts


def _cells(obj: Object, now: float) -> Cells:
    wanted, state = spec(obj), status(obj)
    containers = wanted.get("containers") or ()
    lasting = _lasting(wanted)
    seen = _seen(wanted, state, lasting)
    restarts = str(seen.restarts.count)
    if seen.restarts.count and seen.restarts.last:
        restarts = f"{restarts} ({age(seen.restarts.last, now)} ago)"
    ips = state.get("podIPs") or ()
    return [
        name(obj), f"{seen.ready}/{len(containers) + len(lasting)}", _ending(obj, state) or seen.reason, restarts,
        age_of(obj, now), (ips[0].get("ip") if ips else "") or NONE, wanted.get("nodeName") or NONE,
        state.get("nominatedNodeName") or NONE, _gates(wanted, state),
    ]  # fmt: skip


def _lasting(wanted: Fields) -> frozenset[str]:
    """The init containers that go on beside the others."""
    found = wanted.get("initContainers")
    return frozenset(c["name"] for c in found if c.get("restartPolicy") == "Always") if found else frozenset()


def _seen(wanted: Fields, state: Fields, lasting: frozenset[str]) -> _Seen:
    seen = _Seen(text(state, "reason") or text(state, "phase"), 0, _Restarts())
    conditions: Sequence[Fields] = state.get("conditions") or ()
    for condition in conditions:
        if condition.get("reason") == "SchedulingGated" and condition.get("type") == "PodScheduled":
            seen.reason = "SchedulingGated"
    initial, beside = state.get("initContainerStatuses"), _Restarts()
    if initial:
        waits = _see_initial(seen, beside, initial, lasting, len(wanted.get("initContainers") or ()))
        if waits and not _is_true(conditions, "Initialized"):
            return seen
    seen.restarts = beside  # those of what has ended do not count any more
    _see_containers(seen, state.get("containerStatuses") or (), conditions)
    return seen


def _see_initial(
    seen: _Seen, beside: _Restarts, initial: Sequence[Fields], lasting: frozenset[str], wanted: int
) -> bool:
    """See the init containers as far as they have come; whether one of them keeps the Pod from going on."""
    for at, container in enumerate(initial):
        seen.restarts.add(container)
        goes_on = container.get("name") in lasting
        if goes_on:
            beside.add(container)
        state = part(container, "state")
        ended = state.get("terminated")
        if ended is not None and not ended.get("exitCode"):
            continue
        if goes_on and container.get("started"):
            seen.ready += bool(container.get("ready"))
            continue
        seen.reason = f"Init:{_initial_reason(state, f'{at}/{wanted}')}"
        return True
    return False


def _initial_reason(state: Fields, otherwise: str) -> str:
    """Why an init container has not ended well; OTHERWISE when it only takes its time."""
    if state.get("terminated") is not None:
        return _why_ended(state["terminated"])
    waits_for = text(part(state, "waiting"), "reason")
    return otherwise if waits_for in ("", "PodInitializing") else waits_for


def _see_containers(seen: _Seen, containers: Sequence[Fields], conditions: Sequence[Fields]) -> None:
    runs, error = False, ""
    for container in reversed(containers):
        seen.restarts.add(container)
        state = container.get("state") or {}
        waits_for = text(part(state, "waiting"), "reason")
        ended = state.get("terminated")
        if waits_for:
            seen.reason = waits_for
        elif ended is not None:
            seen.reason = _why_ended(ended)
            error = seen.reason if ended.get("exitCode") else error
        elif container.get("ready") and state.get("running") is not None:
            runs = True
            seen.ready += 1
    if seen.reason == "Completed":
        is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
        seen.reason = _after_completion(error, runs=runs, ready=is_ready)


def _why_ended(ended: Fields) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{count(ended, 'exitCode')}"


def _after_completion(error: str, *, runs: bool, ready: bool) -> str:
    """What a Pod is of which a container has completed."""
    if runs and ready:
        return "Running"
    return error or ("NotReady" if runs else "Completed")


def _is_true(conditions: Sequence[Fields], kind: str) -> bool:
    """Whether the first condition of this type is true."""
    return next((c.get("status") == "True" for c in conditions if c.get("type") == kind), False)


def _ending(obj: Object, state: Fields) -> str:
    """What is shown of a Pod that is on its way out; empty for another."""
    if not is_deleting(obj):
        return ""
    if state.get("reason") == _LOST:
        return "Unknown"
    return "" if state.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _gates(wanted: Fields, state: Fields) -> str:
    gates = wanted.get("readinessGates")
    if not gates:
        return NONE
    conditions = state.get("conditions") or ()
    return f"{sum(_is_true(conditions, str(gate.get('conditionType'))) for gate in gates)}/{len(gates)}"


def _template(obj: Object, _: float) -> Cells:
    template = part(obj, "template")
    return [name(obj), *containers_cells(template), labels_text(part(template, "metadata").get("labels"))]


POD = Printer(
    columns("Name,Ready,Status,Restarts,Age", "IP,Node,Nominated Node,Readiness Gates"),
    _cells,
    lambda obj: _COMPLETED.get(status(obj).get("phase")),
)
POD_TEMPLATE = Printer(columns("Name,Containers,Images,Pod Labels"), _template)
