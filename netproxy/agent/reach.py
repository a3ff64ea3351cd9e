"""The cluster's own nodes, as the API server reaches them: what is asked of their kubelet."""

from __future__ import annotations

from collections.abc import AsyncIterator

from netproxy.apiserver.connect import LogOptions, Stream
from netproxy.core.clock import Clock
from netproxy.kubelet.extract import Wanted
from netproxy.kubelet.loop import Kubelet
from netproxy.objects.cluster import ClusterSpec


class OwnNodes:
    """Answers `serve.nodes.Nodes` with the kubelet of this process."""

    def __init__(self, kubelet: Kubelet, cluster: ClusterSpec, clock: Clock) -> None:
        self._kubelet = kubelet
        self._names = frozenset(node.name for node in cluster.nodes)
        self._clock = clock

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
