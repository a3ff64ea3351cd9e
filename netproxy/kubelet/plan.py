"""A Pod and what there is of it → what to do next, and when to look again. Pure: the same values, the same plan.

A plan is small: what can be done now. Whoever does it looks at the Pod again afterwards, until there is nothing to do.

Source: kubernetes pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions), pkg/kubelet/kubelet.go (syncPod).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from netproxy.kubelet import tokens
from netproxy.kubelet.state import (
    KILLED,
    LOST,
    ContainerState,
    Seen,
    ended,
    lost,
    pod_status,
    should_restart,
    wait_before_restart_s,
)
from netproxy.kubelet.verdict import READINESS, is_due, taken_over
from netproxy.objects.canonical import canonical_field
from netproxy.objects.meta import Object, is_deleting, metadata, spec, status

ENDED = ("Succeeded", "Failed")
STATUSES = {"initContainers": "initContainerStatuses", "containers": "containerStatuses",
            "ephemeralContainers": "ephemeralContainerStatuses"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plug:
    """Give the Pod its addresses, its network namespace and its files."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Put new tokens into the Pod's volumes."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container; RESTARTS is how often it was started again then."""

    container: str
    restarts: int = 0
    init: bool = False


@dataclass(frozen=True, slots=True)
class RestartLater:
    """Decide when a container that ended starts again."""

    container: str
    wait_s: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask a container's probe."""

    container: str
    kind: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask a container to end (or, with nothing left of its grace period, make it). WHY is empty when its Pod ends."""

    container: str
    grace_s: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """Make a container end that was asked to and did not."""

    container: str


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Tell the API."""

    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing of the Pod runs: take its namespace and files away, and its object."""


Action = Plug | Renew | Start | RestartLater | Probe | Stop | Kill | WriteStatus | Finish


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in this order, and when to look again at the latest (never, when AGAIN_AT is None)."""

    actions: tuple[Action, ...] = ()
    again_at: float | None = None


_Step = tuple[list[Action], list[float]]


def plan(pod: Object, seen: Seen, host_ip: str, now: float) -> Plan:
    """What to do for one Pod that is bound to this machine; HOST_IP is its node's address."""
    if is_deleting(pod):
        actions, times = _ending(pod, seen, now)
    elif status(pod).get("phase") in ENDED:
        return Plan()
    elif not seen.plugged:
        return Plan((Plug(),))
    else:
        actions, times = _living(pod, seen, now)
        more, at = _added(pod, seen, now)
        actions, times = [*actions, *more], [*times, *at]
        if seen.renew_at is not None:
            actions, times = (
                ([Renew(), *actions], times) if now >= seen.renew_at else (actions, [*times, seen.renew_at])
            )
    if not any(isinstance(action, Start | RestartLater | Finish) for action in actions):
        told = canonical_field(pod, "status", pod_status(pod, seen, host_ip, now))
        if told != status(pod):
            actions.append(WriteStatus(told))
    return Plan(tuple(actions), min(times, default=None))


def _living(pod: Object, seen: Seen, now: float) -> _Step:
    """Init containers one after the other; when all have succeeded, all containers at once."""
    actions: list[Action] = []
    times: list[float] = []
    for container in spec(pod).get("initContainers") or ():
        state = seen.init.get(container["name"])
        if state is None or state.phase != "terminated" or state.exit_code:
            policy = "Never" if spec(pod).get("restartPolicy") == "Never" else "OnFailure"
            return _container(pod, container, state, policy, now, init=True)
    for container in spec(pod).get("containers") or ():
        policy = str(spec(pod).get("restartPolicy") or "Always")
        more, at = _container(pod, container, seen.containers.get(container["name"]), policy, now, init=False)
        actions += more
        times += at
    return actions, times


def _added(pod: Object, seen: Seen, now: float) -> _Step:
    """Ephemeral containers: each starts once, whatever else the Pod does."""
    actions: list[Action] = []
    times: list[float] = []
    for container in spec(pod).get("ephemeralContainers") or ():
        state = seen.find(container["name"])
        if state is None:
            actions.append(Start(str(container["name"])))
        elif state.phase == "waiting":
            more, at = _held(state, now, init=False)
            actions += more
            times += at
    return actions, times


def _container(
    pod: Object, container: Mapping[str, Any], state: ContainerState | None, policy: str, now: float, *, init: bool
) -> _Step:
    at = str(container["name"])
    if state is None:
        return [Start(at, init=init)], []
    if state.running:
        return _running(pod, container, state, now)
    if state.phase == "waiting":
        return _held(state, now, init=init)
    if not should_restart(policy, state.exit_code):
        return [], []
    if state.restart_at is None:
        return [RestartLater(at, wait_before_restart_s(state))], []
    if now >= state.restart_at:
        return [Start(at, state.restarts + 1, init=init)], []
    return [], [state.restart_at]


def _held(state: ContainerState, now: float, *, init: bool) -> _Step:
    """What could not be started is tried again when it is time to."""
    if state.restart_at is None:
        return [], []
    if now >= state.restart_at:
        return [Start(state.name, state.restarts, init=init)], []
    return [], [state.restart_at]


