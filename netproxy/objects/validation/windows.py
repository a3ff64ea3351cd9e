"""What is refused about Pods for Windows, and about what only they may have.

Source: kubernetes pkg/apis/core/validation/validation.go (validateOS, validateLinux, validateWindows, … ; behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.objects.validation.names import dns_subdomain, size
from netproxy.objects.validation.words import Problems, forbidden, invalid, invalids, required, unsupported

_MOST_SPEC_BYTES = 64 << 10
_LONGEST_DOMAIN, _LONGEST_USER = 256, 104
_has_control = re.compile(r"[\x00-\x1f\x7f]").search
_is_netbios = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_DNS_PART = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_is_dns = re.compile(rf"{_DNS_PART}(?:\.{_DNS_PART})*").fullmatch
_has_bad_char = re.compile(r'["/\\:;|=,+*?<>@\[\]]').search
_is_dots = re.compile(r"[. ]+").fullmatch

_NOT_ON_WINDOWS = (
    ("securityContext.appArmorProfile", "securityContext"), ("securityContext.seLinuxOptions", "securityContext"),
    ("hostUsers", ""), ("hostPID", ""), ("hostIPC", ""), ("securityContext.seccompProfile", "securityContext"),
    ("securityContext.fsGroup", "securityContext"), ("securityContext.fsGroupChangePolicy", "securityContext"),
    ("securityContext.sysctls", "securityContext"), ("shareProcessNamespace", ""),
    ("securityContext.runAsUser", "securityContext"), ("securityContext.runAsGroup", "securityContext"),
    ("securityContext.supplementalGroups", "securityContext"),
    ("securityContext.supplementalGroupsPolicy", "securityContext"),
    ("securityContext.seLinuxChangePolicy", "securityContext"),
)  # fmt: skip
_NOT_IN_WINDOWS_CONTAINERS = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip

Part = Mapping[str, Any]


def visited(spec: Part, path: str) -> Iterator[tuple[Part, str]]:
    """All containers of a Pod with their paths, in the order in which rules of all are asked."""
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            yield container, f"{path}.{group}[{index}]"


def system_problems(spec: Part, path: str) -> Problems:
    """Whether a Pod has what its operating system has not."""
    system = spec.get("os")
    if system is None:
        return
    name = system.get("name") or ""
    if not name:
        yield required(f"{path}.os.name")
    elif name == "linux":
        yield from _linux(spec, path)
    elif name == "windows":
        yield from _windows(spec, path)
    else:
        yield unsupported(f"{path}.os", name, ("linux", "windows"))


def _linux(spec: Part, path: str) -> Problems:
    why = "windows options cannot be set for a linux pod"
    if (spec.get("securityContext") or {}).get("windowsOptions") is not None:
        yield forbidden(f"{path}.securityContext.windowsOptions", why)
    for container, place in visited(spec, path):
        if (container.get("securityContext") or {}).get("windowsOptions") is not None:
            yield forbidden(f"{place}.securityContext.windowsOptions", why)


def _windows(spec: Part, path: str) -> Problems:
    why = "cannot be set for a windows pod"
    for field, within in _NOT_ON_WINDOWS:
        given = (spec.get(within) or {}) if within else spec
        if given.get(field.rpartition(".")[2]) is not None:
            yield forbidden(f"{path}.{field}", why)
    for container, place in visited(spec, path):
        for field in _NOT_IN_WINDOWS_CONTAINERS:
            if (container.get("securityContext") or {}).get(field) is not None:
                yield forbidden(f"{place}.securityContext.{field}", why)


def host_process_problems(spec: Part, path: str) -> Problems:
    """Whether all containers of a Pod are processes of the machine, if one is."""
    own = _host_process(spec)
    count = of_host = 0
    for container, place in visited(spec, path):
        count += 1
        said = _host_process(container)
        if own is not None and said is not None and own != said:
            why = f"pod hostProcess value must be identical if both are specified, was {str(own).lower()}"
            yield invalid(f"{place}.securityContext.windowsOptions.hostProcess", said, why)
        of_host += bool(own if said is None else said)
    if of_host:
        if of_host != count:
            why = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
            yield invalid(path, "", why)
        if not spec.get("hostNetwork"):
            why = "hostNetwork must be true if pod contains any hostProcess containers"
            yield invalid(f"{path}.hostNetwork", False, why)


def _host_process(part: Part) -> bool | None:
    options = (part.get("securityContext") or {}).get("windowsOptions") or {}
    said: bool | None = options.get("hostProcess")
    return said


def windows_options_problems(options: Part | None, path: str) -> Problems:
    """What is wrong with options for Windows."""
    if not options:
        return
    name, text, user = (
        options.get(field) for field in ("gmsaCredentialSpecName", "gmsaCredentialSpec", "runAsUserName")
    )
    if name is not None:
        yield from invalids(f"{path}.gmsaCredentialSpecName", name, dns_subdomain(name))
    if text == "":
        yield invalid(f"{path}.gmsaCredentialSpec", text, "gmsaCredentialSpec cannot be an empty string")
    elif text is not None and size(text) > _MOST_SPEC_BYTES:
        yield invalid(f"{path}.gmsaCredentialSpec", text, "gmsaCredentialSpec size must be under 64 KiB")
    if user is not None:
        yield from invalids(f"{path}.runAsUserName", user, (f"runAsUserName{why}" for why in _user(user)))


def _user(name: str) -> Iterator[str]:
    if not name:
        yield " cannot be an empty string"
    elif _has_control(name):
        yield " cannot contain control characters"
    elif name.count("\\") > 1:
        yield " cannot contain more than one backslash"
    else:
        domain, slash, user = name.rpartition("\\")
        if size(domain) >= _LONGEST_DOMAIN:
            yield f"'s Domain length must be under {_LONGEST_DOMAIN} characters"
        if slash and not (_is_netbios(domain) or _is_dns(domain)):
            yield "'s Domain doesn't match the NetBios nor the DNS format"
        if not user:
            yield "'s User cannot be empty"
        elif size(user) > _LONGEST_USER:
            yield f"'s User length must not be longer than {_LONGEST_USER} characters"
        if _is_dots(user):
            yield "'s User cannot contain only periods or spaces"
        if _has_bad_char(user):
            yield "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
