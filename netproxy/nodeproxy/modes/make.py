"""Which class stands for a mode, and what a host lacks for it."""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.core.errors import ManifestError, Problem, UnsupportedError
from netproxy.linux.iptables import back_ends
from netproxy.linux.ipvs import is_loaded, missing_modules
from netproxy.linux.nftables import is_installed
from netproxy.nodeproxy.modes.iptables import IptablesMode
from netproxy.nodeproxy.modes.ipvs import IpvsMode
from netproxy.nodeproxy.modes.nftables import NftablesMode
from netproxy.nodeproxy.modes.port import Host, Mode
from netproxy.nodeproxy.modes.userspace import UserspaceMode
from netproxy.objects.cluster import modes_asked
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import describe
from netproxy.objects.proxyconfig import PROXY_MODES
from netproxy.proxy.model import NodeView


def make_mode(name: str, view: NodeView, host: Host, *, layout: str = "kube-proxy") -> Mode:
    """The mode of this name, which has not touched anything yet."""
    match name:
        case "nftables":
            return NftablesMode(view, host, layout=layout)
        case "ipvs":
            return IpvsMode(view, host)
        case "userspace":
            return UserspaceMode(view, host)
        case "iptables":
            return IptablesMode(view, host)
        case _:
            raise UnsupportedError(f"there is no proxy mode {name}")


def may_be_left(mode: str) -> bool:
    """Whether this kernel can hold something of a mode; loads nothing."""
    match mode:
        case "ipvs":
            return is_loaded()
        case "nftables":
            return is_installed()
        case _:
            return bool(back_ends())


def clear(host: Host) -> None:
    """Take away everything that any mode has left; connections that a process or IPVS carries end. Raises KernelError."""
    view = NodeView("", host.family)
    for name in PROXY_MODES:
        if not may_be_left(name):
            continue
        mode = make_mode(name, view, host)
        try:
            mode.remove(successor="nftables")
            if isinstance(mode, IpvsMode):
                mode.drop_everything()
        finally:
            mode.close()


def missing_for(mode: str) -> str:
    """What this host lacks for a mode, as a sentence; empty when nothing is missing."""
    if mode == "ipvs":
        lacking = missing_modules()
        if lacking:
            return f"the kernel lacks {', '.join(lacking)}: load the module, or use the virtual machine (make vm)"
    if mode == "nftables" and not is_installed():
        return "libnftables is not installed: apt install nftables"
    return ""


def check_modes(items: Iterable[Loaded]) -> None:
    """Raises ManifestError when an object asks for a mode that this host cannot do."""
    wrong = [
        Problem(field, f'Unsupported value: "{mode}": {lacking}', describe(item.obj), item.source)
        for item in items
        for field, mode in modes_asked(item.obj)
        if (lacking := missing_for(mode))
    ]
    if wrong:
        raise ManifestError(wrong)
