"""`netproxy proxy`: this node's service proxy for a real cluster, in kube-proxy's place."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from netproxy.cli.options import OneOf
from netproxy.nodeproxy.options import BACK_ENDS, FLAGS, settings
from netproxy.objects.choices import KUBE_PROXY_VERSIONS, NFTABLES_LAYOUTS

Decorated = Callable[..., Any]


def _kube_proxy_flags(command: Decorated) -> Decorated:
    for name, flag in reversed(list(FLAGS.items())):
        is_switch = flag.parse.__name__ == "_flag"
        more: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if is_switch else {}
        command = click.option(f"--{name}", metavar="BOOL" if is_switch else "TEXT", help=flag.help, **more)(command)
    return command


@click.command()
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    help="How to reach the API server (default: as kubectl, then as a Pod does).",
)
@click.option("--master", default="", help="Another address of the API server than the kubeconfig's.")
@click.option("--node-name", default="", help="The Node that this is (default: the host's name).")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A KubeProxyConfiguration; most flags are then left out of account.",
)
@click.option(
    "--cleanup",
    is_flag=False,
    flag_value="true",
    type=click.BOOL,
    metavar="BOOL",
    help="Take all rules of all modes away, and end.",
)
@click.option("--nftables-layout", type=OneOf(NFTABLES_LAYOUTS), help="Of mode nftables.")
@click.option(
    "--kube-proxy-version",
    "version",
    type=OneOf(KUBE_PROXY_VERSIONS),
    help="Whose rules (docs/versions.md).",
)
@click.option(
    "--iptables",
    "back_end",
    type=OneOf(BACK_ENDS),
    default="auto",
    show_default=True,
    help="The back end of iptables; auto is the kubelet's.",
)
@click.option("--v", "-v", "verbosity", type=int, default=0, help="How much to log; from 4 on everything.")
@_kube_proxy_flags
def proxy(
    kubeconfig: Path | None, master: str, node_name: str, config: Path | None, cleanup: bool | None,
    nftables_layout: str | None, version: str | None, back_end: str, verbosity: int, **flags: str | None,
) -> None:  # fmt: skip
    """Be this node's service proxy, in kube-proxy's place, for any Kubernetes API server.

    Runs until SIGTERM; the rules stay. Takes kube-proxy's flags and its configuration file.
    """
    level = logging.DEBUG if verbosity >= 4 else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    given = {name.replace("_", "-"): value for name, value in flags.items() if value is not None}
    from netproxy.nodeproxy import program

    if cleanup:
        program.clean_up()
        return
    sys.exit(program.serve(settings(
        given, config_file=config, kubeconfig=kubeconfig, master=master, node=node_name, layout=nftables_layout or "",
        back_end=back_end, version=version or "",
    )))  # fmt: skip
