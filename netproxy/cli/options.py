"""Options that several commands have."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from netproxy.agent.paths import DEFAULT, Paths, check_private, paths
from netproxy.cli import complete
from netproxy.core.errors import ManifestError, Problem
from netproxy.core.names import is_dns_label

F = TypeVar("F", bound=Callable[..., Any])


namespace_option = click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="In which namespace.",
    shell_complete=complete.namespaces,
)


def node_option(text: str) -> Callable[[F], F]:
    """`--node NAME`; TEXT says what for."""
    return click.option("--node", help=text, shell_complete=complete.nodes)


def cluster_option(command: F) -> F:
    """`--cluster NAME`, passed on as the cluster's Paths."""

    @click.option("--cluster", default=lambda: os.environ.get("NETPROXY_CLUSTER", DEFAULT), show_default="default",
                  metavar="NAME", help="Which cluster.", shell_complete=complete.cluster_names)  # fmt: skip
    @functools.wraps(command)
    def with_paths(*args: Any, cluster: str, **kwargs: Any) -> Any:
        return command(*args, where=checked_paths(cluster), **kwargs)

    return with_paths  # type: ignore[return-value]  # click's decorators change the signature


def checked_paths(cluster: str) -> Paths:
    """The paths of a cluster whose name can be used in file and namespace names, in folders that are this user's alone.

    Raises ManifestError, KernelError.
    """
    if not is_dns_label(cluster) or len(cluster) > 32:
        raise ManifestError(
            [Problem("--cluster", f'Invalid value: "{cluster}": must be a DNS label of at most 32 characters')]
        )
    where = paths(cluster)
    for folder in (where.state.parent, where.state):
        check_private(folder)
    return where
