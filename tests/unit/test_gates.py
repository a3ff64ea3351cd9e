"""What `make check` counts as covered: every pure room, and nothing is left out without a reason on its line."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
MODULES = sorted((REPO / "netproxy").rglob("*.py"))
LEFT_OUT = re.compile(r"#\s*pragma: no (?:cover|branch)(.*)")
NOT_YET = {"netproxy.trace", "netproxy.capture"}
"""Rooms that are empty."""


def unexplained(text):
    """Lines that are left out without a word."""
    found = [(number, LEFT_OUT.search(line)) for number, line in enumerate(text.splitlines(), 1)]
    return [number for number, match in found if match and not re.search(r"[a-z]{3}", match[1])]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(REPO)))
def test_what_is_not_covered_says_why(file):
    assert unexplained(file.read_text()) == []


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("x = 1  # pragma: no cover", [1]),
        ("x = 1  #pragma: no branch", [1]),
        ("x = 1  # pragma: no cover  # ", [1]),
        ("x = 1  # pragma: no cover  # only on big-endian machines", []),
        ("x = 1", []),
    ],
)
def test_a_reason_is_a_word_after_the_mark(line, refused):
    assert unexplained(line) == refused


def test_every_pure_room_is_covered():
    contracts = configparser.ConfigParser()
    contracts.read(REPO / ".importlinter")
    pure = set(contracts["importlinter:contract:pure"]["source_modules"].split())
    covered = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["coverage"]["run"]["source"]
    assert pure - NOT_YET <= {name.replace("/", ".") for name in covered}
    assert not [room for room in NOT_YET if list((REPO / room.replace(".", "/")).glob("[!_]*.py"))]


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md", "docs/api.md"])
def test_a_document_names_files_that_are_there(document):
    named = re.findall(r"`([\w/-]+/[\w.-]+\.(?:py|md|yaml|toml))`", (REPO / document).read_text())
    assert [name for name in named if not (REPO / name).exists() and not (REPO / "netproxy" / name).exists()] == []


def test_an_adr_has_a_number_of_its_own_and_says_it():
    records = sorted((REPO / "docs/adr").glob("*.md"))
    assert [int(file.name[:4]) for file in records] == list(range(1, len(records) + 1))
    assert [file.name for file in records if not file.read_text().startswith(f"# {int(file.name[:4])}. ")] == []
