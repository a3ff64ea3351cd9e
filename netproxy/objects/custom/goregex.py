"""Go's regular expressions as Python's: where both write the same, they must mean the same.

Source: Go regexp/syntax (RE2).
"""

from __future__ import annotations

import re
from functools import lru_cache

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\t\\n\\v\\f\\r ", "upper": "A-Z",
    "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_TOKEN = re.compile(r"\\.|\[:\^?[a-z]+:\]|\[\^?\]?|[\]$]|\(\?[imsU]+\)|\(\?P?<|.", re.DOTALL)
_OUTSIDE = {"$": r"\Z", r"\z": r"\Z", r"\C": "."}


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    r"""The pattern, compiled. Raises ValueError for what Python cannot read.

    >>> bool(compiled("^a$").search("a\n")), bool(compiled("[[:alpha:]]+").search("1")), bool(compiled("^(?i)(a|b)$").search("B"))
    (False, False, True)
    """
    try:
        return re.compile("".join(_translated(pattern)), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is somewhere in a text; what only Go can read is taken to be there."""
    try:
        return compiled(pattern).search(text) is not None
    except ValueError:
        return True


def _translated(pattern: str) -> list[str]:
    made: list[str] = []
    flags: list[list[str]] = [[]]
    within = False
    for token in _TOKEN.findall(pattern):
        if within:
            within = token != "]"
            made.append(_in_class(token))
        else:
            within = token.startswith("[")
            made.append(_outside(token, flags))
    return [*made, ")" * len(flags[0])]


def _outside(token: str, flags: list[list[str]]) -> str:
    """A token outside of a class of characters. FLAGS are those that are set within each group that is open.

    Go sets them from there to the end of the group, Python for a group of its own.
    """
    if token.startswith("(?") and token.endswith(")"):
        flags[-1].append(token[2:-1].replace("U", ""))
        return f"(?{flags[-1][-1]}:"
    if token.startswith("("):
        flags.append([])
        return "(?P<" if token == "(?<" else token
    if token == ")" and len(flags) > 1:
        return ")" * len(flags.pop()) + ")"
    if token == "|" and flags[-1]:
        return ")" * len(flags[-1]) + "|" + "".join(f"(?{each}:" for each in flags[-1])
    return _OUTSIDE.get(token, token)


def _in_class(token: str) -> str:
    if token.startswith("[:"):
        return _CLASSES.get(token[2:-2], token)
    return r"\[" if token == "[" else token
