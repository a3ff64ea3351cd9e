"""nftables and IPVS: a first full sync, and one endpoint that changes, each beside the least that does the same."""

from __future__ import annotations

import functools
import gc
import tempfile
import time
from collections.abc import Callable
from statistics import median

from bench.rules import ROUNDS, _namespace, _seconds
from bench.specs import services, slice_of
from bench.table import Row
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.command import run
from netproxy.linux.host import KernelHost
from netproxy.linux.nftables import Nftables
from netproxy.nodeproxy.family import Choice, FamilyProxy
from netproxy.nodeproxy.modes import missing_for
from netproxy.nodeproxy.modes.ipvs import IpvsMode
from netproxy.nodeproxy.modes.nftables import NftablesMode
from netproxy.proxy.nftables import NftCompiler, compile_nftables
from netproxy.ruleset.nft_plan import render_plan
from netproxy.ruleset.nftables import render

NODE = {"metadata": {"name": "node1"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.2"}]}}


def _proxy(namespace: str, count: int, choice: Choice) -> FamilyProxy:
    host = KernelHost(namespace, Family.IPV4, is_new=True)
    proxy = FamilyProxy(NODE, {"clusterCIDR": "10.160.0.0/12"}, host, choice=choice)
    for obj in services(count):
        (proxy.tracker.set_service if obj["kind"] == "Service" else proxy.tracker.set_slice)(obj)
    gc.collect()
    gc.freeze()
    return proxy


def sync() -> list[Row]:
    """Layout flat, 10,000 Services; the floor is nft alone with the same text in a file."""
    count, choice = 10000, Choice("nftables", "flat")
    ours, floors = [], []
    for _ in range(ROUNDS):
        with _namespace() as namespace, tempfile.NamedTemporaryFile("w") as file:
            proxy = _proxy(namespace, count, choice)
            file.write(render(compile_nftables(proxy.snapshot(), proxy.view, layout="flat")))
            file.flush()
            floors.append(_seconds(lambda: run(["nft", "-f", file.name], namespace=namespace)))
            proxy.close()
        with _namespace() as namespace:
            proxy = _proxy(namespace, count, choice)
            proxy.snapshot()
            ours.append(_seconds(proxy.sync))
            proxy.close()
        gc.unfreeze()
    return [Row("first full sync of 10,000 Services × 3, nftables flat", min(ours), min(floors), "s", "≤ 1.25 ×")]


def change() -> list[Row]:
    """One endpoint of one Service changes; the floor is the transaction alone, in process."""
    return [
        _change(100, "flat", "≤ 5 ms, the same at 100 and at 10,000", 21),
        _change(10000, "flat", "≤ 5 ms, the same at 100 and at 10,000", 21),
        _change(10000, "kube-proxy", "≤ 1.25 ×", 9),
    ]


def _change(count: int, layout: str, reach: str, rounds: int) -> Row:
    """Ours and the floor take turns in two namespaces that hold the same table."""
    ours, floors = [], []
    with _namespace() as mine, _namespace() as other:
        proxies = [_proxy(namespace, count, Choice("nftables", layout)) for namespace in (mine, other)]
        compilers: list[NftCompiler] = []
        for proxy in proxies:
            proxy.sync()
            assert isinstance(proxy.mode, NftablesMode)
            proxy.mode.compiler.get_ready()
            compilers.append(proxy.mode.compiler)
        nft = Nftables(other)
        for n in range(rounds):
            changed = slice_of(n, [n * 3, n * 3 + 1, 200000 + n])
            for proxy in proxies:
                proxy.tracker.set_slice(changed)
            ours.append(_timed(lambda: proxies[0].sync()))
            plan = compilers[1].change(proxies[1].snapshot())
            assert plan is not None
            text = render_plan(plan)
            floors.append(_timed(functools.partial(nft.run, text)))
        nft.close()
        for proxy in proxies:
            proxy.close()
    gc.unfreeze()
    name = f"one endpoint changes at {count:,} Services, nftables {layout}"
    return Row(name, median(ours[1:]), median(floors[1:]), "s", reach)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def ipvs_change() -> list[Row]:
    """One endpoint changes at 100 and 1,000 Services; the floor is one netlink request."""
    if missing_for("ipvs"):
        print("ipvs-change: this kernel has no IPVS; make vm ARGS='python -m bench ipvs-change' has")
        return []
    return [_ipvs_change(count) for count in (100, 1000)]


def _ipvs_change(count: int) -> Row:
    from pyroute2 import IPVS, IPVSDest, IPVSService

    ours, floors = [], []
    with _namespace() as namespace:
        proxy = _proxy(namespace, count, Choice("ipvs"))
        proxy.sync()
        assert isinstance(proxy.mode, IpvsMode)
        kernel = proxy.mode.kernel
        with netns.visiting(namespace):
            plain = IPVS()
        for n in range(15):
            proxy.tracker.set_slice(slice_of(n, [n * 3, n * 3 + 1, n * 3 + 2, 200000 + n]))
            ours.append(_timed(lambda: proxy.sync()))
            key = next(key for key in kernel.present().servers if key.address == f"10.96.0.{n}")
            real = kernel.present().servers[key].destinations[0]
            service = IPVSService(addr=key.address, port=key.port, protocol=6)
            dest = IPVSDest(addr=real.address, port=real.port, fwd_method=0, weight=1)
            floors.append(_timed(functools.partial(plain.dest, "set", service, dest)))
        plain.close()
        proxy.close()
    gc.unfreeze()
    name = f"one endpoint changes at {count:,} Services, IPVS"
    return Row(name, median(ours[1:]), median(floors[1:]), "s", "≤ 3 ×")
