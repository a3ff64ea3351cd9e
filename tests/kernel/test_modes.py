"""From one mode to another: nothing is left of the old one, and connections live where the documents say so."""

import itertools
import json
import os
import subprocess

import pytest
from support.cases import recorded_cases
from support.cluster import Cluster, wait_until
from support.node import Node

from netproxy.linux.command import run

CASE = next(c for c in recorded_cases() if c.id == "recorded/dual-stack")
MODES = ["iptables", "nftables", "flat", "userspace", "ipvs"]
PAIRS = [
    pytest.param(a, b, marks=[pytest.mark.ipvs] if "ipvs" in (a, b) else [], id=f"{a}-{b}")
    for a, b in itertools.permutations(MODES, 2)
]


def choice(mode: str) -> dict:
    return {"mode": "nftables", "layout": "flat"} if mode == "flat" else {"mode": mode, "layout": "kube-proxy"}


def state(namespace: str) -> dict[str, str]:
    """Everything of ours in a namespace, without what differs from time to time: ports, counters, order."""
    found = {}
    for program in ("iptables-nft-save", "ip6tables-nft-save"):
        text = run([program], namespace=namespace)
        lines = [line for line in text.splitlines() if "KUBE" in line]
        found[program] = "\n".join(sorted(line.partition("--to-")[0] for line in lines))
    found["nft"] = "\n".join(t for t in run(["nft", "list", "tables"], namespace=namespace).splitlines() if "kube" in t)
    found["flat"] = str("endpoints-tcp" in run(["nft", "list", "ruleset"], namespace=namespace))
    if os.path.exists("/proc/net/ip_vs"):
        found["ipvs"] = run(["ipvsadm", "-Sn"], namespace=namespace)
        found["ipset"] = "\n".join(sorted(run(["ipset", "list", "-n"], namespace=namespace).split()))
        found["links"] = str("kube-ipvs0" in run(["ip", "link"], namespace=namespace))
    return found


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_nothing_is_left_of_the_mode_before(before: str, after: str, namespace: str) -> None:
    node = Node(CASE, namespace, **choice(before))
    try:
        node.sync()
        node.switch(**choice(after))
        assert node.sync() > 0
        there = state(namespace)
        for proxy in node.proxies:
            assert not proxy.pending()
        node.switch(**choice(before))
        node.sync()
        node.switch(**choice(after))
        node.sync()
        assert state(namespace) == there
    finally:
        node.close()
    fresh = there
    assert ("table ip kube-proxy" in fresh["nft"]) == (after in ("nftables", "flat"))
    assert (fresh["flat"] == "True") == (after == "flat")
    assert bool(fresh["iptables-nft-save"]) == (after in ("iptables", "ipvs", "userspace"))
    assert ("KUBE-SVC" in fresh["iptables-nft-save"]) == (after == "iptables")
    assert ("KUBE-IPVS-FILTER" in fresh["iptables-nft-save"]) == (after == "ipvs")
    assert ("KUBE-PORTALS-HOST" in fresh["iptables-nft-save"]) == (after == "userspace")
    if "ipvs" in fresh:
        assert bool(fresh["ipvs"]) == bool(fresh["ipset"]) == (fresh["links"] == "True") == (after == "ipvs")


SPEC = """
apiVersion: netproxy.dev/v1alpha1
kind: Cluster
spec: {nodes: 2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: echo
        image: python
        command: [python3, -c, "import socketserver\\nclass H(socketserver.StreamRequestHandler):\\n  def handle(self):\\n    for line in self.rfile: self.wfile.write(line)\\nsocketserver.ThreadingTCPServer.request_queue_size = 100\\nsocketserver.ThreadingTCPServer(('', 7), H).serve_forever()"]
        readinessProbe: {tcpSocket: {port: 7}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {clusterIP: 10.96.0.77, selector: {app: echo}, ports: [{port: 7}]}
---
apiVersion: v1
kind: Pod
metadata: {name: caller}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: python, command: [python3, -c, "import signal; signal.pause()"]}]
"""

OFTEN = """
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
iptables: {syncPeriod: 1s}
"""

CALLER = """
import json, select, socket, sys
old = []
alive = set()
made = failed = 0
def more():
    for _ in range(4):
        alive.add(len(old))
        old.append(socket.create_connection(("10.96.0.77", 7), 5))
def say(conn):
    conn.settimeout(5)
    conn.sendall(b"x\\n")
    return conn.recv(10) == b"x\\n"
while True:
    for n in list(alive):
        try:
            ok = say(old[n])
        except OSError:
            ok = False
        if not ok:
            alive.discard(n)
    try:
        with socket.create_connection(("10.96.0.77", 7), 5) as conn:
            made += 1
            if not say(conn):
                failed += 1
    except OSError:
        failed += 1
    if select.select([sys.stdin], [], [], float(sys.argv[1]))[0]:
        line = sys.stdin.readline()
        if not line:
            break
        if line == "more\\n":
            more()
        found = {"open": len(old), "alive": len(alive), "made": made, "failed": failed}
        print(json.dumps(found), flush=True)
"""
PAUSE_S = 0.1 if "NETPROXY_VM" in os.environ else 0.005


