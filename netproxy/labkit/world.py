"""What a check can do in a running cluster: connect, ask for names, read rules; from any machine of it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dnslib import QTYPE, DNSRecord

from netproxy.dns import wire
from netproxy.linux import netns

Ask = Callable[[str, dict[str, str]], Any]
"""GET a path of the agent with a query; the JSON of the answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP request brought: the status and the body; or an error's name (`refused`, `timeout`)."""

    status: int = 0
    body: str = ""
    error: str = ""


class World:
    """A cluster as checks see it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._status = ask("/netproxy/status", {})

    def ask(self, path: str, query: dict[str, str] | None = None) -> Any:
        """Ask the agent."""
        return self._ask(path, query or {})

    def namespace_of(self, machine: str) -> str:
        """The network namespace of a Pod, a node or the client."""
        found: str = self._ask("/netproxy/entry", {"target": machine})["namespace"]
        return found

    def resolve(self, machine: str, name: str, kind: str = "A") -> tuple[int, list[str]]:
        """Ask the cluster's name server from a machine: (rcode, values sorted)."""
        server = self._status["dns"]["addresses"][0]
        with self.socket(machine, socket.SOCK_DGRAM, server) as sock:
            sock.connect((server, 53))
            sock.send(wire.query(name.rstrip("."), kind, 4711))
            record = DNSRecord.parse(sock.recv(4096))
        wanted = getattr(QTYPE, kind)
        return int(record.header.rcode), sorted(
            str(rr.rdata).removesuffix(".") for rr in record.rr if rr.rtype == wanted
        )

    def connect(self, machine: str, host: str, port: int) -> socket.socket:
        """A TCP connection from a machine; names are asked of the cluster's name server. Raises OSError."""
        address = self._pod_address(host) if host.startswith("pod/") else host
        host = address
        if not host.replace(".", "").isdigit() and ":" not in host:
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
        found: str = self._ask(f"/api/v1/namespaces/default/pods/{pod.partition('/')[2]}", {})["status"]["podIP"]
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
        return Reply(int(head.split(b" ", 2)[1]), body.decode(errors="replace"))

    def socket(self, machine: str, kind: int, address: str) -> socket.socket:
        """A socket in a machine's namespace, for addresses of this one's family."""
        with netns.visiting(self.namespace_of(machine)):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        sock.settimeout(2)
        return sock
