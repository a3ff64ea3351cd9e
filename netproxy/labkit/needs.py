"""What a lab needs of this machine beside netproxy itself, and how to get it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

from netproxy.labkit.spec import Lab
from netproxy.linux.ipvs import missing_modules

PROGRAMS_ONLY = ("python-iptables",)
"""What only the programs of a solution need: a start does without."""


def lacking(lab: Lab) -> list[str]:
    """A sentence for each need of the lab that is not met: what is missing, and the way out."""
    return [f"{lab.name} needs {need}: {why}" for need in lab.needs if (why := LOOKS[need](lab))]


def is_hopeless(lab: Lab, variant: str) -> bool:
    """Whether a variant of a lab that lacks something is not worth being started."""
    return bool(lab.programs_of(variant)) or any(need not in PROGRAMS_ONLY for need in lab.needs)


def _python_iptables(_: Lab) -> str:
    if find_spec("iptc"):
        return ""
    pip = f"`{sys.executable} -m pip install 'netproxy[legacy]'`"
    how = f"{pip} brings it (it builds a C extension: gcc and Python's headers must be there)"
    return f"the module iptc is not installed; {how}"


def _ipvs(lab: Lab) -> str:
    modules = ", ".join(missing_modules())
    if not modules:
        return ""
    steps = f"netproxy lab up {lab.short} --variant solution; netproxy lab check {lab.short}"
    vm = f"""`make vm ARGS='sh -c "{steps}"'`"""
    return f"this kernel lacks {modules} (`modprobe` may bring it); in a checkout {vm} does the lab in a machine that has it"


LOOKS: dict[str, Callable[[Lab], str]] = {"ipvs": _ipvs, "python-iptables": _python_iptables}
"""How to find out what is missing of each of `NEEDS`: an empty text when nothing is."""
