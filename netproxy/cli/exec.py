"""`netproxy exec` and `netproxy shell`: be in a Pod, on a node, or on the outside machine."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from netproxy.agent.paths import Paths
from netproxy.cli import complete
from netproxy.cli.client import Agent
from netproxy.cli.options import cluster_option, namespace_option
from netproxy.objects.messages import EntryAnswer, EntryRequest


@click.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("target", shell_complete=complete.machines)
@click.option("-c", "--container", help="Which container's environment (default: the first).")
@namespace_option
@click.option("-i", "--stdin", is_flag=True, hidden=True)
@click.option("-t", "--tty", is_flag=True, hidden=True)
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARG]...", type=click.UNPROCESSED)
@cluster_option
def exec_(
    target: str, argv: tuple[str, ...], container: str | None, namespace: str, stdin: bool, tty: bool, where: Paths
) -> None:
    """Run a command in TARGET: a Pod (also deploy/NAME, svc/NAME), a node, or `client`, the machine outside."""
    del stdin, tty
    words, container, namespace = _options(list(argv), container, namespace)
    enter_and_run(where, target, namespace, container, words)


def _options(words: list[str], container: str | None, namespace: str) -> tuple[list[str], str | None, str]:
    """Options may stand behind the target, as kubectl allows: everything up to `--`."""
    while words and words[0] != "--":
        match words:
            case ["-c" | "--container", value, *rest]:
                container, words = value, rest
            case ["-n" | "--namespace", value, *rest]:
                namespace, words = value, rest
            case ["-i" | "-t" | "-it" | "-ti", *rest]:
                words = rest
            case _:
                return words, container, namespace
    return words[1:] if words[:1] == ["--"] else words, container, namespace


@click.command()
@click.argument("target", default="client", shell_complete=complete.machines)
@click.option("-c", "--container", help="Which container's environment (default: the first).")
@namespace_option
@cluster_option
def shell(target: str, container: str | None, namespace: str, where: Paths) -> None:
    """Open a shell in TARGET: a Pod, a node, or `client`."""
    enter_and_run(where, target, namespace, container, [os.environ.get("SHELL") or "/bin/sh"])


def _environment(where: Paths) -> dict[str, str]:
    """On a node and outside: the caller's own variables."""
    env = {**os.environ, "NETPROXY_CLUSTER": where.cluster}  # `netproxy` in there means this cluster
    env.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if "/usr/sbin" not in env["PATH"].split(":"):
        env["PATH"] += ":/usr/sbin:/sbin"
    return env


def enter_and_run(
    where: Paths, target: str, namespace: str, container: str | None, argv: list[str], *, start: str = ""
) -> NoReturn:
    """Become COMMAND inside TARGET. Exits with 127 when there is no such program. START is the command that starts the cluster."""
    agent = Agent(where, start=start)
    place = agent.look("entry", EntryRequest(target, namespace, container or ""), EntryAnswer)
    if not argv:
        raise click.UsageError("no command: netproxy exec TARGET -- COMMAND")
    agent.join()
    if place.pid:
        from netproxy.kubelet.visit import visit

        sys.stdout.flush()
        visit(place.pid, place.namespace, place.user, place.group, dict(place.env), place.cwd)
        _become(argv, dict(os.environ))
    from netproxy.kubelet.spawn import enter

    enter(place.namespace, place.hostname, place.etc or None)
    sys.stdout.flush()
    _become(argv, _environment(where))


def _become(argv: list[str], env: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        click.echo(f"error: {argv[0]}: {error.strerror}", err=True)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
