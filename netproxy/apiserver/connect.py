"""The parts of a Pod that are streams: its log, a command in it, what it writes and reads, its ports. Requests to values.

Source: kubernetes 1.36 pkg/registry/core/pod/strategy.go (LogLocation, streamLocation), pkg/apis/core/validation
(ValidatePodLogOptions), pkg/kubelet/client/kubelet_client.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from netproxy.apiserver.paths import Target
from netproxy.apiserver.request import Request
from netproxy.apiserver.status import bad_request, not_allowed
from netproxy.core.errors import ApiError, ManifestError, Problem
from netproxy.core.names import NamespacedName, quoted
from netproxy.core.net import join_host_port
from netproxy.core.numbers import whole
from netproxy.objects.kinds import NODES, PODS
from netproxy.objects.meta import Object, name, namespace, spec, status
from netproxy.store.store import Store

KUBELET_PORT = 10250
_PREFERRED = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")
"""Kinds of a node's addresses, the one by which its kubelet is best reached first."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
PARTS = ("log", "exec", "attach", "portforward")
"""The subresources that this module reads."""


@dataclass(frozen=True, slots=True)
class Kubelet:
    """Where a node's kubelet is reached."""

    node: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """Host and port."""
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a log is wanted."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since_s: int | None = None
    since: float | None = None
    """A moment, in seconds since 1970."""
    tail: int | None = None
    limit: int | None = None
    """In bytes."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A command that is to be run, or what runs that is to be attached to, and which of its streams are wanted."""

    command: tuple[str, ...] | None
    """None to attach."""
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


@dataclass(frozen=True, slots=True)
class PortForward:
    """Connections to ports inside of a Pod; PORTS is for clients that say them at once."""

    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """What is wanted of which container of which Pod."""

    pod: Object
    container: str
    """Empty for a PortForward."""
    kubelet: Kubelet | None
    """None for a Pod that is on no node: there is nothing to be read then."""
    wanted: LogOptions | Terminal | PortForward


def connect(request: Request, target: Target, store: Store) -> Stream:
    """What a request for one of PARTS asks. Raises NetproxyError."""
    if request.method != "GET" and (request.method != "POST" or target.subresource == "log"):
        raise not_allowed()
    match target.subresource:
        case "log":
            return _log(request, store.get(PODS, target.key), store)
        case "exec" | "attach":
            return _terminal(request, target, store)
        case _:
            ports = tuple(map(_port, _listed(request.values("ports"))))
            pod = store.get(PODS, target.key)
            return Stream(pod, "", _kubelet_of(pod, store), PortForward(ports))


def _log(request: Request, pod: Object, store: Store) -> Stream:
    options = log_options(request)
    _check(options, request, name(pod))
    container = _container(request.query.get("container", ""), pod)
    return Stream(pod, container, kubelet(store, _node(pod)) if _node(pod) else None, options)


def _terminal(request: Request, target: Target, store: Store) -> Stream:
    command = tuple(request.values("command")) if target.subresource == "exec" else None
    flags = {flag: request.flag(flag) for flag in ("stdin", "stdout", "stderr", "tty")}
    pod = store.get(PODS, target.key)
    container = _container(request.query.get("container", ""), pod)
    return Stream(pod, container, _kubelet_of(pod, store), Terminal(command, **flags))


def _kubelet_of(pod: Object, store: Store) -> Kubelet:
    if not _node(pod):
        raise bad_request(f"pod {name(pod)} does not have a host assigned")
    return kubelet(store, _node(pod))


def _node(pod: Object) -> str:
    return spec(pod).get("nodeName") or ""


