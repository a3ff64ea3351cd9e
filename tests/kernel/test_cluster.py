"""A cluster as a user has it: up, use, look, break, down."""

import json
import os
import re
import signal
import site
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.cluster import REPO, Cluster, wait_until

WEB = """
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
iptables: {syncPeriod: 2s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: agnhost
        args: [netexec, --http-port=8080, --udp-port=8081]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: http, nodePort: 30080}
  - {name: udp, port: 81, targetPort: 8081, protocol: UDP}
"""


def curl(cluster: Cluster, url: str, source: str = "client", *more: str) -> str:
    return cluster.exec(source, "curl", "-s", "--max-time", "3", *more, url)


@pytest.fixture(scope="module")
def web(shared_cluster: Cluster) -> Cluster:
    shared_cluster("up", "-f", "-", stdin=WEB)
    return shared_cluster


def pods(cluster: Cluster) -> list[str]:
    return [p["metadata"]["name"] for p in cluster.get("pods")["items"]]


def test_a_service_spreads_over_its_pods(web: Cluster):
    seen = Counter(curl(web, "http://web.default.svc.cluster.local/hostname") for _ in range(30))
    assert sorted(seen) == sorted(pods(web))


def test_pods_reach_it_by_its_short_name_and_see_their_own(web: Cluster):
    name = pods(web)[0]
    assert curl(web, "http://web/hostname", name) in pods(web)
    assert web.exec(name, "hostname").strip() == name
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in web.exec(
        name, "cat", "/etc/resolv.conf"
    )
    assert name in web.exec(name, "cat", "/etc/hosts")


def test_a_pod_may_be_its_own_endpoint(web: Cluster):
    name = pods(web)[0]
    seen = {curl(web, "http://web/hostname", name) for _ in range(20)}
    assert name in seen


def test_every_node_answers_on_the_node_port_and_on_its_loopback(web: Cluster):
    for node in web.get("nodes")["items"]:
        address = node["status"]["addresses"][0]["address"]
        assert curl(web, f"http://{address}:30080/hostname") in pods(web)
    assert curl(web, "http://127.0.0.1:30080/hostname", "node1") in pods(web)


def test_udp_goes_through_the_service_too(web: Cluster):
    script = "import socket;s=socket.socket(type=2);s.settimeout(3);s.connect(('{}',81));s.send(b'hostname');print(s.recv(99).decode())"
    vip = web.get("svc", "web")["spec"]["clusterIP"]
    assert web.exec("client", "python3", "-c", script.format(vip)).strip() in pods(web)


