"""Where labs are, and which one a word means: those of the working directory, of the checkout, or of the installed package."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from netproxy.core.errors import ManifestError, Problem

_PACKAGE = Path(__file__).parents[1]
OURS = (_PACKAGE / "labs", _PACKAGE.parent / "labs")
"""The folders of the labs that come with netproxy; the first one is there in an installed wheel."""
SHELVES = (Path("labs"), *OURS)
"""Folders of labs; the first that has any counts."""


def folders() -> list[Path]:
    """The folders of all labs that there are, in order."""
    for shelf in SHELVES:
        found = sorted(file.parent.resolve() for file in shelf.glob("*/lab.yaml"))
        if found:
            return found
    return []


def found(word: str) -> Path:
    """The folder of the lab that a word means: a folder, a number, a name with or without it, or the beginning of one.

    Raises ManifestError when it means none, or several.
    """
    folder = Path(word)
    if (folder / "lab.yaml").is_file():
        return folder.resolve()
    known = folders()
    for means in _MEANINGS:
        fitting = [folder for folder in known if means(folder.name, word)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise _problem(f'Invalid value: "{word}" may be {_names(fitting)}')
    names = {part: folder.name for folder in known for part in (folder.name, folder.name.partition("-")[2])}
    close = difflib.get_close_matches(word.lower(), names, 1, 0.6)
    hint = f'did you mean "{names[close[0]]}"? there are' if close else "there are"
    raise _problem(f'Not found: "{word}" is no lab and no folder with a lab.yaml ({hint} {_names(known) or "none"})')


def _same_number(name: str, word: str) -> bool:
    number = name.partition("-")[0]
    return word.isdecimal() and number.isdecimal() and int(word) == int(number)


_MEANINGS: tuple[Callable[[str, str], bool], ...] = (
    lambda name, word: word in (name, name.partition("-")[2]),
    _same_number,
    lambda name, word: name.startswith(word) or name.partition("-")[2].startswith(word),
)


def _names(folders: list[Path]) -> str:
    return ", ".join(folder.name for folder in folders)


def _problem(text: str) -> ManifestError:
    return ManifestError([Problem("LAB", text)])
