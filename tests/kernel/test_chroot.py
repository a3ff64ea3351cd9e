"""In a plain chroot, where `/` is no mount point, Pods run as elsewhere; without root it is said why they cannot.

Commands in a Pod have its environment.
"""

import subprocess

import pytest
from support.cluster import Cluster

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: agnhost, args: [netexec, --http-port=8080], env: [{name: GREETING, value: hello}]}]
"""
MAKE = """
for each in /*; do
    if [ -L "$each" ]; then ln -s "$(readlink "$each")" "$0$each"
    elif [ -d "$each" ]; then mkdir -p "$0$each" && mount --rbind "$each" "$0$each"
    fi
done
echo made
exec sleep 600
"""


@pytest.fixture
def cluster(tmp_path):
    """A cluster that is asked for in a folder in which all of this machine is bound, and which is no mount itself."""
    holder = subprocess.Popen(["unshare", "-m", "sh", "-c", MAKE, tmp_path], stdout=subprocess.PIPE, text=True)
    made = Cluster(prefix=["nsenter", "-t", str(holder.pid), "-m", "chroot", str(tmp_path)])
    try:
        assert holder.stdout.readline() == "made\n"
        yield made
    finally:
        made.close()
        holder.kill()
        holder.communicate()


def test_pods_run_in_a_chroot_and_answer(cluster: Cluster):
    cluster("up", "-f", "-", stdin=POD)
    ip = cluster.get("pods", "p")["status"]["podIP"]
    assert cluster.exec("client", "curl", "-s", "--max-time", "3", f"http://{ip}:8080/hostname") == "p"
    assert cluster.exec("p", "cat", "/etc/hostname") == "p\n"
    assert "ok   mounts of a Pod" in cluster("doctor")


def test_without_root_a_chroot_is_named_as_what_forbids_it(cluster: Cluster):
    cluster.env["NETPROXY_ROOTLESS"] = "1"
    told = cluster.run("doctor", check=False)
    assert told.returncode == 1
    assert (
        "MISS user namespaces  needed: the kernel makes no user namespace inside of a chroot, or use sudo"
        in told.stdout
    )


def test_a_command_in_a_pod_has_the_pods_environment_and_nothing_of_the_callers(cluster: Cluster):
    cluster("up", "-f", "-", stdin=POD)
    cluster.env["SECRET_OF_THE_CALLER"] = "seen"
    seen = cluster.exec("p", "env")
    assert "GREETING=hello" in seen.splitlines()
    assert "HOSTNAME=p" in seen.splitlines()
    assert "SECRET_OF_THE_CALLER" not in seen
    assert "SECRET_OF_THE_CALLER=seen" in cluster.exec("node1", "env"), "a node is the caller's own machine"
