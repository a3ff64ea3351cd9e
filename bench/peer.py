"""netproxy beside a real kube-proxy, in turns: the same API server, the same objects, each one's own metrics.

`python -m bench.peer --kube-proxy PROGRAM [--services N] [--rounds N] MODE …`, where MODE is nftables, iptables-nft or
iptables-legacy; PROGRAM is a kube-proxy of your own. By its name only, since it needs one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.rules import REPO, _namespace
from bench.table import Row, header, line
from netproxy.linux import netns
from netproxy.linux.command import find, run

MODES = ("nftables", "iptables-nft", "iptables-legacy")
CHANGES = 7
NODE_ADDRESS = "192.0.2.2"
METRICS, HEALTHZ = 10249, 10256
PATIENCE_S = 120.0
FULL, ALL = "sync_full_proxy_rules_duration_seconds", "sync_proxy_rules_duration_seconds"


class Taken(NamedTuple):
    """Seconds that the first pass took, and those of a pass after one endpoint changed."""

    first: float
    change: float


class Api:
    """An API server with a cluster's objects, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.kubeconfig = folder / "kubeconfig"
        self._answer()

    def change(self, n: int) -> None:
        """Let one endpoint of Service N be another one."""
        assert self._process.stdin
        print(f"change {n}", file=self._process.stdin, flush=True)
        self._answer()

    def _answer(self) -> object:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline() or sys.exit("the API server has ended"))


@contextmanager
def _api(name: str, folder: Path, services: int) -> Iterator[Api]:
    argv = [sys.executable, "-m", "bench.scale_api", str(folder), "127.0.0.1", str(services), "3"]
    with netns.visiting(name), subprocess.Popen(
        argv, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        try:
            yield Api(process, folder)
        finally:
            process.terminate()


class Proxy:
    """A proxy that runs in a namespace, asked by its metrics."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._name = name
        self._process = process

    def passes(self, metric: str) -> tuple[int, float]:
        """How many there were in IPv4, and the seconds of all of them."""
        text = self._page()
        count, total = (_metric(text, f"{metric}_{part}") for part in ("count", "sum"))
        return int(count), total

    def await_passes(self, metric: str, more_than: int) -> tuple[int, float]:
        """The same, once there are more than so many."""
        end = time.monotonic() + PATIENCE_S
        while (found := self.passes(metric))[0] <= more_than:
            if time.monotonic() > end or self._process.poll() is not None:
                sys.exit("the proxy has not written its rules")
            time.sleep(0.05)
        return found

    def _page(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", METRICS, timeout=10)
        try:
            with netns.visiting(self._name):
                connection.connect()
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()


def _metric(text: str, name: str) -> float:
    """That of IPv4; kube-proxy before 1.33 has one for both families."""
    found = re.search(rf'^kubeproxy_{name}(?:\{{ip_family="IPv4"\}})? (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@contextmanager
def _proxy(name: str, argv: list[str], folder: Path, tools: Path) -> Iterator[Proxy]:
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    with (folder / "log").open("wb") as log, netns.visiting(name):
        process = subprocess.Popen(argv, cwd=REPO, stdout=log, stderr=log, env=env)
    try:
        yield Proxy(name, process)
    finally:
        process.terminate()
        process.wait()


def _config(mode: str, kubeconfig: Path) -> str:
    kept = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    return json.dumps({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": mode,
        "clusterCIDR": "10.160.0.0/12", "hostnameOverride": "node1", "conntrack": kept,
        "clientConnection": {"kubeconfig": str(kubeconfig), "contentType": "application/json",
                             "acceptContentTypes": "application/json"},
        "metricsBindAddress": f"127.0.0.1:{METRICS}", "healthzBindAddress": f"127.0.0.1:{HEALTHZ}",
        mode: {"minSyncPeriod": "10ms", "syncPeriod": "300s"},
    })  # fmt: skip


def _tools(folder: Path, back_end: str) -> Path:
    """A folder where `iptables` is that of a back end, as in kube-proxy's image."""
    folder.mkdir()
    for program in ("iptables", "ip6tables"):
        for part in ("", "-save", "-restore"):
            at = find(f"{program}-{back_end}{part}") or sys.exit(f"{program}-{back_end}{part} is not installed")
            (folder / f"{program}{part}").symlink_to(at)
    return folder


def take(kube_proxy: str, mode: str, services: int) -> Taken:
    """One proxy in a namespace of its own, KUBE_PROXY or (when that is empty) netproxy's; then all is gone again."""
    mode, _, back_end = mode.partition("-")
    back_end = back_end or "nft"
    with _namespace() as name, tempfile.TemporaryDirectory(prefix="npbench-") as made:
        folder = Path(made)
        run(["ip", "-batch", "-"], namespace=name, stdin=[f"{words}\n" for words in (
            "link set lo up", "link add d0 type veth peer name d1", "link set d0 up", "link set d1 up",
            f"addr add {NODE_ADDRESS}/24 dev d0", "route add default via 192.0.2.1",
        )])  # fmt: skip
        config = folder / "config.yaml"
        own = [sys.executable, "-m", "netproxy", "proxy", "--iptables", back_end]
        argv = [*([kube_proxy] if kube_proxy else own), "--config", str(config)]
        with _api(name, folder, services) as api:
            config.write_text(_config(mode, api.kubeconfig))
            with _proxy(name, argv, folder, _tools(folder / "tools", back_end)) as proxy:
                count, total = proxy.await_passes(FULL, 0)
                return Taken(total / count, median(_changes(proxy, api, services)))


def _changes(proxy: Proxy, api: Api, services: int) -> Iterator[float]:
    for n in range(CHANGES):
        time.sleep(1)  # kube-proxy is done with what came before, and waits
        count, total = proxy.passes(ALL)
        api.change(services // 2 + n)
        after, seconds = proxy.await_passes(ALL, count)
        yield (seconds - total) / (after - count)


def compare(kube_proxy: str, mode: str, services: int, rounds: int) -> list[Row]:
    """Medians of so many rounds, in which the two take turns."""
    ours: list[Taken] = []
    theirs: list[Taken] = []
    for turn in range(rounds):
        for program in (kube_proxy, "") if turn % 2 == 0 else ("", kube_proxy):
            (theirs if program else ours).append(take(program, mode, services))
    what = f"{services:,} Services × 3, {mode}"
    return [
        Row(f"first sync of {what}", median(t.first for t in ours), median(t.first for t in theirs), "s", "≤ 0.7 ×"),
        Row(f"one endpoint changes at {what}", median(t.change for t in ours), median(t.change for t in theirs), "s", "≤ 0.7 ×"),
    ]  # fmt: skip


def main() -> None:
    """Print a table whose floor is kube-proxy."""
    parser = argparse.ArgumentParser(prog="python -m bench.peer")
    parser.add_argument("--kube-proxy", required=True, help="the program to compare with")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("modes", nargs="*", metavar="MODE", help=", ".join(MODES))
    given = parser.parse_args()
    if unknown := set(given.modes) - set(MODES):
        parser.error(f"no mode {', '.join(sorted(unknown))}; there are {', '.join(MODES)}")
    print(header().replace("floor", "kube-proxy"), flush=True)
    for mode in given.modes or MODES:
        for row in compare(given.kube_proxy, mode, given.services, given.rounds):
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
