"""The shim is killed, or told nonsense: its containers end and run again, each once, and Services answer."""

import os
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from support.cluster import Cluster, wait_until

from netproxy.kubelet import spawn

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: agnhost
        args: [netexec, --http-port=8080]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
      - {name: beside, image: busybox, command: [sh, -c, "setsid sleep 86398 & exec sleep 86399"]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""


@pytest.fixture(params=["cgroups", "PID namespaces", "no root"])
def kind_of_cluster(request):
    made = Cluster(rootless=request.param == "no root")
    if request.param == "PID namespaces":
        made.env["NETPROXY_CGROUP"] = "off"
    try:
        yield made
    finally:
        made.close()


def shim_of(cluster: Cluster) -> int:
    return int((cluster.state / "s" / cluster.name / "shim.pid").read_text().split()[0])


def programs_of(cluster: Cluster) -> Counter[str]:
    """How often each program of the test's cluster runs: by name, of the processes that carry its mark."""
    mark = f"{spawn.MARK}={cluster.state / 's' / cluster.name}".encode()
    found: Counter[str] = Counter()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found[(entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()[-30:]] += 1
        except OSError:
            continue
    return found


def restarts(cluster: Cluster) -> dict[str, int]:
    return {
        f"{pod['metadata']['name']}/{each['name']}": each["restartCount"]
        for pod in cluster.get("pods", "-A")["items"]
        for each in pod["status"].get("containerStatuses") or ()
    }


def all_ready(cluster: Cluster) -> bool:
    pods = cluster.get("pods", "-A")["items"]
    states = [each for pod in pods for each in pod["status"].get("containerStatuses") or ()]
    wanted = sum(len(pod["spec"]["containers"]) for pod in pods)
    return len(states) == wanted and all(each["ready"] and each["state"].get("running") for each in states)


def answers(cluster: Cluster) -> bool:
    url = "http://web.default.svc.cluster.local/hostname"
    return cluster.exec("client", "curl", "-s", "--max-time", "2", url, check=False).startswith("web-")


def everything_runs_again(cluster: Cluster, before: dict[str, int], programs: Counter[str]) -> None:
    once_more = {at: count + 1 for at, count in before.items()}
    wait_until(lambda: restarts(cluster) == once_more and all_ready(cluster))
    wait_until(lambda: answers(cluster))
    sleeps = {program: count for program, count in programs.items() if "sleep" in program}
    now = programs_of(cluster)
    assert sum(sleeps.values()) == 4
    assert {program: now[program] for program in sleeps} == sleeps, "each program once"
    lost = {each["state"].get("terminated", {}).get("reason") or each["lastState"]["terminated"]["reason"]
            for pod in cluster.get("pods")["items"] for each in pod["status"]["containerStatuses"]}  # fmt: skip
    assert lost == {"ContainerStatusUnknown"}


def test_the_agent_notices_and_everything_runs_again(kind_of_cluster: Cluster):
    cluster = kind_of_cluster
    cluster("up", "-f", "-", stdin=WEB)
    for _ in range(2):
        before, programs, shim = restarts(cluster), programs_of(cluster), shim_of(cluster)
        os.kill(shim, signal.SIGKILL)
        everything_runs_again(cluster, before, programs)
        assert shim_of(cluster) != shim
    assert "ContainersLost" in cluster("get", "events")
    cluster("down")
    cluster.assert_nothing_is_left()
    wait_until(lambda: not programs_of(cluster), 5)


def test_up_after_agent_and_shim_were_killed(kind_of_cluster: Cluster):
    cluster = kind_of_cluster
    cluster("up", "-f", "-", stdin=WEB)
    before, programs = restarts(cluster), programs_of(cluster)
    os.kill(cluster.pid, signal.SIGKILL)
    os.kill(shim_of(cluster), signal.SIGKILL)
    cluster("up")
    everything_runs_again(cluster, before, programs)


def test_what_ended_while_nobody_listened_is_told_to_the_next_agent(cluster: Cluster):
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {restartPolicy: Never, containers: [{name: c, image: busybox, command: [sh, -c, 'sleep 1; exit 42']}]}\n"
    cluster("up", "-f", "-", stdin=pod)
    os.kill(cluster.pid, signal.SIGKILL)
    shim = shim_of(cluster)
    wait_until(lambda: not list(Path(f"/proc/{shim}/task/{shim}/children").read_text().split())[1:], 10)
    cluster.run("up", check=False)  # it says that the Pod is not ready
    wait_until(lambda: cluster.get("pods", "p")["status"]["phase"] == "Failed")
    state = cluster.get("pods", "p")["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["exitCode"] == 42


def test_nonsense_ends_neither_the_shim_nor_a_container(cluster: Cluster):
    cluster("up", "-f", "-", stdin=WEB)
    before, shim = restarts(cluster), shim_of(cluster)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(cluster.state / "s" / cluster.name / "shim.sock"))
        for line in (b"no JSON", b"[]", b"{}", b'{"op": "start"}', b'{"op": "start", "id": "x/y"}', b'{"op": "signal", "id": "x"}',
                     b'{"op": "start", "id": "x/z", "namespace": "none", "hostname": "h", "log": {"path": "/proc/none/0.log", "maxBytes": 1, "maxFiles": 2}}',
                     b"\xff\xfe", b"x" * (17 << 20)):  # fmt: skip
            try:
                stranger.sendall(line + b"\n")
            except OSError:
                break
    wait_until(lambda: answers(cluster))
    assert shim_of(cluster) == shim
    assert os.path.exists(f"/proc/{shim}")
    name = cluster.get("pods")["items"][0]["metadata"]["name"]
    cluster("delete", "pod", name)
    wait_until(lambda: all_ready(cluster) and len(cluster.get("pods")["items"]) == 2)
    assert set(restarts(cluster).values()) == {0}
    assert set(before.values()) == {0}


def test_a_log_that_cannot_be_opened_and_a_full_disk_do_not_stop_a_container(cluster: Cluster):
    cluster("up", "-f", "-", stdin=WEB)
    logs = cluster.state / "s" / cluster.name / "logs"
    for folder in logs.glob("default_*"):
        (folder / "web" / "0.log").unlink()
        (folder / "web" / "0.log").symlink_to("/dev/full")
    aside = logs.rename(logs.with_name("aside"))
    logs.write_text("no folder")
    try:
        pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: agnhost, readinessProbe: {httpGet: {path: /, port: 8080}}}]}\n"
        cluster("apply", "-f", "-", stdin=pod)
        wait_until(lambda: all_ready(cluster) and len(cluster.get("pods")["items"]) == 3)
        assert answers(cluster)
    finally:
        logs.unlink()
        aside.rename(logs)


def test_a_machine_without_room_for_one_more_process_delays_a_start(cluster: Cluster):
    cluster("up", "-f", "-", stdin=WEB)
    shim = shim_of(cluster)
    before = restarts(cluster)
    ip = cluster.get("pods")["items"][0]["status"]["podIP"]
    subprocess.run(["prlimit", f"--pid={shim}", "--nofile=8:"], check=True)
    cluster.exec("client", "curl", "-s", "--max-time", "2", f"http://{ip}:8080/exit?code=1", check=False)
    wait_until(lambda: "Too many open files" in cluster("get", "events"))
    assert answers(cluster), "the other Pod serves on"
    subprocess.run(["prlimit", f"--pid={shim}", "--nofile=1024:"], check=True)
    wait_until(lambda: all_ready(cluster), 30)
    assert sum(restarts(cluster).values()) == sum(before.values()) + 2, "the failed start counts"
    assert shim_of(cluster) == shim
