"""`netproxy up`: start a cluster, or bring the running one to what the manifests say."""

from __future__ import annotations

import time

import click

from netproxy.agent.paths import Paths, Scope
from netproxy.agent.process import AgentProcess
from netproxy.cli import complete
from netproxy.cli.options import cluster_option
from netproxy.core.clock import LONGEST_WAIT_S
from netproxy.core.errors import ManifestError, Problem
from netproxy.core.net import split_host_port


@click.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="PATH",
    help="File, folder or - ; may be given again.",
    shell_complete=complete.files,
)
@click.option("--foreground", is_flag=True, help="Stay in front; Ctrl-C takes the cluster down.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, LONGEST_WAIT_S),
    default=30,
    show_default=True,
    help="Seconds to wait for Pods to be ready.",
)
@click.option(
    "--api-address",
    default="",
    metavar="ADDRESS:PORT",
    help="Where the Kubernetes API is served over HTTPS. [default: 127.0.0.1, a free port]",
)
@click.option(
    "--api-only",
    "scope",
    flag_value=Scope.API.value,
    help="Only a Kubernetes API: no root, no kernel, nothing happens by itself.",
)
@click.option(
    "--control-plane-only", "scope", flag_value=Scope.CONTROL_PLANE.value,
    help="The API and the controllers; nodes and the status of Pods are yours to write.",
)  # fmt: skip
@click.argument("more_files", nargs=-1, metavar="[PATH]...", shell_complete=complete.files)
@cluster_option
def up(
    files: tuple[str, ...], more_files: tuple[str, ...], foreground: bool, wait_s: float, api_address: str,
    scope: str | None, where: Paths,
) -> int:  # fmt: skip
    """Start a cluster from Kubernetes manifests; a running one is brought to what they say.

    Exit status 1 when Pods are not ready in time or rules cannot be written; the cluster stays then. As an ordinary
    user everything happens inside a user namespace of your own.
    """
    begun = time.monotonic()
    if api_address and split_host_port(api_address) is None:
        wanted = "must be ADDRESS:PORT, as 127.0.0.1:6443 or [::1]:6443 (port 0: a free one)"
        raise ManifestError([Problem("--api-address", f'Invalid value: "{api_address}": {wanted}')])
    agent = AgentProcess(where)
    if not where.socket.exists():
        agent.begin()  # it reads its modules while this process reads its own, and the manifests
    try:
        from netproxy.cli.starting import bring_up
        from netproxy.cli.wish import Wish

        wish = Wish((*files, *more_files), api_address, Scope(scope) if scope else None)
        return bring_up(agent, wish, wait_s, foreground=foreground, begun=begun)
    finally:
        agent.drop()
