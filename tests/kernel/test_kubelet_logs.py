"""Containers' logs stay small while they are written, and read as one."""

import json
import os
import re
import signal
import threading
from pathlib import Path

import yaml
from support.cluster import Cluster, wait_until

MIB = 1 << 20
WRITES = """
import os
line, text = 0, []
while line < {lines}:
    text = b"".join(b"line %09d of a container that has much to say, again and again and again\\n" % n for n in range(line, line + 1000))
    while text:
        text = text[os.write(1, text):]
    line += 1000
"""
LINES = 2_600_000  # of 80 bytes: 200 MB
MANIFEST = """
apiVersion: netproxy.dev/v1alpha1
kind: Cluster
spec: {{nodes: 1, containerLogMaxSize: 2Mi, containerLogMaxFiles: 4}}
---
apiVersion: v1
kind: Pod
metadata: {{name: loud}}
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: {policy}
  containers: [{{name: c, image: busybox, command: [{command}]}}]
"""


def a_pod(*command: str, policy: str = "Never") -> str:
    return MANIFEST.format(command=", ".join(map(json.dumps, command)), policy=policy)


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*.log*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"^line (\d{9}) .* again$", text, re.MULTILINE)]


def test_two_hundred_megabytes_keep_their_last_eight(cluster: Cluster):
    folder = cluster.state / "s" / cluster.name / "logs"
    largest, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            largest[0] = max(largest[0], size_of(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        cluster("up", "-f", "-", "--wait", "1", stdin=a_pod("python3", "-c", WRITES.format(lines=LINES)))
        wait_until(lambda: cluster.get("pods", "loud")["status"]["phase"] == "Succeeded", 60)
    finally:
        over.set()
        watcher.join()
    assert 6 * MIB < size_of(folder) <= largest[0] <= 4 * (2 * MIB + 65536) + 65536
    seen = numbers(cluster("logs", "loud"))
    assert seen == list(range(seen[0], LINES)), "in order, whole, up to the last"
    assert numbers(cluster("logs", "loud", "--tail", "3")) == [LINES - 3, LINES - 2, LINES - 1]
    cluster("delete", "pod", "loud")
    wait_until(lambda: not list(folder.glob("*loud*")))


SLOWLY = """
n=0; while [ $n -lt 6000 ]; do n=$((n+1)); printf 'line %09d {filler} again\\n' $n; done; exec sleep 1000
"""


def test_following_crosses_a_rotation_and_the_agent_s_death(cluster: Cluster):
    filler = "x" * 1000  # 6 MB in all: three files
    cluster("up", "-f", "-", stdin=a_pod("sh", "-c", "sleep 1; " + SLOWLY.format(filler=filler).strip()))
    folder = cluster.state / "s" / cluster.name / "logs"
    following = cluster.start("logs", "-f", "loud")
    seen = [following.stdout.readline()]
    os.kill(cluster.pid, signal.SIGKILL)
    while not seen[-1].startswith("line 000006000 "):
        seen.append(following.stdout.readline())
    following.kill()
    following.communicate()
    assert len(list(folder.rglob("0.log.*"))) >= 2
    assert numbers("".join(seen)) == list(range(1, 6001))
    cluster("up")
    assert numbers(cluster("logs", "loud")) == list(range(1, 6001))


def test_each_run_has_a_log_and_the_one_before_can_be_read(cluster: Cluster):
    script = "test -e /kept/flag && { echo second; exec sleep 1000; }; echo first; touch /kept/flag; exit 3"
    limits, pod = yaml.safe_load_all(a_pod("sh", "-c", script, policy="Always"))
    pod["spec"]["volumes"] = [{"name": "kept", "emptyDir": {}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "kept", "mountPath": "/kept"}]
    cluster("up", "-f", "-", "--wait", "1", stdin=yaml.safe_dump_all([limits, pod]))
    wait_until(lambda: cluster("logs", "loud") == "second\n")
    assert cluster("logs", "loud", "--previous") == "first\n"
    refused = cluster.run("logs", "-n", "kube-system", "coredns", "-p", check=False)
    assert 'previous terminated container "coredns" in pod "coredns-' in refused.stderr


def test_limits_are_checked(cluster: Cluster):
    wrong = (
        "apiVersion: netproxy.dev/v1alpha1\nkind: Cluster\nspec: {containerLogMaxSize: 1k, containerLogMaxFiles: 1}\n"
    )
    refused = cluster.run("up", "-f", "-", stdin=wrong, check=False)
    assert "spec.containerLogMaxSize: Invalid value: " in refused.stderr
    assert "spec.containerLogMaxFiles: Invalid value: 1: must be greater than 1" in refused.stderr