def test_the_namespaces_are_those_of_the_machine(web: Cluster):
    saved = subprocess.run(
        ["ip", "netns", "exec", f"{web.name}-node1", "iptables-save", "-t", "nat"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "KUBE-SVC-" in saved.stdout
    assert f"{web.name}-default.{pods(web)[0]}" in web.namespaces()


def test_rules_show_reasons_and_counters(web: Cluster):
    curl(web, "http://web.default.svc.cluster.local/")
    text = web("rules", "web")
    assert "# the endpoint takes the connection" in text
    lines = json.loads(web("rules", "web", "-o", "json"))["rules"]
    dispatch = next(line for line in lines if line["chain"] == "KUBE-SERVICES" and "http cluster IP" in line["text"])
    assert dispatch["packets"] > 0
    assert all(line["present"] and line["why"] for line in lines)
    assert "not found" in web.run("rules", "nothing", check=False).stderr


def test_listings_have_all_forms(web: Cluster):
    assert web("get", "pods,svc,endpointslices", "-o", "wide").count("AGE") == 3
    assert web.get("svc")["kind"] == "List"
    assert web("get", "svc", "web", "-o", "yaml").startswith("apiVersion: v1")
    assert web("get", "nodes", "-o", "name") == "node/node1\nnode/node2\n"
    assert "kube-system" in web("get", "pods", "-A")
    assert "No resources" in web.run("get", "pods", "-l", "app=none").stderr
    assert "doesn't have a resource type" in web.run("get", "unicorns", check=False).stderr
    assert json.loads(web("status", "-o", "json"))["agent"]["pid"] == web.pid


def test_logs(web: Cluster):
    curl(web, "http://web.default.svc.cluster.local/some-path")
    wait_until(lambda: any("/some-path" in web("logs", name) for name in pods(web)))
    assert "container none is not valid" in web.run("logs", pods(web)[0], "-c", "none", check=False).stderr
    web("logs", "--agent")


def test_flushed_rules_are_seen_and_come_back(web: Cluster):
    assert web("plan") == "nothing to do\n"
    assert web.run("verify").returncode == 0

    def after_a_flush(*command: str) -> subprocess.CompletedProcess[str]:
        web.exec("node1", "iptables", "-t", "nat", "-F", "KUBE-SERVICES")
        return web.run(*command, check=False)

    # the proxy repairs every two seconds, perhaps before the command has looked: flush again, then
    broken = wait_until(lambda: (seen := after_a_flush("verify")).returncode == 1 and seen)
    assert "-A KUBE-SERVICES" in broken.stdout
    wait_until(lambda: "KUBE-SERVICES" in after_a_flush("plan", "--node", "node1").stdout)
    wait_until(lambda: web.run("verify", check=False).returncode == 0)


def test_only_ready_pods_are_endpoints(web: Cluster):
    name = pods(web)[0]
    ip = web.get("pods", name)["status"]["podIP"]
    curl(web, f"http://{ip}:8080/unhealthy")
    wait_until(lambda: "0/1" in web("get", "pods", name))
    wait_until(lambda: ip not in web.exec("node1", "iptables-save", "-t", "nat"))
    assert len({curl(web, "http://web.default.svc.cluster.local/hostname") for _ in range(10)}) == 1
    curl(web, f"http://{ip}:8080/healthy")
    wait_until(lambda: "1/1" in web("get", "pods", name))


def test_a_deleted_pod_is_replaced_and_a_dead_process_restarted(web: Cluster):
    first, second = pods(web)
    web("delete", "pod", first)
    wait_until(lambda: first not in pods(web) and len(pods(web)) == 2 and web("get", "pods").count("1/1") == 2)
    assert f"{web.name}-default.{first}" not in web.namespaces()
    ip = web.get("pods", second)["status"]["podIP"]
    curl(web, f"http://{ip}:8080/exit?code=3")
    wait_until(lambda: web.get("pods", second)["status"]["containerStatuses"][0]["restartCount"] == 1)
    wait_until(lambda: web("get", "pods").count("1/1") == 2)
    last = web.get("pods", second)["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 3


def test_a_capture_has_names_for_its_interfaces(web: Cluster, tmp_path):
    from scapy.all import PcapNgReader

    file = tmp_path / "x.pcapng"
    running = web.start(
        "capture",
        "client",
        "node1",
        "--filter",
        "tcp port 80",
        "-o",
        str(file),
        "--count",
        "6",
        "--for",
        "20",
        "--print",
    )
    assert running.stderr.readline().startswith("capturing at client, node1")
    curl(web, "http://web.default.svc.cluster.local/hostname")
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert len(output.splitlines()) == 6
    with PcapNgReader(str(file)) as packets:
        names = {p.sniffed_on for p in packets}
    assert names & {"client/eth0", "node1/eth0"}


def test_bad_captures_say_what_is_wrong(web: Cluster, tmp_path):
    assert "--filter" in web.run("capture", "client", "--filter", "nonsense here", check=False).stderr
    assert "no folder" in web.run("capture", "client", "-o", str(tmp_path / "a" / "b"), check=False).stderr
    assert "not found" in web.run("capture", "nobody", check=False).stderr


def test_an_unknown_image_waits_until_it_is_made_known(web: Cluster):
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: my/app:1}]}\n"
    web("apply", "-f", "-", stdin=pod)
    wait_until(lambda: "ImagePullBackOff" in web("get", "pods", "odd"))
    assert "netproxy image load my/app:1" in web("get", "events")
    web("image", "load", "my/app:1", "--command", "sleep 300")
    wait_until(lambda: "1/1" in web("get", "pods", "odd"))
    assert "my/app:1" in web("images")
    web("delete", "pod", "odd")


