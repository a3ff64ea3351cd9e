"""A container's command and environment, and its life as values: waiting, running, terminated.

Source: kubernetes pkg/kubelet (environment, expansion, back-off), third_party/forked/golang/expansion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.core.clock import timestamp
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import CONFIG_MAPS, Resource
from netproxy.objects.meta import Object, annotations_of, labels, name, namespace, spec, uid

BACKOFF_S = (0, 10, 20, 40, 80, 160, 300)
"""Waiting before the n-th restart; it stays at the last and begins anew after ten minutes of running."""
BACKOFF_RESET_S = 600

_REFERENCE = re.compile(r"\$(\$|\(([^()]+)\))")


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; unknown names stay, `$$` is a dollar.

    >>> expand("$(A)-$(B)-$$(A)", {"A": "1"})
    '1-$(B)-$(A)'
    """
    return _REFERENCE.sub(lambda m: "$" if m[1] == "$" else env.get(m[2], m[0]), text)


def environment(
    pod: Object, container: Mapping[str, Any], *, ips: tuple[str, ...], services: Iterable[Object],
    find: Callable[[Resource, NamespacedName], Object | None], base: Mapping[str, str],
) -> dict[str, str]:  # fmt: skip
    """The variables of a container: BASE, service links, then `env` in order, each seeing the ones before it."""
    env = dict(base)
    if spec(pod).get("enableServiceLinks", True):
        for service in services:
            env.update(_service_links(service))
    for item in container.get("env") or ():
        plain = expand(str(item.get("value") or ""), env)
        value = _value_from(item["valueFrom"], pod, ips, find) if "valueFrom" in item else plain
        if value is not None:
            env[item["name"]] = value
    return env


def _service_links(service: Object) -> dict[str, str]:
    ip = spec(service).get("clusterIP")
    ports = spec(service).get("ports") or ()
    if not ip or ip == "None" or not ports:
        return {}
    prefix = name(service).upper().replace("-", "_")
    first = ports[0]
    return {
        f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(first["port"]),
        f"{prefix}_PORT": f"{first['protocol'].lower()}://{ip}:{first['port']}",
        **{f"{prefix}_SERVICE_PORT_{p['name'].upper().replace('-', '_')}": str(p["port"]) for p in ports if p.get("name")},
    }  # fmt: skip


def _value_from(
    source: Mapping[str, Any],
    pod: Object,
    ips: tuple[str, ...],
    find: Callable[[Resource, NamespacedName], Object | None],
) -> str | None:
    if "fieldRef" in source:
        return _field(str(source["fieldRef"].get("fieldPath")), pod, ips)
    if "configMapKeyRef" in source:
        reference = source["configMapKeyRef"]
        found = find(CONFIG_MAPS, NamespacedName(namespace(pod), reference.get("name", "")))
        value = ((found or {}).get("data") or {}).get(reference.get("key"))
        return None if value is None else str(value)
    return None


def _field(path: str, pod: Object, ips: tuple[str, ...]) -> str | None:
    plain = {
        "metadata.name": name(pod), "metadata.namespace": namespace(pod), "metadata.uid": uid(pod),
        "spec.nodeName": spec(pod).get("nodeName", ""), "spec.serviceAccountName": spec(pod).get("serviceAccountName", "default"),
        "status.podIP": ips[0] if ips else "", "status.podIPs": ",".join(ips),
    }  # fmt: skip
    if path in plain:
        return str(plain[path])
    found = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if found:
        return str((labels(pod) if found[1] == "labels" else annotations_of(pod)).get(found[2], ""))
    return None


def command_of(container: Mapping[str, Any], env: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`command` and `args` with variables expanded."""
    command = tuple(expand(str(word), env) for word in container.get("command") or ())
    return command, tuple(expand(str(word), env) for word in container.get("args") or ())


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

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.phase == "running"


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
    reason = "Completed" if code == 0 else "Error"
    result: dict[str, Any] = {"exitCode": code if code >= 0 else 128 - code, "reason": reason}
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


def pod_status(
    pod: Object,
    states: list[ContainerState],
    init: list[ContainerState],
    ips: tuple[str, ...],
    host_ip: str,
    now: float,
) -> dict[str, Any]:
    """The Pod's whole status; transition times of conditions that did not change are kept."""
    old = pod.get("status") or {}
    ready = bool(states) and all(state.ready for state in states)
    initialised = all(state.phase == "terminated" and state.exit_code == 0 for state in init)
    result: dict[str, Any] = {
        "phase": _phase(pod, states, init),
        "conditions": _conditions(
            old, now, PodScheduled=True, Initialized=initialised, ContainersReady=ready, Ready=ready
        ),
        "containerStatuses": [container_status(state) for state in states],
        "qosClass": "BestEffort",
        "startTime": old.get("startTime") or timestamp(now),
    }
    if init:
        result["initContainerStatuses"] = [container_status(state) for state in init]
    if ips:
        result |= {
            "podIP": ips[0],
            "podIPs": [{"ip": ip} for ip in ips],
            "hostIP": host_ip,
            "hostIPs": [{"ip": host_ip}],
        }
    return result


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
