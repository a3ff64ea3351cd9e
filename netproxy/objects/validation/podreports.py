"""What is refused of what a Pod's status tells about its containers: who they run as, and which devices they have.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodStatusUpdate; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.validation.names import dns_label, dns_subdomain
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    forbidden,
    invalid,
    invalids,
    required,
    too_long,
    unsupported,
)

_GROUPS = {"containerStatuses": "containers", "initContainerStatuses": "initContainers"}
_LATER = "ephemeralContainerStatuses"
_HEALTH = ("Healthy", "Unhealthy", "Unknown")
_LONGEST = 1024
_MOST_ID = (1 << 31) - 1
_NO_ID = f"must be between 0 and {_MOST_ID}, inclusive"

Part = Mapping[str, Any]


def user_problems(given: Part, placed: Part) -> Problems:
    """What is wrong with the users that containers are said to run as."""
    system = (placed.get("os") or {"name": "linux"}).get("name")
    for group in (*_GROUPS, _LATER):
        for index, item in enumerate(given.get(group) or ()):
            user, path = (item.get("user") or {}).get("linux"), f"status.{group}[{index}].user.linux"
            if user is not None and system == "windows":
                yield forbidden(path, "cannot be set for a windows pod")
            elif user is not None and system == "linux":
                yield from _user(user, path)


def _user(user: Part, path: str) -> Problems:
    ids = [(field, user.get(field) or 0) for field in ("uid", "gid")]
    groups = user.get("supplementalGroups") or ()
    for place, number in (*ids, *((f"supplementalGroups[{index}]", item) for index, item in enumerate(groups))):
        if not 0 <= number <= _MOST_ID:
            yield invalid(f"{path}.{place}", number, _NO_ID)


def device_problems(given: Part, placed: Part) -> Problems:
    """What is wrong with what is said of the devices that containers were given."""
    for group, kind in _GROUPS.items():
        containers = {item.get("name") or "": item for item in reversed(placed.get(kind) or ())}
        for index, item in enumerate(given.get(group) or ()):
            own = containers.get(item.get("name") or "")
            path = f"status.{group}[{index}].allocatedResourcesStatus"
            for place, device in enumerate(item.get("allocatedResourcesStatus") or ()):
                if own is not None:
                    yield from _asked(device.get("name") or "", own.get("resources") or {}, f"{path}[{place}].name")
                yield from _health(device.get("resources") or (), f"{path}[{place}].resources")
    for index, item in enumerate(given.get(_LATER) or ()):
        if item.get("allocatedResourcesStatus"):
            path = f"status.{_LATER}[{index}].allocatedResourcesStatus"
            yield forbidden(path, "must not be specified in container status")


def _asked(name: str, resources: Part, path: str) -> Problems:
    if name.startswith("claim:"):
        claims = (f"{item.get('name') or ''}/{item.get('request') or ''}" for item in resources.get("claims") or ())
        is_asked = name in (f"claim:{claim.rstrip('/')}" for claim in claims)
        form = "'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"
        why = f"must match one of the container's resource claims in a format {form}"
    else:
        is_asked = name in (resources.get("requests") or ())
        why = "must match one of the container's resource requests"
    if not is_asked:
        yield invalid(path, name, why)


def _health(devices: Sequence[Part], path: str) -> Problems:
    seen = set[str]()
    for index, item in enumerate(devices):
        health, message, called = item.get("health") or "", item.get("message"), item.get("resourceID") or ""
        if health not in _HEALTH:
            yield unsupported(f"{path}[{index}].health", health, _HEALTH)
        if message == "":
            yield required(f"{path}[{index}].message", "must be non-empty if specified")
        elif message is not None and len(message.encode()) > _LONGEST:
            yield too_long(f"{path}[{index}].message", _LONGEST)
        if called in seen:
            yield duplicate(f"{path}[{index}].resourceID", called)
        seen.add(called)


def extended_claim_problems(given: Part | None, placed: Part, path: str) -> Problems:
    """What is wrong with the claim that was made for resources that containers ask for by name."""
    if given is None:
        return
    containers = {
        item.get("name") or "": (item.get("resources") or {}).get("requests") or ()
        for group in ("initContainers", "containers")
        for item in placed.get(group) or ()
    }
    mappings, claim = given.get("requestMappings") or (), given.get("resourceClaimName") or ""
    if not mappings:
        yield required(f"{path}.requestMappings", "at least one request mapping is required")
    seen = set[tuple[str, ...]]()
    for index, item in enumerate(mappings):
        values = tuple(item.get(field) or "" for field in ("containerName", "resourceName", "requestName"))
        yield from _mapping(values, containers, path, f"{path}.requestMappings[{index}]")
        if values in seen:
            for field, value in zip(("containerName", "resourceName", "requestName"), values, strict=True):
                yield duplicate(f"{path}.requestMappings[{index}].{field}", value)
        seen.add(values)
    if not claim:
        yield required(f"{path}.resourceClaimName")
    else:
        yield from invalids(f"{path}.resourceClaimName", claim, dns_subdomain(claim))


def _mapping(values: tuple[str, ...], containers: Mapping[str, Any], path: str, place: str) -> Problems:
    container, resource, request = values
    groups = [f"spec.{group}" for group in ("initContainers", "containers")]
    if container not in containers:
        why = "must match the name of an entry in " + " or ".join(f"{group}.name" for group in groups)
        yield invalid(f"{place}.containerName", container, why)
    elif resource not in containers[container]:
        fields = " or ".join(f"{group}.resources.requests" for group in groups)
        why = f"must match the extended resource name of an entry in {fields}"
        yield invalid(f"{place}.resourceName", resource, why)
    yield from invalids(f"{path}.requestName", request, dns_label(request))