def test_a_running_cluster_takes_changes_or_refuses_them_whole(web: Cluster):
    version = web.get("svc", "web")["metadata"]["resourceVersion"]
    bad = WEB.replace("nodePort: 30080", "nodePort: 99")
    refused = web.run("up", "-f", "-", stdin=bad, check=False)
    assert refused.returncode == 2
    assert "standard input: Service default/web: spec.ports[0].nodePort: Invalid value: 99" in refused.stderr
    assert web.get("svc", "web")["metadata"]["resourceVersion"] == version
    assert "ready" in web.run("up", "-f", "-", stdin=WEB).stderr
    assert web.get("svc", "web")["metadata"]["resourceVersion"] == version


def test_commands_find_their_target_or_say_what_there_is(web: Cluster):
    assert web.exec("deploy/web", "hostname").strip() in pods(web)
    assert web.exec("svc/web", "hostname").strip() in pods(web)
    assert web.exec("node2", "hostname").strip() == "node2"
    assert "there are node1, node2, client" in web.run("exec", "nobody", "--", "true", check=False).stderr
    assert web.run("exec", "client", "--", "false", check=False).returncode == 1
    assert web.run("exec", "client", "--", "no-such-program", check=False).returncode == 127


def test_the_host_is_untouched(web: Cluster):
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert "KUBE-" not in rules
    assert not re.search(
        r"veth[0-9a-f]{8}", subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    )
    home = os.stat("/proc/self/ns/net").st_ino
    assert home not in {os.stat(f"/run/netns/{name}").st_ino for name in web.namespaces()}


def test_kill_nine_breaks_nothing_and_up_takes_over(cluster: Cluster):
    cluster("up", "-f", "-", stdin=WEB)
    before = {
        p["metadata"]["name"]: (p["status"]["podIP"], p["status"]["containerStatuses"][0]["restartCount"])
        for p in cluster.get("pods")["items"]
    }
    vip = cluster.get("svc", "web")["spec"]["clusterIP"]
    names = cluster.namespaces()
    script = (
        f"import socket,sys;s=socket.create_connection(('{vip}',80));print('open',flush=True)\n"
        "for _ in range(2):\n sys.stdin.readline();s.sendall(b'GET /hostname HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n');print(s.recv(999)[:15],flush=True)"
    )
    argv = cluster.command("exec", "client", "--", "python3", "-c", script)
    open_connection = subprocess.Popen(argv, env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert open_connection.stdout.readline() == "open\n"
    os.kill(cluster.pid, signal.SIGKILL)
    node1 = ["ip", "netns", "exec", f"{cluster.name}-client", "curl", "-s", "--max-time", "3", f"http://{vip}/hostname"]
    assert subprocess.run(node1, capture_output=True, text=True, check=True).stdout in before
    open_connection.stdin.write("\n")
    open_connection.stdin.flush()
    assert "200" in open_connection.stdout.readline()
    assert "`netproxy up" in cluster.run("get", "pods", check=False).stderr
    cluster("up")
    open_connection.stdin.write("\n")
    open_connection.stdin.flush()
    assert "200" in open_connection.stdout.readline()
    open_connection.communicate()
    after = {
        p["metadata"]["name"]: (p["status"]["podIP"], p["status"]["containerStatuses"][0]["restartCount"])
        for p in cluster.get("pods")["items"]
    }
    assert after == before
    assert cluster.namespaces() == names
    assert cluster.run("verify").returncode == 0
    assert curl(cluster, "http://web.default.svc.cluster.local/hostname") in before
    os.kill(cluster.pid, signal.SIGKILL)
    cluster("down")
    cluster("down")
    cluster.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_front_a_signal_takes_everything_down(cluster: Cluster, number: signal.Signals):
    running = cluster.start("up", "--foreground", "-f", "labs/01-clusterip")
    while "in front" not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(number)
    running.communicate(timeout=20)
    cluster.assert_nothing_is_left()


@pytest.mark.parametrize("lines", [0, 1])
def test_an_interrupted_up_leaves_nothing(cluster: Cluster, lines: int):
    running = cluster.start("up", "-f", "labs/01-clusterip")
    wait_until(
        lambda: (
            cluster.namespaces()
            if lines
            else (cluster.state / "s" / cluster.name).exists() or running.poll() is not None
        )
    )
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    if running.returncode == 0:
        cluster("down")
    cluster.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {ports: [{port: 1, name: a}, {port: 70000, name: b}]}",
         "standard input: Service default/web: spec.ports[1].port: Invalid value: 70000: must be between 1 and 65535"),
        (("kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {clusterIP: 1.2.3.4, ports: [{port: 1}]}\n---\n"
         "kind: Service\napiVersion: v1\nmetadata: {name: b}\nspec: {clusterIP: 1.2.3.4, ports: [{port: 1}]}"),
         "failed to allocate IP 1.2.3.4: provided IP is already allocated"),
        ("a: [", "standard input: line 2"),
    ],
)  # fmt: skip
def test_bad_input_changes_nothing(cluster: Cluster, manifest: str, message: str):
    refused = cluster.run("up", "-f", "-", stdin=manifest, check=False)
    assert refused.returncode == 2
    assert message in refused.stderr
    cluster.assert_nothing_is_left()


