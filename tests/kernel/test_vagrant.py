"""The Vagrant box without a hypervisor: its provisioning script in a clean Debian root, and Vagrant's own opinion of the file."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster import REPO

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        "ID=debian" not in Path("/etc/os-release").read_text().split(), reason="needs Debian's own mirror"
    ),
]


def mirror() -> str:
    """Where this machine's own packages come from."""
    text = subprocess.run(["apt-cache", "policy", "base-files"], capture_output=True, text=True, check=True).stdout
    return next(word for line in text.splitlines() for word in line.split() if word.startswith("http"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small Debian below a folder, with this machine's way to packages; taken away afterwards."""
    folder = tmp_path_factory.mktemp("debian")
    argv = ["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(folder), mirror()]
    subprocess.run(argv, check=True, capture_output=True)
    for file in ("etc/apt", "etc/pip.conf", "etc/resolv.conf", "etc/hosts", "usr/local/share/ca-certificates"):
        here = Path("/") / file
        if here.is_dir():
            shutil.copytree(here, folder / file, dirs_exist_ok=True, symlinks=True)
        elif here.exists():
            shutil.copy(here, folder / file)
    script = f"""
        set -e
        mount --rbind {folder} {folder}  # a machine's root is a mount point
        mount -t proc proc {folder}/proc; mount --rbind /sys {folder}/sys; mount --rbind /dev {folder}/dev
        mount -t tmpfs run {folder}/run
        mkdir -p {folder}/src; mount --bind {REPO} {folder}/src
        exec chroot {folder} "$@"
    """
    (folder / "enter").write_text(script)
    subprocess.run(["chroot", str(folder), "update-ca-certificates"], check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def inside(root: Path, *argv: str) -> str:
    """Run a command in the root, in mount and network namespaces of its own: nothing of them is left."""
    command = ["unshare", "-m", "--propagation", "private", "sh", str(root / "enter"), *argv]
    env = {
        **os.environ,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "TMPDIR": "/tmp",
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}: {done.stdout[-3000:]}{done.stderr[-5000:]}"
    return done.stdout


def test_the_provisioning_script_makes_a_machine_for_netproxy(root: Path) -> None:
    (root / "home" / "vagrant").mkdir(parents=True)
    assert "netproxy is on the path" in inside(root, "/src/scripts/provision", "/src")
    assert "ip_vs" in (root / "etc/modules-load.d/netproxy.conf").read_text().split()
    assert os.readlink(root / "home/vagrant/labs") == "/opt/netproxy/labs"
    inside(root, "/src/scripts/provision", "/src")  # again is fine
    shown = inside(root, "sh", "-c", "cd / && netproxy up --cluster npt-vagrant && netproxy status --cluster npt-vagrant; "
                   "netproxy down --cluster npt-vagrant")  # fmt: skip
    assert "npt-vagrant" in shown


def test_vagrant_finds_nothing_wrong(tmp_path: Path) -> None:
    if shutil.which("vagrant") is None:
        pytest.fail("vagrant is not installed: scripts/install test does it")
    shutil.copy(REPO / "Vagrantfile", tmp_path)
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPO / "scripts" / "provision", tmp_path / "scripts")
    env = {**os.environ, "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    argv = ["vagrant", "validate", "--ignore-provider"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated successfully" in done.stdout
