"""What containers use of the processor and of memory, when somebody asks: nothing is measured in between."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from netproxy.kubelet.cells import container_group

KEPT_S = 5.0
"""Measurements are remembered that are so far apart."""
SHORTEST_S = 1.0
"""What is used in a shorter time says little."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """Billionths of a processor, and bytes."""

    cpu_n: int
    memory: int


class _Sample(NamedTuple):
    at: float
    cpu_ns: Mapping[str, int]


class Meter:
    """Measures containers; NOTE says where their control groups are (see `cells`), NOW is a clock that never goes back."""

    def __init__(self, note: Path, now: Callable[[], float]) -> None:
        self._note = note
        self._now = now
        self._samples: deque[_Sample] = deque(maxlen=3)

    def read(self, running: Mapping[str, int]) -> tuple[float, dict[str, Used]]:
        """Over how many seconds was measured, and what each container (its first process) used."""
        now = self._now()
        cpu_ns, memory = dict[str, int](), dict[str, int]()
        for name, pid in running.items():
            group = container_group(self._note, name)
            pids = list(_members(Path(group)) if group else _descendants(pid))
            memory[name] = sum(map(_memory, pids))
            cpu_ns[name] = _group_cpu_ns(Path(group)) if group else sum(map(_cpu_ns, pids))
        base = next((each for each in reversed(self._samples) if now - each.at >= SHORTEST_S), None)
        used = {}
        for name in running:
            since = base.cpu_ns.get(name) if base else None
            rate = (
                _lifelong(running[name], cpu_ns[name])
                if since is None or base is None
                else (cpu_ns[name] - since) / (now - base.at)
            )
            used[name] = Used(max(0, int(rate)), memory[name])
        if not self._samples or now - self._samples[-1].at >= KEPT_S:
            self._samples.append(_Sample(now, cpu_ns))
        return (now - base.at if base else SHORTEST_S), used


def _members(group: Path) -> Iterable[int]:
    """The processes of a control group and of those below it."""
    for folder, _, _ in os.walk(group):
        with suppress(OSError):
            yield from map(int, Path(folder, "cgroup.procs").read_text().split())


def _descendants(pid: int) -> Iterable[int]:
    yield pid
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from _descendants(int(child))


def _group_cpu_ns(group: Path) -> int:
    with suppress(OSError, StopIteration):
        lines = (group / "cpu.stat").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("usage_usec"))) * 1000
    return 0


def _stat(pid: int) -> list[str]:
    """The fields of a process from the third on; none when it has gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _cpu_ns(pid: int) -> int:
    """The time of a process and of its children that have ended."""
    return sum(map(int, _stat(pid)[11:15])) * (10**9 // _TICKS)


def _memory(pid: int) -> int:
    """What a process has of its own, and its part of what it shares with others: containers begin as copies of the shim."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("Pss_Anon:"))) << 10
    return 0


def _lifelong(pid: int, cpu_ns: int) -> float:
    """What a process used in the mean since it began."""
    with suppress(OSError, IndexError, ValueError):
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        return cpu_ns / max(SHORTEST_S, uptime_s - int(_stat(pid)[19]) / _TICKS)
    return 0.0
