"""Requests to IPVS and ipset in one namespace, by pyroute2.

pyroute2 opens one more socket in each thread that uses an object of its, in the namespace where that thread is. So the
thread that makes the first request makes the others, too, and closes it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from netproxy.core.errors import KernelError
from netproxy.core.net import PROTOCOL_NUMBERS, Family
from netproxy.linux import netns
from netproxy.ruleset.ipvs import RealServer, ServerKey, VirtualServer

_PERSISTENT, _MH_PORT = 0x1, 0x10


class ServerRequest(NamedTuple):
    """`add`, `set` or `del` a virtual server."""

    command: str
    server: VirtualServer

    def __str__(self) -> str:
        return f"ipvs {self.command} service {self.server.key}"


class DestinationRequest(NamedTuple):
    """`add`, `set` or `del` a destination of a virtual server."""

    command: str
    key: ServerKey
    real: RealServer

    def __str__(self) -> str:
        return f"ipvs {self.command} destination {self.real.address}:{self.real.port} of {self.key}"


class EntryRequest(NamedTuple):
    """`add` or `delete` a member of a set of a type."""

    command: str
    set: str
    type: str
    entry: str

    def __str__(self) -> str:
        return f"ipset {self.command} {self.set} {self.entry}"


Request = ServerRequest | DestinationRequest | EntryRequest


class IpvsNetlink:
    """The sockets of one family in one namespace; they are opened at the first request and stay open."""

    def __init__(self, namespace: str | None, family: Family) -> None:
        self._namespace = namespace
        self._number = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET
        self._ipvs: Any = None
        self._ipset: Any = None

    def ask(self, requests: Iterable[Request]) -> None:
        """Make the requests in this order. Raises KernelError naming the first that is refused."""
        for request in requests:
            with _asked(request):
                match request:
                    case ServerRequest(command, server):
                        self._servers().service(command, _service(server))
                    case DestinationRequest(command, key, real):
                        self._servers().dest(command, _service(VirtualServer(key)), _dest(real))
                    case EntryRequest():
                        self._set_entry(request)

    def connections(self, key: ServerKey) -> dict[tuple[str, int], int]:
        """How many connections each destination of a virtual server has, active or waiting to be forgotten."""
        with _asked(f"destinations of {key}"):
            answers = list(self._servers().dest("dump", _service(VirtualServer(key))))
        listed = [dict(answer.get("IPVS_CMD_ATTR_DEST")["attrs"]) for answer in answers]
        return {
            (found["IPVS_DEST_ATTR_ADDR"], found["IPVS_DEST_ATTR_PORT"]): int(found["IPVS_DEST_ATTR_ACTIVE_CONNS"])
            + int(found["IPVS_DEST_ATTR_INACT_CONNS"])
            for found in listed
        }

    def _set_entry(self, request: EntryRequest) -> None:
        from pyroute2.ipset import PortEntry

        fields = request.type.partition(":")[2]
        values: list[Any] = []
        for field, text in zip(fields.split(","), request.entry.split(","), strict=True):
            if field == "port":
                protocol, _, port = text.rpartition(":")
                values.append(PortEntry(int(port), protocol=PROTOCOL_NUMBERS.get(protocol)))
            else:
                values.append(text)
        ask = getattr(self._sets(), request.command)
        ask(request.set, values, family=self._number, etype=fields, exclusive=False)

    def _servers(self) -> Any:
        if self._ipvs is None:
            from pyroute2 import IPVS

            with netns.inside(self._namespace):
                self._ipvs = IPVS()
        return self._ipvs

    def _sets(self) -> Any:
        if self._ipset is None:
            from pyroute2 import IPSet

            with netns.inside(self._namespace):
                self._ipset = IPSet(nfgen_family=self._number)
        return self._ipset

    def close(self) -> None:
        """Close the sockets."""
        for opened in (self._ipvs, self._ipset):
            if opened is not None:
                opened.close()
        self._ipvs = self._ipset = None


@contextmanager
def _asked(what: object) -> Iterator[None]:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except (NetlinkError, OSError) as error:
        raise KernelError(f"{what}: {error}", request=str(what)) from error


def _service(server: VirtualServer) -> Any:
    from pyroute2 import IPVSService

    flags = (_PERSISTENT if server.persistent_s else 0) | (_MH_PORT if server.flags else 0)
    more = {"netmask": "128.0.0.0"} if ":" in server.key.address else {}  # a length of 128 in the host's byte order
    return IPVSService(
        addr=server.key.address, port=server.key.port, protocol=PROTOCOL_NUMBERS[server.key.protocol],
        sched_name=server.scheduler, timeout=server.persistent_s, flags={"flags": flags, "mask": 0xFFFFFFFF}, **more,
    )  # fmt: skip


def _dest(real: RealServer) -> Any:
    from pyroute2 import IPVSDest

    return IPVSDest(addr=real.address, port=real.port, fwd_method=0, weight=real.weight)
