"""The command line's side of the agent: find it, join its namespaces when it is rootless, ask it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from netproxy.agent import userns
from netproxy.agent.marks import read_process
from netproxy.agent.paths import DEFAULT, Paths, clusters
from netproxy.client import wire
from netproxy.client.blocking import BlockingReply, opened
from netproxy.client.port import WatchEvent
from netproxy.client.transport import Request
from netproxy.core.errors import NotFoundError, UnavailableError
from netproxy.objects.typed import Message

A = TypeVar("A", bound=Message)

JSON = "application/json"


def agent_pid(where: Paths) -> int:
    """The agent's process number; 0 when it is not running."""
    process = read_process(where.pid_file)
    return process.pid if process else 0


def shim_pid(where: Paths) -> int:
    """The shim's process number; 0 when it is not running."""
    process = read_process(where.shim_pid_file)
    return process.pid if process else 0


def answers(where: Paths) -> bool:
    """Whether an agent listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(where.socket))
        except OSError:
            return False
    return agent_pid(where) != 0


class Agent:
    """A connection to the agent of a cluster. Raises NotFoundError, which says how to START one, when none runs."""

    def __init__(self, where: Paths, *, start: str = "") -> None:
        self.where = where
        self.pid = agent_pid(where)
        if not self.pid or not where.socket.exists():
            raise NotFoundError(_not_running(where, start))

    def join(self) -> None:
        """Be where the cluster's namespaces are (a user namespace, when it is rootless)."""
        join(self.where)

    def ask(
        self, method: str, target: str, *, body: Any = None, accept: str = JSON, timeout_s: float | None = None
    ) -> Any:
        """Send a request and return the JSON of the answer. Raises what the agent's Status says."""
        with self._opened(method, target, body=body, accept=accept, timeout_s=timeout_s) as reply:
            return wire.decoded(self._read(reply))

    def look(self, path: str, asked: Message, answer: type[A], *, timeout_s: float | None = None) -> A:
        """GET what is below /netproxy/. Raises ManifestError for an answer that is none."""
        target = wire.with_query(f"/netproxy/{path}", asked.to_query())
        return answer.from_json(self.ask("GET", target, timeout_s=timeout_s))

    def order(self, path: str, asked: Message, answer: type[A], *, timeout_s: float | None = None) -> A:
        """POST to what is below /netproxy/."""
        return answer.from_json(self.ask("POST", f"/netproxy/{path}", body=asked.to_json(), timeout_s=timeout_s))

    def events(self, target: str, *, accept: str = JSON) -> Iterator[WatchEvent]:
        """A watch, event by event; without bookmarks. Raises what its ERROR event says."""
        with self._opened("GET", target, accept=accept) as reply:
            for line in reply.lines():
                event = wire.event_of(line)
                if event and event.type != "BOOKMARK":
                    yield event

    def _opened(
        self, method: str, target: str, *, body: Any = None, accept: str, timeout_s: float | None = None
    ) -> BlockingReply:
        """The answer whose body is still to be read."""
        headers = (("Accept", accept), ("Content-Type", JSON))
        request = Request(method, target, headers, b"" if body is None else orjson.dumps(body), timeout_s)
        try:
            reply = opened(self.where.socket, request)
        except UnavailableError as error:
            raise self._unavailable("does not answer", error) from error
        if reply.status >= 300:
            with reply:
                raise wire.error_of(reply.status, self._read(reply))
        return reply

    def _read(self, reply: BlockingReply) -> bytes:
        try:
            return reply.read()
        except UnavailableError as error:
            raise self._unavailable("has ended while it answered", error) from error

    def _unavailable(self, what: str, error: UnavailableError) -> UnavailableError:
        return UnavailableError(0, error.reason, f"the agent of cluster {self.where.cluster} {what}: {error}")


def _not_running(where: Paths, start: str) -> str:
    hint = start or (f"netproxy up --cluster {where.cluster}" if where.cluster != DEFAULT else "netproxy up")
    try:
        there = bool(where.state.exists())
    except PermissionError:
        return f"cluster {where.cluster} belongs to another user; use sudo"
    if there:
        takes = "begins it anew" if start else "takes the cluster over"
        return f"the agent of cluster {where.cluster} is not running; `{hint}` {takes}"
    others = clusters()
    known = f" (running: {', '.join(others)})" if others else ""
    system = Path("/run/netproxy") / where.cluster
    sudo = "; there is one of root: use sudo" if os.geteuid() and system.parent.exists() else ""
    return f"there is no cluster {where.cluster}{known}; `{hint}` starts it{sudo}"


def join(where: Paths) -> None:
    """Enter the user namespace of a rootless cluster, by its agent or its shim."""
    if where.is_rootless:
        pid = agent_pid(where) or shim_pid(where)
        if pid:
            userns.join(pid)


def progress(message: str) -> None:
    """A plain line about what is going on, on standard error."""
    click.echo(message, err=True)


def on_terminal() -> bool:
    """Whether somebody watches standard error."""
    return sys.stderr.isatty()
