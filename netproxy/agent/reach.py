"""The cluster's own nodes, as the API server reaches them: what is asked of their kubelet."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable

from netproxy.apiserver.connect import LogOptions, Stream, Terminal
from netproxy.apiserver.metrics import Measured, Usage
from netproxy.core.clock import Clock
from netproxy.core.errors import KernelError
from netproxy.core.names import quoted
from netproxy.kubelet.dial import connect_inside
from netproxy.kubelet.extract import Wanted
from netproxy.kubelet.loop import Kubelet
from netproxy.linux import netns
from netproxy.objects.cluster import ClusterSpec
from netproxy.serve.nodes import Process


class OwnNodes:
    """Answers `serve.nodes.Nodes` and `apiserver.metrics.Meter` with the kubelet of this process."""

    def __init__(
        self, kubelet: Kubelet, cluster: ClusterSpec, clock: Clock, namespace_of: Callable[[str], str]
    ) -> None:
        self._kubelet = kubelet
        self._names = frozenset(node.name for node in cluster.nodes)
        self._clock = clock
        self._outside = namespace_of(cluster.nodes[0].name)

    def reaches(self, node: str) -> bool:
        """Whether it is one of the cluster's own."""
        return node in self._names

    def log(self, stream: Stream) -> AsyncIterator[bytes]:
        """The part of a container's log that is wanted."""
        options = stream.wanted
        assert isinstance(options, LogOptions)
        since = options.since or (self._clock.now() - options.since_s if options.since_s else 0.0)
        wanted = Wanted(options.follow, options.timestamps, since, options.tail, options.limit)
        return self._kubelet.log(stream.pod, stream.container, wanted, previous=options.previous)

    def check_runs(self, stream: Stream) -> None:
        """Raises KernelError when the container does not run."""
        if stream.container:
            self._kubelet.check_runs(stream.pod, stream.container)
        else:
            self._kubelet.network(stream.pod)

    async def run(self, stream: Stream) -> Process:
        """A command, or what runs already. Raises KernelError."""
        wanted = stream.wanted
        assert isinstance(wanted, Terminal)
        if wanted.command is None:
            return self._kubelet.attach(stream.pod, stream.container, stdin=wanted.stdin)
        if not wanted.command:
            raise KernelError("you must specify at least 1 command for the container")
        try:
            command = await self._kubelet.run(stream.pod, stream.container, list(wanted.command), tty=wanted.tty)
        except KernelError as error:
            lacks = f"{error} in $PATH" if str(error).endswith("file not found") else error
            raise KernelError(f"failed to exec in container: exec: {quoted(wanted.command[0])}: {lacks}") from error
        if not wanted.stdin:
            command.close_input()
        return command

    async def connect(self, stream: Stream, port: int) -> socket.socket:
        """A connection to a port inside of the Pod. Raises OSError, KernelError."""
        return await connect_inside(self._kubelet.network(stream.pod), port)

    def outgoing(self, family: int) -> socket.socket:
        """A socket on the cluster's first node, from which all Pods and Nodes are reached. Raises OSError, KernelError."""
        with netns.visiting(self._outside):
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)

    def usage(self) -> Measured:
        """What all containers use now."""
        window_s, pods = self._kubelet.usage()
        return Measured(
            window_s, tuple(sorted(self._names)),
            {at: {name: Usage(*used) for name, used in each.items()} for at, each in pods.items()},
        )  # fmt: skip
