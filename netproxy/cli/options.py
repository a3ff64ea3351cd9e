"""Options that several commands have."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from netproxy.agent.paths import DEFAULT, Paths, check_private, paths
from netproxy.cli import complete
from netproxy.core.errors import ManifestError, Problem
from netproxy.core.names import is_dns_label

F = TypeVar("F", bound=Callable[..., Any])


def meant(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'that'?` when a wrong word is like one of those that are known; else empty."""
    import difflib

    close = difflib.get_close_matches(word.lower(), list(known), 1, 0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


class OneOf(click.Choice[str]):
    """One of some words; a wrong one names the one that is like it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise click.BadParameter(error.message + meant(str(value), self.choices), ctx, param) from error


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


cluster_name_option = click.option(
    "--cluster",
    default=lambda: os.environ.get("NETPROXY_CLUSTER", DEFAULT),
    show_default="default",
    metavar="NAME",
    help="Which cluster.",
    shell_complete=complete.cluster_names,
)
"""`--cluster NAME`, whatever the name."""


def cluster_option(command: F) -> F:
    """`--cluster NAME`, passed on as the cluster's Paths."""

    @cluster_name_option
    @functools.wraps(command)
    def with_paths(*args: Any, cluster: str, **kwargs: Any) -> Any:
        return command(*args, where=checked_paths(cluster), **kwargs)

    return with_paths  # type: ignore[return-value]  # click's decorators change the signature


def checked_paths(cluster: str) -> Paths:
    """The paths of a cluster whose name can be used in file and namespace names, in folders that are this user's alone.

    Raises ManifestError, KernelError.
    """
    if not is_cluster_name(cluster):
        raise ManifestError(
            [Problem("--cluster", f'Invalid value: "{cluster}": must be a DNS label of at most 32 characters')]
        )
    where = paths(cluster)
    for folder in (where.state.parent, where.state):
        check_private(folder)
    return where


def is_cluster_name(text: str) -> bool:
    """Whether a name can be used in file and namespace names."""
    return is_dns_label(text) and len(text) <= 32
