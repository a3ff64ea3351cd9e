"""Probes as values: which ones a container has, when each is due, and what their results mean.

Source: kubernetes pkg/kubelet/prober/worker.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from netproxy.kubelet.state import ContainerState, Probing

KINDS = ("startupProbe", "readinessProbe", "livenessProbe")
STARTUP, READINESS, LIVENESS = KINDS
SOON_S = 0.02
"""What is asked sooner than its period says is asked again so soon, a quarter later each time; half as often after a second."""
SLOWER, EAGER_S = 1.25, 1.0


def begun(state: ContainerState, container: Mapping[str, Any], pid: int, now: float) -> ContainerState:
    """The state of a container whose process has just begun: its probes are due after their initial delays."""
    probes = tuple(
        _new(kind, container[kind], now + float(container[kind].get("initialDelaySeconds") or 0))
        for kind in KINDS
        if container.get(kind)
    )
    kinds = {probe.kind for probe in probes}
    return replace(
        state, phase="running", reason="", message="", pid=pid, started_at=now, probes=probes, restart_at=None, wait_s=0,
        started=STARTUP not in kinds, ready=not kinds & {STARTUP, READINESS},
    )  # fmt: skip


def taken_over(state: ContainerState, container: Mapping[str, Any], now: float) -> ContainerState:
    """The state of a container that ran before we did: its verdicts hold, its probes are due now."""
    probes = tuple(
        replace(_new(kind, container[kind], now), passing=state.ready if kind == READINESS else kind == LIVENESS)
        for kind in KINDS
        if container.get(kind) and not (kind == STARTUP and state.started)
    )
    return replace(state, phase="running", probes=probes)


def _new(kind: str, settings: Mapping[str, Any], due_at: float) -> Probing:
    """A server needs some milliseconds to listen: until its first success it is asked again soon, but not to kill it."""
    if kind == LIVENESS:
        return Probing(kind, due_at, passing=True, pause_s=_period_s(settings))
    return Probing(kind, due_at, pause_s=SOON_S)


def _period_s(settings: Mapping[str, Any]) -> float:
    return float(settings.get("periodSeconds") or 10)


def is_due(state: ContainerState, probe: Probing) -> bool:
    """Whether a probe is asked at all now: until the startup probe has passed, only that."""
    return not probe.asking and (probe.kind == STARTUP or state.started)


def is_early(state: ContainerState | None, container: Mapping[str, Any], kind: str) -> bool:
    """Whether an attempt comes sooner than a period says: its failure is nothing to speak of."""
    probes = state.probes if state else ()
    return any(probe.kind == kind and probe.pause_s < _period_s(container[kind]) for probe in probes)


def asking(state: ContainerState, kind: str) -> ContainerState:
    """The state while an attempt is under way."""
    return _with(state, kind, asking=True)


def answered(
    state: ContainerState, container: Mapping[str, Any], kind: str, *, success: bool, now: float
) -> ContainerState:
    """The state after one result of a probe."""
    probe = next((each for each in state.probes if each.kind == kind), None)
    if probe is None:
        return state
    settings = container[kind]
    period_s = _period_s(settings)
    pause_s = period_s if success else min(probe.pause_s, period_s)
    grown = min((SLOWER if now - state.started_at < EAGER_S else 2) * pause_s, period_s)
    again = {"asking": False, "next_at": now + pause_s, "pause_s": period_s if success else grown}
    if kind == STARTUP and not success and pause_s < period_s:
        return _with(state, kind, **again)  # asked sooner than its period says: only a success counts
    row = probe.row + 1 if success is probe.last else 1
    decided = row >= int(settings.get("successThreshold") or 1 if success else settings.get("failureThreshold") or 3)
    state = _with(state, kind, **again, row=row, last=success, passing=success if decided else probe.passing)
    return _judged(state, kind, success=success) if decided else state


def _judged(state: ContainerState, kind: str, *, success: bool) -> ContainerState:
    if kind == READINESS:
        return replace(state, ready=success)
    if not success:
        return replace(state, failed_probe=kind)
    if kind == LIVENESS:
        return state
    others = tuple(probe for probe in state.probes if probe.kind != STARTUP)
    return replace(state, started=True, probes=others, ready=READINESS not in {probe.kind for probe in others})


def _with(state: ContainerState, kind: str, **changes: Any) -> ContainerState:
    probes = tuple(replace(probe, **changes) if probe.kind == kind else probe for probe in state.probes)
    return replace(state, probes=probes)
