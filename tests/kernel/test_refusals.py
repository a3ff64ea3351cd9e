"""Whoever is refused is told so, however many were refused before: the kernel's limit for ICMP errors does not count."""

import errno
import json

import pytest
from support.cluster import SLOWER, Cluster

NOBODY = """
apiVersion: netproxy.dev/v1alpha1
kind: Cluster
spec: {nodes: 1, ipFamilies: [IPv4, IPv6]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec:
  clusterIPs: [10.96.0.70, "fd00:10:96::70"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  ports: [{name: web, port: 80}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Pod
metadata: {name: caller}
spec: {containers: [{name: c, image: agnhost, args: [pause]}]}
"""
MANY = 50
SOON_S = 4
"""TCP is told at once, or when it repeats its SYN after a second: Linux does not hear what comes while `connect` holds the socket."""
ASK = """
import json, select, socket, sys, time
kind, host, port, soon = sys.argv[1:]
waiting, ends = select.poll(), []
asking = {}
for _ in range(MANY):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, getattr(socket, kind))
    sock.setblocking(False)
    error = sock.connect_ex((host, int(port)))
    if kind == "SOCK_DGRAM":
        try:
            sock.send(b"x")
        except OSError as refused:
            error = refused.errno
    if error in (0, 115):
        asking[sock.fileno()] = sock
        waiting.register(sock, select.POLLERR)
    else:
        ends.append(error)
deadline = time.monotonic() + float(soon)
while asking and (left := deadline - time.monotonic()) > 0:
    for fd, _ in waiting.poll(left * 1000):
        waiting.unregister(fd)
        ends.append(asking.pop(fd).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
print(json.dumps(ends + ["nothing"] * len(asking)))
""".replace("MANY", str(MANY))


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    made("up", "-f", "-", stdin=NOBODY)
    yield made
    made.close()


@pytest.mark.parametrize("source", ["client", "caller", "node1"])
@pytest.mark.parametrize(
    ("kind", "host", "port"),
    [
        pytest.param("SOCK_STREAM", "10.96.0.70", "80", id="TCP to a Service without endpoints"),
        pytest.param("SOCK_DGRAM", "10.96.0.70", "53", id="UDP to a Service without endpoints"),
        pytest.param("SOCK_STREAM", "fd00:10:96::70", "80", id="TCP, IPv6"),
        pytest.param("SOCK_DGRAM", "fd00:10:96::70", "53", id="UDP, IPv6"),
        pytest.param("SOCK_DGRAM", "pod", "9", id="UDP to a port of a Pod where nobody listens"),
    ],
)
def test_fifty_at_once_are_all_refused_soon(cluster, source, kind, host, port):
    if host == "pod":
        host = cluster.get("pod", "caller")["status"]["podIP"]
    ends = json.loads(cluster.exec(source, "python3", "-c", ASK, kind, host, port, str(SOON_S * SLOWER)))
    local = [errno.EPERM] if source == "node1" and kind == "SOCK_DGRAM" else []  # its own rules refuse to send
    assert set(ends) <= {errno.ECONNREFUSED, *local}
    assert len(ends) == MANY
