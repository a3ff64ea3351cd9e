"""Connections that begin in a network namespace.

Source: containerd internal/cri/server/podsandbox/sandbox_portforward_linux.go (words).
"""

from __future__ import annotations

import asyncio
import os
import socket

from netproxy.core.errors import KernelError
from netproxy.linux import netns

_LOOPBACKS = {"tcp4": "127.0.0.1", "tcp6": "::1"}


async def connect_from(namespace: str, address: str, port: int) -> socket.socket:
    """A connection that begins in a namespace; its socket is not waited for. Raises OSError, KernelError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netns.visiting(namespace):
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_inside(namespace: str, port: int) -> socket.socket:
    """A connection to a port on the loopback of a namespace, of either family. Raises KernelError, which says both failures."""
    failures = []
    for kind, address in _LOOPBACKS.items():
        try:
            return await connect_from(namespace, address, port)
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            spelt = f"[{address}]" if ":" in address else address
            failures.append(f"dial {kind} {spelt}:{port}: connect: {why}")
    raise KernelError(
        f"failed to connect to localhost:{port} inside namespace {namespace!r}, IPv4: {failures[0]} IPv6: {failures[1]}"
    )
