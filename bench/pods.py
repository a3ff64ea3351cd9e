"""One Pod: namespace, link, addresses, routes; the floor is a C program that does the same."""

from __future__ import annotations

import ipaddress
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.table import Row
from netproxy.linux import links, netns

HERE = Path(__file__).parent
ROUNDS = 3


def pods() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        floor = f"{folder}/podfloor"
        subprocess.run(["gcc", "-O2", "-o", floor, str(HERE / "podfloor.c")], check=True)
        return [_at(count, floor) for count in (100, 500)]


def _at(count: int, floor: str) -> Row:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(
            _round(
                count,
                lambda prefix: float(
                    subprocess.run([floor, str(count), prefix], check=True, capture_output=True).stdout
                ),
            )
        )
        ours.append(_round(count, lambda prefix: _plug(count, prefix)))
    return Row(f"one Pod, at {count} Pods", min(ours), min(theirs), "ms", "≤ 2 ×")


def _round(count: int, make: Callable[[str], float]) -> float:
    netns.prepare()
    names = ["npbench-node", *(f"npbench-{n}" for n in range(count))]
    try:
        with netns.visiting():
            netns.create("npbench-node")
            return make("npbench-")
    finally:
        for name in names:
            netns.delete(name)
        time.sleep(0.5)  # the kernel frees namespaces afterwards: not while the next round is timed


def _plug(count: int, prefix: str) -> float:
    first = int(ipaddress.ip_address("10.200.0.2"))
    wanted = [
        links.PodLink(f"{prefix}{n}", f"np{n}", 1000 + n, ((str(ipaddress.ip_address(first + n)), "10.200.0.1"),))
        for n in range(count)
    ]
    node = links.NodePort("npbench-node")
    begun = time.perf_counter()
    node.plug(wanted)
    return (time.perf_counter() - begun) * 1000 / count
