"""Logs, commands, copies and forwarded ports, as unmodified kubectls ask for them."""

from __future__ import annotations

import os
import re
import select
import shlex
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.cluster import Cluster, wait_until
from support.kubectls import kubectls

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: agnhost, args: [netexec, --udp-port, "-1"], ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  containers:
  - {name: counts, image: busybox, command: [sh, -c, 'for i in 1 2 3 4 5; do echo line $i; done; exec sleep 1000']}
  - {name: ends, image: busybox, command: [sh, -c, 'echo bye; exit 3']}
"""
BY_MINOR = kubectls()
pytestmark = pytest.mark.skipif(not BY_MINOR, reason="no kubectl is here")


class Kubectl:
    """One kubectl against the cluster."""

    def __init__(self, path: str, config: str, home: Path) -> None:
        self.env = {**os.environ, "KUBECONFIG": config, "HOME": str(home)}
        self.path = path

    def run(self, *args: str, stdin: bytes = b"", timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.path, *args], env=self.env, input=stdin, capture_output=True, timeout=timeout, check=False
        )

    def __call__(self, *args: str, stdin: bytes = b"") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.path, *args], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster()
    manifest = tmp_path_factory.mktemp("streams") / "all.yaml"
    manifest.write_text(MANIFEST)
    made.run("up", "-f", str(manifest), "--wait", "0", check=False)
    yield made
    made("down")
    made.assert_nothing_is_left()
    made.close()


@pytest.fixture(scope="module", params=sorted(BY_MINOR), ids=lambda minor: f"1.{minor}")
def kubectl(request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    made = Kubectl(BY_MINOR[request.param], cluster("kubeconfig").strip(), tmp_path_factory.mktemp("home"))
    made("wait", "--for=condition=Ready", "pod", "-l", "app=web", "--timeout=30s")
    wait_until(lambda: "bye" in made.run("logs", "two", "-c", "ends").stdout.decode())
    return made


def test_logs(kubectl: Kubectl) -> None:
    lines = [f"line {n}\n" for n in range(1, 6)]
    assert kubectl("logs", "two", "-c", "counts") == "".join(lines)
    assert kubectl("logs", "two", "-c", "counts", "--tail=2") == "".join(lines[-2:])
    assert kubectl("logs", "two", "-c", "counts", "--limit-bytes=8") == "line 1\nl"
    assert kubectl("logs", "two", "-c", "counts", "--since-time=2099-01-01T00:00:00Z") == ""
    assert re.fullmatch(
        r"(2\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line \d\n){5}",
        kubectl("logs", "two", "-c", "counts", "--timestamps"),
    )
    assert kubectl("logs", "two", "-c", "ends", "-f") == "bye\n"


def test_a_log_is_followed_until_its_reader_goes(kubectl: Kubectl) -> None:
    with kubectl.start("logs", "-f", "--tail=1", "two", "-c", "counts") as following:
        assert following.stdout
        assert following.stdout.readline() == b"line 5\n"
        following.terminate()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("logs", "two", "-c", "counts", "-p"), 'Error from server (BadRequest): previous terminated container "counts" in pod "two" not found'),
        (("exec", "two", "-c", "nope", "--", "true"), "container nope is not valid for pod two"),
        (("exec", "two", "-c", "ends", "--", "true"), 'unable to upgrade connection: container not found ("ends")'),
        (("exec", "deploy/web", "--", "no-such-program"), 'exec: "no-such-program": executable file not found in $PATH'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(kubectl: Kubectl, args: tuple[str, ...], said: str) -> None:
    done = kubectl.run(*args)
    assert (done.returncode, said in done.stderr.decode()) == (1, True), done.stderr.decode()


def test_a_container_is_added_to_a_pod_that_runs(kubectl: Kubectl) -> None:
    pod = f"pod/looked-at-{uuid.uuid4().hex[:5]}"
    kubectl("run", pod.removeprefix("pod/"), "--image=agnhost", "--port=8080", "--", "netexec", "--http-port=8080")
    kubectl("wait", "--for=condition=Ready", pod, "--timeout=30s")
    named = f"look-{uuid.uuid4().hex[:5]}"
    look = "hostname -i; wget -qO- http://localhost:8080/hostname; exec sleep 1000"
    kubectl("debug", pod, "--image=busybox", "-c", named, "--", "sh", "-c", look)
    own = kubectl("get", pod, "-o", "jsonpath={.status.podIP}")
    told = wait_until(
        lambda: (
            kubectl.run("logs", pod, "-c", named).stdout.decode().partition("\n")[2]
            and kubectl("logs", pod, "-c", named)
        )
    )
    assert told == f"{own}\n{pod.removeprefix('pod/')}"
    assert kubectl("exec", pod, "-c", named, "--", "echo", "there") == "there\n"
    said = kubectl(
        "debug", "-i", pod, "--image=busybox", "--", "sh", "-c", "read word; echo $word", stdin=b"debugged\n"
    )
    assert "debugged\n" in said
    kubectl("delete", pod, "--now")


def test_a_command_has_its_streams_and_its_status(kubectl: Kubectl) -> None:
    done = kubectl.run("exec", "deploy/web", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.returncode) == (b"out\n", 3)
    assert done.stderr.decode() == "err\ncommand terminated with exit code 3\n"


def test_all_of_the_input_arrives_and_its_end(kubectl: Kubectl) -> None:
    data = os.urandom(1 << 20)
    assert kubectl.run("exec", "-i", "deploy/web", "--", "cat", stdin=data).stdout == data
    assert kubectl("exec", "deploy/web", "--", "cat", stdin=b"nobody asked for it") == ""


def test_a_command_on_a_terminal(kubectl: Kubectl) -> None:
    sized = 'until [ "$(stty size)" != "0 0" ]; do :; done; stty size'  # which kubectl tells when it has begun
    words = f"{kubectl.path} exec -it deploy/web -- sh -c {shlex.quote(f'tty; {sized}; exit 4')}"
    done = subprocess.run(
        ["script", "-qec", f"stty rows 30 cols 90; {words}", "/dev/null"], env=kubectl.env, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    assert "/dev/pts/" in done.stdout
    assert "30 90" in done.stdout
    assert done.returncode == 4


def test_whoever_goes_ends_the_command(kubectl: Kubectl, cluster: Cluster) -> None:
    with kubectl.start("exec", "-i", "deploy/web", "--", "sh", "-c", "sleep 54321 & echo there; wait") as talking:
        assert talking.stdout
        assert talking.stdout.readline() == b"there\n"
        assert any("sleep 54321" in line for line in cluster.processes())
        talking.terminate()
    wait_until(lambda: not any("54321" in line for line in cluster.processes()))
    assert not [path for path in cluster.folder.iterdir() if path.name.startswith("command")]


def test_files_are_copied_there_and_back(kubectl: Kubectl, tmp_path: Path) -> None:
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    (tmp_path / "there").write_bytes(b"copied\n" * 1000)
    kubectl("cp", str(tmp_path / "there"), f"{pod}:/tmp/copy")
    kubectl("cp", f"{pod}:/tmp/copy", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"copied\n" * 1000


def test_attached_to_what_a_container_writes(kubectl: Kubectl) -> None:
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    with kubectl.start("attach", pod) as attached:
        assert attached.stdout

        def seen() -> bool:
            kubectl("exec", pod, "--", "wget", "-qO-", "http://127.0.0.1:8080/healthz?attached")
            return bool(select.select([attached.stdout], [], [], 0.1)[0])

        wait_until(seen)
        assert b"/healthz?attached" in attached.stdout.readline()
        attached.terminate()


def forwarded(kubectl: Kubectl, target: str, port: int) -> tuple[subprocess.Popen[bytes], int]:
    """A kubectl that forwards a port, and where it listens."""
    forwarding = kubectl.start("port-forward", target, f":{port}", "--address=127.0.0.1")
    assert forwarding.stdout
    line = forwarding.stdout.readline().decode()
    found = re.match(r"Forwarding from 127.0.0.1:(\d+) -> ", line)
    assert found, line + forwarding.stderr.read().decode() if forwarding.stderr else line
    return forwarding, int(found[1])


def test_a_port_of_a_service_is_forwarded(kubectl: Kubectl) -> None:
    forwarding, port = forwarded(kubectl, "svc/web", 80)
    with forwarding:
        url = f"http://127.0.0.1:{port}/echo?msg="
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert [opener.open(f"{url}{n}", timeout=10).read().decode() for n in range(20)] == [str(n) for n in range(20)]
        with ThreadPoolExecutor(10) as pool:
            answers = pool.map(lambda n: opener.open(f"{url}{n}{'x' * 5000}", timeout=20).read().decode(), range(50))
            assert list(answers) == [f"{n}{'x' * 5000}" for n in range(50)]
        forwarding.terminate()


def test_a_forwarded_port_on_which_nobody_listens(kubectl: Kubectl) -> None:
    forwarding, port = forwarded(kubectl, "pod/two", 81)
    with forwarding, socket.create_connection(("127.0.0.1", port), 10) as client:
        assert client.recv(1) == b""
        forwarding.terminate()
        assert forwarding.stderr
        said = forwarding.stderr.read().decode()
    assert "error forwarding port 81 to pod two" in said
    assert "dial tcp4 127.0.0.1:81: connect: connection refused" in said


NEWEST = pytest.mark.parametrize("kubectl", sorted(BY_MINOR)[-1:], indirect=True)
SERVICE = "/api/v1/namespaces/default/services/web:http/proxy"


@NEWEST
def test_requests_are_passed_on_to_pods_and_services(kubectl: Kubectl) -> None:
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    wait_until(lambda: kubectl.run("get", "--raw", f"{SERVICE}/hostname").stdout.decode() == pod)
    assert kubectl("get", "--raw", f"/api/v1/namespaces/default/pods/{pod}/proxy/echo?msg=a%20b") == "a b"
    assert kubectl("get", "--raw", f"/api/v1/namespaces/default/pods/http:{pod}:8080/proxy/hostname") == pod
    refused = kubectl.run("get", "--raw", f"/api/v1/namespaces/default/pods/{pod}:81/proxy/")
    assert b"error trying to reach service: dial tcp 10.244." in refused.stderr
    assert b":81: connect: connection refused" in refused.stderr


@NEWEST
def test_what_pods_and_nodes_use(kubectl: Kubectl) -> None:
    lines = [line.split() for line in kubectl("top", "pods", "--no-headers").splitlines()]
    assert {name.partition("-")[0] for name, _, _ in lines} == {"two", "web"}
    assert all(cpu.endswith("m") and int(memory.removesuffix("Mi")) < 100 for _, cpu, memory in lines)
    assert "counts" in kubectl("top", "pods", "--containers", "--no-headers")
    assert [line.split()[0] for line in kubectl("top", "nodes", "--no-headers").splitlines()] == ["node1", "node2"]


@NEWEST
def test_run_and_talk_to_it(kubectl: Kubectl) -> None:
    said = kubectl("run", "cat", "-i", "--rm", "--restart=Never", "--image=busybox", "--", "cat", stdin=b"over there")
    assert said.startswith("over there")
    assert kubectl.run("get", "pod", "cat").returncode == 1


@NEWEST
def test_run_a_shell_on_a_terminal(kubectl: Kubectl) -> None:
    words = f"{kubectl.path} run shell -it --rm --restart=Never --image=busybox -- sh"
    with subprocess.Popen(
        ["script", "-qec", words, "/dev/null"], env=kubectl.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:  # fmt: skip
        assert shell.stdin
        wait_until(lambda: kubectl.run("logs", "shell").stdout.strip())  # it has prompted
        shell.stdin.write("echo $((6*7))\nexit\n")
        said, _ = shell.communicate(timeout=60)
    assert "42" in said
