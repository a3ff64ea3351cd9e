"""lab.yaml and checks.yaml → Lab: what it is about, its manifests, its checks; mistakes name file and field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.labkit import shelf
from netproxy.labkit.check import Check
from netproxy.labkit.fields import check_of, mistakes
from netproxy.linux.files import limited_bytes
from netproxy.objects.document import document
from netproxy.objects.limits import MOST_BYTES

VARIANTS = ("start", "solution", "broken")
NEEDS = ("ipvs", "python-iptables")
"""What a lab may need of this machine beside netproxy itself."""


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab. BREAKS names the check that the broken twin fails, and no other."""

    folder: Path
    title: str
    breaks: str
    checks: tuple[Check, ...]
    programs: tuple[tuple[str, str], ...] = ()
    """Machines, and the program of the solution (or the broken one of the same name) that is run there after the start."""
    needs: tuple[str, ...] = ()
    """What must be on this machine, in the words of `NEEDS`."""

    def programs_of(self, variant: str) -> list[tuple[str, str]]:
        """Where which program has to be run for a variant: the last folder that holds it counts."""
        if variant == "start":
            return []
        folders = [self.folder / "broken", self.folder / "solution"][variant != "broken" :]
        return [
            (machine, str(next(folder / program for folder in folders if (folder / program).is_file())))
            for machine, program in self.programs
        ]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def short(self) -> str:
        """How commands are told which lab: the number, or the whole folder of a lab that is not on the shelf."""
        number = self.name.partition("-")[0]
        return number if self.folder in shelf.folders() and number.isdigit() else str(self.folder)

    @property
    def cluster(self) -> str:
        """The cluster's name: the lab's, so that several labs run side by side."""
        return self.name[:20].rstrip("-")

    def manifests(self, variant: str) -> list[str]:
        """Folders to apply in order: the start, then the solution, then what breaks it."""
        folders = [self.folder / "manifests"]
        if variant in ("solution", "broken"):
            folders.append(self.folder / "solution")
        if variant == "broken":
            folders.append(self.folder / "broken")
        return [str(folder) for folder in folders if any(folder.glob("*.yaml"))]


def load_lab(path: str) -> Lab:
    """Read a lab: its folder, its number, its name or the beginning of it. Raises ManifestError."""
    folder = shelf.found(path)
    meta, listed = _read(folder / "lab.yaml"), _read(folder / "checks.yaml").get("checks")
    checks: list[Check] = []
    problems = [Problem(path, why, source=str(folder / "lab.yaml")) for path, why in mistakes(meta)]
    where = str(folder / "checks.yaml")
    if not isinstance(listed, list | None):
        problems.append(Problem("checks", "Invalid value: must be a list of checks", source=where))
        listed = None
    for index, item in enumerate(listed or ()):
        found = check_of(item)
        if isinstance(found, list):
            problems += [Problem(f"checks[{index}].{path}".rstrip("."), why, source=where) for path, why in found]
        else:
            checks.append(found)
    if problems:
        raise ManifestError(problems)
    needs = meta.get("needs") or ()
    needs = (needs,) if isinstance(needs, str) else tuple(needs)
    if unknown := [_unknown_need(need, folder) for need in needs if need not in NEEDS]:
        raise ManifestError(unknown)
    return Lab(folder, str(meta.get("title") or folder.name), str(meta.get("breaks") or ""), tuple(checks),
               tuple((meta.get("programs") or {}).items()), needs)  # fmt: skip


def _unknown_need(need: object, folder: Path) -> Problem:
    why = f'Unsupported value: "{need}": supported values: {", ".join(NEEDS)}'
    return Problem("needs", why, source=str(folder / "lab.yaml"))


def _read(file: Path) -> dict[str, Any]:
    try:
        value = document(limited_bytes(file, MOST_BYTES), str(file))
    except OSError as error:
        raise ManifestError([Problem("file", str(error.strerror), source=str(file))]) from error
    if value is not None and not isinstance(value, dict):
        why = "must be an object, not a list or a word; see the labs that come with netproxy"
        raise ManifestError([Problem("document", f"Invalid value: {why}", source=str(file))])
    return value or {}
