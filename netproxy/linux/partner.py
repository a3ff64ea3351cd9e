"""A program of our own in a namespace that answers every line with a line, for as long as we live."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from netproxy.core.errors import KernelError
from netproxy.linux import netns


class Partner:
    """Started at the first question; it sees its standard input end when this process ends, however that happens."""

    def __init__(self, argv: Sequence[str], namespace: str | None) -> None:
        self._argv = list(argv)
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, line: str) -> str:
        """Its answer. Raises KernelError when it has ended."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            self.close()
            raise KernelError(f"{' '.join(self._argv)} ended (exit status {process.returncode})", request=line[:2000])
        return answer.decode()

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            pipe = subprocess.PIPE
            with netns.inside(self._namespace):
                self._process = subprocess.Popen(
                    self._argv, stdin=pipe, stdout=pipe, cwd="/", start_new_session=True
                )  # fmt: skip
        return self._process

    def close(self) -> None:
        """Let it end, and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