class Caller:
    """A Pod that talks through all its open connections to a ClusterIP, and opens new ones, all the time."""

    def __init__(self, cluster: Cluster) -> None:
        argv = cluster.command("exec", "caller", "--", "python3", "-c", CALLER, str(PAUSE_S))
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, env=cluster.env, stdin=pipe, stdout=pipe, text=True)

    def ask(self, what: str = "report") -> dict:
        """After a whole round: how many connections were opened to stay, how many of them live, how many others failed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


WALK = "iptables nftables flat iptables userspace nftables iptables flat nftables userspace flat userspace iptables"
"""Every switch between two of these, once; docs/modes.md says that connections live through each."""

WALK_WITH_IPVS = "ipvs iptables ipvs nftables ipvs userspace ipvs flat ipvs"


def switch(cluster: Cluster, mode: str) -> None:
    wanted = choice(mode)
    cluster("mode", wanted["mode"], *(["--layout", wanted["layout"]] if wanted["mode"] == "nftables" else []))


def keep_talking(cluster: Cluster, caller: Caller, walk: str) -> None:
    """Open connections in each mode; they and those of all modes before live on in the next."""
    before = ""
    for mode in walk.split():
        switch(cluster, mode)
        caller.ask()
        found = caller.ask()
        assert (found["alive"], found["failed"]) == (found["open"], 0), f"{before} -> {mode}: {found}"
        caller.ask("more")
        before = mode


def test_connections_live_through_every_switch(cluster: Cluster) -> None:
    cluster("up", "-f", "-", stdin=SPEC)
    caller = Caller(cluster)
    try:
        keep_talking(cluster, caller, WALK)
        assert caller.ask()["open"] == 4 * len(WALK.split())
    finally:
        caller.close()


def copiers(cluster: Cluster) -> list[str]:
    """The processes of userspace mode that the agent has."""
    found = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(cluster.pid)], capture_output=True, text=True, check=False
    )
    return [line for line in found.stdout.splitlines() if "netproxy.serve.userspace" in line]


def test_the_process_ends_after_its_last_connection(cluster: Cluster) -> None:
    cluster("up", "-f", "-", stdin=SPEC + "---\n" + OFTEN)
    switch(cluster, "userspace")
    caller = Caller(cluster)
    try:
        caller.ask("more")
        switch(cluster, "iptables")
        assert len(copiers(cluster)) == 1
        assert caller.ask()["alive"] == 4
    finally:
        caller.close()
    wait_until(lambda: not copiers(cluster))


@pytest.mark.ipvs
@pytest.mark.timeout(600)
def test_connections_live_through_switches_with_ipvs(cluster: Cluster) -> None:
    cluster("up", "-f", "-", "--wait", "120", stdin=SPEC, timeout=240)
    caller = Caller(cluster)
    try:
        keep_talking(cluster, caller, WALK_WITH_IPVS)
        retire_one(cluster)
        nodes = ("node1", "node2")
        wait_until(lambda: any("-w 0" in cluster.exec(node, "ipvsadm", "-Sn") for node in nodes), limit_s=60)
        found = caller.ask()
        assert found["alive"] == found["open"], "a destination that goes keeps its connections, with weight 0"
    finally:
        caller.close()


def retire_one(cluster: Cluster) -> None:
    """Take one Pod out of the Service; it goes on running."""
    pod = next(p for p in cluster.get("pods")["items"] if p["metadata"]["name"].startswith("echo"))
    pod.pop("status")
    pod["metadata"] = {"name": pod["metadata"]["name"], "namespace": "default", "labels": {"app": "retired"}}
    cluster("apply", "-f", "-", stdin=json.dumps(pod))


FLOWS = """
flows:
- {id: vip, from: caller, to: svc/echo, port: 7, proto: TCP, expect: {result: accept, endpoints: [%s], masq: false}}
- {id: from-outside, from: client, to: 10.96.0.77, port: 7, expect: {result: accept, masq: true}}
- {id: other-port, from: pod/caller, to: 10.96.0.77, port: 8, expect: {result: pass},
   by_mode: {nftables: {result: reject}, ipvs: {result: reject}}}
- {id: nobodys-address, from: node1, to: 10.96.77.77, port: 80, expect: {result: pass}, by_mode: {nftables: {result: drop}}}
- {id: datagram, from: caller, to: 10.96.0.10, port: 53, proto: UDP, expect: {result: accept}}
"""


def test_flows_of_ones_own_are_sent_and_compared(cluster: Cluster, tmp_path) -> None:
    cluster("up", "-f", "-", stdin=SPEC)
    pods = [p["status"]["podIP"] for p in cluster.get("pods")["items"] if p["metadata"]["name"].startswith("echo")]
    file = tmp_path / "flows.yaml"
    file.write_text(FLOWS % ", ".join(f'"{ip}:7"' for ip in pods))
    for mode in ("iptables", "nftables", "flat"):
        switch(cluster, mode)
        done = cluster.run("verify", "--flows", str(file), check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(done.stdout.splitlines()) == 5
    file.write_text(FLOWS.replace("port: 7,", "port: 9,") % '"10.0.0.1:7"')
    wrong = cluster.run("verify", "--flows", str(file), check=False)
    assert wrong.returncode == 1
    assert "FAIL  vip" in wrong.stdout
    file.write_text("flows: [{from: caller, to: 10.96.0.77, port: 70000, expect: {result: maybe}}]")
    bad = cluster.run("verify", "--flows", str(file), check=False)
    assert bad.returncode == 2
    assert "flows[0].port" in bad.stderr
    assert "flows[0].expect.result" in bad.stderr
