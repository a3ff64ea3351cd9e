"""Tests that are interrupted leave nothing on the machine either."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.cluster import REPO, wait_until


def made_by(prefix: str) -> list[str]:
    folder = Path("/run/netns")
    return [p.name for p in folder.iterdir() if p.name.startswith(prefix)] if folder.exists() else []


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_of_the_tests_leaves_nothing(number: signal.Signals, workers: int):
    prefix = f"npx{os.getpid()}-"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "tests/kernel/test_flows.py",
        "tests/kernel/test_cluster.py",
        "-q",
        f"-n{workers}",
        "-k",
        "flow or kill_nine",
    ]
    env = {**os.environ, "NPTEST_PREFIX": prefix}
    running = subprocess.Popen(argv, cwd=REPO, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    wait_until(lambda: made_by(prefix))
    os.killpg(running.pid, number)  # as a terminal does it
    running.wait(timeout=60)
    assert running.returncode != 0
    assert made_by(prefix) == []
