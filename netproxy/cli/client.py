"""The command line's side of the agent: find it, join its namespaces when it is rootless, ask it."""

from __future__ import annotations

import functools
import http.client
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import click

from netproxy.agent import userns
from netproxy.agent.marks import read_process
from netproxy.agent.paths import DEFAULT, Paths, clusters, paths
from netproxy.core.errors import ConflictError, ManifestError, NetproxyError, NotFoundError, Problem
from netproxy.objects.typed import Message

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound=Message)


def cluster_option(command: F) -> F:
    """`--cluster NAME`, passed on as the cluster's Paths."""

    @click.option("--cluster", default=lambda: os.environ.get("NETPROXY_CLUSTER", DEFAULT), show_default="default",
                  metavar="NAME", help="Which cluster.")  # fmt: skip
    @functools.wraps(command)
    def with_paths(*args: Any, cluster: str, **kwargs: Any) -> Any:
        return command(*args, where=checked_paths(cluster), **kwargs)

    return with_paths  # type: ignore[return-value]  # click's decorators change the signature


def checked_paths(cluster: str) -> Paths:
    """The paths of a cluster whose name can be used in file and namespace names. Raises ManifestError."""
    from netproxy.core.names import is_dns_label

    if not is_dns_label(cluster) or len(cluster) > 32:
        raise ManifestError(
            [Problem("--cluster", f'Invalid value: "{cluster}": must be a DNS label of at most 32 characters')]
        )
    return paths(cluster)


class AgentError(NetproxyError):
    """The agent refused; its message says why."""


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
    """A connection to the agent of a cluster. Raises NotFoundError when none runs."""

    def __init__(self, where: Paths) -> None:
        self.where = where
        self.pid = agent_pid(where)
        if not self.pid or not where.socket.exists():
            raise NotFoundError(_not_running(where))

    def join(self) -> None:
        """Be where the cluster's namespaces are (a user namespace, when it is rootless)."""
        join(self.where)

    def open(self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None,
             accept: str = "application/json", content_type: str = "application/json",
             timeout_s: float | None = None) -> http.client.HTTPResponse:  # fmt: skip
        """Send a request; the answer is still to be read. Raises what the agent's Status says."""
        connection = _UnixConnection(str(self.where.socket), timeout_s)
        given = {k: v for k, v in (query or {}).items() if v}
        target = path + ("?" + urlencode(given) if given else "")
        data = json.dumps(body).encode() if body is not None else None
        try:
            connection.request(method, target, body=data, headers={"Accept": accept, "Content-Type": content_type})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise AgentError(f"the agent of cluster {self.where.cluster} does not answer: {error}") from error
        if response.status >= 400:
            raise _error(response)
        return response

    def ask(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a request and return the JSON of the answer."""
        response = self.open(method, path, **kwargs)
        try:
            return json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException) as error:
            raise AgentError(f"the agent of cluster {self.where.cluster} has ended while it answered") from error

    def look(self, path: str, asked: Message, answer: type[A], **kwargs: Any) -> A:
        """GET what is below /netproxy/. Raises ManifestError for an answer that is none."""
        return answer.from_json(self.ask("GET", f"/netproxy/{path}", query=asked.to_query(), **kwargs))

    def order(self, path: str, asked: Message, answer: type[A], **kwargs: Any) -> A:
        """POST to what is below /netproxy/."""
        return answer.from_json(self.ask("POST", f"/netproxy/{path}", body=asked.to_json(), **kwargs))

    def lines(self, path: str, **kwargs: Any) -> Iterator[Any]:
        """A watch: one JSON value for each line."""
        for line in self.open("GET", path, **kwargs):
            yield json.loads(line)


def _not_running(where: Paths) -> str:
    hint = f"netproxy up --cluster {where.cluster}" if where.cluster != DEFAULT else "netproxy up"
    try:
        there = bool(where.state.exists())
    except PermissionError:
        return f"cluster {where.cluster} belongs to another user; use sudo"
    if there:
        return f"the agent of cluster {where.cluster} is not running; `{hint}` takes the cluster over"
    others = clusters()
    known = f" (running: {', '.join(others)})" if others else ""
    system = Path("/run/netproxy") / where.cluster
    sudo = "; there is one of root: use sudo" if os.geteuid() and system.parent.exists() else ""
    return f"there is no cluster {where.cluster}{known}; `{hint}` starts it{sudo}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("netproxy")
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(self._path)


def _error(response: http.client.HTTPResponse) -> NetproxyError:
    text = response.read()
    try:
        status = json.loads(text)
    except ValueError:
        return AgentError(f"HTTP {response.status}: {text.decode(errors='replace')[:500]}")
    message = status.get("message", "")
    match status.get("reason"):
        case "Invalid" | "BadRequest" if (status.get("details") or {}).get("causes"):
            causes = (status.get("details") or {}).get("causes") or ()
            return ManifestError(
                [
                    Problem(
                        c.get("field", ""), c["message"], c.get("object", ""), c.get("source", ""), c.get("reason", "")
                    )
                    for c in causes
                ]
            )
        case "NotFound":
            return NotFoundError(message)
        case "Conflict" | "AlreadyExists":
            return ConflictError(message)
        case _:
            return AgentError(message)


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
