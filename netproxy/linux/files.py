"""Files that somebody else wrote: read no further than anybody may have meant, removed however they are."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.linux.command import run


def limited_bytes(file: Path, most: int) -> bytes:
    """A file's bytes; of one with more than MOST one byte more, so that its reader refuses it. Raises OSError."""
    with file.open("rb") as opened:
        return opened.read(most + 1)


def remove_tree(*folders: Path) -> None:
    """Remove folders with all that is in them, however many, deep or locked; what cannot be removed stays."""
    there = [str(folder) for folder in folders if folder.exists()]
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
        if there:
            with suppress(KernelError):
                run([*command, "--", *there])
        there = [folder for folder in there if Path(folder).exists()]
