"""flows.yaml: real packets from the machines of a cluster, and whether they end as the file says (docs/flows.md)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netproxy.core.errors import KernelError, ManifestError, Problem
from netproxy.core.net import Family, is_address, join_host_port
from netproxy.labkit.world import World
from netproxy.linux.conntrack import ConntrackKernel
from netproxy.linux.files import limited_bytes
from netproxy.objects.document import document
from netproxy.objects.kinds import SERVICES
from netproxy.objects.limits import MOST_BYTES
from netproxy.objects.meta import Object
from netproxy.objects.proxyconfig import PROXY_MODES

RESULTS = ("accept", "reject", "drop", "pass")
WAIT_S = 1.0
ATTEMPTS = 60
_IP_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


@dataclass(frozen=True, slots=True)
class Expect:
    """How a flow ends; what is None is not looked at."""

    result: str
    endpoints: tuple[str, ...] | None = None
    masquerade: bool | None = None


@dataclass(frozen=True, slots=True)
class FlowCheck:
    """One flow of the file."""

    name: str
    source: str
    destination: str
    port: int
    protocol: str
    expect: Expect
    by_mode: tuple[tuple[str, Expect], ...] = ()

    def expected(self, mode: str) -> Expect:
        """What holds in a mode."""
        return dict(self.by_mode).get(mode, self.expect)


@dataclass(frozen=True, slots=True)
class Seen:
    """How one packet ended."""

    result: str
    endpoint: str = ""
    masquerade: bool = False

    def __str__(self) -> str:
        if self.result != "accept":
            return self.result
        return f"accept by {self.endpoint}{', source rewritten' if self.masquerade else ''}"


def load_flows(file: Path) -> list[FlowCheck]:
    """Read a file. Raises ManifestError with everything that is wrong in it."""
    try:
        value = document(limited_bytes(file, MOST_BYTES), str(file))
    except OSError as error:
        raise ManifestError([Problem("", str(error), source=str(file))]) from error
    items = (value or {}).get("flows") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise ManifestError([Problem("flows", "Required value: a list of flows", source=str(file))])
    found: list[FlowCheck] = []
    problems: list[Problem] = []
    for index, item in enumerate(items):
        wrong = list(_wrong(item))
        problems += [Problem(f"flows[{index}].{path}".rstrip("."), text, source=str(file)) for path, text in wrong]
        if not wrong:
            found.append(_flow(item, index))
    if problems:
        raise ManifestError(problems)
    return found


def _wrong(item: Any) -> list[tuple[str, str]]:
    if not isinstance(item, dict):
        return [("", "must be an object with from, to, port, proto, expect")]
    found = [(field, "Required value") for field in ("from", "to", "port", "expect") if item.get(field) in (None, "")]
    if str(item.get("proto", "TCP")).upper() not in ("TCP", "UDP"):
        found.append(("proto", f'Unsupported value: "{item.get("proto")}": supported values: "TCP", "UDP"'))
    port = item.get("port")
    if port is not None and not (type(port) is int and 0 < port < 65536):
        found.append(("port", f"Invalid value: {port}: must be between 1 and 65535"))
    modes = {} if item.get("by_mode") is None else item["by_mode"]
    if not isinstance(modes, dict):
        return [*found, ("by_mode", "must be an object: a mode, and what is expected in it")]
    for mode in modes:
        if mode not in PROXY_MODES:
            found.append((f"by_mode.{mode}", _unsupported(mode, PROXY_MODES)))
    expects = {"expect": item.get("expect"), **{f"by_mode.{mode}": value for mode, value in modes.items()}}
    for path, expect in expects.items():
        if expect is not None or path != "expect":
            found += _wrong_end(path, expect)
    return found


def _wrong_end(path: str, expect: Any) -> list[tuple[str, str]]:
    if not isinstance(expect, dict):
        return [(path, "must be an object with result, and perhaps endpoints and masq")]
    found = []
    if expect.get("result") not in RESULTS:
        found.append((f"{path}.result", _unsupported(expect.get("result"), RESULTS)))
    endpoints = expect.get("endpoints", [])
    if not isinstance(endpoints, list) or not all(isinstance(endpoint, str) for endpoint in endpoints):
        found.append((f"{path}.endpoints", "must be a list of ADDRESS:PORT"))
    if not isinstance(expect.get("masq"), bool | None):
        found.append((f"{path}.masq", "must be true or false"))
    return found


def _unsupported(value: object, known: Sequence[str]) -> str:
    return f'Unsupported value: "{value}": supported values: {", ".join(f"{word!r}" for word in known)}'.replace(
        "'", '"'
    )


def _flow(item: Mapping[str, Any], index: int) -> FlowCheck:
    modes = tuple((mode, _expect(value)) for mode, value in (item.get("by_mode") or {}).items())
    return FlowCheck(
        str(item.get("id") or index), str(item["from"]), str(item["to"]), item["port"],
        str(item.get("proto", "TCP")).lower(), _expect(item["expect"]), modes,
    )  # fmt: skip


def _expect(value: Mapping[str, Any]) -> Expect:
    endpoints = tuple(value["endpoints"]) if "endpoints" in value else None
    return Expect(value["result"], endpoints, value.get("masq"))


class Sender:
    """Sends packets from the machines of a cluster and asks conntrack of all nodes what became of them."""

    def __init__(self, world: World, pods: Sequence[Object]) -> None:
        self._world = world
        self._nodes = [node.namespace for node in world.status.nodes]
        self._machines = {address: node.name for node in world.status.nodes for address in node.addresses}
        self._machines |= dict.fromkeys(world.status.client.addresses, "client")
        for pod in pods:
            for item in (pod.get("status") or {}).get("podIPs") or ():
                self._machines[item["ip"]] = f"pod/{pod['metadata']['name']}"

    def check(self, flow: FlowCheck, mode: str) -> str:
        """Send until every expected endpoint was seen; what is wrong, or an empty text."""
        expect = flow.expected(mode)
        wanted = {*(expect.endpoints or ())} if mode != "userspace" else set()
        seen: set[str] = set()
        for _ in range(ATTEMPTS if len(wanted) > 1 else 1):
            end = self.send(flow)
            if not _fits(end, expect, wanted):
                return f"{end}; expected {expect.result}" + (f" by {', '.join(sorted(wanted))}" if wanted else "")
            seen.add(end.endpoint)
            if wanted <= seen:
                return ""
        return "" if wanted <= seen else f"only {', '.join(sorted(seen))} of {', '.join(sorted(wanted))} were chosen"

    def send(self, flow: FlowCheck) -> Seen:
        """One new connection, or one datagram. Raises ManifestError when nobody is FROM."""
        machine = self._machines.get(flow.source, flow.source)
        if is_address(machine):
            known = ", ".join(self._machines)
            raise ManifestError([Problem("from", f'Not found: "{flow.source}": the cluster has {known}')])
        to = flow.destination
        if to.startswith("svc/"):
            to = self._world.object(SERVICES, to[4:])["spec"]["clusterIP"]
        kind = socket.SOCK_STREAM if flow.protocol == "tcp" else socket.SOCK_DGRAM
        with self._world.socket(machine, kind, to) as sock:
            sock.settimeout(WAIT_S)
            sock.setsockopt(*_IP_RECVERR[sock.family], 1)
            told = self._talk(sock, (to, flow.port), flow.protocol)
            source, port = sock.getsockname()[:2]
            entry = self._tracked(flow.protocol, source, port, sock.family)
        if entry and (entry.reply_source, entry.reply_port) != (to, flow.port):
            rewritten = entry.reply_destination != source
            return Seen("accept", join_host_port(entry.reply_source, entry.reply_port), rewritten)
        return Seen(told)

    @staticmethod
    def _talk(sock: socket.socket, to: tuple[str, int], protocol: str) -> str:
        """How it looks from here: reject when an ICMP error came, drop when nothing did, else pass."""
        try:
            sock.connect(to)
            if protocol == "udp":
                sock.send(b"ping")
                sock.recv(2048)
        except TimeoutError:
            return "drop"
        except OSError:
            return "reject" if _by_icmp(sock) else "pass"
        return "pass"

    def _tracked(self, protocol: str, source: str, port: int, family: int) -> Any:
        kind = Family.IPV6 if family == socket.AF_INET6 else Family.IPV4
        for namespace in self._nodes:
            try:
                flows = ConntrackKernel(namespace, kind).flows(protocol)
            except KernelError:
                continue
            for flow in flows:
                if (flow.source, flow.source_port) == (source, port):
                    return flow
        return None


def _fits(end: Seen, expect: Expect, wanted: set[str]) -> bool:
    if end.result != expect.result and (end.result, expect.result) != ("drop", "pass"):
        return False  # what nobody answers and no rule is about looks like a drop from here
    if end.result == "accept" and wanted and end.endpoint not in wanted:
        return False
    return expect.masquerade is None or end.result != "accept" or end.masquerade == expect.masquerade


def _by_icmp(sock: socket.socket) -> bool:
    """Whether the last error came in an ICMP message (and not as a reset)."""
    try:
        _, ancillary, _, _ = sock.recvmsg(1024, 1024, socket.MSG_ERRQUEUE)
    except OSError:
        return False
    return any(len(data) >= 5 and struct.unpack_from("=IB", data)[1] in (2, 3) for _, _, data in ancillary)