def test_a_misspelt_field_is_a_warning(cluster: Cluster):
    manifest = "kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {ports: [{port: 1, targetport: 2}]}"
    started = cluster.run("up", "-f", "-", stdin=manifest)
    assert (
        'warning: standard input: Service default/web: spec.ports[0].targetport: unknown field; did you mean "targetPort"?'
        in started.stderr
    )


def test_clusters_run_side_by_side_and_names_of_others_are_respected(cluster: Cluster):
    other = Cluster()
    try:
        cluster("up")
        other("up")
        assert cluster.pid != other.pid
        other("down")
        assert cluster.run("verify").returncode == 0
        subprocess.run(["ip", "netns", "add", f"{other.name}-node1"], check=True)
        refused = other.run("up", check=False)
        assert refused.returncode == 1
        assert "exists already and is not netproxy's" in refused.stderr
        assert other.namespaces() == [f"{other.name}-node1"]
    finally:
        subprocess.run(["ip", "netns", "del", f"{other.name}-node1"], check=False)
        other.close()


DUAL = """
apiVersion: netproxy.dev/v1alpha1
kind: Cluster
spec: {ipFamilies: [IPv4, IPv6], iptables: legacy, nodes: [{name: n1, zone: a}, {name: n2, zone: b}, n3]}
---
apiVersion: v1
kind: Pod
metadata: {name: six, labels: {app: six}}
spec: {terminationGracePeriodSeconds: 0, nodeName: n2, containers: [{name: c, image: agnhost}]}
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec: {terminationGracePeriodSeconds: 0, nodeName: n1, hostNetwork: true, containers: [{name: c, image: busybox, command: [sleep, "300"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: six}
spec: {ipFamilyPolicy: RequireDualStack, selector: {app: six}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 32000, selector: {app: six}, ports: [{port: 80, targetPort: 8080}]}
status: {loadBalancer: {ingress: [{ip: 198.51.100.7}]}}
"""


