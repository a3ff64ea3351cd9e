"""A cluster that the command line started, and machines around it: nodes that reach its API by cable, servers behind it.

The command runs in a namespace that is the router: 10.77.0.1, where the API is, and a cable to each machine, 10.77.N.0/24.
"""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from netproxy.linux import netns
from netproxy.linux.command import run
from support.build import service_object, slice_object
from support.cluster import Cluster
from support.realnode import Machine

API = "10.77.0.1"


def machine_address(number: int) -> str:
    return f"10.77.{number}.1"


def a_service(name: str, vip: str, *numbers: int) -> list[dict[str, Any]]:
    """A Service without selector, and its endpoints on the machines of these numbers."""
    service = service_object(name, selector=None, clusterIP=vip, clusterIPs=[vip])
    return [service, slice_object(name, tuple(map(machine_address, numbers)))]


class Traffic:
    """From one machine to a Service without a pause: one connection that stays, and new ones, one after the other."""

    def __init__(self, machine: Machine, vip: str) -> None:
        self._machine, self._vip = machine, vip
        self._over = threading.Event()
        self.faults: list[str] = []
        self.kept: list[str] = []
        """What was answered on the connection that stays."""
        self.new: list[str] = []
        """What was answered on the others."""
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._keep, self._renew)]
        for thread in self._threads:
            thread.start()

    def _keep(self) -> None:
        with self._noted("the connection that stays"), self._machine.dial(self._vip) as conn:
            conn.settimeout(5)
            while not self._over.wait(0.05):
                self.kept.append(_answer(conn))

    def _renew(self) -> None:
        while not self._over.wait(0.02):
            with self._noted("a new connection"), self._machine.dial(self._vip) as conn:
                conn.settimeout(5)
                self.new.append(_answer(conn))

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.faults.append(f"{what}: {error}")

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def _answer(conn: socket.socket) -> str:
    conn.sendall(b"?\n")
    said = conn.recv(100).decode()
    if not said.endswith("\n"):
        raise ConnectionResetError(f"it ended after {said!r}")
    return said.strip()


class RealCluster:
    """The router with the cluster, and as many machines as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self.mark = uuid.uuid4().hex[:6]
        netns.prepare()
        self.router = self._namespace("router")
        _ip(self.router, f"addr add {API}/32 dev lo")
        self.cluster = Cluster(prefix=["nsenter", f"--net={netns.path_of(self.router)}"])
        self.stack.callback(self.cluster.close)

    def _namespace(self, name: str) -> str:
        made = f"nptest-{self.mark}-{name}"
        with netns.visiting():
            netns.create(made)
        self.stack.callback(netns.delete, made)
        with netns.visiting(made):
            netns.write_sysctls([("net/ipv4/ip_forward", "1")])
        return made

    def machine(self, number: int) -> Machine:
        """One more, with a cable to the router."""
        namespace = self._namespace(str(number))
        _ip(self.router, f"link add v{number} type veth peer name v0 netns {namespace}", f"link set v{number} up",
            f"addr add 10.77.{number}.254/24 dev v{number}")  # fmt: skip
        _ip(namespace, "link set lo up", f"addr add {machine_address(number)}/24 dev v0", "link set v0 up",
            f"route add default via 10.77.{number}.254")  # fmt: skip
        folder = self.folder / str(number)
        folder.mkdir()
        made = Machine(namespace, folder)
        self.stack.callback(made.close)
        return made

    def traffic(self, machine: Machine, vip: str) -> Traffic:
        """Connections from a machine to a Service, until the end."""
        made = Traffic(machine, vip)
        self.stack.callback(made.end)
        return made

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.folder / "tls" / "kubeconfig"

    def up(self, *objects: dict[str, Any], address: str = "") -> None:
        """Start the cluster, or bring it to what these objects say."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.cluster("up", "-f", "-", *(["--api-address", address] if address else []), stdin=text)

    def close(self) -> None:
        self.stack.close()


def _ip(namespace: str, *commands: str) -> None:
    run(["ip", "-batch", "-"], stdin=[f"{command}\n" for command in commands], namespace=namespace)
