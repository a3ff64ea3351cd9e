"""One node's share of a large cluster: `netproxy proxy` against an API of its own, in namespaces of their own.

`python -m bench scale` takes some fifteen minutes, so it runs by its name only. Smaller ones, one mode or more:
`python -m bench.scale --services 1000 --endpoints 25 --quiet-s 5 flat iptables`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

from netproxy.linux import netns
from netproxy.linux.command import run
from netproxy.linux.nftables import Generations

REPO = Path(__file__).parents[1]
WAYS = {
    "nftables": ("--proxy-mode", "nftables"),
    "flat": ("--proxy-mode", "nftables", "--nftables-layout", "flat"),
    "iptables": ("--proxy-mode", "iptables", "--iptables", "nft"),
}
API, NODE = "192.0.2.1", "192.0.2.2"
SINGLE, ALL = 15, 1000
"""So many changes are timed one by one, and so many are made in all."""
PER_SECOND = 50
SINGLE_S = 60
"""Where one takes long, fewer are timed."""
APART_S = 1.5
"""Longer than `minSyncPeriod`, which is a second: changes that come sooner after a pass wait for its end."""
LOADED = 'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"}'
PASS_S = 'kubeproxy_sync_proxy_rules_duration_seconds_sum{ip_family="IPv4"}'
PASSES = 'kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}'
HEARD = "kubeproxy_sync_proxy_rules_endpoint_changes_total"
PENDING = "kubeproxy_sync_proxy_rules_endpoint_changes_pending"
TICKS = os.sysconf("SC_CLK_TCK")
MB = 1 << 20


class Rig:
    """A namespace with the API, a namespace that is the node, a link between them."""

    def __init__(self, stack: ExitStack, services: int, endpoints: int) -> None:
        mark = uuid.uuid4().hex[:6]
        self.api, self.node = f"npbench-a{mark}", f"npbench-n{mark}"
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="npb-")))
        netns.prepare()
        for name in (self.api, self.node):
            with netns.visiting():
                netns.create(name)
            stack.callback(netns.delete, name)
        run(["ip", "-n", self.api, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", self.node])
        for name, address in ((self.api, API), (self.node, NODE)):
            commands = [f"addr add {address}/24 dev v0\n", "link set v0 up\n", "link set lo up\n"]
            run(["ip", "-n", name, "-batch", "-"], stdin=commands)
        argv = [sys.executable, "-m", "bench.scale_api", str(self.folder), API, str(services), str(endpoints)]
        with netns.visiting(self.api):
            self._server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO)
        stack.callback(_ended, self._server)
        self._said()

    def _said(self) -> Any:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            sys.exit("the API has ended")
        return json.loads(line)

    def tell(self, line: str) -> Any:
        """Let the API do something; its answer."""
        assert self._server.stdin is not None
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        return self._said()

    def start(self, way: str) -> subprocess.Popen[bytes]:
        """The proxy."""
        argv = [sys.executable, "-m", "netproxy", "proxy", "--kubeconfig", str(self.folder / "kubeconfig"),
                "--node-name", "node1", "--cluster-cidr", "10.160.0.0/12", *WAYS[way]]  # fmt: skip
        with netns.visiting(self.node), (self.folder / "proxy.log").open("wb") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, cwd=REPO)

    def metrics(self) -> dict[str, float]:
        """What the proxy tells of itself; nothing before it does."""
        conn = HTTPConnection("127.0.0.1", 10249, timeout=60)
        with contextlib.closing(conn), contextlib.suppress(OSError):
            with netns.visiting(self.node):
                conn.connect()
            conn.request("GET", "/metrics")
            text = conn.getresponse().read().decode()
            return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}
        return {}

    def bytes_to_node(self) -> int:
        """What the API's side of the link has sent."""
        shown = json.loads(run(["ip", "-n", self.api, "-s", "-j", "link", "show", "v0"]))
        return int(shown[0]["stats64"]["tx"]["bytes"])

    def connections(self) -> int:
        """TCP connections between the two now."""
        return len(run(["ss", "-Htn", "state", "established"], namespace=self.node).splitlines())

    def connections_ever(self) -> int:
        """TCP connections that the API has accepted so far."""
        lines = [
            line.split()
            for line in run(["cat", "/proc/net/snmp"], namespace=self.api).splitlines()
            if line[:4] == "Tcp:"
        ]
        return int(dict(zip(*lines, strict=True))["PassiveOpens"])


