"""What the API server needs of the machines that containers run on, and what it says when it cannot reach them.

Source: kubernetes 1.36 pkg/registry/core/pod/rest, Go net (errors of a dial).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Protocol
from urllib.parse import urlencode

from netproxy.apiserver.connect import Kubelet, LogOptions, Stream, Terminal, about
from netproxy.core.errors import ApiError, KernelError


class Process(Protocol):
    """What runs in a container, and its streams."""

    status: asyncio.Future[int]
    """Its exit status, when it has ended. Raises KernelError when nobody knows."""

    @property
    def outputs(self) -> int:
        """How many there are: output and errors, or both in one."""
        ...

    async def read(self, output: int) -> bytes:
        """What it writes next to one of its outputs; empty when that is over."""
        ...

    async def write(self, data: bytes) -> bool:
        """Give it to read; False when it does not any more."""
        ...

    def close_input(self) -> None:
        """There is nothing more to read."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal how large it is."""
        ...

    async def end(self) -> None:
        """Nobody is there any more."""
        ...


class Nodes(Protocol):
    """The nodes that can be reached."""

    def reaches(self, node: str) -> bool:
        """Whether NODE is one of them; of one that is not, nothing else is asked."""
        ...

    def log(self, stream: Stream) -> AsyncIterator[bytes]:
        """The part of a container's log that a Stream with LogOptions wants."""
        ...

    def check_runs(self, stream: Stream) -> None:
        """Raises KernelError when the container does not run."""
        ...

    async def run(self, stream: Stream) -> Process:
        """What a Stream with a Terminal wants. Raises KernelError."""
        ...

    async def connect(self, stream: Stream, port: int) -> socket.socket:
        """A connection to a port inside of the Pod, which is not waited for. Raises OSError, KernelError."""
        ...

    def outgoing(self, family: int) -> socket.socket:
        """A socket of a family for a connection to Pods and Nodes. Raises OSError, KernelError."""
        ...


class NoNodes:
    """None can be reached."""

    def reaches(self, node: str) -> bool:
        """Not this one."""
        del node
        return False

    def log(self, stream: Stream) -> AsyncIterator[bytes]:
        """Nobody asks."""
        raise KernelError(f"no node is reached for {stream.container}")

    def check_runs(self, stream: Stream) -> None:
        """Nobody asks."""
        raise KernelError(f"no node is reached for {stream.container}")

    async def run(self, stream: Stream) -> Process:
        """Nobody asks."""
        raise KernelError(f"no node is reached for {stream.container}")

    async def connect(self, stream: Stream, port: int) -> socket.socket:
        """Nobody asks."""
        raise KernelError(f"no node is reached for port {port}")

    def outgoing(self, family: int) -> socket.socket:
        """As if nobody listened anywhere."""
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"no node is reached by family {family}")


def refusal(kubelet: Kubelet) -> str:
    """What a dial to a kubelet says that nobody answers for.

    >>> refusal(Kubelet("a", "10.0.0.1", 10250)), refusal(Kubelet("a", "a", 10250))
    ('dial tcp 10.0.0.1:10250: connect: connection refused', 'dial tcp: lookup a: no such host')
    """
    try:
        ipaddress.ip_address(kubelet.host)
    except ValueError:
        return f"dial tcp: lookup {kubelet.host}: no such host"
    return f"dial tcp {kubelet.address}: connect: connection refused"


def log_url(stream: Stream, kubelet: Kubelet, wanted: LogOptions) -> str:
    """Where a kubelet has a log."""
    query = {
        "follow": wanted.follow, "limitBytes": wanted.limit, "previous": wanted.previous, "sinceSeconds": wanted.since_s,
        "tailLines": wanted.tail, "timestamps": wanted.timestamps,
    }  # fmt: skip
    return f"https://{kubelet.address}/containerLogs/{about(stream.pod)}/{stream.container}{_query(query)}"


def post_url(stream: Stream, kubelet: Kubelet) -> str:
    """Where a kubelet runs commands, attaches, forwards ports."""
    match stream.wanted:
        case Terminal(command, stdin, stdout, stderr, tty):
            flags = [("command", each) for each in command or ()]
            flags += [
                (name, "1")
                for name, on in (("error", stderr), ("input", stdin), ("output", stdout), ("tty", tty))
                if on
            ]
            what = "attach" if command is None else "exec"
            query = f"?{urlencode(sorted(flags, key=lambda flag: flag[0]))}" if flags else ""
            return f"https://{kubelet.address}/{what}/{about(stream.pod)}/{stream.container}{query}"
        case _:
            return f"https://{kubelet.address}/portForward/{about(stream.pod)}"


def _query(query: Mapping[str, object]) -> str:
    told = {key: "true" if value is True else value for key, value in query.items() if value not in (None, False)}
    return f"?{urlencode(told)}" if told else ""


def unreachable(why: str) -> ApiError:
    """The answer when nobody could be asked."""
    return ApiError(500, "", why)


def why_not(stream: Stream, nodes: Nodes, *, proxied: bool) -> str:
    """Why a stream cannot be had: the node is not reached (PROXIED: by whoever asks), or the container does not run."""
    kubelet = stream.kubelet
    assert kubelet is not None  # a Pod that is on no node has no streams
    if not nodes.reaches(kubelet.node):
        if proxied:
            return f"error dialing backend: {refusal(kubelet)}"
        return f'error sending request: Post "{post_url(stream, kubelet)}": {refusal(kubelet)}'
    try:
        nodes.check_runs(stream)
    except KernelError as error:
        return f"unable to upgrade connection: {error}"
    return ""
