"""The scripts that install: they wait for another apt, and say what is missing to whoever cannot install it."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
LOCKED = [
    "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 12 (apt-get)",
    "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 12 (apt-get)",
    "dpkg: error: dpkg frontend lock was locked by another process with pid 12",
]


def apt(folder: Path, failures: int, error: str, **env: str) -> tuple[int, list[str], str]:
    """Exit status of scripts/apt-get, what apt-get was asked each time, and what was said. It fails so often at first."""
    (folder / "apt-get").write_text(
        f'#!/bin/sh\necho "$*" >> {folder}/asked\n[ $(wc -l < {folder}/asked) -gt {failures} ] && exit 0\n'
        f'echo "{error}" >&2\nexit 100\n'
    )
    (folder / "apt-get").chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        [SCRIPTS / "apt-get", "install", "-y", "make"], env={**os.environ, "PATH": path, "APT_PAUSE_S": "0", **env},
        capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, (folder / "asked").read_text().splitlines(), done.stderr


@pytest.mark.parametrize("error", LOCKED)
def test_a_lock_of_another_apt_is_waited_for(tmp_path, error):
    assert apt(tmp_path, 3, error) == (
        0, ["install -y make"] * 4, "another apt or dpkg runs: waiting for it, at most 900 s\n"
    )  # fmt: skip


def test_a_lock_is_not_waited_for_without_end(tmp_path):
    code, asked, said = apt(tmp_path, 3, LOCKED[0], APT_LIMIT_S="0")
    assert (code, len(asked)) == (100, 1)
    assert LOCKED[0] in said


def test_another_failure_is_told_at_once(tmp_path):
    error = "E: Unable to locate package make"
    assert apt(tmp_path, 3, error) == (100, ["install -y make"], f"{error}\n")
