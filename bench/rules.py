"""Rendering and syncing rules; the floor is the kernel's tool with the same text and nothing else."""

from __future__ import annotations

import functools
import gc
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.specs import services, slice_of
from bench.table import Row
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.command import run
from netproxy.linux.host import KernelHost
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.modes.iptables import IptablesMode
from netproxy.proxy.iptables import compile_iptables
from netproxy.ruleset.diff import applied, plan
from netproxy.ruleset.iptables import render_plan
from netproxy.ruleset.ir import Ruleset

ROUNDS = 3
REPO = Path(__file__).parents[1]


@contextmanager
def _namespace() -> Iterator[str]:
    netns.prepare()
    name = f"npbench-{uuid.uuid4().hex[:6]}"
    with netns.visiting():
        netns.create(name)
    try:
        yield name
    finally:
        netns.delete(name)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _proxy(namespace: str, flavour: str, count: int) -> FamilyProxy:
    host = KernelHost(namespace, Family.IPV4, flavour=flavour, is_new=True)
    proxy = FamilyProxy({"metadata": {"name": "node1"}}, {"clusterCIDR": "10.160.0.0/12"}, host)
    for obj in services(count):
        (proxy.tracker.set_service if obj["kind"] == "Service" else proxy.tracker.set_slice)(obj)
    gc.collect()
    gc.freeze()
    return proxy


def render() -> list[Row]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": services(10000)}, file)
        file.flush()
        argv = [sys.executable, "-m", "netproxy", "render", "--mode", "iptables", "--node", "node1", "-f", file.name]
        text = subprocess.run(argv, check=True, capture_output=True, cwd=REPO).stdout
        ours = min(
            _seconds(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=REPO))
            for _ in range(ROUNDS)
        )
        floor = min(_seconds(lambda: Path(file.name + ".out").write_bytes(text)) for _ in range(ROUNDS))
        Path(file.name + ".out").unlink()
    return [Row("render of 10,000 Services × 3, whole process", ours, floor, "s", "≤ 1.5 s")]


def _sync(proxy: FamilyProxy) -> None:
    proxy.sync()


def sync_legacy() -> list[Row]:
    return [_full(count, "legacy", "≤ 1.25 ×") for count in (1000, 10000)]


def _whole_text(namespace: str, count: int) -> str:
    proxy = _proxy(namespace, "nft", count)
    change = plan(compile_iptables(proxy.snapshot(), proxy.view), Ruleset(Family.IPV4), owned=lambda _: False)
    return render_plan(change)


def _restore(namespace: str, flavour: str, text: str) -> float:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        argv = [
            "ip",
            "netns",
            "exec",
            namespace,
            "sh",
            "-c",
            f"exec iptables-{flavour}-restore --noflush < {file.name}",
        ]
        return _seconds(lambda: subprocess.run(argv, check=True))


def _full(count: int, flavour: str, reach: str, *, kube_order: bool = False) -> Row:
    floors, ours = [], []
    for _ in range(ROUNDS if not kube_order else 1):
        with _namespace() as namespace:
            text = _whole_text(namespace, count)
            floors.append(_restore(namespace, flavour, text))
    for _ in range(ROUNDS):
        with _namespace() as namespace:
            proxy = _proxy(namespace, flavour, count)
            ours.append(_seconds(functools.partial(_sync, proxy)))
            gc.unfreeze()
    return Row(f"first full sync of {count:,} Services × 3, iptables-{flavour}", min(ours), min(floors), "s", reach)


def sync_nft() -> list[Row]:
    return [_full(1000, "nft", "–", kube_order=True), _full(10000, "nft", "≤ 0.1 ×", kube_order=True)]


def change() -> list[Row]:
    return [_change(flavour) for flavour in ("nft", "legacy")]


def _change(flavour: str) -> Row:
    """Ours and the floor take turns, each with a change of its own; medians."""
    count, rounds = 10000, 15
    ours, floors = [], []
    with _namespace() as namespace:
        proxy = _proxy(namespace, flavour, count)
        proxy.sync()
        for n in range(rounds * 2):
            proxy.tracker.set_slice(slice_of(n, [n * 3, n * 3 + 1, 200000 + n]))
            if n % 2:
                ours.append(_seconds(lambda: proxy.sync()))
                continue
            present = proxy.host.iptables.present()
            assert isinstance(proxy.mode, IptablesMode)
            change = proxy.mode.change(proxy.snapshot(), present)
            text = render_plan(change)
            argv = [f"iptables-{flavour}-restore", "--noflush"]
            floors.append(_seconds(functools.partial(run, argv, stdin=[text], namespace=namespace)))
            proxy.host.iptables.settle(functools.partial(applied, present, change))
        gc.unfreeze()
    return Row(
        f"one endpoint changes at 10,000 Services, iptables-{flavour}", median(ours), median(floors), "s", "≤ 1.25 ×"
    )
