"""`make bench`: run all benchmarks (or those named) and print a table of figure, floor and ratio; all but `scale`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import api, cluster, dns, load, modes, pods, rules, scale
from bench.table import Row, header, line

BENCHES: dict[str, Callable[[], list[Row]]] = {
    "up": cluster.up,
    "size": cluster.size,
    "pods": pods.pods,
    "render": rules.render,
    "sync-legacy": rules.sync_legacy,
    "sync-nft": rules.sync_nft,
    "change": rules.change,
    "nft-sync": modes.sync,
    "nft-change": modes.change,
    "ipvs-change": modes.ipvs_change,
    "dns": dns.dns,
    "api-start": api.start,
    "api": api.api,
    "api-load": load.load,
}

SCALE = "scale"
"""It takes some fifteen minutes and prints a table of its own: by its name only, and alone."""


def main(names: list[str]) -> None:
    if names == [SCALE]:
        scale.main([])
        return
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join([*BENCHES, SCALE])}")
    print(header(), flush=True)
    for name, bench in BENCHES.items():
        if not names or name in names:
            for row in bench():
                print(line(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
