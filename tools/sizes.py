"""List what has grown too large to be read on one screen: functions, classes, modules of the package. Exit status 1 if any.

python tools/sizes.py
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "netproxy"
MODULE, CLASS, FUNCTION = 500, 250, 40


def too_large(file: Path) -> Iterator[str]:
    """Each place in a module that is over its limit, with its number of lines."""
    text = file.read_text()
    where = file.relative_to(PACKAGE.parent)
    if (lines := text.count("\n")) > MODULE:
        yield f"{where}: {lines} lines (a module has at most {MODULE})"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind, limit = ("class", CLASS) if isinstance(node, ast.ClassDef) else ("function", FUNCTION)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > limit:
                yield f"{where}:{node.lineno} {node.name}: {lines} lines (a {kind} has at most {limit})"


def main() -> int:
    """Print them all."""
    found = [line for file in sorted(PACKAGE.rglob("*.py")) for line in too_large(file)]
    print("\n".join(found) or "sizes: nothing is too large")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
