"""Names of modules that are only strings lead somewhere."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from netproxy.cli.main import _COMMANDS
from netproxy.core import programs

PACKAGE = Path(programs.__file__).parents[1]
TABLES = {"core/programs.py", "cli/main.py"}


@pytest.mark.parametrize("name", programs.ALL)
def test_every_program_is_there(name):
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    assert callable(getattr(found, function or "main"))


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_every_command_is_there(command):
    module, attribute, _ = _COMMANDS[command]
    assert getattr(importlib.import_module(module), attribute).name == command


def test_module_names_stand_in_the_tables_only():
    elsewhere = []
    for file in PACKAGE.rglob("*.py"):
        where, text = str(file.relative_to(PACKAGE)), file.read_text()
        if where in TABLES or not re.search(r"""["']netproxy\.""", text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                module = node.value.partition(":")[0]
                if re.fullmatch(r"netproxy(\.[a-z_]+)+", module) and _is_module(module):
                    elsewhere.append((where, node.value))
    assert elsewhere == []


def _is_module(name):
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path.is_dir() and name not in ("netproxy.objects",))
