"""A node between Pods and the outside, for one packet at a time: where does it come out?

Three namespaces: the node, one in which every Pod address answers, one in which the whole outside does.
"""

import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from netproxy.linux import netns
from support.packets import Packet, build, ping, read

WAIT_S = 0.6 if "NETPROXY_VM" in os.environ else 0.12  # emulation is slow
ATTEMPTS = 60


@dataclass(frozen=True)
class Ending:
    """RESULT as in flows.yaml; where it went, and whether its source had been rewritten."""

    result: str
    endpoint: str = ""
    masq: bool = False


def _ip(namespace: str, *commands: str) -> None:
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(commands), text=True, check=True)


class FlowLab:
    """Sends packets and watches all ends."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self.node, self.pods, self.outside = name, f"{name}-pods", f"{name}-out"
        self._watchers: dict[str, socket.socket] = {}
        try:
            self._wire(addresses)
        except BaseException:
            self.close()
            raise

    def _wire(self, addresses: list[str]) -> None:
        for namespace in (self.pods, self.outside):
            with netns.visiting():
                netns.create(namespace)
        _ip(self.node, "link set lo up", f"link add pods type veth peer name eth0 netns {self.pods}",
            f"link add out type veth peer name eth0 netns {self.outside}")  # fmt: skip
        for namespace, link in ((self.pods, "eth0"), (self.outside, "eth0"), (self.node, "pods"), (self.node, "out")):
            _ip(
                namespace, "link set lo up", f"link set {link} up arp off", f"link set {link} address 02:00:00:00:00:01"
            )
        for namespace in (self.node, self.pods, self.outside):
            with netns.visiting(namespace):
                netns.write_sysctls([
                    ("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1"), ("net/ipv4/conf/all/rp_filter", "0"),
                    ("net/ipv4/conf/all/accept_local", "1"), ("net/ipv4/icmp_ratelimit", "0"), ("net/ipv6/icmp/ratelimit", "0"),
                ])  # fmt: skip
        extra = ["addr add 169.254.7.1/32 dev pods", "addr add 169.254.8.1/32 dev out",
                 "addr add fd77::1/128 dev pods nodad",
                 "addr add fd88::1/128 dev out nodad"]  # fmt: skip
        own = [f"addr add {a.partition('/')[0]} dev out" + (" nodad" if ":" in a else "") for a in addresses]
        _ip(self.node, *own, *extra, "route add 10.244.0.0/16 dev pods", "route add default dev out",
            "route add fd00:244::/64 dev pods", "route add fd00:10:244::/56 dev pods", "route add ::/0 dev out")  # fmt: skip
        for namespace in (self.pods, self.outside):
            _ip(namespace, "route add default dev eth0", "route add ::/0 dev eth0")
            with netns.visiting(namespace):
                netns.write_sysctls([("net/ipv4/ip_forward", "0"), ("net/ipv6/conf/all/forwarding", "0")])
        self._watchers = {
            where: self._watch(namespace, link)
            for where, namespace, link in (
                ("pods", self.pods, "eth0"),
                ("out", self.outside, "eth0"),
                ("node", self.node, "lo"),
            )
        }
        self._port = 20000

    @staticmethod
    def _watch(namespace: str, link: str) -> socket.socket:
        with netns.visiting(namespace):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        sock.bind((link, 3))
        sock.setblocking(False)
        return sock

    def close(self) -> None:
        for sock in self._watchers.values():
            sock.close()
        for namespace in (self.pods, self.outside):
            netns.delete(namespace)

    def send(self, flow: dict, *, again: bool = False) -> Ending:
        """Send one packet of the flow from a new port (AGAIN: the one before) and see how it ends."""
        self._port += not again
        for sock in self._watchers.values():
            while select.select([sock], [], [], 0)[0]:
                sock.recv(2048)
        where = {"pod": self.pods, "external": self.outside}.get(flow["from_kind"], self.node)
        if flow["proto"] == "ICMP":
            data = ping(flow["from"], flow["to"], self._port)
        else:
            data = build(flow["proto"], flow["from"], flow["to"], self._port, flow["port"])
        family = socket.AF_INET6 if ":" in flow["to"] else socket.AF_INET
        with netns.visiting(where):
            raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with raw:
            if family == socket.AF_INET6:
                raw.setsockopt(socket.IPPROTO_IPV6, 36, 1)
            try:
                raw.sendto(data, (flow["to"], 0))
            except PermissionError:
                return Ending("drop" if flow["proto"] != "TCP" or not self._told(flow) else "reject")
            except ConnectionRefusedError:
                return Ending("reject")
        return self._outcome(flow)

    def _told(self, flow: dict) -> bool:
        return any(p.kind == "ICMP" for _, p in self._seen(WAIT_S))

    def _seen(self, limit_s: float) -> Iterator[tuple[str, Packet]]:
        deadline = time.monotonic() + limit_s
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(list(self._watchers.values()), [], [], left)
            for where, sock in self._watchers.items():
                if sock in ready:
                    data, (_, _, kind, _, _) = sock.recvfrom(2048)
                    if kind != socket.PACKET_OUTGOING or where == "node":
                        packet = read(data)
                        if packet:
                            yield where, packet

    def _answer(self, flow: dict, where: str, packet: Packet) -> Ending | None:
        """A server's answer, or what becomes of a ping."""
        if packet.kind == "ECHO" and where == "out" and packet.destination == flow["to"]:
            return Ending("pass")
        if packet.kind == "PONG" and packet.source == flow["to"] and where != "node":
            return Ending("local")
        if packet.kind == "SYNACK" and (packet.source, packet.port) == (flow["to"], self._port):
            return Ending("answered")
        return None

    def _outcome(self, flow: dict) -> Ending:
        for where, packet in self._seen(WAIT_S):
            if packet.kind == "ICMP":
                return Ending("reject")
            if packet.kind == "RST":
                if packet.source == flow["to"] and packet.port == self._port:
                    return Ending("local")
                continue
            if packet.kind in ("SYNACK", "PONG", "ECHO"):
                answer = self._answer(flow, where, packet)
                if answer:
                    return answer
                continue
            mine = packet.source_port == self._port or packet.kind == flow["proto"]
            if not mine or packet.kind != flow["proto"]:
                continue
            same = (packet.destination, packet.port) == (flow["to"], flow["port"])
            if where == "node":
                continue  # on its way through lo: what becomes of it is still to come
            if same and where == "out":
                return Ending("pass", masq=packet.source != flow["from"])
            target = (
                f"[{packet.destination}]:{packet.port}"
                if ":" in packet.destination
                else f"{packet.destination}:{packet.port}"
            )
            return Ending("pass" if same else "accept", "" if same else target, packet.source != flow["from"])
        return Ending("drop")


@contextmanager
def flow_lab(name: str, addresses: list[str]) -> Iterator[FlowLab]:
    lab = FlowLab(name, addresses)
    try:
        yield lab
    finally:
        lab.close()


def explain_difference(lab: FlowLab, flow: dict, expect: dict) -> str:
    """Send packets until everything expected was seen; what is wrong, or an empty text.

    Where EXPECT says nothing of masquerading, it is not looked at.
    """
    wanted = set(expect["endpoints"])
    hairpins = expect.get("masq_when_endpoint") or []
    seen: set[str] = set()
    for _ in range(ATTEMPTS if len(wanted) > 1 else 1):
        end = lab.send(flow)
        result = "pass" if end.result == "local" and expect["result"] == "pass" else end.result
        if result != expect["result"]:
            return f"{flow['id']}: {end}, expected {expect}"
        if result == "accept":
            masq = end.endpoint in hairpins or expect.get("masq", end.masq)
            if end.endpoint not in wanted or end.masq is not masq:
                return f"{flow['id']}: {end}, expected {expect}"
            seen.add(end.endpoint)
            if seen == wanted:
                break
    return "" if seen == wanted else f"{flow['id']}: only {sorted(seen)} of {sorted(wanted)} were chosen"