def test_both_families_with_iptables_legacy(cluster: Cluster):
    cluster("up", "-f", "-", stdin=DUAL)
    four, six = cluster.get("svc", "six")["spec"]["clusterIPs"]
    assert curl(cluster, f"http://{four}/hostname") == "six"
    assert curl(cluster, f"http://[{six}]/hostname") == "six"
    assert curl(cluster, f"http://[{six}]/clientip", "six").startswith("[fd00:172:18"), (
        "it met itself, so the source is the node"
    )
    assert "KUBE-SVC-" in cluster.exec("n1", "ip6tables-legacy-save", "-t", "nat")
    assert cluster.run("verify").returncode == 0
    assert cluster.exec("host", "hostname").strip() in ("n1", "host")
    assert cluster.get("pods", "host")["status"]["podIP"] == "172.18.0.2"
    addresses = {n["metadata"]["name"]: n["status"]["addresses"][0]["address"] for n in cluster.get("nodes")["items"]}
    health = curl(cluster, f"http://{addresses['n2']}:32000/")
    assert json.loads(health) == {
        "service": {"namespace": "default", "name": "balanced"},
        "localEndpoints": 1,
        "serviceProxyHealthy": True,
    }
    assert curl(cluster, "http://198.51.100.7/hostname", "n2") == "six", (
        "the node with the endpoint takes the load balancer's traffic"
    )
    code = curl(cluster, f"http://{addresses['n1']}:32000/", "client", "-o", "/dev/null", "-w", "%{http_code}")
    assert code == "503"


