"""Server CPU for one query, under dnsperf; the floor is dnsmasq with the same names in the same run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from bench.table import Row
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.dns import wire
from netproxy.linux import netns
from netproxy.objects.cluster import cluster_spec
from netproxy.registry.registry import Registry
from netproxy.serve import http
from netproxy.store.store import Store

REPO = Path(__file__).parents[1]
NAMES = 1000
SECONDS = 5


class _Clock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def dns() -> list[Row]:
    netns.prepare()
    namespace = f"npbench-{uuid.uuid4().hex[:6]}"
    with netns.visiting():
        netns.create(namespace)
    try:
        subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
        with tempfile.TemporaryDirectory() as folder:
            queries = Path(folder) / "queries"
            queries.write_text("".join(f"s{n}.default.svc.cluster.local A\n" for n in range(NAMES)))
            floor = min(_dnsmasq(namespace, folder, queries) for _ in range(2))
            ours = min(_ours(namespace, folder, queries) for _ in range(2))
    finally:
        netns.delete(namespace)
    return [Row("DNS, A queries for 1,000 names: server CPU a query", ours, floor, "µs", "≤ 1 ×")]


def _dnsmasq(namespace: str, folder: str, queries: Path) -> float:
    config = Path(folder) / "dnsmasq.conf"
    hosts = "".join(f"host-record=s{n}.default.svc.cluster.local,10.96.{n >> 8}.{n & 255}\n" for n in range(NAMES))
    config.write_text(
        f"no-daemon\nno-resolv\nno-hosts\nlisten-address=127.0.0.1\nbind-interfaces\nport=5301\nuser=root\npid-file=\n{hosts}"
    )
    return _measured(namespace, ["dnsmasq", "-C", str(config)], 5301, queries)


def _ours(namespace: str, folder: str, queries: Path) -> float:
    path = Path(folder) / f"api-{uuid.uuid4().hex[:4]}"
    numbers = iter(range(1 << 20))
    store = Store(_Clock(), lambda: f"uid-{next(numbers)}")
    registry = Registry(store, cluster_spec())
    registry.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    for n in range(NAMES):
        registry.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{n}"},
                         "spec": {"clusterIP": f"10.96.{n >> 8}.{(n & 255) or 255}" if n % 256 else f"10.96.{100 + (n >> 8)}.1",
                                  "ports": [{"port": 80}]}})  # fmt: skip
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def nothing(_: Request) -> Response:
        return Response(404, b"")

    serving = http.serve(path, Api(registry, _Clock()), store, _Clock(), nothing)
    runner = asyncio.run_coroutine_threadsafe(serving, loop).result()
    settings = {
        "socket": str(path),
        "domain": "cluster.local",
        "pods": "insecure",
        "cidrs": [],
        "addresses": ["127.0.0.1"],
        "port": 5302,
    }
    try:
        return _measured(
            namespace, [sys.executable, "-m", "netproxy.nameserver.main", json.dumps(settings)], 5302, queries
        )
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)


def _measured(namespace: str, argv: list[str], port: int, queries: Path) -> float:
    """Microseconds of CPU that the server spends on one query."""
    with netns.visiting(namespace):
        server = subprocess.Popen(argv, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(namespace, port)
        client = [
            "ip",
            "netns",
            "exec",
            namespace,
            "dnsperf",
            "-s",
            "127.0.0.1",
            "-p",
            str(port),
            "-d",
            str(queries),
            "-l",
        ]
        subprocess.run([*client, "1"], check=True, capture_output=True)
        before = _cpu_s(server.pid)
        output = subprocess.run([*client, str(SECONDS)], check=True, capture_output=True, text=True).stdout
        spent = _cpu_s(server.pid) - before
        done = int(output.partition("Queries completed:")[2].split()[0])
        assert "NOERROR" in output
        return spent / done * 1e6
    finally:
        server.kill()
        server.wait()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait(namespace: str, port: int) -> None:
    question = wire.query("s7.default.svc.cluster.local", "A", 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with netns.visiting(namespace):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(0.2)
            try:
                sock.connect(("127.0.0.1", port))
                sock.send(question)
                if sock.recv(512)[3] & 15 == 0:
                    return
            except OSError:
                continue
    raise AssertionError("the server does not answer")
