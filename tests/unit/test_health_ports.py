"""Health check node ports: where they listen, and who is told of what."""

import asyncio
from ipaddress import ip_address
from socket import socket

import pytest
from support.fakenode import a_service, a_slice, in_a_loop, running

from netproxy.core.net import Family
from netproxy.linux.fake import FakeHost, FakeKernel
from netproxy.nodeproxy.healthports import HealthPorts
from netproxy.nodeproxy.http import bound
from netproxy.proxy.config import node_view
from netproxy.proxy.health import health_addresses

LOCAL = a_service(
    "web", "10.96.0.10", type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=32000,
)  # fmt: skip
NODE = {
    "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
    "status": {"addresses": [{"type": "InternalIP", "address": ip} for ip in ("192.168.0.2", "10.0.0.2", "fd00::2")]},
}  # fmt: skip
BOTH = ("192.168.0.2", "10.0.0.2")


@pytest.mark.parametrize(
    ("mode", "given", "four", "six"),
    [
        pytest.param("iptables", [], ("0.0.0.0",), ("::",), id="nothing said"),
        pytest.param("iptables", ["10.0.0.0/8"], ("10.0.0.2",), ("::",), id="a range of one family"),
        pytest.param("iptables", ["0.0.0.0/0", "10.0.0.0/8"], ("0.0.0.0",), ("::",), id="all of them"),
        pytest.param("iptables", ["127.0.0.0/8", "10.0.0.0/8"], ("10.0.0.2", "127.0.0.1"), ("::",), id="loopback, too"),
        pytest.param("iptables", ["172.16.0.0/12", "fd01::/16"], (), (), id="none that the node has"),
        pytest.param("iptables", ["primary"], ("192.168.0.2",), ("fd00::2",), id="the primary one"),
        pytest.param("nftables", [], ("192.168.0.2",), ("fd00::2",), id="nftables takes the primary one"),
        pytest.param("ipvs", ["192.168.0.2/32"], ("192.168.0.2",), ("::",), id="one address"),
    ],
)
def test_they_listen_where_node_ports_are(mode: str, given: list[str], four: tuple, six: tuple) -> None:
    own = (*BOTH, "fd00::2")
    for family, wanted in ((Family.IPV4, four), (Family.IPV6, six)):
        view = node_view(NODE, {"nodePortAddresses": given}, family, addresses=own, mode=mode)
        assert health_addresses(view) == wanted


async def answer(at: tuple[str, int]) -> bytes:
    """What is said there, as soon as somebody listens."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(*at)
        except ConnectionRefusedError:
            await asyncio.sleep(0)
            continue
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text = await reader.read()
        writer.close()
        await writer.wait_closed()
        return text


@in_a_loop
async def test_a_port_is_open_at_each_address_that_takes_node_ports() -> None:
    opened: dict[tuple[str, int], socket] = {}

    def noted(address: str, port: int) -> socket:
        assert ip_address(address).version == 4
        return opened.setdefault((address, port), bound("127.0.0.1", 0))

    host = FakeHost(FakeKernel(), Family.IPV4, is_new=True)
    config = {"nodePortAddresses": ["192.168.0.0/16", "127.0.0.0/8"]}
    async with running(LOCAL, a_slice("web", "10.244.0.5"), config=config, host=host) as node:
        ports = HealthPorts(node.proxy, noted)
        task = asyncio.ensure_future(ports.run())
        await node.settled()
        await node.until(lambda: node.report.check_addresses)
        async with asyncio.timeout(20):
            while len(opened) < 2:
                await asyncio.sleep(0)
            answers = [await answer(sock.getsockname()) for sock in opened.values()]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert all(b'"name": "web"' in text for text in answers)
    assert sorted(opened) == [("127.0.0.1", 32000), ("192.168.0.2", 32000)]