def test_a_dump_of_a_real_cluster_is_accepted_as_it_is(cluster: Cluster):
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "kind-worker", "uid": "x", "resourceVersion": "77"},
            "spec": {"podCIDR": "10.42.3.0/24"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.77.9"}]}}  # fmt: skip
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default", "uid": "y", "resourceVersion": "5"},
               "spec": {"type": "ClusterIP", "clusterIP": "10.43.0.1", "clusterIPs": ["10.43.0.1"], "ipFamilies": ["IPv4"],
                        "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]}, "status": {"loadBalancer": {}}}  # fmt: skip
    item = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "endpoints": [{"addresses": ["172.19.0.3"], "conditions": {"ready": True}}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}  # fmt: skip
    dump = json.dumps(
        {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [node, service, item]}
    )
    cluster("up", "-f", "-", stdin=dump)
    assert "172.19.0.3:6443" in cluster.exec("kind-worker", "iptables-save", "-t", "nat")
    assert "192.168.77.9" in cluster("status")
    assert cluster.exec("client", "ping", "-n", "-c1", "-W2", "192.168.77.9")


ORDINARY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", "env"]


def an_ordinary_python() -> str:
    """An interpreter that a user without rights can start: the tests' own may lie in root's home."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            [*ORDINARY, candidate, "-c", "import sys;print(sys.version_info[:2])"], capture_output=True, text=True
        )
        if tried.stdout.strip() == str(sys.version_info[:2]):
            return candidate
    pytest.skip("no interpreter of this version that an ordinary user can start")


def test_without_root_the_state_may_be_below_run():
    cluster = Cluster(rootless=True)
    folder = Path("/run") / f"nptest-{cluster.name}"
    cluster.env["NETPROXY_STATE"] = str(folder / "s")
    try:
        cluster("up", "--wait", "20")
        assert "1/1 Pods ready" in cluster("status")
        assert "KUBE-SERVICES" in cluster.exec("node1", "iptables-save", "-t", "nat")
        cluster("down")
        assert list(folder.iterdir()) == []
    finally:
        cluster.close()
        folder.rmdir()


@pytest.mark.parametrize("ordinary", [False, True], ids=["root's own user namespace", "an ordinary user"])
def test_without_root(ordinary: bool):
    cluster = Cluster(rootless=True)
    if ordinary:
        cluster.prefix, cluster.python = ORDINARY, an_ordinary_python()
        cluster.env["PYTHONPATH"] = f"{site.getsitepackages()[0]}:{REPO}"
    cluster.env["HOME"] = "/nonexistent"
    try:
        cluster("up", "-f", "-", stdin=WEB)
        assert curl(cluster, "http://web.default.svc.cluster.local/hostname") in pods(cluster)
        assert "KUBE-SVC-" in cluster.exec("node1", "iptables-save", "-t", "nat")
        assert "KUBE-SVC-" in cluster("rules", "web")
        assert cluster.run("verify").returncode == 0
        assert cluster.namespaces() == [], "the machine itself has no such namespaces"
        os.kill(cluster.pid, signal.SIGKILL)
        cluster("up")
        assert curl(cluster, "http://web.default.svc.cluster.local/hostname") in pods(cluster)
        assert "ok" in cluster("doctor")
        cluster("down")
        cluster.assert_nothing_is_left()
    finally:
        cluster.close()


def test_stale_udp_flows_are_forgotten(cluster: Cluster):
    cluster("up", "-f", "-", stdin=WEB)
    vip = cluster.get("svc", "web")["spec"]["clusterIP"]
    script = f"""
import socket, sys
s = socket.socket(type=2); s.settimeout(1); s.bind(('', 45454)); s.connect(('{vip}', 81))
while sys.stdin.readline():
    s.send(b'hostname')
    try: print(s.recv(99).decode(), flush=True)
    except OSError as error: print('none', flush=True)
"""
    running = subprocess.Popen(cluster.command("exec", "client", "--", "python3", "-c", script), env=cluster.env, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip

    def ask() -> str:
        running.stdin.write("\n")
        running.stdin.flush()
        return running.stdout.readline().strip()

    first = ask()
    assert first == ask(), "one flow keeps its endpoint"
    cluster("delete", "pod", first, "--grace-period", "0")
    wait_until(lambda: ask() not in (first, "none"), 10)
    running.communicate(timeout=10)


def test_a_pod_that_takes_the_name_of_one_that_went_is_another_one(cluster: Cluster):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
           "spec": {"containers": [{"name": "c", "image": "agnhost", "args": ["netexec", "--http-port=8080"],
                                    "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1}}]}}  # fmt: skip
    cluster("up")
    cluster("apply", "-f", "-", "--wait", "20", stdin=json.dumps(pod))
    base = "http://n/api/v1/namespaces/default/pods"
    ask = ["curl", "-sf", "--unix-socket", str(cluster.state / "s" / cluster.name / "agent.sock"), "-o", "/dev/null"]
    one_after_the_other = [
        *ask, "-X", "DELETE", f"{base}/p?gracePeriodSeconds=0", "--next", *ask[1:], "-H", "Content-Type: application/json",
        "-d", json.dumps(pod), base,
    ]  # fmt: skip
    for _ in range(4):
        before = cluster.get("pod", "p")["metadata"]["uid"]
        subprocess.run(one_after_the_other, check=True)
        cluster("apply", "-f", "-", "--wait", "20", stdin=json.dumps(pod))
        made = cluster.get("pod", "p")
        assert made["metadata"]["uid"] != before
        assert cluster.exec("client", "curl", "-s", f"http://{made['status']['podIP']}:8080/hostname") == "p"


def test_doctor_finds_nothing_missing_here(cluster: Cluster):
    assert "MISS" not in cluster("doctor")
    assert {item["what"] for item in json.loads(cluster("doctor", "-o", "json"))["items"]} >= {
        "root",
        "rules of iptables-nft",
    }


LIVES = """
apiVersion: v1
kind: ConfigMap
metadata: {name: cm}
data: {greeting: hello}
---
apiVersion: v1
kind: Pod
metadata: {name: full, labels: {app: full}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: init, image: busybox, command: [sh, -c, "echo init done"]}
  containers:
  - name: app
    image: busybox
    command: [sh, -c, "echo $GREETING $(POD_IP); exec python3 -m http.server 9000"]
    env:
    - {name: GREETING, valueFrom: {configMapKeyRef: {name: cm, key: greeting}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    startupProbe: {exec: {command: [sh, -c, "true"]}, periodSeconds: 1}
    livenessProbe: {exec: {command: [sh, -c, "! test -e /tmp/dead"]}, periodSeconds: 1, failureThreshold: 1}
    readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: once}
spec: {restartPolicy: Never, containers: [{name: c, image: busybox, command: [sh, -c, "echo bye"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: alpine, command: [no-such-program]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: picky}
spec: {nodeSelector: {disk: ssd}, containers: [{name: c, image: pause}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec:
  type: LoadBalancer
  loadBalancerSourceRanges: [172.18.0.254/32]
  externalIPs: [203.0.113.9]
  selector: {app: full}
  ports: [{port: 80, targetPort: 9000}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.77}]}}
"""


def test_lives_of_containers_and_addresses_from_outside(cluster: Cluster, tmp_path):
    started = cluster.run("up", "-f", "-", "--wait", "10", stdin=LIVES, check=False)
    assert started.returncode == 1
    assert "error: Pod default/picky is not ready: 0/2 nodes are available" in started.stderr
    wait_until(lambda: "Completed" in cluster("get", "pods", "once"))
    assert (cluster("logs", "once"), cluster("logs", "full", "-c", "init")) == ("bye\n", "init done\n")
    assert cluster("logs", "full").splitlines()[0] == f"hello {cluster.get('pods', 'full')['status']['podIP']}"
    assert "executable file not found" in cluster("get", "events")
    assert "CrashLoopBackOff" in cluster("get", "pods", "crash")
    code = ["-o", "/dev/null", "-w", "%{http_code}"]
    assert curl(cluster, "http://203.0.113.77/", "client", *code) == "200"
    assert curl(cluster, "http://203.0.113.9/", "node2", *code) == "200"
    refused = cluster.run("exec", "node2", "--", "curl", "-s", "--max-time", "1", "http://203.0.113.77/", check=False)
    assert refused.returncode == 28, "not in loadBalancerSourceRanges: dropped"
    cluster.exec("full", "touch", "/tmp/dead")
    wait_until(lambda: cluster.get("pods", "full")["status"]["containerStatuses"][0]["restartCount"] >= 1)


def test_labels_of_nodes_and_settings_of_the_proxy_take_effect_at_once(cluster: Cluster):
    cluster("up", "-f", "-", stdin=WEB)
    assert "! -s 10.244.0.0/16" in cluster.exec("node1", "iptables-save", "-t", "nat")
    config = (
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\niptables: {masqueradeAll: true}\n"
    )
    cluster("apply", "-f", "-", stdin=config)
    wait_until(lambda: "! -s 10.244.0.0/16" not in cluster.exec("node1", "iptables-save", "-t", "nat"))
    assert cluster.run("verify").returncode == 0
    cluster("apply", "-f", "-", stdin=config.replace("iptables: {masqueradeAll: true}", "mode: nftables"))
    wait_until(lambda: "dnat ip" in cluster.exec("node1", "nft", "list", "table", "ip", "kube-proxy", check=False))
    wait_until(lambda: "KUBE" not in cluster.exec("node1", "iptables-save"))


def test_a_running_cluster_takes_another_mode_and_refuses_what_was_fixed(cluster: Cluster):
    asked = "apiVersion: netproxy.dev/v1alpha1\nkind: Cluster\nspec: {nodes: %d, proxyMode: %s}\n"
    cluster("up", "-f", "-", stdin=asked % (1, "iptables"))
    cluster("up", "-f", "-", stdin=asked % (1, "nftables"))
    assert cluster("mode").split()[-4:] == ["node1", "nftables", "1.36", "kube-proxy"]
    refused = cluster.run("up", "-f", "-", stdin=asked % (2, "iptables"), check=False)
    assert refused.returncode == 2
    assert "Cluster: spec.nodes: a running cluster keeps what it has (node1)" in refused.stderr
    assert "nftables" in cluster("mode")


def test_a_recorded_spec_can_be_started_too(cluster: Cluster):
    folder = REPO / "tests/cases/recorded/lb-local"
    stranger = "apiVersion: example.com/v1\nkind: Stranger\nmetadata: {name: x}\n"
    started = cluster.run(
        "up", "-f", str(folder / "spec.yaml"), "-f", str(folder / "config.yaml"), "-f", "-", stdin=stranger
    )
    assert "Stranger is a kind that netproxy does not use: left out" in started.stderr
    saved = cluster.exec("node1", "iptables-save")
    recorded = (folder / "kube-proxy-1.36.2/iptables.txt").read_text()
    missing = [line for line in recorded.splitlines() if line.startswith("-A") and line not in saved]
    assert missing == []
