"""A node under a storm: 2,000 Services, 50 endpoints that change every second, for two minutes.

`python -m bench.storm [--services N] [--per-second N] [--seconds S] [MODE …]`; by its name only, as it takes long.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
import uuid
from random import Random
from statistics import quantiles
from typing import Any

from bench.rules import _namespace
from bench.specs import services, slice_of
from netproxy.client.cache import Cache
from netproxy.client.local import LocalApi
from netproxy.client.port import EVERYTHING
from netproxy.core.net import Family
from netproxy.linux.clock import SystemClock
from netproxy.linux.host import KernelHost
from netproxy.nodeproxy.node import PROXIED, NodeProxy
from netproxy.objects.cluster import cluster_spec
from netproxy.objects.kinds import NODES
from netproxy.objects.manifest import Loaded
from netproxy.registry.registry import Registry
from netproxy.store.store import Store

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"}]}}  # fmt: skip
SAMPLES = 6
"""How often memory is looked at."""


def resident_mb() -> float:
    """What this process has in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def storm(mode: str, count: int, per_second: int, seconds: int, namespace: str) -> None:
    """Load COUNT Services, then change one endpoint PER_SECOND times a second; print how late the rules were."""
    clock = SystemClock()
    cluster = cluster_spec([], cluster_name="bench")
    registry = Registry(Store(clock, lambda: str(uuid.uuid4())), cluster)
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}, NODE]
    registry.apply([Loaded(obj, "bench") for obj in [*namespaces, *services(count)]])
    cache = Cache(LocalApi(registry), dict.fromkeys((*PROXIED, NODES), EVERYTHING), clock=clock, random=Random(1))
    following = asyncio.create_task(cache.run())
    await cache.synced()
    config = {"clusterCIDR": "10.160.0.0/12", "mode": mode}
    proxy = NodeProxy("node1", cache, [KernelHost(namespace, Family.IPV4, is_new=True)], config, clock)
    proxy.start()
    await proxy.settled()
    gc.collect()
    gc.freeze()
    late: list[float] = []
    memory = [resident_mb()]
    waiting: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        begun = time.perf_counter()
        n = number % count
        registry.apply([Loaded(slice_of(n, [n * 3, n * 3 + 1, 200000 + number % 60000]), "bench")])
        await asyncio.sleep(0)  # the watch tells it
        await proxy.settled()
        late.append(time.perf_counter() - begun)

    start, busy = time.perf_counter(), time.process_time()
    for number in range(per_second * seconds):
        await asyncio.sleep(max(0.0, start + number / per_second - time.perf_counter()))
        task = asyncio.create_task(one(number))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        if (number + 1) % (per_second * seconds // SAMPLES) == 0:
            memory.append(resident_mb())
    await asyncio.gather(*waiting)
    cpu = (time.process_time() - busy) / (time.perf_counter() - start)
    ways = quantiles(late, n=100)
    sizes = ", ".join(f"{size:.0f}" for size in memory)
    print(f"| {mode} | {1000 * ways[49]:.0f} ms | {1000 * ways[98]:.0f} ms | {1000 * max(late):.0f} ms | {cpu:.0%} | {sizes} MB |",
          flush=True)  # fmt: skip
    await proxy.close()
    following.cancel()


def main(given: list[str] | None = None) -> None:
    """Print a line for each mode."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__)
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--per-second", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("modes", nargs="*", default=["iptables", "nftables"])
    asked: Any = parser.parse_args(given)
    print("| mode | p50 | p99 | most | CPU | memory, in equal steps |\n|---|---|---|---|---|---|")
    for mode in asked.modes:
        with _namespace() as namespace:
            asyncio.run(storm(mode, asked.services, asked.per_second, asked.seconds, namespace))


if __name__ == "__main__":
    main()
