"""Writers have one door: only the registry (and the store itself) makes transactions."""

import ast
from pathlib import Path

import pytest

import netproxy

PACKAGE = Path(netproxy.__file__).parent
MODULES = sorted(
    file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] not in ("store", "registry")
)
WRITERS = ("netproxy.store.transaction", "netproxy.store.store.Transaction")


def trespasses(text):
    """What a module does that only the registry may: (line, what)."""
    if "ransaction" not in text:  # most modules: nothing that is looked for has another name
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.ImportFrom(module=str(module)):
                names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.Call(func=ast.Attribute(attr="transaction", value=owner)):
                if (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")).endswith("store"):
                    yield node.lineno, "begins a transaction of the store"
                continue
            case _:
                continue
        for found in set(names) & set(WRITERS):
            yield node.lineno, f"imports {found}"


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_registry_writes_to_the_store(file):
    assert list(trespasses(file.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "from netproxy.store.transaction import Transaction",
        "from netproxy.store import transaction",
        "import netproxy.store.transaction",
        "with store.transaction() as change: pass",
        "with self.store.transaction() as change: pass",
        "with self._store.transaction(dry_run=True) as change: pass",
    ],
)
def test_a_trespasser_is_seen(text):
    assert list(trespasses(text))


def test_who_groups_writes_of_the_registry_is_welcome():
    assert not list(trespasses("with self.registry.transaction(): pass\nwith self._registry.transaction(): pass"))
