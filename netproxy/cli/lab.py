"""`netproxy lab up|check|enter|exec|down`: the same words in every lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import click

from netproxy.agent.paths import paths
from netproxy.cli.client import Agent, progress
from netproxy.cli.exec import enter_and_run
from netproxy.core.errors import NotFoundError
from netproxy.labkit.spec import VARIANTS, Lab, load_lab


@click.group()
def lab() -> None:
    """Run a lab: a cluster, steps to read along, checks.

    LAB is a folder, or the beginning of a name below ./labs (01).
    """


@lab.command()
@click.argument("name", metavar="LAB")
@click.option(
    "--variant", type=click.Choice(VARIANTS), default="start", show_default=True, help="With the solution, or broken."
)
def up(name: str, variant: str) -> int:
    """Start the lab's cluster; exit status 1 when Pods are not ready in the end."""
    from netproxy.cli.up import up as start

    found = load_lab(name)
    _say_what_lacks(found, stop=bool(found.programs_of(variant)))
    failed = 0
    for folder in found.manifests(variant):
        failed = start.main(["--cluster", found.cluster, "-f", folder], standalone_mode=False)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # `up` ignores both when it has done its work
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for machine, program in found.programs_of(variant):
        _run_program(found.cluster, machine, program)
    click.echo(f"{found.title}: read {found.folder / 'README.md'}; then `netproxy lab check {name}`")
    return failed


def _say_what_lacks(found: Lab, *, stop: bool = False) -> None:
    """Say what this machine lacks for a lab. Raises NotFoundError when it cannot go on without."""
    from netproxy.labkit.needs import lacking

    sentences = lacking(found)
    if stop and sentences:
        raise NotFoundError("\n".join(sentences))
    for sentence in sentences:
        progress(f"note: {sentence}")


def _run_program(cluster: str, machine: str, program: str) -> None:
    """Run a lab's program on a machine of its cluster. Raises ManifestError when it fails."""
    argv = [sys.executable, "-m", "netproxy", "exec", "--cluster", cluster, machine, "--", sys.executable, program]
    done = subprocess.run(argv, env={**os.environ, "NETPROXY_CLUSTER": cluster})  # noqa: TID251  # our own command line
    if done.returncode:
        raise click.ClickException(f"{program} on {machine} ended with exit status {done.returncode}")


@lab.command()
@click.argument("name", metavar="LAB")
def check(name: str) -> None:
    """Run the lab's checks; exit status 1 when one fails."""
    from netproxy.labkit.run import report, run_checks
    from netproxy.labkit.world import World

    found = load_lab(name)
    agent = Agent(paths(found.cluster))
    _say_what_lacks(found)
    agent.join()
    outcomes = run_checks(found.checks, World(agent))
    click.echo(report(outcomes))
    sys.exit(0 if all(o.passed for o in outcomes) else 1)


@lab.command()
@click.argument("name", metavar="LAB")
@click.argument("target", default="client")
def enter(name: str, target: str) -> None:
    """Open a shell in a Pod, on a node, or on the client."""
    enter_and_run(paths(load_lab(name).cluster), target, "default", None, [os.environ.get("SHELL") or "/bin/sh"])


@lab.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name", metavar="LAB")
@click.argument("target")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, target: str, argv: tuple[str, ...]) -> None:
    """Run a command in a Pod, on a node, or on the client."""
    words = list(argv[1:] if argv[:1] == ("--",) else argv)
    enter_and_run(paths(load_lab(name).cluster), target, "default", None, words)


@lab.command()
@click.argument("name", metavar="LAB")
def down(name: str) -> None:
    """Take the lab's cluster down; twice is fine."""
    from netproxy.cli.down import take_down

    where = paths(load_lab(name).cluster)
    take_down(where)
    progress(f"cluster {where.cluster} is down")
