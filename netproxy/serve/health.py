"""The HTTP servers of health check node ports, in the nodes' namespaces."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus

Answer = Callable[[], tuple[int, dict[str, str], str]]


class HealthServers:
    """One listening socket for each (node, port); the answer is asked for at every request."""

    def __init__(self, open_socket: Callable[[str, int], socket.socket]) -> None:
        self._open_socket = open_socket
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._answers: dict[tuple[str, int], Answer] = {}
        self._lock = asyncio.Lock()

    async def set(self, wanted: Iterable[tuple[tuple[str, int], Answer]]) -> None:
        """Listen exactly where WANTED says. Raises OSError when a port is taken."""
        async with self._lock:
            self._answers = dict(wanted)
            for at in [at for at in self._servers if at not in self._answers]:
                self._servers.pop(at).close()
            for at in self._answers:
                if at not in self._servers:
                    serve = functools.partial(self._serve, at)
                    self._servers[at] = await asyncio.start_server(serve, sock=self._open_socket(*at))

    async def _serve(self, at: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                await reader.readuntil(b"\r\n\r\n")
            status, headers, body = self._answers[at]()
            text = body.encode()
            lines = {**headers, "Content-Length": str(len(text)), "Connection": "close"}
            head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" + "".join(
                f"{k}: {v}\r\n" for k, v in lines.items()
            )
            writer.write(head.encode() + b"\r\n" + text)
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, KeyError):
            pass
        finally:
            writer.close()

    def close(self) -> None:
        """Stop listening everywhere."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()
