"""`netproxy lab list|up|reset|check|enter|exec|down`: the same words in every lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from netproxy.agent.paths import paths
from netproxy.cli.client import Agent, agent_pid, progress
from netproxy.cli.complete import lab_names, machines
from netproxy.cli.exec import enter_and_run
from netproxy.cli.options import OneOf
from netproxy.cli.show import print_table
from netproxy.core.errors import NotFoundError
from netproxy.labkit import shelf
from netproxy.labkit.spec import VARIANTS, Lab, load_lab

lab_argument = click.argument("name", metavar="LAB", shell_complete=lab_names)
_anyway = click.option("--anyway", is_flag=True, help="Also when this machine lacks what the lab needs.")


@click.group()
def lab() -> None:
    """Run a lab: a cluster, steps to read along, checks.

    LAB is a number (1), a name or its beginning (clusterip, 01-cl), or a folder. `netproxy lab list` has all.
    """


@lab.command(name="list")
def list_() -> None:
    """List the labs: what each is about, what it needs and this machine lacks, and whether it runs."""
    from netproxy.labkit.needs import lacking

    rows, sentences = [], []
    for folder in shelf.folders():
        found = load_lab(str(folder))
        lacks = lacking(found)
        sentences += lacks
        state = "up" if agent_pid(paths(found.cluster)) else "down"
        rows.append([found.name, state, ", ".join(found.needs) + " (missing)" * bool(lacks), found.title])
    print_table(["LAB", "STATE", "NEEDS", "TITLE"], rows)
    for sentence in sentences:
        progress(f"note: {sentence}")


@lab.command()
@lab_argument
@click.option(
    "--variant", type=OneOf(VARIANTS), default="start", show_default=True, help="With the solution, or broken."
)
@_anyway
def up(name: str, variant: str, anyway: bool) -> int:
    """Start the lab's cluster; one that runs is taken down first, so that nothing of before is left.

    Exit status 1 when Pods are not ready in the end.
    """
    return _begin(name, variant, anyway=anyway)


@lab.command()
@lab_argument
@_anyway
def reset(name: str, anyway: bool) -> int:
    """Begin the lab anew: the cluster as it was at the start."""
    return _begin(name, "start", anyway=anyway)


def _begin(name: str, variant: str, *, anyway: bool) -> int:
    from netproxy.cli.down import take_down
    from netproxy.cli.up import up as start
    from netproxy.labkit.needs import is_hopeless

    found = load_lab(name)
    _say_what_lacks(found, stop=is_hopeless(found, variant) and not anyway)
    if take_down(paths(found.cluster)):
        progress(f"cluster {found.cluster} was there and has been taken down")
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
        raise NotFoundError("\n".join([*sentences, f"`netproxy lab up {found.short} --anyway` begins without"]))
    for sentence in sentences:
        progress(f"note: {sentence}")


def _run_program(cluster: str, machine: str, program: str) -> None:
    """Run a lab's program on a machine of its cluster. Raises ClickException when it fails."""
    argv = [sys.executable, "-m", "netproxy", "exec", "--cluster", cluster, machine, "--", sys.executable, program]
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"  # programs call `netproxy`
    done = subprocess.run(argv, env={**os.environ, "NETPROXY_CLUSTER": cluster, "PATH": path})  # noqa: TID251  # our own command line
    if done.returncode:
        raise click.ClickException(f"{program} on {machine} ended with exit status {done.returncode}")


@lab.command()
@lab_argument
def check(name: str) -> None:
    """Run the lab's checks, each with a line when it ends; exit status 1 when one fails."""
    from netproxy.labkit.run import line, run_checks
    from netproxy.labkit.world import World

    found = load_lab(name)
    agent = Agent(paths(found.cluster), start=f"netproxy lab up {name}")
    _say_what_lacks(found)
    agent.join()
    failed = False
    for outcome in run_checks(found.checks, World(agent)):
        click.echo(line(outcome))  # click.echo flushes
        failed = failed or not outcome.passed
    sys.exit(failed)


@lab.command()
@lab_argument
@click.argument("target", default="client", shell_complete=machines)
def enter(name: str, target: str) -> None:
    """Open a shell in a Pod, on a node, or on the client."""
    _enter(name, target, [os.environ.get("SHELL") or "/bin/sh"])


@lab.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@lab_argument
@click.argument("target", shell_complete=machines)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, target: str, argv: tuple[str, ...]) -> None:
    """Run a command in a Pod, on a node, or on the client."""
    _enter(name, target, list(argv[1:] if argv[:1] == ("--",) else argv))


def _enter(name: str, target: str, argv: list[str]) -> None:
    start = f"netproxy lab up {name}"
    enter_and_run(paths(load_lab(name).cluster), target, "default", None, argv, start=start)


@lab.command()
@lab_argument
def down(name: str) -> None:
    """Take the lab's cluster down; twice is fine."""
    from netproxy.cli.down import take_down

    where = paths(load_lab(name).cluster)
    take_down(where)
    progress(f"cluster {where.cluster} is down")
