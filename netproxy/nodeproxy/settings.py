"""The kernel's settings that a node's proxy makes beside its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux.ports import Host
from netproxy.proxy.config import BE_LIBERAL, sysctls
from netproxy.proxy.model import NodeView


def write_sysctls(host: Host, config: Mapping[str, Any], view: NodeView, mode: str) -> KernelError | None:
    """Make the kernel's settings; the first refusal, which keeps no rules from being written."""
    wanted = sysctls(config, view, mode=mode)
    if view.family is Family.IPV6:
        wanted.pop(BE_LIBERAL, None)
    refused = None
    for path, value in wanted.items():
        try:
            if host.sysctls.read(path) not in ("", value):
                host.sysctls.write(path, value)
        except KernelError as error:
            refused = refused or error
    return refused
