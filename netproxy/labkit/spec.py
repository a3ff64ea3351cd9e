"""lab.yaml and checks.yaml → Lab: what it is about, its manifests, its checks; mistakes name file and field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from netproxy.core.errors import ManifestError, Problem
from netproxy.labkit import shelf
from netproxy.labkit.check import KINDS, Check

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
    meta = _read(folder / "lab.yaml")
    checks: list[Check] = []
    problems: list[Problem] = []
    for index, item in enumerate(_read(folder / "checks.yaml").get("checks") or ()):
        found = _check(item, index, str(folder / "checks.yaml"))
        if isinstance(found, Problem):
            problems.append(found)
        else:
            checks.append(found)
    needs = meta.get("needs") or ()
    needs = (needs,) if isinstance(needs, str) else tuple(needs)
    problems += [_unknown_need(need, folder) for need in needs if need not in NEEDS]
    if problems:
        raise ManifestError(problems)
    return Lab(folder, str(meta.get("title") or folder.name), str(meta.get("breaks") or ""), tuple(checks),
               tuple((meta.get("programs") or {}).items()), needs)  # fmt: skip


def _unknown_need(need: object, folder: Path) -> Problem:
    why = f'Unsupported value: "{need}": supported values: {", ".join(NEEDS)}'
    return Problem("needs", why, source=str(folder / "lab.yaml"))


def _read(file: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(file.read_text())
    except OSError as error:
        raise ManifestError([Problem("file", str(error.strerror), source=str(file))]) from error
    except yaml.YAMLError as error:
        raise ManifestError([Problem("YAML", str(error), source=str(file))]) from error
    return value if isinstance(value, dict) else {}


def _check(item: dict[str, Any], index: int, source: str) -> Check | Problem:
    path = f"checks[{index}]"
    kind = KINDS.get(str(item.get("kind")))
    if kind is None:
        return Problem(
            f"{path}.kind",
            f'Unsupported value: "{item.get("kind")}": supported values: {", ".join(sorted(KINDS))}',
            source=source,
        )
    try:
        return kind(**{k.replace("-", "_"): v for k, v in item.items() if k != "kind"})
    except TypeError as error:
        return Problem(path, f"Invalid value: {error}", source=source)