def _running(pod: Object, container: Mapping[str, Any], state: ContainerState, now: float) -> _Step:
    if state.failed_probe:
        grace = (container.get(state.failed_probe) or {}).get("terminationGracePeriodSeconds")
        grace_s = float(spec(pod).get("terminationGracePeriodSeconds", 30) if grace is None else grace)
        return _stopping(
            state, grace_s, now, f"Container {state.name} failed its {state.failed_probe}, will be restarted"
        )
    return _probing(state, now, (probe.kind for probe in state.probes))


def _probing(state: ContainerState, now: float, kinds: Iterable[str]) -> _Step:
    wanted = set(kinds)
    waiting = [probe for probe in state.probes if probe.kind in wanted and is_due(state, probe)]
    due: list[Action] = [Probe(state.name, probe.kind) for probe in waiting if now >= probe.next_at]
    return due, [probe.next_at for probe in waiting if now < probe.next_at]


def _ending(pod: Object, seen: Seen, now: float) -> _Step:
    """SIGTERM, the grace period, SIGKILL; meanwhile the readiness probes go on, for endpoints that still serve."""
    grace_s = float(metadata(pod).get("deletionGracePeriodSeconds", 30))
    running = [state for state in seen.all() if state.running]
    if not running:
        return [Finish()], []
    actions: list[Action] = []
    times: list[float] = []
    for state in running:
        for more, at in (_stopping(state, grace_s, now, ""), _probing(state, now, (READINESS,))):
            actions += more
            times += at
    return actions, times


def _stopping(state: ContainerState, grace_s: float, now: float, why: str) -> _Step:
    if state.killed:
        return [], []
    if state.stopping_since is None:
        return [Stop(state.name, grace_s, why)], []
    if now >= state.stopping_since + grace_s:
        return [Kill(state.name)], []
    return [], [state.stopping_since + grace_s]


# --- taking over


@dataclass(frozen=True, slots=True)
class Alive:
    """A container that runs, as whoever holds it tells: what was noted down at its start."""

    pid: int
    restarts: int = 0
    started_at: float = 0.0
    ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dead:
    """A container that ended while nobody listened."""

    code: int
    at: float
    restarts: int | None = None


Found = Alive | Dead


def taken_over_pod(pod: Object, found: Mapping[str, Found], *, is_there: bool, now: float) -> Seen:
    """What there is of a Pod that an earlier agent worked on: its status is what was known, FOUND what is true.

    IS_THERE tells whether its network namespace still exists; without it nothing of it can go on.
    """
    told = tuple(item["ip"] for item in status(pod).get("podIPs") or ())
    noted = next((each.ips for each in found.values() if isinstance(each, Alive) and each.ips), ())
    ips = told or noted
    seen = Seen(ips, plugged=is_there and bool(ips), renew_at=now if tokens.wanted(pod) else None)
    begun = _has_begun(pod, found)
    for field, statuses in STATUSES.items():
        known = {each["name"]: each for each in status(pod).get(statuses) or ()}
        for container in spec(pod).get(field) or ():
            at = container["name"]
            state = _taken_over_container(container, known.get(at) or {}, found.get(at) if seen.plugged else None, now)
            if state is None and begun and field == "initContainers":
                state = ContainerState(at, container["image"], "terminated", started_at=now, finished_at=now)
            if state:
                seen = seen.put(state, init=field == "initContainers")
    return seen


def _has_begun(pod: Object, found: Mapping[str, Found]) -> bool:
    """Whether a container proper was ever started, so that the init containers have done their work."""
    if any(container["name"] in found for container in spec(pod).get("containers") or ()):
        return True
    states = [each.get("state") or {} for each in status(pod).get("containerStatuses") or ()]
    return any("running" in state or "terminated" in state for state in states)


def _taken_over_container(
    container: Mapping[str, Any], known: Mapping[str, Any], found: Found | None, now: float
) -> ContainerState | None:
    now_state = known.get("state") or {}
    state = ContainerState(
        str(container["name"]), str(container["image"]), restarts=int(known.get("restartCount") or 0), started_at=now,
        ready=bool(known.get("ready")), started=bool(known.get("started")),
        last=tuple(((known.get("lastState") or {}).get("terminated") or {}).items()),
    )  # fmt: skip
    if isinstance(found, Alive):
        is_known = found.restarts == state.restarts and bool(now_state.get("running"))
        fresh = replace(state, restarts=found.restarts, pid=found.pid, started_at=found.started_at, reason="")
        return taken_over(fresh if is_known else _unready(fresh, container), container, now)
    if isinstance(found, Dead):
        return ended(replace(state, restarts=found.restarts or state.restarts), found.code, found.at)
    if now_state.get("running"):
        return lost(state, now)
    past = now_state.get("terminated") or dict(state.last)
    if past and (now_state.get("terminated") or now_state.get("waiting")):
        return replace(ended(state, int(past.get("exitCode", KILLED)), now), reason=_kept_reason(past))
    return None


def _kept_reason(past: Mapping[str, Any]) -> str:
    return LOST if past.get("reason") == LOST else ""


def _unready(state: ContainerState, container: Mapping[str, Any]) -> ContainerState:
    """A container that was started by somebody who had no time to tell: its probes decide."""
    return replace(
        state,
        started=not container.get("startupProbe"),
        ready=not container.get("startupProbe") and not container.get(READINESS),
    )
