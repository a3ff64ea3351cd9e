"""One connection into a Pod and whoever has its other end, however that is carried.

Source: kubernetes 1.36 cri-streaming pkg/streaming/portforward/httpstream.go (words).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from netproxy.apiserver.connect import Stream
from netproxy.core.errors import KernelError
from netproxy.objects.meta import name, uid
from netproxy.serve.nodes import Nodes
from netproxy.serve.tasks import end

CHUNK_BYTES = 1 << 15


class Lane(Protocol):
    """One connection's bytes on their way from and to a client."""

    async def read(self) -> bytes:
        """What comes next; empty when the client says nothing more."""
        ...

    async def write(self, data: bytes) -> None:
        """Send. Raises ConnectionError."""
        ...


async def carry(lane: Lane, stream: Stream, port: int, nodes: Nodes) -> str:
    """Connect to a port of the Pod, and carry until both ends have said all; why not, or nothing."""
    try:
        sock = await nodes.connect(stream, port)
    except (OSError, KernelError) as error:
        return f"error forwarding port {port} to pod {name(stream.pod)}, uid {uid(stream.pod)}: {error}"
    reader, writer = await asyncio.open_connection(sock=sock, limit=CHUNK_BYTES)
    going = asyncio.ensure_future(_send_on(lane, writer))
    try:
        while data := await reader.read(CHUNK_BYTES):
            await lane.write(data)
    except OSError:
        pass  # either end has gone
    finally:
        await end(going)
        writer.transport.abort()
    return ""


async def _send_on(lane: Lane, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await lane.read():
            writer.write(data)
            await writer.drain()
        writer.write_eof()
