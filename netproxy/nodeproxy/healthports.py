"""The health check node ports of Services with externalTrafficPolicy Local: who asks there is told of local endpoints."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from netproxy.core.net import Family
from netproxy.nodeproxy.http import NOT_FOUND, Answer, Server
from netproxy.nodeproxy.messages import Report
from netproxy.nodeproxy.node import NodeProxy
from netproxy.proxy.health import health_answer

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""A port that somebody else has is tried again after so many seconds."""

Open = Callable[[str, int], socket.socket]
"""A socket bound to an address and a port."""
Place = tuple[Family, int, str]


class HealthPorts:
    """Listens wherever the node's reports say; the answer is made of the last report at every request."""

    def __init__(self, node: NodeProxy, open_socket: Open) -> None:
        self._node = node
        self._open_socket = open_socket
        self._servers: dict[Place, Server] = {}
        self._complained: set[Place] = set()
        self._due = asyncio.Event()
        self._due.set()
        node.listen(self._heard)

    def _heard(self, report: Report) -> None:
        wanted = _places(report)
        if wanted != {at for at in self._servers if at[0] is report.family}:
            self._due.set()

    async def run(self) -> None:
        """Follow the reports, for ever."""
        try:
            while True:
                self._due.clear()
                taken = await self._follow()
                try:
                    async with asyncio.timeout(RETRY_S if taken else None):
                        await self._due.wait()
                except TimeoutError:
                    pass
        finally:
            await self.close()

    async def _follow(self) -> bool:
        """Open and close servers; whether some port was taken."""
        wanted = {at for report in self._node.reports.values() for at in _places(report)}
        for at in [at for at in self._servers if at not in wanted]:
            await self._servers.pop(at).close()
        taken = False
        for at in sorted(wanted - self._servers.keys()):
            taken |= not await self._opened(at)
        self._complained &= wanted
        return taken

    async def _opened(self, at: Place) -> bool:
        server = Server(lambda _: self._answer(at))
        try:
            await server.open(self._open_socket(at[2], at[1]))
        except OSError as error:
            await server.close()
            if at not in self._complained:
                self._complained.add(at)
                reason = "is taken" if error.errno == errno.EADDRINUSE else str(error)
                log.error("%s: health check node port %d (%s) %s", self._node.name, at[1], at[2], reason)
            return False
        self._servers[at] = server
        return True

    async def _answer(self, at: Place) -> Answer:
        report = self._node.reports[at[0]]
        check = next((check for check in report.checks if check.port == at[1]), None)
        if check is None:
            return NOT_FOUND
        status, headers, body = health_answer(check, healthy=not report.error)
        return Answer(status, body.encode(), headers)

    async def close(self) -> None:
        """Stop listening everywhere."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()


def _places(report: Report) -> set[Place]:
    return {(report.family, check.port, address) for check in report.checks for address in report.check_addresses}
