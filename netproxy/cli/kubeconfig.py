"""`netproxy kubeconfig`: the file that leads kubectl, and every other client, to the cluster's API."""

from __future__ import annotations

import click

from netproxy.agent.paths import Paths
from netproxy.cli.client import Agent
from netproxy.cli.options import cluster_option
from netproxy.objects.messages import ListenAnswer, Nothing


@click.command()
@cluster_option
def kubeconfig(where: Paths) -> None:
    """Print the path of the cluster's kubeconfig: export KUBECONFIG=$(netproxy kubeconfig).

    Its user may do everything; the file is yours alone (mode 0600), and goes with the cluster.
    """
    click.echo(Agent(where).order("listen", Nothing(), ListenAnswer).kubeconfig)
