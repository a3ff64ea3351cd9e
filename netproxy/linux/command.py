"""The one place that runs a program."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from netproxy.core.errors import KernelError
from netproxy.linux import netns

PIPE_BYTES = 1 << 20
"""Room for a writer that makes its text while the program reads it: both are busy, neither waits for the other."""

_SBIN = "/usr/sbin:/sbin"


def run(
    argv: Sequence[str], *, stdin: Iterable[str] = (), namespace: str | None = None, timeout_s: float = 600.0,
    env: dict[str, str] | None = None,
) -> str:  # fmt: skip
    """Run a program, in a network namespace when one is named, and return what it printed.

    STDIN is written piece by piece while the program reads. Raises KernelError with everything that was asked of it.
    """
    with netns.inside(namespace):
        process = _start(argv, env)
    written: list[str] = []
    try:
        assert process.stdin is not None
        for part in stdin:
            written.append(part)
            process.stdin.write(part.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has given up: its message says why
    process.stdin = None
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise KernelError(f"{argv[0]} did not end within {timeout_s:.0f} s", request=" ".join(argv)) from error
    if process.returncode != 0:
        message = errors.decode(errors="replace").strip() or f"exit status {process.returncode}"
        raise KernelError(f"{argv[0]}: {message}", request=" ".join(argv) + "\n" + "".join(written))
    return output.decode(errors="replace")


def _start(argv: Sequence[str], env: dict[str, str] | None) -> subprocess.Popen[bytes]:
    path = find(argv[0])
    if path is None:
        raise KernelError(
            f"{argv[0]} is not installed; `netproxy doctor` tells what else is missing", request=" ".join(argv)
        )
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [path, *argv[1:]], stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **(env or {})}
    )
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # a user may have used up the allowance for large pipes
        fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return process


def find(program: str) -> str | None:
    """The program's path; system folders count even where the user's PATH leaves them out."""
    return shutil.which(program) or shutil.which(program, path=_SBIN)