def kubelet(store: Store, node: str) -> Kubelet:
    """Where the kubelet of NODE is. Raises NotFoundError; ApiError when the node has no address."""
    found = status(store.get(NODES, NamespacedName("", node)))
    addresses = found.get("addresses") or ()
    by_type = {each["type"]: each["address"] for each in reversed(addresses)}
    host = next((by_type[kind] for kind in _PREFERRED if kind in by_type), "")
    if not host:
        known = " ".join(f"{{{each['type']} {each['address']}}}" for each in addresses)
        raise ApiError(500, "", f"no preferred addresses found; known addresses: [{known}]")
    endpoint = (found.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    return Kubelet(node, host, int(endpoint.get("Port") or 0) or KUBELET_PORT)


def _container(wanted: str, pod: Object) -> str:
    """The container of this name, or the only one. Raises ApiError."""
    if wanted:
        if wanted not in _names(pod):
            raise bad_request(f"container {wanted} is not valid for pod {name(pod)}")
        return wanted
    containers = spec(pod)["containers"]
    if len(containers) > 1:
        choice = " ".join(_names(pod))
        raise bad_request(f"a container name must be specified for pod {name(pod)}, choose one of: [{choice}]")
    return str(containers[0]["name"])


def _names(pod: Object) -> list[str]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [each["name"] for kind in kinds for each in spec(pod).get(kind) or ()]


# --- options


def log_options(request: Request) -> LogOptions:
    """Which part of a log a query asks for. Raises ApiError for what is no number or no time."""
    query = request.query
    numbers = {key: _number(query[key]) for key in ("sinceSeconds", "tailLines", "limitBytes") if query.get(key)}
    flags = {flag: request.flag(flag) for flag in ("follow", "previous", "timestamps")}
    return LogOptions(
        **flags, since_s=numbers.get("sinceSeconds"), since=_moment(query.get("sinceTime", "")),
        tail=numbers.get("tailLines"), limit=numbers.get("limitBytes"),
    )  # fmt: skip


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise bad_request(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    if not -(1 << 63) <= whole(text) < 1 << 63:
        raise bad_request(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    return whole(text)


def _moment(text: str) -> float | None:
    if text in ("", "null"):
        return None
    if _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            raise bad_request(f"parsing time {quoted(text)}: out of range") from None
    layout = "2006-01-02T15:04:05Z07:00"
    raise bad_request(
        f"parsing time {quoted(text)} as {quoted(layout)}: cannot parse {quoted(text)} as {quoted('2006')}"
    )


def _check(options: LogOptions, request: Request, pod: str) -> None:
    problems = list(_problems(options, request))
    if problems:
        error = ManifestError(problems)
        raise error.with_details(kind="PodLogOptions", name=pod, group="")


def _problems(options: LogOptions, request: Request) -> Iterable[Problem]:
    if options.tail is not None and options.tail < 0:
        yield Problem("tailLines", f"Invalid value: {options.tail}: must be greater than or equal to 0")
    if options.limit is not None and options.limit < 1:
        yield Problem("limitBytes", f"Invalid value: {options.limit}: must be greater than 0")
    if options.since_s is not None and options.since is not None:
        why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        yield Problem("[]", why, reason="FieldValueForbidden")
    elif options.since_s is not None and options.since_s < 1:
        yield Problem("sinceSeconds", f"Invalid value: {options.since_s}: must be greater than 0")
    if request.query.get("stream"):
        yield Problem("stream", "Forbidden: may not be specified", reason="FieldValueForbidden")


def _listed(values: Iterable[str]) -> list[str]:
    return [part for value in values for part in value.split(",")]


def _port(text: str) -> int:
    number = _number(text)
    if not 0 < number < 1 << 16:
        raise bad_request(f"port {quoted(text)} must be between 1 and 65535, inclusive")
    return number


# --- what a kubelet says of a container's log


def log_refused(pod: Object, container: str, *, previous: bool) -> str:
    """Why there is no log of a container (yet); empty when there is one.

    Source: kubernetes pkg/kubelet/kubelet_pods.go, validateContainerLogStatus.
    """
    about = f"container {quoted(container)} in pod {quoted(name(pod))}"
    found = _status_of(pod, container)
    if found is None:
        return f"{about} is not available"
    state, last = found.get("state") or {}, (found.get("lastState") or {}).get("terminated")
    if previous:
        return "" if last else f"previous terminated {about} not found"
    if "running" in state or "terminated" in state or last:
        return ""
    reason = (state.get("waiting") or {}).get("reason", "")
    told = {
        "ErrImagePull": ": image can't be pulled", "ImagePullBackOff": ": trying and failing to pull image",
    }.get(reason, f": {reason}" if reason else " - no logs yet")  # fmt: skip
    return f"{about} is waiting to start{told}"


def _status_of(pod: Object, container: str) -> Mapping[str, Any] | None:
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    listed = (each for kind in kinds for each in status(pod).get(kind) or ())
    return next((each for each in listed if each.get("name") == container), None)


def about(pod: Object) -> str:
    """Namespace and name, as in a URL of a kubelet."""
    return f"{namespace(pod)}/{name(pod)}"
