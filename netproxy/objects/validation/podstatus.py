"""What is refused about the status of a Pod.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodStatusUpdate), pkg/api/v1/pod/util.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netproxy.core.errors import Problem
from netproxy.objects.meta import Object, spec, status
from netproxy.objects.validation.addresses import address_problems, address_warnings, is_ip, is_ipv6
from netproxy.objects.validation.names import dns_subdomain, qualified
from netproxy.objects.validation.podreports import device_problems, extended_claim_problems, user_problems
from netproxy.objects.validation.words import Problems, duplicate, forbidden, invalid, invalids, unchanged

_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")
_OVER = "may not be transitioned to non-terminated state"
_NOT_NEGATIVE = "must be a non-negative integer"

Part = Mapping[str, Any]


def status_problems(new: Object, old: Object) -> Problems:
    """What is wrong with a new status of a Pod."""
    given, before = status(new), status(old)
    yield from _conditions(given.get("conditions") or (), "status.conditions")
    yield from _nominated(given, before, spec(old))
    if (given.get("observedGeneration") or 0) < 0:
        yield invalid("status.observedGeneration", given["observedGeneration"], _NOT_NEGATIVE)
    yield from unchanged("status.qosClass", given.get("qosClass"), before.get("qosClass"))
    yield from _revived(given, before, spec(old))
    yield from _claims(given.get("resourceClaimStatuses") or (), spec(new), "status.resourceClaimStatuses")
    path = "status.extendedResourceClaimStatus"
    yield from extended_claim_problems(given.get("extendedResourceClaimStatus"), spec(new), path)
    yield from _addresses(given.get("podIPs") or (), before.get("podIPs") or (), "status.podIPs")
    hosts = given.get("hostIPs") or ()
    if hosts and (given.get("hostIP") or "") != (hosts[0].get("ip") or ""):
        yield invalid("status.hostIPs[0].ip", hosts[0].get("ip") or "", "must be equal to `hostIP`")
    yield from _addresses(hosts, before.get("hostIPs") or (), "status.hostIPs")
    yield from user_problems(given, spec(new))
    yield from device_problems(given, spec(new))


def status_warnings(new: Object, old: Object | None) -> Any:
    """What is said about a status of a Pod."""
    for field in ("podIPs", "hostIPs"):
        for index, item in enumerate(status(new).get(field) or ()):
            yield from address_warnings(f"status.{field}[{index}].ip", item.get("ip") or "")


def _conditions(conditions: Sequence[Part], path: str) -> Problems:
    for index, item in enumerate(conditions):
        kind = item.get("type") or ""
        if (item.get("observedGeneration") or 0) < 0:
            yield invalid(f"{path}[{index}].observedGeneration", item["observedGeneration"], _NOT_NEGATIVE)
        if kind not in _SYSTEM_CONDITIONS:
            yield from invalids(f"{path}[{index}].Type", kind, qualified(kind))


def _nominated(given: Part, before: Part, placed: Part) -> Problems:
    name, path = given.get("nominatedNodeName") or "", "status.nominatedNodeName"
    if name and name != before.get("nominatedNodeName"):
        yield from invalids(path, name, dns_subdomain(name))
        if placed.get("nodeName"):
            yield forbidden(path, "may not be set on pods that are already bound to a node")


def _revived(given: Part, before: Part, placed: Part) -> Problems:
    """Whether a container that ended for good is said to run again."""
    groups = {"containerStatuses": "containers", "initContainerStatuses": "initContainers"}
    owns = [own for group in groups.values() for own in placed.get(group) or ()]
    rules = [rule.get("action") for own in owns for rule in own.get("restartPolicyRules") or ()]
    for field, group in groups.items() if "RestartAllContainers" not in rules else ():
        may = {item.get("name"): item for item in placed.get(group) or ()}
        for index, name, code in _alive_again(given.get(field) or (), before.get(field) or ()):
            if name not in may or not _restarts(may[name], placed, code):
                yield forbidden(f"status.{field}[{index}].state", _OVER)
    field = "ephemeralContainerStatuses"
    for index, _, _ in _alive_again(given.get(field) or (), before.get(field) or ()):
        yield forbidden(f"status.{field}[{index}].state", _OVER)


def _alive_again(now: Sequence[Part], then: Sequence[Part]) -> Iterable[tuple[int, str, int]]:
    """The place, name and exit code of what had ended and has not any more."""
    ended = {item.get("name") or "": _end(item) for item in reversed(now)}
    for index, item in enumerate(then):
        name, end = item.get("name") or "", _end(item)
        if end is not None and name in ended and ended[name] is None:
            yield index, name, end.get("exitCode") or 0


def _end(item: Part) -> Part | None:
    end: Part | None = (item.get("state") or {}).get("terminated")
    return end


def _restarts(container: Part, pod: Part, code: int) -> bool:
    """Whether a container is started again after it ended with this code."""
    own = container.get("restartPolicy")
    if own is not None:
        for rule in container.get("restartPolicyRules") or ():
            codes = rule.get("exitCodes") or {}
            is_in = code in (codes.get("values") or ())
            if codes.get("operator") == ("In" if is_in else "NotIn"):
                return True
    return {"Never": False, "OnFailure": code != 0}.get(own or pod.get("restartPolicy", ""), True)


def _claims(claims: Sequence[Part], wanted: Part, path: str) -> Problems:
    known, seen = {item.get("name") for item in wanted.get("resourceClaims") or ()}, set[str]()
    for index, item in enumerate(claims):
        name, claim = item.get("name") or "", item.get("resourceClaimName")
        if name not in known:
            yield invalid(f"{path}[{index}].name", name, "must match the name of an entry in `spec.resourceClaims`")
        if name in seen:
            yield duplicate(f"{path}[{index}].name", name)
        seen.add(name)
        if claim is not None:
            yield from invalids(f"{path}[{index}].resourceClaimName", claim, dns_subdomain(claim))


def _addresses(now: Sequence[Part], then: Sequence[Part], path: str) -> Problems:
    ips, known = [item.get("ip") or "" for item in now], [item.get("ip") or "" for item in then]
    for index, ip in enumerate(ips):
        yield from address_problems(f"{path}[{index}]", ip, known)
    if len(ips) < 2:
        return
    bad = next((f"invalid IP[{index}]: {ip}" for index, ip in enumerate(ips) if not is_ip(ip)), "")
    if bad:
        why = f"Internal error: failed to check for dual stack with error:{bad}"
        yield Problem(path, why, reason="InternalError")
    if bad or len(ips) > 2 or is_ipv6(ips[0]) == is_ipv6(ips[1]):
        shown = [{"IP": ip} for ip in ips]
        yield invalid(path, shown, "may specify no more than one IP for each IP family")
