"""The kubectls of this machine, unmodified, by their minor version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

FOLDERS = (Path(sys.executable).parent.parent / "kubectl", Path("/usr/lib/google-cloud-sdk/bin"))
OLDEST = 29
"""Older ones are not what a server of 1.36 is made for."""


@cache
def kubectls() -> dict[int, str]:
    """Path by minor version, from 1.29 on; of two of one version, the first that is found."""
    found: dict[int, str] = {}
    names = [
        path for folder in FOLDERS if folder.is_dir() for path in sorted(folder.rglob("kubectl*")) if path.is_file()
    ]
    for path in (*map(str, names), os.environ.get("KUBECTL", ""), shutil.which("kubectl") or ""):
        minor = _minor(path) if path and os.access(path, os.X_OK) else 0
        if minor >= OLDEST:
            found.setdefault(minor, path)
    return found


def _minor(path: str) -> int:
    asked = subprocess.run(
        [path, "version", "--client", "-o", "json"], capture_output=True, text=True, check=False, timeout=60
    )
    try:
        return int(json.loads(asked.stdout)["clientVersion"]["minor"].strip("+"))
    except (ValueError, KeyError):
        return 0
