"""The API alone over HTTPS, as a client sees it: the start, writes, a large table, many watchers, memory."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import selectors
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

from bench.cluster import REPO
from bench.load import pod
from bench.table import Row
from netproxy.objects.document import documents

PODS = 10_000
CREATES = 3_000
WATCHERS, CHANGES = 100, 1_000
PATH = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
CHANGED = b'"type":"ADDED"'
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PATIENCE_S = 60.0


class Server:
    """`netproxy up --api-only` in a folder of its own."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._run("up", "--api-only")
        (config,) = documents(Path(self._run("kubeconfig").strip()).read_bytes(), "kubeconfig")
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._host, port = cluster["server"].removeprefix("https://").rsplit(":", 1)
        self._port = int(port)
        self._tls = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
            pair.flush()
            self._tls.load_cert_chain(pair.name)

    def _run(self, *args: str) -> str:
        argv = [sys.executable, "-m", "netproxy", *args]
        return subprocess.run(argv, env=self._env, cwd=REPO, check=True, capture_output=True, text=True).stdout

    def connect(self) -> http.client.HTTPSConnection:
        """A connection as the administrator."""
        connection = http.client.HTTPSConnection(self._host, self._port, context=self._tls, timeout=PATIENCE_S)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def stat(self) -> tuple[float, float]:
        """Processor seconds and MB of the server's process."""
        name = self._env["NETPROXY_CLUSTER"]
        found = subprocess.run(
            ["pgrep", "-f", f"netproxy.agent.main {name}"], check=True, capture_output=True, text=True
        )
        folder = Path("/proc") / found.stdout.split()[0]
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        used = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("VmRSS"))
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(used.split()[1]) / 1024

    def down(self) -> None:
        """End it."""
        self._run("down")


def ask(connection: http.client.HTTPSConnection, method: str, path: str, body: Any = None, accept: str = "") -> bytes:
    """The body of an answer that is no refusal."""
    headers = {"Content-Type": "application/json", **({"Accept": accept} if accept else {})}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 400:
        raise SystemExit(text.decode())
    return text


@contextmanager
def _served() -> Iterator[Server]:
    state = tempfile.mkdtemp(prefix="npb-")
    server = Server({**os.environ, "NETPROXY_STATE": state, "NETPROXY_CLUSTER": "npbench"})
    try:
        yield server
    finally:
        server.down()
        shutil.rmtree(state, ignore_errors=True)


def start() -> list[Row]:
    """From the command to the first answer over HTTPS."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        with _served() as server:
            with closing(server.connect()) as connection:
                ask(connection, "GET", "/api/v1/namespaces")
            times.append(time.perf_counter() - begun)
    return [Row("up --api-only: command to first answer", median(times), 0, "s", "< 0.5 s")]


def api() -> list[Row]:
    """Creates by one client, a table of 10,000 Pods, 100 watchers of 1,000 changes, and what it all weighs."""
    with _served() as server:
        connection = server.connect()
        begun = time.perf_counter()
        for n in range(CREATES):
            ask(connection, "POST", PATH, pod(n))
        rate = CREATES / (time.perf_counter() - begun)
        for n in range(CREATES, PODS):
            ask(connection, "POST", PATH, pod(n))
        _, memory = server.stat()
        before, _ = server.stat()
        size = 0
        for _ in range(3):
            size = len(ask(connection, "GET", PATH, accept=TABLE))
        table = (server.stat()[0] - before) / 3
        changes, lost = _fanned_out(server, connection)
    return [
        Row("creates by one client over HTTPS", rate, 0, "a second", "≥ 1,000"),
        Row(f"{PODS:,} Pods as a Table ({size / 1e6:.0f} MB): processor time of the server", table, 0, "s", "< 0.3 s"),
        Row(f"memory with {PODS:,} Pods", memory, 0, "MB", "< 200 MB"),
        Row(f"changes told to each of {WATCHERS} watchers ({lost} lost)", changes, 0, "a second", "≥ 1,000"),
    ]


def _fanned_out(server: Server, connection: http.client.HTTPSConnection) -> tuple[float, int]:
    """How many changes a second reached all watchers, and how many did not reach one; they are a process of their own."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    watching = fork.Process(target=_watch, args=(server, there))
    watching.start()
    here.recv()
    begun = time.perf_counter()
    for n in range(CHANGES):
        ask(connection, "POST", MAPS, {"metadata": {"name": f"seen-{n}"}, "data": {"n": str(n)}})
    told: list[int] = here.recv()
    took = time.perf_counter() - begun
    watching.join()
    return CHANGES / took, sum(CHANGES - count for count in told)


def _watch(server: Server, told: Connection) -> None:
    """Begin all watches, say so, and then how many changes each has seen."""
    counts = [0] * WATCHERS
    ends = [b""] * WATCHERS
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        for at in range(WATCHERS):
            sock = stack.enter_context(closing(server.connect())).sock
            sock.sendall(f"GET {MAPS}?watch=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            sock.recv(1)  # it is answered: the watch is on
            sock.setblocking(False)
            ready.register(sock, selectors.EVENT_READ, at)
        told.send(None)
        end = time.monotonic() + PATIENCE_S
        while min(counts) < CHANGES and time.monotonic() < end:
            for key, _ in ready.select(0.1):
                data = ends[key.data] + b"".join(_all(key.fileobj))
                counts[key.data] += data.count(CHANGED)
                ends[key.data] = data[1 - len(CHANGED) :]
        told.send(counts)


def _all(sock: Any) -> Iterator[bytes]:
    """What there is to read now."""
    with suppress(ssl.SSLWantReadError):
        while data := sock.recv(1 << 18):
            yield data
