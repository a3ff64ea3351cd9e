"""Who a container is and what it may do: `securityContext` of the Pod and of the container, as one value. Pure.

Source: kubernetes pkg/securitycontext/util.go, pkg/kubelet/kuberuntime/security_context.go; containerd
pkg/oci/spec.go (the capabilities of a container that asks for none).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import NetproxyError
from netproxy.linux.privileges import CAPABILITIES
from netproxy.objects.meta import Object, name, namespace, spec, uid

DEFAULT = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
"""The capabilities of a container that asks for nothing else."""
UNPRIVILEGED = (("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647"))
"""Kernel settings of a Pod's network that let a user other than root listen on port 80, and ping.

Source: containerd 2.0 enable_unprivileged_ports, enable_unprivileged_icmp.
"""
CONFIG_ERROR = "CreateContainerConfigError"
CREATE_ERROR = "CreateContainerError"
NOT_MOUNTED = "FailedMount"
IMAGE = "ImagePullBackOff"
_OWN_SYSCTLS = ("net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")


class HeldError(NetproxyError):
    """A container is not started as long as this is so; REASON is what its status says."""

    def __init__(self, why: str, reason: str = CONFIG_ERROR) -> None:
        self.reason = reason
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Security:
    """What was asked for, with everything filled in."""

    privileged: bool = False
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = DEFAULT
    gain_nothing: bool = False
    """No program may give more than its caller has."""
    read_only_root: bool = False
    own_pids: bool = True
    own_ipc: bool = True
    sysctls: tuple[tuple[str, str], ...] = ()
    """Path below /proc/sys, value."""


def security(pod: Object, container: Mapping[str, Any], group_of: Callable[[int], int], *, one_user: bool) -> Security:
    """What a container of a Pod is to be. GROUP_OF a user is its first group.

    With ONE_USER there is no other user than root, who is nobody special on this machine: the names of users and groups
    are left aside. Raises HeldError when the Pod forbids what it asks for.
    """
    ours = spec(pod).get("securityContext") or {}
    mine = {**ours, **{k: v for k, v in (container.get("securityContext") or {}).items() if v is not None}}
    user = int(mine.get("runAsUser") or 0)
    if mine.get("runAsNonRoot") and user == 0:
        where = f'(pod: "{name(pod)}_{namespace(pod)}({uid(pod)})", container: {container["name"]})'
        given = mine.get("runAsUser") is not None
        why = (
            "container's runAsUser breaks non-root policy"
            if given
            else "container has runAsNonRoot and image will run as root"
        )
        raise HeldError(f"{why} {where}")
    privileged = bool(mine.get("privileged"))
    own_ipc = not spec(pod).get("hostIPC")
    settings = tuple(_setting(item, own_ipc=own_ipc) for item in ours.get("sysctls") or ())
    if user and not one_user and not spec(pod).get("hostNetwork"):
        settings = (*UNPRIVILEGED, *settings)
    group = group_of(user) if mine.get("runAsGroup") is None else int(mine["runAsGroup"])
    more = [*(ours.get("supplementalGroups") or ()), *([ours["fsGroup"]] if ours.get("fsGroup") is not None else [])]
    return Security(
        privileged, 0 if one_user else user, 0 if one_user else group,
        () if one_user else tuple(dict.fromkeys((group, *map(int, more)))),
        CAPABILITIES if privileged else _capabilities(mine.get("capabilities") or {}),
        gain_nothing=mine.get("allowPrivilegeEscalation") is False and not privileged,
        read_only_root=bool(mine.get("readOnlyRootFilesystem")),
        own_pids=not (privileged or spec(pod).get("hostPID")), own_ipc=own_ipc, sysctls=settings,
    )  # fmt: skip


def _capabilities(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """The default ones without what is dropped, and with what is added.

    >>> _capabilities({"drop": ["ALL"], "add": ["CAP_NET_ADMIN", "net_raw"]})
    ('NET_ADMIN', 'NET_RAW')
    """
    drop, add = ({_capability(word) for word in asked.get(field) or ()} for field in ("drop", "add"))
    if "ALL" in add:
        return tuple(each for each in CAPABILITIES if each not in drop)
    kept = add if "ALL" in drop else ({*DEFAULT} - drop) | add
    return tuple(each for each in CAPABILITIES if each in kept)


def capability_name(word: Any) -> str:
    """A capability as the kernel's list has it, however it was written.

    >>> capability_name("cap_net_raw"), capability_name("NET_RAW")
    ('NET_RAW', 'NET_RAW')
    """
    return str(word).upper().removeprefix("CAP_")


def _capability(word: Any) -> str:
    text = capability_name(word)
    if text not in CAPABILITIES and text != "ALL":
        raise HeldError(f'unknown capability "CAP_{text}"', CREATE_ERROR)
    return text


def _setting(item: Mapping[str, Any], *, own_ipc: bool) -> tuple[str, str]:
    written = str(item.get("name") or "").replace("/", ".")
    if not written.startswith(_OWN_SYSCTLS if own_ipc else "net."):
        raise HeldError(f'sysctl "{written}" is not one of a Pod: it would change the whole machine', CREATE_ERROR)
    return written.replace(".", "/"), str(item.get("value") or "")
