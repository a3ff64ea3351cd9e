"""`netproxy capture`: packets of several Pods and nodes at once, in one file."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netproxy.agent.paths import Paths
from netproxy.cli import complete
from netproxy.cli.client import Agent, progress
from netproxy.cli.options import cluster_option, namespace_option
from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.messages import EntryAnswer, EntryRequest, Nothing, StatusAnswer

if TYPE_CHECKING:
    from netproxy.linux.sniff import Capture


@click.command()
@click.argument("targets", nargs=-1, metavar="[POD|NODE|client]...", shell_complete=complete.machines)
@click.option("--filter", "expression", default="", help="What to keep, in tcpdump's language: 'tcp port 80'.")
@click.option("-o", "--output", "file", help="Write a pcapng file, which Wireshark opens.",
              shell_complete=complete.files)  # fmt: skip
@click.option("--print", "printing", is_flag=True, help="Print a line for each packet (the default without -o).")
@click.option("--count", type=int, default=0, help="End after so many packets.")
@click.option("--for", "seconds", type=float, default=0, help="End after so many seconds.")
@namespace_option
@cluster_option
def capture(
    targets: tuple[str, ...],
    expression: str,
    file: str | None,
    printing: bool,
    count: int,
    seconds: float,
    namespace: str,
    where: Paths,
) -> None:
    """Capture at several points at once; Ctrl-C ends it. Without a target: all nodes and the client."""
    agent = Agent(where)
    if not targets:
        targets = (*(node.name for node in agent.look("status", Nothing(), StatusAnswer).nodes), "client")
    places = {t: agent.look("entry", EntryRequest(t, namespace), EntryAnswer) for t in targets}
    target_file = _absolute(file)
    agent.join()
    from netproxy.linux.sniff import Capture, PcapngFile, Point, summary

    points = [Point(target.rpartition("/")[2], place.namespace) for target, place in places.items()]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seen = 0
    with Capture(points, expression=expression) as capture:
        out = PcapngFile(target_file) if target_file else None
        progress(f"capturing at {', '.join(targets)}; Ctrl-C ends it")
        try:
            for packet in _packets(capture, count, seconds):
                seen += 1
                if out:
                    out.write(packet)
                if printing or not out:
                    click.echo(summary(packet))
        except KeyboardInterrupt:
            pass
        finally:
            if out:
                out.close()
            progress(f"{seen} packets" + (f" in {file}" if file else ""))


def _packets(capture: Capture, count: int, seconds: float) -> Iterator[Any]:
    """Packets until there are COUNT or SECONDS are over; 0 is no limit."""
    end = time.monotonic() + seconds if seconds else math.inf
    seen = 0
    while (left := end - time.monotonic()) > 0:
        for packet in capture.packets(None if left == math.inf else left):
            seen += 1
            yield packet
            if seen == count or time.monotonic() >= end:
                return


def _absolute(file: str | None) -> str:
    if not file:
        return ""
    path = Path(file).absolute()
    if not path.parent.is_dir():
        raise ManifestError([Problem("--output", f'Invalid value: "{file}": there is no folder {path.parent}')])
    return str(path)
