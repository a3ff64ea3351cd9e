"""What a Pod's containers are doing, as values, and how the Pod's status tells it.

Source: kubernetes pkg/kubelet/kubelet_pods.go (phases, conditions), pkg/kubelet/kuberuntime (back-off).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netproxy.core.clock import timestamp
from netproxy.objects.meta import Object, metadata, name, spec

BACKOFF_S = (0, 10, 20, 40, 80, 160, 300)
"""Waiting before the n-th restart; it stays at the last and begins anew after ten minutes of running."""
BACKOFF_RESET_S = 600
KILLED = 137
"""The exit status of a container of which nothing is known but that it ended."""
LOST = "ContainerStatusUnknown"


@dataclass(frozen=True, slots=True)
class Probing:
    """How one probe of a running container stands."""

    kind: str
    """startupProbe, readinessProbe or livenessProbe."""
    next_at: float
    passing: bool = False
    """The verdict that holds now."""
    row: int = 0
    """How many results in a row were like the last one."""
    last: bool | None = None
    asking: bool = False
    """Whether an attempt is under way."""
    pause_s: float = 10.0
    """How long after a failure it is asked again; twice as long each time, up to its period."""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What one container is doing. PHASE: waiting, running or terminated."""

    name: str
    image: str
    phase: str = "waiting"
    reason: str = "ContainerCreating"
    message: str = ""
    pid: int = 0
    restarts: int = 0
    exit_code: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    ready: bool = False
    started: bool = False
    last: tuple[tuple[str, Any], ...] = ()
    """The termination before this run, as items of `lastState.terminated`."""
    probes: tuple[Probing, ...] = ()
    failed_probe: str = ""
    """The startup or liveness probe for which it must end."""
    stopping_since: float | None = None
    """When it was asked to end."""
    killed: bool = False
    """Whether it was made to end, its grace period being over."""
    restart_at: float | None = None
    """When it starts again, once that was decided; WAIT_S later than its end."""
    wait_s: int = 0

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.phase == "running"

    @property
    def lost(self) -> bool:
        """Whether it ended without anybody being told how."""
        return self.phase == "terminated" and self.reason == LOST


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of a Pod on this machine."""

    ips: tuple[str, ...] = ()
    plugged: bool = False
    """Whether its network namespace, its addresses and its files are there."""
    init: Mapping[str, ContainerState] = field(default_factory=dict)
    containers: Mapping[str, ContainerState] = field(default_factory=dict)

    renew_at: float | None = None
    """When the tokens in its volumes are to be renewed; None when it has none."""

    def find(self, container: str) -> ContainerState | None:
        """The state of a container or init container; None before its first start."""
        return self.containers.get(container) or self.init.get(container)

    def put(self, state: ContainerState, *, init: bool = False) -> Seen:
        """The same with a new state of one container."""
        if init or state.name in self.init:
            return replace(self, init={**self.init, state.name: state})
        return replace(self, containers={**self.containers, state.name: state})

    def all(self) -> Iterable[ContainerState]:
        """Init containers, then containers."""
        return (*self.init.values(), *self.containers.values())


def ended(state: ContainerState, code: int, now: float) -> ContainerState:
    """The state after the container's process has ended with this status."""
    return replace(
        state, phase="terminated", reason="", message="", exit_code=code, finished_at=now, ready=False, started=False, pid=0,
        probes=(), failed_probe="", stopping_since=None, killed=False, restart_at=None, wait_s=0,
    )  # fmt: skip


def lost(state: ContainerState, now: float) -> ContainerState:
    """The state after a container has ended together with whoever would have told how."""
    why = "the process that holds this machine's containers was killed, and they with it"
    return replace(ended(state, KILLED, now), reason=LOST, message=why)


def wait_before_restart_s(state: ContainerState) -> int:
    """How long a container that ended waits: ever longer, not at all when it was not its own fault.

    >>> wait_before_restart_s(ContainerState("c", "i", "terminated", restarts=2))
    20
    """
    if state.lost:
        return 0
    return backoff_s(0 if state.finished_at - state.started_at > BACKOFF_RESET_S else state.restarts)


def shown(state: ContainerState, pod: str) -> ContainerState:
    """As the status shows it: a container that waits for its restart is in CrashLoopBackOff."""
    if state.phase != "terminated" or state.restart_at is None or not state.wait_s:
        return state
    why = f"back-off {state.wait_s}s restarting failed container={state.name} pod={pod}"
    return replace(
        state, phase="waiting", reason="CrashLoopBackOff", message=why, last=tuple(terminated(state).items())
    )


