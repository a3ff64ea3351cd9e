"""A node of a real cluster: a namespace with endpoints, an API server over HTTPS beside it, and `netproxy proxy` in it."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from netproxy.linux import netns
from netproxy.linux.command import run
from netproxy.serve.certificates import certificates, kubeconfig_text
from netproxy.serve.tls import server_context
from support.apiserver import ApiServer
from support.build import service_object, slice_object
from support.cluster import REPO, wait_until
from support.etcd import Etcd

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.77.0.1"}]}}  # fmt: skip
VIP, PORT = "10.96.0.10", 80
ENDPOINTS = ("10.77.0.1", "10.77.0.2")


def web(*addresses: str) -> dict[str, Any]:
    return slice_object(addresses=addresses)


class ApiThread:
    """An API server over HTTPS in a namespace, with an event loop of its own: it can be stopped and started again."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace, self.folder = namespace, folder
        self.pairs = certificates(folder / "tls", ["127.0.0.1"], now=time.time())
        self.etcd = Etcd()
        self.server = ApiServer(self.etcd)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.start()

    def do(self, work: Any) -> Any:
        """Run a coroutine, or a plain function, where the server lives."""

        async def whole() -> Any:
            return await work if asyncio.iscoroutine(work) else work()

        future: Future[Any] = asyncio.run_coroutine_threadsafe(whole(), self.loop)
        return future.result(30)

    def start(self) -> None:
        async def start() -> None:
            with netns.visiting(self.namespace):
                await self.server.start(tls=server_context(self.pairs.authority, self.pairs.server))

        self.do(start())

    def stop(self) -> None:
        self.do(self.server.stop())

    def put(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            self.do(lambda obj=obj: self.etcd.put(obj))

    def kubeconfig(self) -> Path:
        file = self.folder / "kubeconfig"
        file.write_text(kubeconfig_text("127.0.0.1", self.server.port, self.pairs.authority, self.pairs.admin))
        return file

    def close(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Machine:
    """A namespace in which `netproxy proxy` may run, and servers that answer with their own address, line by line."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace, self.folder = namespace, folder
        self.stack = ExitStack()

    def serve(self, address: str) -> None:
        """Answer on port 8080 of this address until the end."""
        with netns.visiting(self.namespace):
            listening = socket.create_server((address, 8080))
        self.stack.callback(listening.close)
        self.stack.callback(listening.shutdown, socket.SHUT_RDWR)

        def answer(conn: socket.socket) -> None:
            with conn, conn.makefile("rb") as lines:
                for _ in lines:
                    conn.sendall(address.encode() + b"\n")

        def accept() -> None:
            while True:
                try:
                    conn, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(conn,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    # --- the proxy

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "netproxy", "proxy", *args]

    def run_proxy(self, kubeconfig: Path, node: str, *args: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        """The proxy, with a log of its own, in a session of its own; PATH is looked into first for programs."""
        env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else None
        argv = self.command("--kubeconfig", str(kubeconfig), "--node-name", node, *args)
        with netns.visiting(self.namespace), (self.folder / "proxy.log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=REPO, env=env, start_new_session=True)
        self.stack.callback(self._end, process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self) -> str:
        return (self.folder / "proxy.log").read_text()

    def clean_up(self) -> None:
        with netns.visiting(self.namespace):
            subprocess.run(self.command("--cleanup"), check=True, cwd=REPO)

    # --- what is seen

    def get(self, port: int, path: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of one of the proxy's pages."""
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with netns.visiting(self.namespace):
            conn.connect()
        conn.request("GET", path)
        answer = conn.getresponse()
        body = answer.read().decode()
        conn.close()
        return answer.status, dict(answer.getheaders()), body

    def dial(self, vip: str = VIP) -> socket.socket:
        with netns.visiting(self.namespace):
            return socket.create_connection((vip, PORT), 2)

    def answer(self, vip: str = VIP) -> str:
        """Who answers at the Service's address; empty when nobody does."""
        try:
            with self.dial(vip) as conn:
                conn.settimeout(2)
                conn.sendall(b"?\n")
                return conn.recv(100).decode().strip()
        except OSError:
            return ""

    def answers(self, address: str, limit_s: float = 20, *, vip: str = VIP) -> None:
        """Wait until this endpoint answers."""
        wait_until(lambda: self.answer(vip) == address, limit_s)

    def rules(self) -> str:
        """All rules of the namespace, without counters and times."""
        saved = [run([f"{program}-save"], namespace=self.namespace) for program in
                 ("iptables-nft", "ip6tables-nft", "iptables-legacy")]  # fmt: skip
        saved.append(run(["nft", "-s", "list", "ruleset"], namespace=self.namespace))
        lines = [line for text in saved for line in text.splitlines() if not line.startswith("#")]
        return "\n".join(line.partition("counter packets")[0] for line in lines if "[" not in line or "KUBE" in line)

    def close(self) -> None:
        self.stack.close()


class RealNode(Machine):
    """Its namespace has the addresses of two endpoints, and an API server of its own."""

    def __init__(self, namespace: str, folder: Path) -> None:
        super().__init__(namespace, folder)
        commands = ["link set lo up", "link add d0 type veth peer name d1", "link set d0 up", "link set d1 up",
                    *(f"addr add {address}/24 dev d0" for address in ENDPOINTS), "route add default via 10.77.0.254"]  # fmt: skip
        run(["ip", "-batch", "-"], stdin=[f"{command}\n" for command in commands], namespace=namespace)
        self.api = ApiThread(namespace, folder)
        self.stack.callback(self.api.close)
        self.api.put(NODE, service_object(clusterIP=VIP, clusterIPs=[VIP]), web(ENDPOINTS[0]))
        for address in ENDPOINTS:
            self.serve(address)

    def start(self, *args: str, kubeconfig: Path | None = None, path: Path | None = None) -> subprocess.Popen[bytes]:
        """The proxy of this node."""
        return self.run_proxy(kubeconfig or self.api.kubeconfig(), "node1", *args, path=path)