def _ended(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait()


class Watched:
    """A process and its children, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.children_kb = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            with contextlib.suppress(OSError):
                found = [
                    c
                    for task in Path(f"/proc/{self.pid}/task").iterdir()
                    for c in (task / "children").read_text().split()
                ]
                self.children_kb = max(self.children_kb, sum(memory_kb(int(child), "VmHWM") for child in found))

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def cpu_s(self) -> tuple[float, float]:
        """Seconds of processor time: its own, and that of its ended children."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        own, user, system = int(fields[11]) + int(fields[12]), int(fields[13]), int(fields[14])
        return own / TICKS, (user + system) / TICKS

    def memory_mb(self, word: str = "VmRSS") -> float:
        """What is resident now, or was at most (VmHWM)."""
        return memory_kb(self.pid, word) / 1024


def memory_kb(pid: int, word: str) -> int:
    """A size from a process's status; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/status").read_text().partition(f"{word}:")[2].split()[0])
    except (OSError, IndexError):
        return 0


def measure(rig: Rig, way: str, quiet_s: float) -> Iterator[tuple[str, str]]:
    """Figures of one mode: what, how much."""
    rig.tell("asked")
    sent, opened, began_at = rig.bytes_to_node(), rig.connections_ever(), time.time()
    process = rig.start(way)
    watched = Watched(process.pid)
    try:
        yield from _load(rig, process, began_at)
        own, children = watched.cpu_s()
        yield "CPU until then: process, programs that it ran", f"{own:.1f} s + {children:.1f} s"
        yield (
            "memory at most: process, programs that it ran",
            f"{watched.memory_mb('VmHWM'):.0f} MB, {watched.children_kb / 1024:.0f} MB",
        )
        asked = rig.tell("asked")
        yield "requests until then", f"{len(asked)} ({', '.join(sorted(one.rpartition('/')[2] for one in asked))})"
        yield "bytes from the API until then", f"{(rig.bytes_to_node() - sent) / MB:.0f} MB"
        yield "TCP connections: opened, open", f"{rig.connections_ever() - opened}, {rig.connections()}"
        yield from _quiet(rig, watched, quiet_s)
        yield from _changes(rig, watched)
    finally:
        watched.close()
        _ended(process)
        run(["nft", "flush", "ruleset"], namespace=rig.node)


def _load(rig: Rig, process: subprocess.Popen[bytes], began_at: float) -> Iterator[tuple[str, str]]:
    while not (found := rig.metrics()).get(LOADED):
        if process.poll() is not None:
            sys.exit((rig.folder / "proxy.log").read_text())
        time.sleep(0.2)
    yield "from the start of the process to all rules in the kernel", f"{found[LOADED] - began_at:.1f} s"
    yield "of it the first pass: rules made and loaded", f"{found[PASS_S]:.1f} s"


def _quiet(rig: Rig, watched: Watched, quiet_s: float) -> Iterator[tuple[str, str]]:
    time.sleep(5)
    rig.tell("asked")
    sent, cpu, passes = rig.bytes_to_node(), sum(watched.cpu_s()), rig.metrics()[PASSES]
    time.sleep(quiet_s)
    yield "memory settled", f"{watched.memory_mb():.0f} MB"
    yield "a quiet minute: requests", str(len(rig.tell("asked")))
    yield "a quiet minute: bytes from the API", f"{(rig.bytes_to_node() - sent) / 1024:.1f} KB"
    checks = rig.metrics()[PASSES] - passes
    yield "a quiet minute: CPU, in so many looks at the kernel", f"{sum(watched.cpu_s()) - cpu:.2f} s, {checks:.0f}"


def _changes(rig: Rig, watched: Watched) -> Iterator[tuple[str, str]]:
    times: list[float] = []
    eye = Generations(rig.node).writer()
    over = time.monotonic() + SINGLE_S
    while len(times) < SINGLE and (len(times) < 2 or time.monotonic() < over):
        n = len(times) + 1
        before = eye.strangers()
        made = rig.tell(f"change {n * 7}")
        while eye.strangers() == before:
            time.sleep(0.0005)
        times.append(time.monotonic() - made)
        time.sleep(APART_S)
    eye.close()
    yield (
        "one endpoint changes: until it is in the kernel (median, worst)",
        f"{median(times) * 1000:.0f} ms, {max(times) * 1000:.0f} ms of {len(times)}",
    )
    cpu = sum(watched.cpu_s())
    began = time.monotonic()
    sent = rig.bytes_to_node()
    heard = rig.metrics()[HEARD]
    rig.tell(f"burst {200} {ALL - len(times)} {PER_SECOND}")
    while (found := rig.metrics()).get(PENDING) or found[HEARD] - heard < ALL - len(times):
        time.sleep(1)
    yield (
        f"the others of {ALL:,}, {PER_SECOND} a second: until the last is in the kernel",
        f"{time.monotonic() - began:.1f} s",
    )
    yield "CPU for them", f"{sum(watched.cpu_s()) - cpu:.1f} s"
    yield "bytes from the API for each", f"{(rig.bytes_to_node() - sent) / (ALL - len(times)) / 1024:.1f} KB"
    time.sleep(5)
    yield "memory afterwards", f"{watched.memory_mb():.0f} MB"


def main(argv: list[str]) -> None:
    """Measure the modes and print one table."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--services", type=int, default=10000)
    parser.add_argument("--endpoints", type=int, default=25, help="of each Service")
    parser.add_argument("--quiet-s", type=float, default=60)
    parser.add_argument("ways", nargs="*", metavar="|".join(WAYS))
    given = parser.parse_args(argv)
    ways = given.ways or list(WAYS)
    rows: dict[str, list[str]] = {}
    with ExitStack() as stack:
        rig = Rig(stack, given.services, given.endpoints)
        for way in ways:
            for what, value in measure(rig, way, given.quiet_s):
                print(f"{way}: {what}: {value}", file=sys.stderr, flush=True)
                rows.setdefault(what, []).append(value)
    print(f"| {given.services:,} Services × {given.endpoints} | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    for what, values in rows.items():
        print(f"| {what} | {' | '.join(values)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
