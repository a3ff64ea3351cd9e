"""What a lab needs of this machine beside netproxy itself, and how to get it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

from netproxy.labkit.spec import Lab
from netproxy.linux.ipvs import missing_modules


def lacking(lab: Lab) -> list[str]:
    """A sentence for each need of the lab that is not met: what is missing, and the way out."""
    found = [(need, LOOKS[need]()) for need in lab.needs]
    return [f"{lab.name} needs {need}: {why}" for need, why in found if why]


def _python_iptables() -> str:
    if find_spec("iptc"):
        return ""
    pip = f"`{sys.executable} -m pip install 'netproxy[legacy]'`"
    how = f"{pip} brings it (it builds a C extension: gcc and Python's headers must be there)"
    return f"the module iptc is not installed; {how}"


def _ipvs() -> str:
    modules = ", ".join(missing_modules())
    return f"this kernel lacks {modules}; `make vm` has a machine with all of it" if modules else ""


LOOKS: dict[str, Callable[[], str]] = {"ipvs": _ipvs, "python-iptables": _python_iptables}
"""How to find out what is missing of each of `NEEDS`: an empty text when nothing is."""
