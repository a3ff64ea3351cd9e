"""What a container cannot reach of this machine, and what it can: its own namespaces, files, volumes, user.

Each is asked for from inside, as root in the container, with and without root outside, with and without control groups.
"""

import json
import os
import socket
import tempfile
from pathlib import Path

import pytest
import yaml
from support.cluster import Cluster, wait_until

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    command: [sleep, "1000"]
"""
CONFIG = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {word: sesame}
"""
KINDS = ["cgroups", "PID namespaces", "no root"]


@pytest.fixture(params=KINDS, scope="module")
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def cluster(kind):
    made = Cluster(rootless=kind == "no root")
    if kind == "PID namespaces":
        made.env["NETPROXY_CGROUP"] = "off"
    try:
        made("up", "-f", "-", stdin=POD)
        yield made
    finally:
        made.close()


def pod(name: str, container=None, **more) -> str:
    made = yaml.safe_load(POD)
    made["metadata"]["name"] = name
    made["spec"]["containers"][0].update(container or {})
    made["spec"].update(more)
    return json.dumps(made)


def inside(cluster: Cluster, script: str, target: str = "p") -> tuple[int, str]:
    """Exit status and output of a shell script in a container."""
    done = cluster.run("exec", target, "--", "sh", "-c", script, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.mark.parametrize(
    "attempt",
    [
        "echo x > /usr/bin/x", "touch /etc/x", "rm -f /bin/sh", "touch /opt/x", "chmod 777 /usr", "touch /var/x",
        "mount -o remount,rw /usr", "mount -o remount,bind,rw /usr", "mount -t tmpfs none /mnt", "umount /usr", "umount -l /proc",
        "echo 1 > /proc/sys/net/ipv4/ip_forward", "echo x > /proc/sys/kernel/core_pattern", "echo b > /proc/sysrq-trigger",
        "echo 1 > /sys/module/x || mkdir /sys/x", "hostname other",
        "ip addr add 10.9.9.9/32 dev lo", "unshare -n true", "unshare -m true",
        "nsenter -t 1 -n ip addr add 10.9.9.9/32 dev lo", "cat /proc/kcore | head -c 1 | grep .", "cat /etc/shadow | grep .",
        "mkdir -p /tmp/c && mount -t cgroup2 none /tmp/c", "find / -xdev -name 'agent.sock' -o -xdev -name state.db | grep .",
        "test -e /dev/sda || test -e /dev/mem || test -e /dev/kmsg || test -e /dev/vda || test -e /dev/loop0",
    ],
)  # fmt: skip
def test_what_a_container_must_not_do_fails(cluster: Cluster, attempt: str):
    code, output = inside(cluster, attempt)
    assert code != 0, output


def test_a_user_namespace_of_its_own_gives_nothing_back(cluster: Cluster):
    for attempt in (
        "umount /etc/shadow",
        "mount -o remount,bind,rw /usr",
        "umount -l /usr",
        "mount --bind /etc /mnt; touch /mnt/x",
    ):
        assert inside(cluster, f"unshare -Urm sh -c '{attempt}'")[0] != 0


def test_where_it_works_shows_nothing_of_the_agent(cluster: Cluster):
    for number, folder in enumerate((cluster.folder, cluster.folder.parent, "/run/netns", "/root/.ssh")):
        cluster("apply", "-f", "-", "--wait", "20", stdin=pod(f"at{number}", {"workingDir": str(folder)}))
        assert inside(cluster, "pwd; ls -A", f"at{number}") == (0, str(folder))
        cluster("delete", "pod", f"at{number}")


def test_a_server_s_socket_is_a_file_that_leads_nowhere(cluster: Cluster, kind: str):
    with tempfile.TemporaryDirectory(dir="/srv") as folder, socket.socket(socket.AF_UNIX) as listener:
        os.chmod(folder, 0o755)
        listener.bind(f"{folder}/sock")
        listener.listen()
        cluster("apply", "-f", "-", "--wait", "20", stdin=pod("caller"))
        script = f"import socket; socket.socket(socket.AF_UNIX).connect('{folder}/sock')"
        assert "ConnectionRefusedError" in inside(cluster, f'python3 -c "{script}"', "caller")[1]
        cluster("delete", "pod", "caller")


def test_links_in_a_volume_lead_nowhere_outside(cluster: Cluster, tmp_path: Path):
    links = "; ".join(
        f"ln -s {way}{tmp_path} /v/l{at}" for at, way in enumerate(("", "/.old", "/proc/1/root", "../../../../.."))
    )
    mounts = [{"name": "v", "mountPath": "/v"}, *({"name": "w", "mountPath": f"/v/l{at}/made"} for at in range(4))]
    wanted = pod("linked", {"volumeMounts": mounts}, volumes=[{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}],
                 initContainers=[{"name": "i", "image": "busybox", "command": ["sh", "-c", links],
                                  "volumeMounts": mounts[:1]}])  # fmt: skip
    cluster("apply", "-f", "-", "--wait", "3", stdin=wanted, check=False)
    wait_until(lambda: "/v/l0" in cluster("get", "events"))
    assert list(tmp_path.iterdir()) == []
    cluster("delete", "pod", "linked")


def test_a_link_that_a_sub_path_meets_is_not_followed(cluster: Cluster, tmp_path: Path):
    mounts = [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/w", "subPath": "l/made"}]
    wanted = pod("sub", {"volumeMounts": mounts[1:]}, volumes=[{"name": "v", "emptyDir": {}}], initContainers=[
        {"name": "i", "image": "busybox", "command": ["ln", "-s", str(tmp_path), "/v/l"], "volumeMounts": mounts[:1]}])  # fmt: skip
    cluster("apply", "-f", "-", "--wait", "3", stdin=wanted, check=False)
    states = cluster.get("pods", "sub")["status"]["containerStatuses"]
    assert states[0]["state"]["waiting"]["message"] == 'subPath "l/made" leads out of the volume'
    assert list(tmp_path.iterdir()) == []
    cluster("delete", "pod", "sub")


def test_folders_that_are_deep_locked_or_many_go_with_the_pod(cluster: Cluster):
    deep = "import os\nos.chdir('/v')\nfor n in range(3000): os.mkdir('d'); os.chdir('d')"
    wanted = pod("deep", {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=[{"name": "v", "emptyDir": {}}])
    cluster("apply", "-f", "-", "--wait", "20", stdin=wanted)
    assert inside(
        cluster,
        f'python3 -c "{deep}"; mkdir /v/x; touch /v/x/y; chmod 0 /v/x; seq -f /v/n%g 3000 | xargs touch',
        "deep",
    ) == (0, "")
    cluster("delete", "pod", "deep")
    wait_until(lambda: len(list((cluster.folder / "pods").iterdir())) == len(cluster.get("pods", "-A")["items"]))


def test_a_device_that_is_made_opens_nothing(cluster: Cluster):
    assert inside(cluster, "mknod /tmp/m c 1 1; head -c 1 /tmp/m")[0] != 0
    assert inside(cluster, "mknod /dev/shm/b b 7 0; head -c 1 /dev/shm/b")[0] != 0


def test_the_machine_s_files_and_processes_are_out_of_sight(cluster: Cluster, tmp_path: Path):
    (tmp_path / "secret").write_text("of the machine")
    for way in (f"cat {tmp_path}/secret", f"cat /proc/1/root{tmp_path}/secret", f"cat /proc/1/cwd{tmp_path}/secret"):
        assert inside(cluster, way)[0] != 0
    assert inside(cluster, f"kill -0 {cluster.pid}")[0] != 0
    assert inside(cluster, f"test -d {cluster.folder}/pods")[0] != 0
    assert inside(cluster, "ls /run /root /home")[1].count("\n") < 8
    assert inside(cluster, "cat /proc/1/comm")[1] in ("sleep", "busybox", "netproxy-init")


def test_the_machine_is_as_it_was(cluster: Cluster):
    inside(cluster, "echo hers > /tmp/npt-confined; echo hers > /dev/shm/npt-confined; hostname x")
    assert not Path("/tmp/npt-confined").exists()
    assert not Path("/dev/shm/npt-confined").exists()
    assert inside(cluster, "cat /tmp/npt-confined")[1] == "hers"
    assert inside(cluster, "cat /dev/shm/npt-confined")[1] == "hers"
    assert inside(cluster, "hostname")[1] == "p"


def test_a_container_has_what_programs_need(cluster: Cluster):
    script = (
        "echo x > /dev/null && head -c 4 /dev/urandom > /tmp/r && test -r /etc/passwd && touch /root/x /run/x /var/tmp/x && "
        "cat /etc/hostname && nslookup kubernetes.default >/dev/null 2>&1; python3 -c 'import ssl, json; print(6)'; "
        "test $(ls /proc | grep -cE '^[0-9]+$') -lt 12 && echo few"
    )
    assert inside(cluster, script)[1].split() == ["p", "6", "few"]


def test_capabilities_are_containerds_own_unless_others_are_asked_for(cluster: Cluster):
    assert "CapBnd:\t00000000a80425fb" in inside(cluster, "cat /proc/self/status")[1]
    added = {"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}}
    cluster("apply", "-f", "-", "--wait", "20", stdin=pod("admin", added))
    assert "CapEff:\t0000000000001000" in inside(cluster, "cat /proc/self/status", "admin")[1]
    assert inside(cluster, "ip addr add 10.9.9.9/32 dev lo && ip addr show lo", "admin")[0] == 0
    cluster("delete", "pod", "admin")


def test_a_user_is_respected(cluster: Cluster, kind: str):
    wanted = {"runAsUser": 1234, "runAsGroup": 77, "fsGroup": 55, "runAsNonRoot": True}
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}], "securityContext": wanted}
    container = {
        "volumeMounts": [{"name": "v", "mountPath": "/data"}],
        "command": ["sh", "-c", "id -u; id -g; exec sleep 1000"],
    }
    cluster("apply", "-f", "-", "--wait", "20", stdin=pod("user", container, **volumes))
    expected = ["0", "0"] if kind == "no root" else ["1234", "77"]
    wait_until(lambda: cluster("logs", "user").split() == expected)
    code, output = inside(cluster, "id -u && id -g && touch /data/x", "user")
    assert (code, output.split()) == (0, expected)
    if kind != "no root":
        assert inside(cluster, "grep CapEff /proc/self/status", "user")[1] == "CapEff:\t0000000000000000"
        assert inside(cluster, "touch /root/x", "user")[0] != 0
    cluster("delete", "pod", "user")


def test_a_probe_by_command_looks_from_inside(cluster: Cluster):
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    container = {
        "command": ["sh", "-c", "touch /tmp/ready; exec sleep 1000"],
        "readinessProbe": probe,
        "startupProbe": probe,
    }
    cluster("apply", "-f", "-", "--wait", "20", stdin=pod("probed", container))
    cluster("delete", "pod", "probed")


def test_a_privileged_container_has_the_old_way(cluster: Cluster, tmp_path: Path):
    (tmp_path / "file").write_text("of the machine")
    cluster("apply", "-f", "-", "--wait", "20", stdin=pod("mighty", {"securityContext": {"privileged": True}}))
    script = f"cat {tmp_path}/file && mount -t tmpfs none /mnt && ip addr add 10.9.9.9/32 dev lo"
    assert inside(cluster, script, "mighty") == (0, "of the machine")
    assert not os.path.ismount("/mnt")
    cluster("delete", "pod", "mighty")


def test_volumes_are_there_and_only_some_can_be_written(cluster: Cluster, tmp_path: Path):
    (tmp_path / "seen").write_text("hello")
    volumes = [
        {"name": "own", "emptyDir": {}}, {"name": "config", "configMap": {"name": "settings"}},
        {"name": "key", "secret": {"secretName": "key", "defaultMode": 0o400}},
        {"name": "host", "hostPath": {"path": str(tmp_path)}},
    ]  # fmt: skip
    paths = ("own", "config", "key", "host")
    container = {
        "volumeMounts": [{"name": each, "mountPath": f"/srv/{each}"} for each in paths]
        + [{"name": "host", "mountPath": "/read", "readOnly": True}],
        "env": [{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "key", "key": "word"}}}],
    }
    cluster("apply", "-f", "-", "--wait", "20", stdin=pod("v", container, volumes=volumes) + CONFIG)
    script = (
        "cat /srv/config/colour /srv/key/word /read/seen; echo $WORD; touch /srv/own/x && echo y > /srv/host/written"
    )
    assert inside(cluster, script, "v") == (0, "bluesesamehellosesame")
    assert (tmp_path / "written").read_text() == "y\n"
    for path in ("/srv/config/x", "/srv/key/x", "/read/x"):
        assert inside(cluster, f"touch {path}", "v")[0] != 0
        assert inside(cluster, f"mount -o remount,rw {Path(path).parent}; touch {path}", "v")[0] != 0
    cluster("delete", "pod", "v")


