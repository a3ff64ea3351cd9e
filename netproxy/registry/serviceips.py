"""The addresses and families of a Service: which it gets, and which wishes cannot be had.

Source: kubernetes pkg/registry/core/service/storage/alloc.go (initIPFamilyFields, allocClusterIPs, updateClusterIPs),
pkg/registry/core/service/ipallocator (the words; behaviour).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.core.net import Family, contains, family_of, sloppy_address
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.validation.names import path_segment
from netproxy.objects.validation.serviceips import ip_problems
from netproxy.objects.validation.words import invalid, invalids, required
from netproxy.registry.allocate import Wish

Spec = dict[str, Any]

_POLICY = "spec.ipFamilyPolicy"
_SINGLE = "SingleStack"


def with_addresses(service: Spec, old: Spec | None, wish: Wish) -> None:
    """Give SERVICE its families, their policy and its addresses. Raises ManifestError, ConflictError."""
    if service.get("type") != "ExternalName":
        if old is not None and _is_as_before(service, old):
            return
        _with_families(service, old, wish.cluster)
        if _needs_addresses(service, old):
            _allocate(service, wish)


def _is_as_before(service: Spec, old: Spec) -> bool:
    """Whether it was and is one that prefers both families: a change of the cluster does not change it."""
    policy = "ipFamilyPolicy"
    same = all((service.get(field) or []) == (old.get(field) or []) for field in ("clusterIPs", "ipFamilies"))
    return (
        same and service.get("type") == old.get("type")
        and service.get(policy) == "PreferDualStack" and old.get(policy) in ("PreferDualStack", None)
    )  # fmt: skip


def _with_families(service: Spec, old: Spec | None, cluster: ClusterSpec) -> None:
    free = service.get("clusterIP") == "None" and not service.get("selector")
    if service.get("ipFamilyPolicy") is None:
        before = (old or {}).get("ipFamilyPolicy")
        service["ipFamilyPolicy"] = before or ("RequireDualStack" if free else _SINGLE)
    _refuse(list(ip_problems(service, old or {})))
    wrong = _reductions(service, old) if old is not None else []
    wrong += _too_many(service)
    configured = [family.value for family in cluster.families]
    families = list(service.get("ipFamilies") or ())
    for index, ip in enumerate(service.get("clusterIPs") or ()):
        family = family_of(sloppy_address(ip)).value
        if ip != "None" and index >= len(families):
            if family in configured:
                families.append(family)
            else:
                path = f"spec.clusterIPs[{index}]"
                wrong.append(invalid(path, service["clusterIPs"], f"{family} is not configured on this cluster"))
    _refuse(wrong)
    if not free:
        _refuse(_unconfigured(service, families, configured))
    families = families or configured[:1]
    both = service["ipFamilyPolicy"] != _SINGLE and (free or len(configured) == 2)
    if both and len(families) == 1:
        families += [family.value for family in Family if family.value not in families]
    service["ipFamilies"] = families


def _reductions(service: Spec, old: Spec) -> list[Problem]:
    """A second address goes with its family when the policy says so, and only then."""
    ips, families = service.get("clusterIPs") or [], service.get("ipFamilies") or []
    had_ips, had_families = old.get("clusterIPs") or [], old.get("ipFamilies") or []
    policy = service["ipFamilyPolicy"]
    if policy == _SINGLE:
        if ips == had_ips and len(ips) > 1:
            service["clusterIPs"] = ips[:1]
        if families == had_families and len(families) > 1:
            service["ipFamilies"] = families[:1]
        return []
    wrong = []
    for now, before, what in ((ips, had_ips, "cluster IP"), (families, had_families, "IP family")):
        if now and len(now) < len(before):
            wrong.append(invalid(_POLICY, policy, f"must be 'SingleStack' to release the secondary {what}"))
    return wrong


def _too_many(service: Spec) -> list[Problem]:
    """One family has one address."""
    policy = service["ipFamilyPolicy"]
    if policy != _SINGLE:
        return []
    words = "must be 'RequireDualStack' or 'PreferDualStack' when multiple"
    return [
        invalid(_POLICY, policy, f"{words} {what} are specified")
        for field, what in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families"))
        if len(service.get(field) or ()) == 2
    ]


def _unconfigured(service: Spec, families: Sequence[str], configured: Sequence[str]) -> list[Problem]:
    wrong = []
    if service["ipFamilyPolicy"] == "RequireDualStack" and len(configured) < 2:
        wrong.append(invalid(_POLICY, "RequireDualStack", "this cluster is not configured for dual-stack services"))
    for index, family in enumerate(families):
        if family not in configured:
            wrong.append(invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
    return wrong


def _needs_addresses(service: Spec, old: Spec | None) -> bool:
    """Whether there is one to be handed out, or to be taken as it is asked for."""
    if (service.get("clusterIPs") or [""])[0] == "None":
        return False
    if old is None or old.get("type") == "ExternalName":
        return True
    headless = (old.get("clusterIPs") or [""])[0] == "None"
    return not headless and len(old.get("ipFamilies") or ()) == 1 and len(service["ipFamilies"]) == 2


def _allocate(service: Spec, wish: Wish) -> None:
    asked = service.get("clusterIPs") or []
    given = asked + [""] * (len(service["ipFamilies"]) - len(asked))
    result = []
    for family, ip in zip(service["ipFamilies"], given, strict=False):
        if ip:
            _take(ip, given, wish)
        result.append(ip or _free(Family(family), given, wish))
    service["clusterIP"], service["clusterIPs"] = result[0], result


def _take(ip: str, given: Sequence[str], wish: Wish) -> None:
    """Raise ManifestError when an address cannot be had."""
    read = sloppy_address(ip)
    cidr = wish.cluster.cidr_of(family_of(read))
    number = int(ipaddress.ip_address(read))
    if cidr is None or not contains(cidr, read) or number in _ends(cidr):
        why = "the provided network does not match the current range"
    elif wish.holdings.addresses(family_of(read)).holder(number) not in (None, wish.owner):
        why = "provided IP is already allocated"
    else:
        _check_parent(wish, read, given, f"failed to allocate IP {ip}")
        return
    raise ManifestError([invalid("spec.clusterIPs", list(given), f"failed to allocate IP {ip}: {why}")])


def _ends(cidr: str) -> set[int]:
    """The addresses of a range that no Service has: its own, and that of broadcasts."""
    net = ipaddress.ip_network(cidr)
    return {int(net.network_address)} | ({int(net.broadcast_address)} if net.version == 4 else set())


def _free(family: Family, given: Sequence[str], wish: Wish) -> str:
    if wish.dry_run:
        return str(ipaddress.ip_network(wish.cluster.cidr_of(family) or "0.0.0.0/0").network_address)
    reserved = {int(ipaddress.ip_address(ip)) for ip in wish.cluster.dns_addresses}
    number = wish.holdings.addresses(family).free(reserved)
    ip = str(ipaddress.IPv4Address(number) if family is Family.IPV4 else ipaddress.IPv6Address(number))
    _check_parent(wish, ip, given, "failed to allocate IP")
    return ip


def _check_parent(wish: Wish, ip: str, given: Sequence[str], what: str) -> None:
    """Raise ManifestError when no IPAddress could name this Service."""
    path = "spec.parentRef.name"
    wrong = list(invalids(path, wish.name, path_segment(wish.name))) if wish.name else [required(path)]
    if wrong:
        told = ", ".join(map(str, wrong))
        why = f'IPAddress.networking.k8s.io "{ip}" is invalid: {told if len(wrong) == 1 else f"[{told}]"}'
        raise ManifestError([invalid("spec.clusterIPs", list(given), f"{what}: {why}")])


def _refuse(wrong: list[Problem]) -> None:
    if wrong:
        raise ManifestError(wrong)
