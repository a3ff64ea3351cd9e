"""How large and how deep a manifest may be: far above what an API server takes, far below what harms this machine."""

from __future__ import annotations

MOST_BYTES = 128 << 20
"""Of one file."""
HEAVIEST = 4 << 20
"""Of one object: its characters, and `VALUE` for each of its values. An API server takes no request above 3 MiB."""
VALUE = 16
DEEPEST = 100
"""Levels of maps and lists inside each other."""
MOST_DOCUMENTS = 100_000
"""Of one file; a list has any number of items."""

TOO_HEAVY = "Too long: the object is larger than what an API server takes (3 MiB); split it into several objects"
TOO_DEEP = f"Too long: more than {DEEPEST} maps and lists are inside each other; make it flatter"
TOO_MANY = f"Too many: more than {MOST_DOCUMENTS} documents in one file; split it into several files"
TOO_MANY_ALIASES = "document contains excessive aliasing; write the values out"


class LimitError(Exception):
    """A text is not what it must be, at a line and column (from 0)."""

    def __init__(self, why: str, line: int, column: int, path: str = "") -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.line = line
        self.column = column

    @property
    def place(self) -> str:
        """`line 1, column 1`."""
        return self.place_after(0)

    def place_after(self, lines: int) -> str:
        """The place when LINES lines come before the text."""
        return f"line {self.line + 1 + lines}, column {self.column + 1}"
