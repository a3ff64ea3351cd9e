"""What a check can do in a running cluster: connect, ask for names, read rules; from any machine of it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from dnslib import QTYPE, DNSError, DNSRecord

from netproxy.client.port import Selector
from netproxy.client.wire import objects_of, path_of, target_of
from netproxy.core.names import NamespacedName
from netproxy.core.net import is_address
from netproxy.dns import wire
from netproxy.linux import netns
from netproxy.objects.kinds import PODS, Resource
from netproxy.objects.messages import EntryAnswer, EntryRequest, Nothing, RulesAnswer, RulesRequest, StatusAnswer
from netproxy.objects.meta import Object
from netproxy.objects.typed import Message

A = TypeVar("A", bound=Message)


class Agent(Protocol):
    """What is asked of a cluster's agent: objects by their paths, and what it says below /netproxy/."""

    def ask(self, method: str, target: str) -> Any:
        """The JSON of an answer."""
        ...

    def look(self, path: str, asked: Message, answer: type[A]) -> A:
        """A typed answer."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP request brought: the status and the body; or an error's name (`refused`, `timeout`)."""

    status: int = 0
    body: str = ""
    error: str = ""


class World:
    """A cluster as checks see it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.status = agent.look("status", Nothing(), StatusAnswer)
        self._places: dict[str, str] = {}

    def object(self, resource: Resource, name: str) -> Object:
        """An object of the namespace `default`. Raises NotFoundError."""
        found: Object = self._agent.ask("GET", path_of(resource, NamespacedName("default", name)))
        return found

    def objects(self, resource: Resource, selector: Selector) -> list[Object]:
        """All objects that a selector picks."""
        return objects_of(resource, self._agent.ask("GET", target_of(resource, selector))["items"])

    def rules(self, service: str, node: str) -> RulesAnswer:
        """The rules of a Service on a node, the first when it is empty."""
        return self._agent.look("rules", RulesRequest(service, node=node), RulesAnswer)

    def namespace_of(self, machine: str) -> str:
        """The network namespace of a Pod, a node or the client."""
        place = self._places.get(machine)
        if place is None:
            place = self._places[machine] = self._agent.look("entry", EntryRequest(machine), EntryAnswer).namespace
        return place

    def resolve(self, machine: str, name: str, kind: str = "A") -> tuple[int, list[str]]:
        """Ask the cluster's name server from a machine: (rcode, values sorted)."""
        server = self.status.dns.addresses[0]
        with self.socket(machine, socket.SOCK_DGRAM, server) as sock:
            sock.connect((server, 53))
            sock.send(wire.query(name.rstrip("."), kind, 4711))
            data = sock.recv(4096)
        try:
            record = DNSRecord.parse(data)
        except DNSError as error:
            raise OSError(f"the answer about {name} cannot be read: {error}") from error
        wanted = getattr(QTYPE, kind)
        return int(record.header.rcode), sorted(
            str(rr.rdata).removesuffix(".") for rr in record.rr if rr.rtype == wanted
        )

    def connect(self, machine: str, host: str, port: int) -> socket.socket:
        """A TCP connection from a machine; names are asked of the cluster's name server. Raises OSError."""
        address = self._pod_address(host) if host.startswith("pod/") else host
        host = address
        if not is_address(host):
            code, found = self.resolve(machine, host)
            if not found:
                raise OSError(f"{host} does not resolve (rcode {code})")
            address = found[0]
        sock = self.socket(machine, socket.SOCK_STREAM, address)
        try:
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def _pod_address(self, pod: str) -> str:
        """The address of `pod/NAME`."""
        found: str = (self.object(PODS, pod.partition("/")[2]).get("status") or {}).get("podIP") or ""
        if not found:
            raise OSError(f"{pod} has no address yet")
        return found

    def http(self, machine: str, host: str, port: int, path: str = "/") -> Reply:
        """GET from a machine."""
        try:
            with self.connect(machine, host, port) as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                data = b"".join(iter(lambda: sock.recv(65536), b""))
        except ConnectionRefusedError:
            return Reply(error="refused")
        except TimeoutError:
            return Reply(error="timeout")
        except OSError as error:
            return Reply(error=str(error))
        head, _, body = data.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if not status or not status[0].isdigit():
            return Reply(error=f"no HTTP: {data[:40]!r}")
        return Reply(int(status[0]), body.decode(errors="replace"))

    def socket(self, machine: str, kind: int, address: str) -> socket.socket:
        """A socket in a machine's namespace, for addresses of this one's family."""
        with netns.visiting(self.namespace_of(machine)):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        sock.settimeout(2)
        return sock
