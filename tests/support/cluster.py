"""A whole cluster of a test's own, by the command line, as a user has it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[2]
LIMIT_S = 240 if "NETPROXY_VM" in os.environ else 60
"""How long a command may take; software emulation of a processor is some twenty times slower."""

SLOWER = 6 if "NETPROXY_VM" in os.environ else 1
"""How many times as long anything may take; waiting for less than twenty times is enough: most of it is not computing."""

pause = time.sleep  # between two looks, so that what is waited for has the processor


def wait_until(condition: Callable[[], Any], limit_s: float = 20) -> Any:
    """Wait for something to become true; what it became is returned."""
    deadline = time.monotonic() + limit_s * SLOWER
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"still not true after {limit_s * SLOWER} s: {condition}"
        pause(0.01)


class Cluster:
    """The command line against one cluster whose name and files are this test's own."""

    def __init__(self, *, rootless: bool = False, prefix: list[str] | None = None, name: str | None = None) -> None:
        self.name = name or f"npt{uuid.uuid4().hex[:6]}"
        self.state = Path(tempfile.mkdtemp(prefix="npt-"))
        self.state.chmod(0o777)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {
            **os.environ, "PATH": path, "NETPROXY_STATE": str(self.state / "s"), "NETPROXY_CLUSTER": self.name
        }  # fmt: skip
        if rootless:
            self.env["NETPROXY_ROOTLESS"] = "1"
        self.prefix = prefix or []
        self.python = sys.executable

    def command(self, *args: str) -> list[str]:
        return [*self.prefix, self.python, "-m", "netproxy", *args]

    def run(
        self, *args: str, check: bool = True, stdin: str | None = None, timeout: float = LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*args), env=self.env, capture_output=True, text=True, input=stdin, timeout=timeout, cwd=REPO
        )
        if check:
            assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}{self.log()}"
        return done

    def start(self, *args: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(*args), env=self.env, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True, cwd=REPO
        )

    def __call__(self, *args: str, **more: Any) -> str:
        return self.run(*args, **more).stdout

    def get(self, *args: str) -> Any:
        return json.loads(self("get", *args, "-o", "json"))

    def exec(self, target: str, *argv: str, check: bool = True) -> str:
        return self.run("exec", target, "--", *argv, check=check).stdout

    @property
    def folder(self) -> Path:
        """The cluster's state."""
        return self.state / "s" / self.name

    def log(self) -> str:
        file = self.folder / "agent.log"
        return file.read_text()[-3000:] if file.exists() else ""

    @property
    def pid(self) -> int:
        return json.loads(self("status", "-o", "json"))["agent"]["pid"]

    def namespaces(self) -> list[str]:
        folder = Path("/run/netns")
        return sorted(p.name for p in folder.iterdir() if p.name.startswith(self.name)) if folder.exists() else []

    def processes(self) -> list[str]:
        """Command lines of all living processes that have this cluster's folder in command line or environment."""
        mark, found = str(self.state).encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes()
                    about = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if mark in line + about:
                    found.append(line.replace(b"\0", b" ").decode())
        return found

    @staticmethod
    def remove(env: dict[str, str], name: str) -> None:
        """Take a cluster down that somebody else started."""
        subprocess.run(
            [sys.executable, "-m", "netproxy", "down", "--cluster", name], env=env, capture_output=True, check=False
        )

    def close(self) -> None:
        self.run("down", check=False)
        shutil.rmtree(self.state, ignore_errors=True)

    def assert_nothing_is_left(self) -> None:
        assert self.namespaces() == []
        wait_until(lambda: not self.processes(), 5)
        assert not (self.state / "s").exists()
