"""The agent's process as whoever starts it sees it: begun early, ordered when the manifests are read, heard until it is ready.

One socket carries everything: the orders (a line of JSON, with the descriptors of the cluster's lock and of the log),
then reports (a JSON object a line). A process whose socket is closed before it has orders ends without a trace.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

from netproxy.agent.paths import Paths
from netproxy.core import programs

Message = dict[str, Any]


class AgentProcess:
    """A process that is going to be the agent of one cluster."""

    def __init__(self, where: Paths) -> None:
        self.where = where
        self.is_ordered = False
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def begin(self) -> None:
        """Let it read its modules. Nothing of the cluster is touched before it has orders."""
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", programs.AGENT, self.where.cluster],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=theirs.fileno(), cwd="/", start_new_session=True,
                env={**os.environ, programs.MARK: str(self.where.state)},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process number; 0 when it has not begun, or somebody has ended it."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def order(self, orders: Message, *, lock: int, log: int, listening: int) -> None:
        """Let it start the cluster: it has the LOCK now, too, writes to LOG, and serves its API on what is LISTENING.

        Raises OSError when it is gone.
        """
        assert self._line
        socket.send_fds(self._line, [json.dumps(orders).encode() + b"\n"], [lock, log, listening])
        self.is_ordered = True

    def last_report(self) -> Message:
        """Wait until it is ready, or gone: its last report; `{"said": text}` when it made none."""
        assert self._line
        last: Message = {}
        said = ""
        with self._line, self._line.makefile("rb") as lines, suppress(ConnectionError):
            for line in lines:
                try:
                    last = json.loads(line)
                except ValueError:  # what Python says when a module cannot be read
                    said += line.decode(errors="replace")
        return last or {"said": said}

    def ask_to_end(self) -> None:
        """It takes down what it has made, and ends."""
        if self._process:
            self._process.terminate()

    def wait(self, limit_s: float | None = None) -> int:
        """Wait until it has ended, killing it after LIMIT_S; its exit status."""
        assert self._process
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def drop(self) -> None:
        """End it unless it has orders: it is not needed. Twice is fine."""
        if self._process and self._line and not self.is_ordered:
            self._line.close()
            self._process.kill()
            self._process.wait()
            self._process = None
