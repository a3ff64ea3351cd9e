"""`netproxy bench modes`: new connections per second through a Service, in each mode, as a table and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netproxy.cli.client import progress
from netproxy.cli.show import output_option, print_table, print_value

if TYPE_CHECKING:
    from netproxy.agent.measure import Figure


@click.group()
def bench() -> None:
    """Measure the modes on this machine."""


@bench.command()
@click.option("--plot", "plot", type=click.Path(dir_okay=False, path_type=Path), help="Write an SVG, too.")
@click.option("--services", "sizes", type=int, multiple=True,
              help="How many Services; may be given again (default: 10 1000 10000).")  # fmt: skip
@click.option("--seconds", type=float, default=1.5, show_default=True, help="How long each measurement takes.")
@output_option
def modes(plot: Path | None, sizes: tuple[int, ...], seconds: float, output: str | None) -> None:
    """New connections per second through a ClusterIP, one after the other, beside those straight to the Pod.

    The Service that is called is the last one in every list of rules. Modes that this host cannot do are left out.
    """
    from netproxy.agent.measure import SIZES, WAYS, measure

    chosen = tuple(sorted(sizes)) or SIZES
    found: list[Figure] = []
    for figure in measure(tuple(WAYS), chosen, duration_s=seconds):
        found.append(figure)
        progress(f"{figure.way} {figure.services or ''}: {figure.per_s:,.0f}/s")
    direct, rest = found[0].per_s, found[1:]
    if output in ("json", "yaml"):
        items = [{"mode": f.way, "services": f.services, "perSecond": round(f.per_s)} for f in found]
        print_value({"items": items}, output)
    else:
        ways = list(dict.fromkeys(f.way for f in rest))
        rates = {(f.way, f.services): f.per_s for f in rest}
        rows = [["direct", *(f"{direct:,.0f}" for _ in chosen)]]
        rows += [[way, *(f"{rates[way, n]:,.0f} ({rates[way, n] / direct:.2f})" for n in chosen)] for way in ways]
        print_table(["NEW CONNECTIONS/S", *(f"{n:,} SERVICES" for n in chosen)], rows)
    if plot:
        plot.write_text(as_svg(direct, rest))


COLOURS = ("#c0392b", "#e67e22", "#2980b9", "#27ae60", "#16a085", "#8e44ad")
_WIDTH, _HEIGHT, _LEFT, _TOP = 720, 420, 70, 40


def as_svg(direct: float, figures: list[Figure]) -> str:
    """A line for each mode: Services on a logarithmic axis, connections per second as a share of the direct ones."""
    from math import log10

    sizes = sorted({f.services for f in figures})
    span = max(1e-9, log10(sizes[-1]) - log10(sizes[0]))
    width, height = _WIDTH - _LEFT - 160, _HEIGHT - _TOP - 60

    def at(services: int, share: float) -> str:
        x = _LEFT + (log10(services) - log10(sizes[0])) / span * width
        return f"{x:.1f},{_TOP + (1 - min(share, 1.1) / 1.1) * height:.1f}"

    title = "New connections through a ClusterIP, as a share of those straight to the Pod"
    parts = [f'<text x="{_LEFT}" y="22" font-size="15">{title}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = at(sizes[0], share).split(",")
        parts.append(f'<line x1="{x}" y1="{y}" x2="{_LEFT + width}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{float(y) + 4}" text-anchor="end">{share:g}</text>')
    for size in sizes:
        x = at(size, 0).split(",")[0]
        parts.append(f'<text x="{x}" y="{_TOP + height + 22}" text-anchor="middle">{size:,} Services</text>')
    ways = list(dict.fromkeys(f.way for f in figures))
    for number, way in enumerate(ways):
        colour = COLOURS[number % len(COLOURS)]
        own = sorted((f for f in figures if f.way == way), key=lambda f: f.services)
        points = [at(f.services, f.per_s / direct) for f in own]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2.5" points="{" ".join(points)}"/>')
        parts += [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="4" fill="{colour}"/>' for p in points]
        row = _TOP + 20 + 24 * number
        parts.append(f'<rect x="{_WIDTH - 140}" y="{row - 10}" width="14" height="14" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - 118}" y="{row + 2}">{way}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )
