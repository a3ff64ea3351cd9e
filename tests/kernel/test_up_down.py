"""Who starts a cluster and who ends it, at the same time, halfway, or twice: never is anything left."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.cluster import LIMIT_S, Cluster, wait_until

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: 80}]}\n"
STAGES = [
    "",
    "incoming.json",
    "agent.log",
    "agent.pid",
    "shim.pid",
    "shim.sock",
    "state.db",
    "namespaces",
    "agent.sock",
]
"""What a start makes, in this order."""


def service(folder: Path, name: str) -> str:
    file = folder / f"{name}.yaml"
    file.write_text(SERVICE % name)
    return str(file)


def programs(cluster: Cluster, module: str) -> list[str]:
    return [line for line in cluster.processes() if f"-m {module}" in line]


def child_of(process: subprocess.Popen[str]) -> int:
    """The agent that `up` has started; 0 when there is none (yet)."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        return 0
    return next((int(pid) for pid in children if b"netproxy.agent.main" in command_line(int(pid))), 0)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def agent_at(starting: subprocess.Popen[str], cluster: Cluster, stage: str) -> int:
    """The agent's process number as soon as a file of its start is there."""
    wait_until(lambda: (cluster.folder / stage).exists() and (child_of(starting) or starting.poll() is not None))
    return child_of(starting)


@pytest.mark.parametrize("attempt", range(8))
def test_of_two_at_once_one_starts_the_cluster_and_the_other_applies_to_it(cluster: Cluster, tmp_path, attempt: int):
    both = [cluster.start("up", "-f", service(tmp_path, name)) for name in ("one", "two")]
    for command in both:
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 0, errors
    assert len(programs(cluster, "netproxy.agent.main")) == 1
    assert {"one", "two"} <= {item["metadata"]["name"] for item in cluster.get("svc")["items"]}
    cluster("down")
    cluster.assert_nothing_is_left()


@pytest.mark.parametrize("stage", STAGES)
def test_an_agent_that_is_killed_while_it_starts_leaves_nothing(cluster: Cluster, stage: str):
    starting = cluster.start("up")
    agent = agent_at(starting, cluster, stage)
    os.kill(agent, signal.SIGKILL)
    _, errors = starting.communicate(timeout=30)
    if (cluster.folder / "agent.json").exists():  # it was ready already: the cluster is up, and stays
        cluster("down")
    else:
        assert starting.returncode == 1, errors
        assert "error: " in errors
    cluster.assert_nothing_is_left()


@pytest.mark.parametrize("then", ["down", "up"])
@pytest.mark.parametrize("stage", STAGES)
def test_what_is_left_when_both_are_killed_is_found(cluster: Cluster, stage: str, then: str):
    starting = cluster.start("up")
    agent = agent_at(starting, cluster, stage)
    starting.kill()
    starting.communicate()
    os.kill(agent, signal.SIGKILL)
    if then == "up":
        cluster("up")
        assert len(programs(cluster, "netproxy.agent.main")) == 1
        assert cluster.run("verify").returncode == 0
    cluster("down")
    cluster.assert_nothing_is_left()


def test_an_agent_outlives_the_command_that_starts_it(cluster: Cluster):
    starting = cluster.start("up")
    agent_at(starting, cluster, "")
    starting.kill()
    starting.communicate()
    cluster("up")  # waits until the agent is there, and finds it running
    assert len(programs(cluster, "netproxy.agent.main")) == 1
    cluster("down")
    cluster.assert_nothing_is_left()


def test_down_waits_for_a_start_and_ends_it(cluster: Cluster):
    starting = cluster.start("up")
    agent_at(starting, cluster, "agent.pid")
    cluster("down")
    starting.communicate(timeout=30)
    cluster.assert_nothing_is_left()


def test_down_finds_an_agent_and_a_shim_whose_files_are_gone(cluster: Cluster):
    cluster("up", "-f", "labs/01-clusterip")
    for file in ("agent.pid", "shim.pid", "agent.sock", "shim.sock", "agent.json"):
        (cluster.folder / file).unlink()
    (cluster.folder.parent / f".{cluster.name}.lock").unlink()
    cluster("down")
    cluster.assert_nothing_is_left()


SLEEPER = [sys.executable, "-c", "import time; print('there', flush=True); time.sleep(600)"]


def sleeper(*before: str, **more: Any) -> subprocess.Popen[str]:
    """A process that sleeps, when it has begun to."""
    process = subprocess.Popen([*before, *SLEEPER], stdout=subprocess.PIPE, text=True, **more)
    assert process.stdout.readline() == "there\n"
    return process


@pytest.mark.parametrize("rootless", [False, True])
def test_processes_in_the_namespaces_end_with_the_cluster_and_others_do_not(cluster: Cluster, rootless: bool):
    if rootless:
        cluster.env["NETPROXY_ROOTLESS"] = "1"
    cluster("up")
    inside = sleeper(*cluster.command("exec", "node1", "--", "setsid", "-w", "env", "-i"), env=cluster.env)
    outside = sleeper(env=cluster.env, cwd=cluster.folder)
    hide = f'mount -t tmpfs none {cluster.state}; mkdir -p {cluster.folder}; exec "$@"'
    marked = {**cluster.env, "NETPROXY_MARK": str(cluster.folder)}
    elsewhere = sleeper("unshare", "-m", "sh", "-c", hide, "-", env=marked)
    try:
        os.kill(cluster.pid, signal.SIGKILL)
        for file in ("agent.pid", "shim.pid"):
            (cluster.folder / file).unlink()
        cluster("down")
        assert inside.wait(5) != 0
        assert outside.poll() is None
        assert elsewhere.poll() is None, "the folder of that name is another one for it"
    finally:
        for process in (inside, outside, elsewhere):
            process.kill()
            process.communicate()
    cluster.assert_nothing_is_left()


def a_control_group(cluster: Cluster) -> Path:
    mounts = [
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line
    ]
    if not mounts:
        pytest.skip("no control groups of version 2 are mounted here")
    return Path(mounts[0]) / "netproxy" / sha256(str(cluster.folder).encode()).hexdigest()[:12]


def test_processes_in_the_control_group_end_with_the_cluster(cluster: Cluster):
    cluster("up")
    group = a_control_group(cluster)
    try:
        (group / "pod" / "container").mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    inside = sleeper()
    try:
        (group / "pod" / "container" / "cgroup.procs").write_text(str(inside.pid))
        cluster("down")
        assert inside.wait(5) == -signal.SIGKILL
        assert not group.exists()
    finally:
        inside.kill()
        inside.communicate()


def test_down_finds_processes_whose_folder_is_gone(cluster: Cluster):
    cluster("up")
    agent, shim = (programs(cluster, module) for module in ("netproxy.agent.main", "netproxy.kubelet.shim"))
    assert agent
    assert shim
    names = cluster.namespaces()
    shutil.rmtree(cluster.folder)
    cluster("down")
    assert cluster.processes() == []
    for name in names:  # their names were in the folder
        subprocess.run(["ip", "netns", "del", name], check=True)
    cluster.assert_nothing_is_left()


def test_twice_is_fine_and_at_once_too(cluster: Cluster):
    cluster("up")
    for command in [cluster.start("down"), cluster.start("down")]:
        _, errors = command.communicate(timeout=30)
        assert (command.returncode, errors) == (0, f"cluster {cluster.name} is down\n")
    cluster("down")
    cluster.assert_nothing_is_left()


def test_an_agent_that_hears_nothing_is_ended(cluster: Cluster):
    cluster("up")
    os.kill(cluster.pid, signal.SIGSTOP)
    cluster("down")
    cluster.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment_s", [round(random.Random(n).uniform(0.1, 1.2), 3) for n in range(8)])
def test_an_interrupted_up_leaves_nothing_at_any_moment(cluster: Cluster, number: signal.Signals, moment_s: float):
    starting = cluster.start("up", "-f", "labs/01-clusterip")
    try:
        starting.communicate(timeout=moment_s)
    except subprocess.TimeoutExpired:
        starting.send_signal(number)
        starting.communicate(timeout=30)
    if starting.returncode == 0:
        cluster("status")
        cluster("down")
    cluster.assert_nothing_is_left()


def test_a_number_that_somebody_else_has_now_is_not_killed(cluster: Cluster):
    cluster("up")
    os.kill(cluster.pid, signal.SIGKILL)
    bystander = subprocess.Popen([sys.executable, "-c", "input()", "netproxy.agent"], stdin=subprocess.PIPE)
    try:
        before = (cluster.folder / "agent.pid").read_text().split()
        (cluster.folder / "agent.pid").write_text(" ".join([str(bystander.pid), *before[1:]]) + "\n")
        cluster("down")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()
    cluster.assert_nothing_is_left()


def test_a_failed_start_leaves_a_cluster_that_was_up_before(cluster: Cluster, tmp_path):
    cluster("up", "-f", service(tmp_path, "kept"))
    os.kill(cluster.pid, signal.SIGKILL)
    starting = cluster.start("up")
    os.kill(agent_at(starting, cluster, "incoming.json"), signal.SIGKILL)
    starting.communicate(timeout=30)
    assert starting.returncode == 1
    cluster("up")
    assert cluster.get("svc", "kept")["metadata"]["name"] == "kept"


def test_only_a_cluster_that_is_named_must_be_there(cluster: Cluster):
    cluster("up")
    typo = cluster.run("down", "--cluster", "typo", check=False)
    assert (typo.returncode, typo.stderr) == (1, f"error: there is no cluster typo; there is {cluster.name}\n")
    cluster("down", "--all")
    assert (
        cluster.run("down", "--cluster", "typo", check=False).stderr
        == "error: there is no cluster typo; there is none\n"
    )
    del cluster.env["NETPROXY_CLUSTER"]
    assert cluster.run("down").stderr == "cluster default is down\n"
    cluster.assert_nothing_is_left()


@contextmanager
def held(cluster: Cluster, role: str) -> Iterator[str]:
    """Another process, whose number is yielded, has the cluster's lock."""
    script = (
        "import os, sys; from pathlib import Path; from netproxy.agent.paths import paths; from netproxy.agent.lock import ClusterLock\n"
        f"lock = ClusterLock.take(paths('{cluster.name}'), '{role}'); print(os.getpid(), flush=True); input(); lock.remove()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], env=cluster.env, stdin=pipe, stdout=pipe, text=True) as other:
        yield other.stdout.readline().strip()
        other.communicate("\n")


def test_up_says_that_it_waits_for_down_and_begins_after_it(cluster: Cluster):
    with held(cluster, "netproxy down") as pid:
        starting = cluster.start("up")
        said = starting.stderr.readline()
        assert said == f"waiting for cluster {cluster.name}: process {pid} (`netproxy down`) has it\n"
        assert starting.poll() is None
    _, rest = starting.communicate(timeout=LIMIT_S)
    assert starting.returncode == 0, rest
    assert f"cluster {cluster.name}: 2 nodes" in rest


def test_down_says_who_holds_a_cluster_that_it_cannot_have(cluster: Cluster):
    with held(cluster, "somebody") as pid:
        refused = cluster.run("down", "--wait", "0.2", check=False)
    assert refused.returncode == 1
    assert f"is held by process {pid} (`somebody`)" in refused.stderr
    cluster.assert_nothing_is_left()


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: c, image: %s}]}\n"


def test_pods_that_are_not_ready_are_named_with_the_reason_and_the_cluster_stays(cluster: Cluster):
    started = cluster.run("up", "-f", "-", "--wait", "5", stdin=POD % ("odd", "my/app:1"), check=False)
    assert started.returncode == 1
    errors = [line for line in started.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: Pod default/odd is not ready: ImagePullBackOff: ")
    again = cluster.run("apply", "-f", "-", "--wait", "5", stdin=POD % ("fine", "pause"), check=False)
    assert (again.returncode, again.stdout) == (1, "Pod default/fine applied\n")
    assert again.stderr == errors[0] + "\n"
    cluster("delete", "pod", "odd")
    assert cluster.run("up").stderr.startswith(f"cluster {cluster.name}: 2 nodes, 2/2 Pods ready")


def test_rules_that_cannot_be_written_are_told(cluster: Cluster, tmp_path):
    refusing = tmp_path / "iptables-nft-restore"
    refusing.write_text('#!/bin/sh\ncat >/dev/null\necho "no room" >&2\nexit 4\n')
    refusing.chmod(0o755)
    path = cluster.env["PATH"]
    cluster.env["PATH"] = f"{tmp_path}:{path}"
    started = cluster.run("up", "--wait", "1", check=False)
    cluster.env["PATH"] = path
    lines = [f"{node} IPv4: the rules cannot be written: iptables-nft-restore: no room" for node in ("node1", "node2")]
    assert started.returncode == 1
    assert [line for line in started.stderr.splitlines() if "rules" in line] == [f"error: {line}" for line in lines]
    assert "1/1 Pods ready" in started.stderr
    assert [line for line in cluster("status").splitlines() if "rules" in line] == lines
    errors = json.loads(cluster("status", "-o", "json"))["proxy"]["errors"]
    assert errors[0].items() >= {"node": "node1", "family": "IPv4", "what": "rules"}.items()
    assert errors[0]["message"] == "iptables-nft-restore: no room"
    wait_until(lambda: cluster("get", "nodes").count("NotReady,RulesNotWritten") == 2)
    refusing.unlink()
    wait_until(lambda: "rules" not in cluster("status"))
    wait_until(lambda: "NotReady" not in cluster("get", "nodes"))
    cluster("up")


def test_a_node_that_somebody_adds_is_no_machine_and_keeps_nobody_from_starting(cluster: Cluster):
    cluster("up")
    added = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node9"}}
    socket = cluster.folder / "agent.sock"
    subprocess.run(
        ["curl", "-sf", "--unix-socket", socket, "-H", "Content-Type: application/json", "-d", json.dumps(added),
         "http://localhost/api/v1/nodes"], check=True, capture_output=True,
    )  # fmt: skip
    os.kill(cluster.pid, signal.SIGKILL)
    cluster("up")
    assert len(json.loads(cluster("status", "-o", "json"))["nodes"]) == 2
    assert not [name for name in cluster.namespaces() if name.endswith("node9")]
    cluster("down")
    cluster.assert_nothing_is_left()
