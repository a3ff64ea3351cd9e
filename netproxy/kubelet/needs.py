"""Which paths of this machine a program needs to run, among those that a container does not see.

Only the program itself counts, the interpreter that its first line names, the script that an interpreter is given first,
and the working directory: what else an argument names is to be a volume. Nothing of /run, where the sockets are, and no
script or working directory in a hidden folder, where the keys are.
"""

from __future__ import annotations

import os
import shutil
import site
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import netproxy
from netproxy.kubelet.confine import OWN

_PROGRAMS = OWN.keys() - {"run"}
"""The folders that are empty in a container in which there may be programs."""
_INTERPRETERS = ("python", "pypy", "sh", "bash", "dash", "busybox", "perl", "ruby", "node", "php", "lua", "java")


def needed_by(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> list[str]:
    """The files and folders that a container must see beside the system's own, sorted."""
    program = shutil.which(argv[0], path=env.get("PATH", ""))
    wanted = [cwd] if _is_open(cwd) and os.path.isdir(cwd) else []
    if program:
        wanted += [*_around(program), *(found for name in _interpreter(program) for found in _around(name))]
        if os.path.basename(program).startswith(_INTERPRETERS):
            script = next((word for word in argv[1:] if not word.startswith("-")), "")
            wanted += _around(script) if _is_open(script) and os.path.isfile(script) else []
    return _unseen(wanted)


@cache
def needed_by_ours() -> list[str]:
    """The same for a server that netproxy brings: Python's modules and our own."""
    folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return _unseen(
        [*folders, *site.getsitepackages(), os.path.dirname(os.__file__), str(Path(netproxy.__file__).parent)]
    )


def _interpreter(program: str) -> list[str]:
    """The program that a script's first line names."""
    try:
        with open(program, "rb") as file:
            start = file.read(256)
    except OSError:
        return []
    words = start[2:].split(b"\n")[0].split() if start.startswith(b"#!") else []
    return [os.fsdecode(words[0])] if words else []


def _around(file: str) -> list[str]:
    """A program's folder, as it is named and where it really is; that of its virtual environment."""
    found = []
    for path in dict.fromkeys((file, os.path.realpath(file))):
        folder = os.path.dirname(path)
        above = os.path.dirname(folder)
        if os.path.exists(f"{above}/pyvenv.cfg"):
            found.append(above)
        else:
            found.append(path if _is_home(folder) else folder)
    return found


def _is_open(path: str) -> bool:
    """Whether a path names nothing hidden: a manifest may name what it likes."""
    return os.path.isabs(path) and not any(word.startswith(".") for word in os.path.realpath(path).split("/"))


def _is_home(folder: str) -> bool:
    """Whether a folder has more than one program's things."""
    top, _, rest = folder.strip("/").partition("/")
    return not rest or (top == "home" and "/" not in rest)


def _unseen(paths: Iterable[str]) -> list[str]:
    """Those that are below a folder that is empty in a container, without those that are inside of another."""
    own = (path for path in map(os.path.normpath, paths) if path.split("/")[1] in _PROGRAMS and not _is_home(path))
    there = sorted({path for path in own if os.path.exists(path)})
    return [path for path in there if not any(path.startswith(other + "/") for other in there)]
