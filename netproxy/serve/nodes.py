"""What the API server needs of the machines that containers run on, and what it says when it cannot reach them.

Source: kubernetes 1.36 pkg/registry/core/pod/rest, Go net (errors of a dial).
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Mapping
from typing import Protocol
from urllib.parse import urlencode

from netproxy.apiserver.connect import Kubelet, LogOptions, Stream, about
from netproxy.core.errors import ApiError


class Nodes(Protocol):
    """The nodes that can be reached."""

    def reaches(self, node: str) -> bool:
        """Whether NODE is one of them; of one that is not, nothing else is asked."""
        ...

    def log(self, stream: Stream) -> AsyncIterator[bytes]:
        """The part of a container's log that a Stream with LogOptions wants."""
        ...


class NoNodes:
    """None can be reached."""

    def reaches(self, node: str) -> bool:
        """Not this one."""
        del node
        return False

    def log(self, stream: Stream) -> AsyncIterator[bytes]:
        """Nobody asks."""
        raise NotImplementedError(stream.container)


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


def _query(query: Mapping[str, object]) -> str:
    told = {key: "true" if value is True else value for key, value in query.items() if value not in (None, False)}
    return f"?{urlencode(told)}" if told else ""


def unreachable(why: str) -> ApiError:
    """The answer when nobody could be asked."""
    return ApiError(500, "", why)
