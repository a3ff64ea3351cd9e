"""What this machine is: its processors, its memory, its kernel."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""As Go names them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine; what it does not tell is empty."""

    cpus: int
    memory_kib: int
    kernel: str
    architecture: str
    system: str
    machine_id: str = ""
    boot_id: str = ""


def this_machine(root: Path = Path("/")) -> Machine:
    """The machine that this process runs on. Never fails."""
    names = os.uname()
    return Machine(
        len(os.sched_getaffinity(0)), _memory(_text(root / "proc/meminfo")), names.release,
        _ARCHITECTURES.get(names.machine, names.machine), _system(_text(root / "etc/os-release")),
        _text(root / "etc/machine-id").strip(), _text(root / "proc/sys/kernel/random/boot_id").strip(),
    )  # fmt: skip


def _memory(meminfo: str) -> int:
    """How much there is, in KiB.

    >>> _memory("MemTotal:       16384 kB")
    16384
    """
    sizes = [line.split()[1] for line in meminfo.splitlines() if line.startswith("MemTotal:")]
    return int(sizes[0]) if sizes else 0


def _system(release: str) -> str:
    """The name of the system.

    >>> _system('ID=debian' + chr(10) + 'PRETTY_NAME="Debian GNU/Linux 12"')
    'Debian GNU/Linux 12'
    """
    told = [line.partition("=")[2] for line in release.splitlines() if line.startswith("PRETTY_NAME=")]
    return " ".join(shlex.split(told[0])) if told else "Linux"


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
