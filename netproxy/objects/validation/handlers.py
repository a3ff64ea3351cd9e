"""What is refused about probes and hooks of containers.

Source: kubernetes pkg/apis/core/validation/validation.go (validateProbe, validateHandler, validateLifecycle; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.objects.validation.podnames import header_name
from netproxy.objects.validation.words import (
    NOT_NEGATIVE,
    Problems,
    forbidden,
    invalid,
    invalids,
    port_or_name,
    required,
    unsupported,
)

_SECONDS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")

Part = Mapping[str, Any]


def probes_problems(container: Part, path: str, grace_s: int | None) -> Problems:
    """What is wrong with the probes of a container; GRACE_S is how long its Pod has to end."""
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(field)
        if probe is not None:
            yield from _probe(probe, f"{path}.{field}", grace_s, is_readiness=field == "readinessProbe")


def _probe(probe: Part, path: str, grace_s: int | None, *, is_readiness: bool) -> Problems:
    yield from _handler(probe, path, ("exec", "httpGet", "tcpSocket", "grpc"), grace_s)
    for field in _SECONDS:
        if probe.get(field, 0) < 0:
            yield invalid(f"{path}.{field}", probe[field], NOT_NEGATIVE)
    end_s = probe.get("terminationGracePeriodSeconds")
    if end_s is not None and end_s <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", end_s, "must be greater than 0")
    if is_readiness:
        if end_s is not None:
            yield invalid(f"{path}.terminationGracePeriodSeconds", end_s, "must not be set for readinessProbes")
    elif probe.get("successThreshold", 1) != 1:
        yield invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def lifecycle_problems(lifecycle: Part, path: str, grace_s: int | None) -> Problems:
    """What is wrong with the hooks of a container."""
    for field in ("postStart", "preStop"):
        if lifecycle.get(field) is not None:
            kinds = ("exec", "httpGet", "tcpSocket", "sleep")
            yield from _handler(lifecycle[field], f"{path}.{field}", kinds, grace_s)


def _handler(handler: Part, path: str, kinds: tuple[str, ...], grace_s: int | None) -> Problems:
    found = [kind for kind in kinds if handler.get(kind) is not None]
    for kind in found[:1]:
        act, place = handler[kind], f"{path}.{kind}"
        if kind == "exec":
            if not act.get("command"):
                yield required(f"{place}.command")
        elif kind == "httpGet":
            yield from _http_get(act, place)
        elif kind == "sleep":
            yield from _sleep(act.get("seconds") or 0, place, grace_s)
        else:
            yield from port_or_name(f"{place}.port", act.get("port") or 0)
    for kind in found[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
    if not found:
        yield required(path, "must specify a handler type")


def _http_get(act: Part, path: str) -> Problems:
    yield from port_or_name(f"{path}.port", act.get("port", 0))
    if act.get("scheme", "HTTP") not in ("HTTP", "HTTPS"):
        yield unsupported(f"{path}.scheme", act["scheme"], ("HTTP", "HTTPS"))
    for header in act.get("httpHeaders") or ():
        name = header.get("name") or ""
        yield from invalids(f"{path}.httpHeaders", name, header_name(name))


def _sleep(seconds: int, path: str, grace_s: int | None) -> Problems:
    if grace_s is not None and not 0 <= seconds <= grace_s:
        why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})"
        yield invalid(path, seconds, why)
