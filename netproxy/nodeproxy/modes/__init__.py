"""The four ways to make a node's kernel do what a Snapshot says, behind one port."""

from netproxy.nodeproxy.modes.make import check_modes, clear, make_mode, may_be_left, missing_for
from netproxy.nodeproxy.modes.port import Host, Line, Mode, Pending, Wanted

__all__ = [
    "Host",
    "Line",
    "Mode",
    "Pending",
    "Wanted",
    "check_modes",
    "clear",
    "make_mode",
    "may_be_left",
    "missing_for",
]
