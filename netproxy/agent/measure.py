"""How many new connections a second come through a Service, in each mode, however many other Services there are."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.command import run
from netproxy.linux.host import KernelHost
from netproxy.nodeproxy.modes import make_mode, missing_for
from netproxy.objects.meta import Object
from netproxy.proxy.config import IPVS_SYSCTLS, node_view
from netproxy.proxy.model import Endpoint, ServicePort, Snapshot

WAYS = {
    "iptables-legacy": ("iptables", "legacy", "kube-proxy"),
    "iptables-nft": ("iptables", "nft", "kube-proxy"),
    "ipvs": ("ipvs", "nft", "kube-proxy"),
    "nftables": ("nftables", "nft", "kube-proxy"),
    "nftables-flat": ("nftables", "nft", "flat"),
    "userspace": ("userspace", "nft", "kube-proxy"),
}
"""What is measured: mode, back end of iptables, layout of nftables."""

SIZES = (10, 1000, 10000)
VIP, PORT = "10.200.0.1", 80
_SERVER = """
import socket, struct, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("10.201.1.2", 8080)); s.listen(4096)
print("ready", flush=True)
while True:
    s.accept()[0].close()
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """New connections per second in one way with so many Services; SERVICES is 0 for no Service at all, direct."""

    way: str
    services: int
    per_s: float


def measure(ways: tuple[str, ...], sizes: tuple[int, ...], *, duration_s: float = 1.5) -> Iterator[Figure]:
    """Figures, `direct` first. Ways that this host cannot do are left out. Raises KernelError."""
    with _wires() as (client, node):
        yield Figure("direct", 0, _rate(client, "10.201.1.2", 8080, duration_s))
    for way in ways:
        if missing_for(WAYS[way][0]):
            continue
        for size in sizes:
            with _wires() as (client, node), _serving(node, way, size):
                yield Figure(way, size, _rate(client, VIP, PORT, duration_s))


@contextmanager
def _wires() -> Iterator[tuple[str, str]]:
    """A client and a Pod with a server, and a node between them; their namespaces go again."""
    base = f"npbench-{uuid.uuid4().hex[:6]}"
    client, node, pod = (f"{base}-{name}" for name in ("client", "node", "pod"))
    netns.prepare()
    with ExitStack() as stack:
        for name in (client, node, pod):
            with netns.visiting():
                netns.create(name)
            stack.callback(netns.delete, name)
        _ip(node, f"link add c type veth peer name eth0 netns {client}", f"link add p type veth peer name eth0 netns {pod}",
            "addr add 10.201.0.1/24 dev c", "addr add 10.201.1.1/24 dev p", "link set c up", "link set p up",
            "link set lo up")  # fmt: skip
        for name, net in ((client, "10.201.0"), (pod, "10.201.1")):
            _ip(
                name,
                "link set lo up",
                "link set eth0 up",
                f"addr add {net}.2/24 dev eth0",
                f"route add default via {net}.1",
            )
        with netns.visiting(node):
            netns.write_sysctls([("net/ipv4/ip_forward", "1")])
        with netns.visiting(client):
            netns.write_sysctls([("net/ipv4/ip_local_port_range", "1024 65535")])
        with netns.visiting(pod):
            server = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE)
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout is not None
        stack.callback(server.stdout.close)
        server.stdout.readline()
        yield client, node


def _ip(namespace: str, *commands: str) -> None:
    run(["ip", "-batch", "-"], stdin=[f"{command}\n" for command in commands], namespace=namespace)


@contextmanager
def _serving(namespace: str, way: str, size: int) -> Iterator[None]:
    mode, flavour, layout = WAYS[way]
    config = {"clusterCIDR": "10.201.0.0/16"}
    status = {"addresses": [{"type": "InternalIP", "address": "10.201.1.1"}]}
    node: Object = {"kind": "Node", "metadata": {"name": "node"}, "status": status}
    view = node_view(node, config, Family.IPV4, mode=mode)
    host = KernelHost(namespace, Family.IPV4, flavour=flavour, lock_file=f"/tmp/{namespace}.lock", is_new=True)
    proxy = make_mode(mode, view, host, layout=layout)
    if mode == "ipvs":
        with netns.visiting(namespace):
            netns.write_sysctls([(path, "1") for path in IPVS_SYSCTLS])
    try:
        proxy.sync(Snapshot(tuple(_services(size))), check=False)
        yield
    finally:
        proxy.close()
        host.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/tmp/{namespace}.lock")


def _services(size: int) -> Iterator[ServicePort]:
    """SIZE Services with three endpoints each; the last one in every list of rules is the one that is called."""
    for n in range(size - 1):
        ends = tuple(Endpoint(f"10.{202 + (n >> 14)}.{n >> 6 & 255}.{(n & 63) * 4 + at}", 8080) for at in range(3))
        yield ServicePort(
            "a",
            f"s{n:05d}",
            "",
            "tcp",
            f"10.200.{n >> 8 & 63}.{n & 255}" if n else "10.200.64.1",
            81 + n % 7,
            endpoints=ends,
        )
    yield ServicePort("z", "called", "", "tcp", VIP, PORT, endpoints=(Endpoint("10.201.1.2", 8080),))


def _rate(namespace: str, address: str, port: int, duration_s: float) -> float:
    """Connect and reset as fast as one thread can, for a while."""
    reset = struct.pack("ii", 1, 0)
    with netns.visiting(namespace):
        _connect(address, port, reset)  # the first one warms up: routes, neighbours, conntrack
        begun = time.perf_counter()
        count = 0
        while (spent := time.perf_counter() - begun) < duration_s:
            for _ in range(50):
                _connect(address, port, reset)
            count += 50
    return count / spent


def _connect(address: str, port: int, reset: bytes) -> None:
    with socket.socket() as conn:
        conn.settimeout(5)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        conn.connect((address, port))
