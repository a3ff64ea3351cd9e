"""`netproxy doctor`: what this host lacks."""

from __future__ import annotations

import os
import sys

import click

from netproxy.agent.doctor import examine
from netproxy.agent.paths import is_root
from netproxy.cli.show import output_option, print_value


@click.command()
@output_option
def doctor(output: str | None) -> None:
    """List what this host lacks, each with the command that fixes it; exit status 1 when something needed is missing."""
    findings = examine(rootless=not is_root() or bool(os.environ.get("NETPROXY_ROOTLESS")))
    if output in ("json", "yaml"):
        items = [
            {"what": f.what, "good": f.good, "needed": f.needed, "advice": "" if f.good else f.advice} for f in findings
        ]
        print_value({"items": items}, output)
    else:
        for finding in findings:
            mark = "ok  " if finding.good else "MISS" if finding.needed else "-   "
            advice = "" if finding.good else f"  {'needed: ' if finding.needed else 'nice to have: '}{finding.advice}"
            click.echo(f"{mark} {finding.what}{advice}")
    sys.exit(1 if any(f.needed and not f.good for f in findings) else 0)
