"""What is refused about the cluster IPs and the families of a Service.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateServiceClusterIPsRelatedFields and the two functions for
upgrades and downgrades; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.objects.validation.addresses import address_problems, is_ipv6
from netproxy.objects.validation.words import Problems, duplicate, invalid, one_of, required

Spec = Mapping[str, Any]

_ONCE = "may not change once set"
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_IPS, _FIRST_IP, _FIRST_FAMILY, _POLICY = (
    "spec.clusterIPs", "spec.clusterIPs[0]", "spec.ipFamilies[0]", "spec.ipFamilyPolicy",
)  # fmt: skip


def is_headless(service: Spec) -> bool:
    """Whether its only cluster IP is `None`."""
    return (service.get("clusterIPs") or ()) == ["None"]


def ip_problems(service: Spec, old: Spec) -> Problems:
    """What is wrong with cluster IPs, families and their policy."""
    if service.get("type") == "ExternalName":
        return
    ips = service.get("clusterIPs") or []
    first = service.get("clusterIP")
    if first and not ips:
        yield required(_IPS)
    elif first and ips[0] != first:
        yield invalid(_IPS, ips, "first value must match `clusterIP`")
    elif ips and not first:
        yield invalid(_IPS, ips, "must be empty when `clusterIP` is not specified")
    yield from _families(service)
    wrong = list(_each_ip(ips, old))
    yield from wrong
    if len(ips) > 2:
        yield invalid(_IPS, ips, "may only hold up to 2 values")
    if not wrong:
        yield from _pairs(ips, service.get("ipFamilies") or [])


def _families(service: Spec) -> Problems:
    seen: list[str] = []
    for index, family in enumerate(service.get("ipFamilies") or ()):
        path = f"spec.ipFamilies[{index}]"
        yield from one_of(path, family, _FAMILIES)
        if family in seen:
            yield duplicate(path, family)
        seen.append(family)
    yield from one_of(_POLICY, service.get("ipFamilyPolicy"), _POLICIES)


def _each_ip(ips: list[str], old: Spec) -> Problems:
    known = old.get("clusterIPs") or ()
    for index, ip in enumerate(ips):
        if index == 0 and ip == "None":
            if len(ips) > 1:
                yield invalid(_IPS, ips, "'None' must be the first and only value")
        else:
            yield from address_problems(f"{_IPS}[{index}]", ip, known)


def _pairs(ips: list[str], families: list[str]) -> Problems:
    """There is one IP of each family, and each is of the family that is said."""
    if len(ips) > 1 and len({is_ipv6(ip) for ip in ips}) < 2:
        yield invalid(_IPS, ips, "may specify no more than one IP for each IP family")
    if ips == ["None"]:
        return
    for index, (ip, family) in enumerate(zip(ips, families, strict=False)):
        if family in _FAMILIES and is_ipv6(ip) != (family == "IPv6"):
            why = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            yield invalid(f"{_IPS}[{index}]", ip, why)


def ip_changes(new: Spec, old: Spec) -> Problems:
    """Which cluster IPs changed and may not: the first stays, the second may come and go."""
    if _is_other(new, old) or (is_headless(new) and is_headless(old)):
        return
    ips, before = new.get("clusterIPs") or [], old.get("clusterIPs") or []
    if len(ips) == len(before):
        for index, (ip, was) in enumerate(zip(ips, before, strict=True)):
            if ip != was:
                yield invalid(f"{_IPS}[{index}]", ips, _ONCE)
        return
    if not ips:
        yield invalid(_FIRST_IP, new.get("clusterIPs"), "primary clusterIP can not be unset")
    elif before and ips[0] != before[0]:
        yield invalid(_FIRST_IP, ips, _ONCE)
    if len(ips) == 1 and len(before) > 1:
        yield from _released(new, "clusterIP")


def family_changes(new: Spec, old: Spec) -> Problems:
    """Which families changed and may not."""
    if _is_other(new, old) or is_headless(new) or is_headless(old):
        return
    families, before = new.get("ipFamilies") or [], old.get("ipFamilies") or []
    if len(families) == len(before):
        for family, was in zip(families, before, strict=True):
            if family != was:
                yield invalid(_FIRST_FAMILY, families, _ONCE)
        return
    if len(families) < len(before) and not new.get("clusterIPs"):
        yield invalid(_FIRST_FAMILY, new.get("ipFamilies"), "primary ipFamily can not be unset")
    if families and before and families[0] != before[0]:
        yield invalid(_FIRST_FAMILY, new.get("clusterIPs"), _ONCE)
    if len(families) == 1 and len(before) > 1:
        yield from _released(new, "ipFamily")


def _is_other(new: Spec, old: Spec) -> bool:
    return "ExternalName" in (new.get("type"), old.get("type"))


def _released(new: Spec, what: str) -> Problems:
    policy = new.get("ipFamilyPolicy")
    if policy != "SingleStack":
        yield invalid(_POLICY, policy, f"must be set to 'SingleStack' when releasing the secondary {what}")