def test_what_is_missing_is_named_and_waited_for(cluster: Cluster):
    env = [{"name": "C", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "k"}}}]
    cluster("apply", "-f", "-", stdin=pod("waits", {"env": env}))

    def waiting():
        states = cluster.get("pods", "waits")["status"].get("containerStatuses") or [{"state": {}}]
        return states[0]["state"].get("waiting") or {}

    wait_until(lambda: waiting().get("reason") == "CreateContainerConfigError")
    assert waiting()["message"] == 'configmap "later" not found'
    later = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later}\ndata: {k: v}\n"
    cluster("apply", "-f", "-", stdin=later)
    wait_until(lambda: cluster.get("pods", "waits")["status"]["phase"] == "Running")
    assert inside(cluster, "echo $C", "waits") == (0, "v")
    cluster("delete", "pod", "waits")


def test_a_volume_whose_source_is_missing_is_named_and_waited_for(cluster: Cluster):
    wanted = pod("lacks", {"volumeMounts": [{"name": "s", "mountPath": "/s"}]},
                 volumes=[{"name": "s", "secret": {"secretName": "late"}}])  # fmt: skip
    told = cluster.run("apply", "-f", "-", "--wait", "1", stdin=wanted, check=False)
    why = 'FailedMount: MountVolume.SetUp failed for volume "s" : secret "late" not found'
    assert (told.returncode, why in told.stderr) == (1, True)
    late = "apiVersion: v1\nkind: Secret\nmetadata: {name: late}\nstringData: {k: v}\n"
    cluster("apply", "-f", "-", stdin=late)
    wait_until(lambda: cluster.get("pods", "lacks")["status"]["phase"] == "Running")
    assert inside(cluster, "cat /s/k", "lacks") == (0, "v")
    assert "FailedCreatePodSandBox" not in cluster("get", "events")
    cluster("delete", "pod", "lacks")


def test_a_field_that_does_nothing_is_named_once_for_all_pods_of_a_deployment(cluster: Cluster):
    template = {"metadata": {"labels": {"app": "w"}}, "spec": yaml.safe_load(POD)["spec"]}
    template["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1Gi"}}
    wanted = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "w"}}, "template": template},
    }  # fmt: skip
    cluster("apply", "-f", "-", "--wait", "20", stdin=json.dumps(wanted))
    told = [line for line in cluster("get", "events").splitlines() if "FieldIgnored" in line]
    assert len(told) == 1
    assert "spec.containers.resources does nothing here" in told[0]
    cluster("delete", "deployment", "w")
