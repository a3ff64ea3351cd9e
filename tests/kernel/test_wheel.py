"""The wheel has everything in it that a checkout has: labs, too, which work from it in any folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from support.cluster import REPO, Cluster


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What a wheel puts into site-packages; built from a copy, so that nothing is written into the checkout."""
    work = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "netproxy", "labs", "pyproject.toml", "setup.py", "README.md"], cwd=REPO, check=True,
                           capture_output=True, text=True).stdout.splitlines()  # fmt: skip
    for name in names:
        (work / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, work / "src" / name)
    ours = int(version("setuptools").partition(".")[0]) >= 77  # an older one is told to fetch what the build asks for
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        *["--no-build-isolation"] * ours,
        "--wheel-dir",
    ]
    subprocess.run([*command, str(work), str(work / "src")], check=True)
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        wheel.extractall(work / "site")
    return work / "site"


def test_all_labs_are_in_the_wheel(installed):
    def files(folder: Path) -> set[str]:
        return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc"}

    assert files(installed / "netproxy/labs") == files(REPO / "labs")


def test_a_lab_from_the_wheel_in_an_empty_folder(installed, tmp_path):
    name = (
        f"92-{tmp_path.parent.name[-20:].lower()}"  # labs are tested beside this one, and a lab's cluster has its name
    )
    shutil.copytree(installed / "netproxy/labs/02-pods-and-ports", installed / "netproxy/labs" / name)
    cluster = Cluster(name=name)
    env = {**cluster.env, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}

    def lab(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "netproxy", "lab", *args]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    try:
        assert "02-pods-and-ports" in lab("list").stdout
        begun = lab("up", "92", "--variant", "solution")
        assert f"read {os.path.realpath(installed)}/netproxy/labs/{name}/README.md" in begun.stdout, begun
        checked = lab("check", name)
        assert (checked.returncode, checked.stdout.count("pass ")) == (0, 6), checked
    finally:
        cluster.close()
