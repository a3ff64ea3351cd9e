"""What containers use, of processes of this test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from netproxy.kubelet.usage import Meter


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A shell that waits for a child which counts."""
    with subprocess.Popen(["sh", "-c", "(echo there; while :; do :; done); true"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout
        shell.stdout.readline()
        yield shell
        subprocess.run(["pkill", "-P", str(shell.pid)], check=False)
        shell.kill()


def test_processes_and_their_children_are_counted(busy: subprocess.Popen[bytes], tmp_path: Path) -> None:
    now = [0.0]
    meter = Meter(tmp_path / "none", lambda: now[0])
    running = {"uid/c": busy.pid, "uid/gone": 1 << 22}
    window_s, first = meter.read(running)
    assert window_s == 1.0
    assert first["uid/c"].memory > 50_000
    assert first["uid/gone"] == (0, 0)
    now[0] = 100.0
    before = _cpu_s(busy.pid)
    window_s, later = meter.read(running)
    assert window_s == 100.0
    assert 0 <= later["uid/c"].cpu_n / 1e9 * 100 <= before + 5
    now[0] = 100.5
    assert meter.read(running)[0] == 100.5


def _cpu_s(pid: int) -> float:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (
        sum(
            sum(map(int, Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:13])) for each in children
        )
        / 100
    )


def test_a_control_group_counts_itself(tmp_path: Path) -> None:
    group = tmp_path / "cells" / "uid_c" / "inner"
    group.mkdir(parents=True)
    (tmp_path / "note").write_text(f"{tmp_path / 'cells'}\n")
    (group / "cgroup.procs").write_text(f"{1 << 22}\n")
    (group.parent / "cgroup.procs").write_text("")
    stat, now = group.parent / "cpu.stat", [0.0]
    meter = Meter(tmp_path / "note", lambda: now[0])
    stat.write_text("usage_usec 1000000\nuser_usec 5\n")
    meter.read({"uid/c": 1 << 22})
    now[0] = 2.0
    stat.write_text("usage_usec 2000000\n")
    assert meter.read({"uid/c": 1 << 22}) == (2.0, {"uid/c": (500_000_000, 0)})