def should_restart(policy: str, exit_code: int) -> bool:
    """Whether a container that ended runs again.

    >>> should_restart("OnFailure", 0), should_restart("Always", 0)
    (False, True)
    """
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def backoff_s(restarts: int) -> int:
    """How long to wait before the next start.

    >>> backoff_s(0), backoff_s(1), backoff_s(99)
    (0, 10, 300)
    """
    return BACKOFF_S[min(restarts, len(BACKOFF_S) - 1)]


def terminated(state: ContainerState) -> dict[str, Any]:
    """The `terminated` part of a container's status."""
    code = state.exit_code
    reason = state.reason or ("Completed" if code == 0 else "Error")
    result: dict[str, Any] = {"exitCode": code if code >= 0 else 128 - code, "reason": reason}
    if state.message:
        result["message"] = state.message
    if code < 0:
        result["signal"] = -code
    return {**result, "startedAt": timestamp(state.started_at), "finishedAt": timestamp(state.finished_at)}


def container_status(state: ContainerState) -> dict[str, Any]:
    """One entry of `containerStatuses`."""
    match state.phase:
        case "running":
            now: dict[str, Any] = {"running": {"startedAt": timestamp(state.started_at)}}
        case "terminated":
            now = {"terminated": terminated(state)}
        case _:
            now = {"waiting": {"reason": state.reason, **({"message": state.message} if state.message else {})}}
    return {
        "name": state.name, "image": state.image, "imageID": "", "ready": state.ready, "restartCount": state.restarts,
        "started": state.started, "state": now, "lastState": {"terminated": dict(state.last)} if state.last else {},
    }  # fmt: skip


def pod_status(pod: Object, seen: Seen, host_ip: str, now: float) -> dict[str, Any]:
    """The Pod's whole status; transition times of conditions that did not change are kept."""
    old = pod.get("status") or {}
    init, states = _listed(pod, "initContainers", seen.init), _listed(pod, "containers", seen.containers)
    ready = bool(states) and all(state.ready for state in states)
    initialised = all(state.phase == "terminated" and state.exit_code == 0 for state in init)
    result: dict[str, Any] = {
        "phase": _phase(pod, states, init),
        "conditions": _conditions(
            old, now, PodScheduled=True, Initialized=initialised, ContainersReady=ready, Ready=ready
        ),
        "containerStatuses": [container_status(shown(state, name(pod))) for state in states],
        "qosClass": "BestEffort",
        **({"qosClass": old["qosClass"]} if "qosClass" in old else {}),
        "observedGeneration": metadata(pod).get("generation", 1),
        "startTime": old.get("startTime") or timestamp(now),
    }
    if init:
        result["initContainerStatuses"] = [container_status(shown(state, name(pod))) for state in init]
    added = _listed(pod, "ephemeralContainers", seen.containers)
    if added:  # they are never ready: nobody waits for them
        shown_as = {"ready": False, "started": False}
        result["ephemeralContainerStatuses"] = [{**container_status(state), **shown_as} for state in added]
    if seen.ips:
        result |= {
            "podIP": seen.ips[0],
            "podIPs": [{"ip": ip} for ip in seen.ips],
            "hostIP": host_ip,
            "hostIPs": [{"ip": host_ip}],
        }
    return result


def _listed(pod: Object, field: str, states: Mapping[str, ContainerState]) -> list[ContainerState]:
    """The states in the order of the spec; what has not been started yet waits."""
    return [states.get(c["name"]) or ContainerState(c["name"], c["image"]) for c in spec(pod).get(field) or ()]


def _phase(pod: Object, states: list[ContainerState], init: list[ContainerState]) -> str:
    policy = spec(pod).get("restartPolicy", "Always")
    if policy == "Never" and any(s.phase == "terminated" and s.exit_code for s in init):
        return "Failed"
    done = [s for s in states if s.phase == "terminated" and not should_restart(policy, s.exit_code)]
    if states and len(done) == len(states):
        return "Failed" if any(s.exit_code for s in done) else "Succeeded"
    never_ran = all(s.phase == "waiting" and not s.restarts for s in states)
    return "Pending" if never_ran else "Running"


def _conditions(old: Mapping[str, Any], now: float, **states: bool) -> list[dict[str, Any]]:
    before = {item.get("type"): item for item in old.get("conditions") or ()}
    result = []
    for kind, value in states.items():
        text = "True" if value else "False"
        known = before.get(kind)
        since = (
            known["lastTransitionTime"]
            if known and known.get("status") == text and "lastTransitionTime" in known
            else timestamp(now)
        )
        result.append({"type": kind, "status": text, "lastTransitionTime": since})
    return result
