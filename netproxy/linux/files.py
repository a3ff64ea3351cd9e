"""Files that somebody wrote, read no further than anybody may have meant."""

from __future__ import annotations

from pathlib import Path


def limited_bytes(file: Path, most: int) -> bytes:
    """A file's bytes; of one with more than MOST one byte more, so that its reader refuses it. Raises OSError."""
    with file.open("rb") as opened:
        return opened.read(most + 1)
