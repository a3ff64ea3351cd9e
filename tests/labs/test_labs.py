"""Every lab: its solution passes, its broken twin fails at exactly the named check, its README's steps print what it says."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from support.cluster import REPO, Cluster, wait_until
from support.transcript import difference, run, steps

pytestmark = pytest.mark.timeout(600)  # in the virtual machine a lab takes minutes
LABS = [
    pytest.param(
        file.parent, id=file.parent.name,
        marks=[pytest.mark.ipvs] if yaml.safe_load(file.read_text()).get("needs") == "ipvs" else [],
    )
    for file in sorted((REPO / "labs").glob("*/lab.yaml"))
]  # fmt: skip


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A lab's cluster has one name: whoever runs it waits for whoever runs it now, and until all of that is gone."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wait_until(lambda: not list(Path("/run/netns").glob(f"{folder.name[:20]}-*")), 60)
        yield
    finally:
        os.close(lock)


@pytest.fixture(params=LABS)
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A lab, for one test at a time."""
    with alone(request.param):
        yield request.param


def outcomes(lab: Cluster, name: str) -> dict[str, bool]:
    lines = lab.run("lab", "check", name, check=False).stdout.splitlines()
    return {line.split()[1].rstrip(":"): line.startswith("pass") for line in lines}


def test_a_lab(folder: Path) -> None:
    """One test for each lab: its cluster has one name, and two workers would wait for each other."""
    the_readme_is_true(folder)
    lab = Cluster(name=folder.name[:20])
    try:
        the_solution_passes_and_the_broken_twin_fails_where_it_should(lab, folder)
    finally:
        lab.close()


def the_solution_passes_and_the_broken_twin_fails_where_it_should(lab: Cluster, folder: Path) -> None:
    lab("lab", "up", str(folder), "--variant", "solution")
    found = outcomes(lab, str(folder))
    assert found
    assert all(found.values()), lab("lab", "check", str(folder), check=False)
    lab("lab", "down", str(folder))
    lab("lab", "up", str(folder), "--variant", "broken")
    breaks = yaml.safe_load((folder / "lab.yaml").read_text())["breaks"]
    assert [name for name, good in outcomes(lab, str(folder)).items() if not good] == [breaks]
    lab("lab", "down", str(folder))
    lab("lab", "down", str(folder))
    lab.assert_nothing_is_left()


def the_readme_is_true(folder: Path) -> None:
    state = tempfile.mkdtemp(prefix="npt-")
    env = {**os.environ, "NETPROXY_STATE": state}
    listed = steps(folder / "README.md")
    assert len(listed) > 5
    try:
        wrong = [difference(step, run(step, env)) for step in listed]
        assert not [text for text in wrong if text], "\n\n".join(filter(None, wrong))
    finally:
        Cluster.remove(env, folder.name[:20])
        shutil.rmtree(state, ignore_errors=True)
