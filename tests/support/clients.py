"""What tests with programs of other people have in common: a server, and the words when a program is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import cluster
from support.cluster import Cluster

TOOLS = Path(sys.prefix)
"""The environment that `scripts/install test` fills."""
PATIENCE_S = 170
"""How long a client may take that has limits of its own."""

PROGRAMS = Path(__file__).parents[1] / "clients"


def wait_until(condition: Callable[[], Any], limit_s: float = PATIENCE_S) -> Any:
    """Wait for something that takes a moment, or long on a machine that has much else to do."""
    return cluster.wait_until(condition, limit_s)


class Server:
    """A cluster as its clients see it: a kubeconfig."""

    def __init__(self, made: Cluster, options: tuple[str, ...]) -> None:
        self.cluster = made
        self.options = options
        self.kubeconfig = made("kubeconfig").strip()

    @property
    def env(self) -> dict[str, str]:
        """The environment of a client."""
        home = self.cluster.state / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": self.kubeconfig, "LC_ALL": "C.UTF-8"}

    def kill(self) -> None:
        """End the agent as a crash does."""
        pid = self.cluster.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _lives(pid))

    def restart(self) -> None:
        """Bring it up again: the same address, the same objects."""
        self.cluster("up", *self.options, timeout=PATIENCE_S)

    def run(self, *argv: str | Path, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """A client's answer; one that fails is told whole."""
        done = subprocess.run(
            [str(word) for word in argv], env=self.env, capture_output=True, text=True, input=stdin, timeout=PATIENCE_S
        )
        if check:
            assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}{self.cluster.log()}"
        return done


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def tool(*parts: str) -> Path:
    """A program that `scripts/install test` puts into the environment; one that is missing is a failure, not a skip."""
    found = TOOLS.joinpath(*parts)
    if not found.exists():
        pytest.fail(f"{found} is missing: run `make install-test`, which puts it there", pytrace=False)
    return found


class Talking:
    """A client that runs beside the test and says what it sees, a JSON array on each line."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    def start(cls, server: Server, log: Path, *argv: str | Path, env: dict[str, str] | None = None) -> Talking:
        with log.open("w") as out, log.with_suffix(".errors").open("w") as errors:
            return cls(
                subprocess.Popen(
                    [str(word) for word in argv], env=server.env | (env or {}), stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                    text=True,
                ),
                log,
            )  # fmt: skip

    @property
    def said(self) -> list[Any]:
        """All whole lines so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def wait_for(self, *words: Any) -> None:
        """Wait until it says these words."""

        def heard() -> bool:
            assert self.process.poll() is None, f"it ended: {self.said} {self.errors}"
            return list(words) in self.said

        try:
            wait_until(heard)
        except AssertionError as error:
            raise AssertionError(f"{words} not said; but {self.said} {self.errors}") from error

    @property
    def errors(self) -> str:
        return self.log.with_suffix(".errors").read_text()[-3000:]

    def end(self) -> int:
        """End it as its user does, and see how it went."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
