"""What is refused about the security contexts of Pods and containers.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateSecurityContext, validatePodSpecSecurityContext; behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netproxy.objects.validation.internal import internal
from netproxy.objects.validation.names import dns_subdomain, size
from netproxy.objects.validation.paths import descending
from netproxy.objects.validation.windows import windows_options_problems
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    forbidden,
    invalid,
    one_of,
    required,
    too_long,
    unsupported,
)

_IDS = (1 << 31) - 1
_ID_RANGE = f"must be between 0 and {_IDS}, inclusive"
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL_PART = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"({_SYSCTL_PART}[\./])*{_SYSCTL_PART}"
_is_sysctl = re.compile(_SYSCTL).fullmatch
_LONGEST_SYSCTL, _LONGEST_PROFILE = 253, 4095
_IPC = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")

Part = Mapping[str, Any]


def container_security_problems(context: Part, path: str, *, host_users: bool) -> Problems:
    """What is wrong with the security context of a container; HOST_USERS if its users are the machine's."""
    for field in ("runAsUser", "runAsGroup"):
        yield from _id(context.get(field), f"{path}.{field}")
    mount = context.get("procMount")
    if mount is not None:
        yield from one_of(f"{path}.procMount", mount, ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            yield invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    yield from _seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            yield invalid(path, internal("SecurityContext", context), why)
        for capability in (context.get("capabilities") or {}).get("add") or ():
            if capability == "CAP_SYS_ADMIN":
                why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
                yield invalid(path, internal("SecurityContext", context), why)
    yield from windows_options_problems(context.get("windowsOptions"), f"{path}.windowsOptions")
    yield from armor_problems(context.get("appArmorProfile"), f"{path}.appArmorProfile")


def pod_security_problems(spec: Part, path: str) -> Problems:
    """What is wrong with the security context of a Pod."""
    context = spec.get("securityContext")
    if not context:
        return
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from _id(context.get(field), f"{path}.{field}")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        yield from _id(group, f"{path}.supplementalGroups[{index}]")
    if context.get("sysctls"):
        yield from _sysctls(spec, f"{path}.sysctls")
    policies = ("Always", "OnRootMismatch")
    yield from one_of(f"{path}.fsGroupChangePolicy", context.get("fsGroupChangePolicy"), policies)
    yield from _seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    yield from windows_options_problems(context.get("windowsOptions"), f"{path}.windowsOptions")
    yield from armor_problems(context.get("appArmorProfile"), f"{path}.appArmorProfile")
    groups = ("Merge", "Strict")
    yield from one_of(f"{path}.supplementalGroupsPolicy", context.get("supplementalGroupsPolicy"), groups)
    yield from _selinux(context.get("seLinuxChangePolicy"), f"{path}.seLinuxChangePolicy")


def shared_process_problems(spec: Part, path: str) -> Problems:
    """Whether a Pod shares its own processes and the machine's at once."""
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        yield invalid(path, True, "ShareProcessNamespace and HostPID cannot both be enabled")


def _selinux(policy: str | None, path: str) -> Problems:
    if policy not in (None, "Recursive"):
        yield unsupported(path, policy, ("Recursive",))


def _id(value: int | None, path: str) -> Problems:
    if value is not None and not 0 <= value <= _IDS:
        yield invalid(path, value, _ID_RANGE)


def _sysctls(spec: Part, path: str) -> Problems:
    seen: set[str] = set()
    for index, item in enumerate(spec["securityContext"]["sysctls"]):
        name, place = item.get("name") or "", f"{path}[{index}].name"
        if not name:
            yield required(place)
        elif len(name) > _LONGEST_SYSCTL or not _is_sysctl(name):
            why = f"must have at most {_LONGEST_SYSCTL} characters and match regex ^{_SYSCTL}$"
            yield invalid(place, name, why)
        elif name in seen:
            yield duplicate(place, name)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            yield invalid(place, name, "may not be specified when 'hostNetwork' is true")
        elif spec.get("hostIPC") and dotted.startswith(_IPC):
            yield invalid(place, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _seccomp(profile: Part | None, path: str) -> Problems:
    if profile is None:
        return
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    if not kind:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in _PROFILES:
        yield unsupported(f"{path}.type", kind, _PROFILES)
    place = f"{path}.localhostProfile"
    if kind == "Localhost":
        if local is None:
            yield required(place, "must be set when seccomp type is Localhost")
        else:
            yield from descending(local, place)
    elif local is not None:
        yield invalid(place, internal("SeccompProfile", profile), "can only be set when seccomp type is Localhost")


def armor_problems(profile: Part | None, path: str) -> Problems:
    """What is wrong with a profile of AppArmor."""
    if profile is None:
        return
    kind, local, place = profile.get("type") or "", profile.get("localhostProfile"), f"{path}.localhostProfile"
    if kind == "Localhost":
        if (not (local or "").strip() and local == (local or "").strip()) or local is None:
            yield required(place, "must be set when AppArmor type is Localhost")
        elif local != local.strip():
            yield invalid(place, local, "must not be padded with whitespace")
        if size(local or "") > _LONGEST_PROFILE:
            yield too_long(place, _LONGEST_PROFILE)
    elif kind in _PROFILES:
        if local is not None:
            yield invalid(place, local, "can only be set when AppArmor type is Localhost")
    elif not kind:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    else:
        yield unsupported(f"{path}.type", kind, _PROFILES)


def host_users_problems(spec: Part, path: str) -> Problems:
    """Whether a Pod with users of its own shares what it then cannot."""
    if spec.get("hostUsers") is not False:
        return
    why = "when `hostUsers` is false"
    if spec.get("hostNetwork"):
        yield forbidden(f"{path}.hostNetwork", why)
    if spec.get("hostPID"):
        yield forbidden(f"{path}.HostPID", why)
    if spec.get("hostIPC"):
        yield forbidden(f"{path}.HostIPC", why)
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            if container.get("volumeDevices"):
                yield forbidden(f"{path}.{group}[{index}].volumeDevices", why)


def hostname_override_problems(spec: Part, path: str) -> Problems:
    """What is wrong with a name that a Pod's machine is to have."""
    name = spec.get("hostnameOverride")
    if name is None:
        return
    if spec.get("setHostnameAsFQDN"):
        yield forbidden(path, "may not be specified when setHostnameAsFQDN is true")
    if spec.get("hostNetwork"):
        yield forbidden(path, "may not be specified when hostNetwork is true")
    if size(name) > 64:
        yield too_long(path, 64)
    for why in dns_subdomain(name):
        yield invalid(path, name, why)
