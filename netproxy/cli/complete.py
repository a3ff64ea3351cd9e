"""What the shell may complete: words of the running cluster, asked quickly; without one, or when it is slow, nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from netproxy.objects.kinds import Resource

PATIENCE_S = 1.0
"""How long a cluster may take to answer before its words are left out."""

Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def _completer(words: Callable[[click.Context, str], Iterable[str]]) -> Completer:
    """The WORDS that begin with what is there; whatever goes wrong on the way, the shell is told nothing."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from netproxy.core.errors import NetproxyError

        try:
            return [CompletionItem(word) for word in words(ctx, incomplete) if word.startswith(incomplete)]
        except (OSError, NetproxyError, KeyError, TypeError, ValueError, click.ClickException):
            return []

    return complete


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell completes a file's name."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _lab_names(_: click.Context, incomplete: str) -> Iterable[str]:
    from netproxy.labkit import shelf

    names = [folder.name for folder in shelf.folders()]
    short = [name.partition("-")[2] for name in names]
    return [*names, *(name for name in short if incomplete)]


def _cluster_names(_: click.Context, __: str) -> Iterable[str]:
    from netproxy.agent.paths import clusters

    return clusters()


def _cluster(ctx: click.Context) -> str:
    """The cluster that the words so far mean; that of a lab when a lab is named."""
    from netproxy.agent.paths import DEFAULT

    if ctx.parent is not None and ctx.parent.info_name == "lab":
        from netproxy.labkit.spec import load_lab

        return load_lab(str(ctx.params["name"])).cluster
    return str(ctx.params.get("cluster") or os.environ.get("NETPROXY_CLUSTER") or DEFAULT)


def _names(ctx: click.Context, resource: Resource) -> list[str]:
    """The names of all objects of a kind, in the namespace that the words so far mean."""
    from netproxy.cli.client import Agent
    from netproxy.cli.options import checked_paths
    from netproxy.client.port import Selector
    from netproxy.client.wire import target_of

    namespace = "" if ctx.params.get("all_namespaces") else ctx.params.get("namespace") or "default"
    target = target_of(resource, Selector(namespace if resource.namespaced else ""))
    listed: Any = Agent(checked_paths(_cluster(ctx))).ask("GET", target, timeout_s=PATIENCE_S)
    return [item["metadata"]["name"] for item in listed["items"]]


def _services(ctx: click.Context, _: str) -> Iterable[str]:
    from netproxy.objects.kinds import SERVICES

    return _names(ctx, SERVICES)


def _pods(ctx: click.Context, _: str) -> Iterable[str]:
    from netproxy.objects.kinds import PODS

    return _names(ctx, PODS)


def _nodes(ctx: click.Context, _: str) -> Iterable[str]:
    from netproxy.objects.kinds import NODES

    return _names(ctx, NODES)


def _namespaces(ctx: click.Context, _: str) -> Iterable[str]:
    from netproxy.objects.kinds import NAMESPACES

    return _names(ctx, NAMESPACES)


def _machines(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """Pods, nodes and the client; behind `svc/` or `deploy/` the names of these."""
    if "/" in incomplete:
        return _of_kind(ctx, incomplete)
    return [*_pods(ctx, incomplete), *_nodes(ctx, incomplete), "client"]


def _of_kind(ctx: click.Context, incomplete: str) -> list[str]:
    from netproxy.cli.get import kind_named

    word = incomplete.partition("/")[0]
    return [f"{word}/{name}" for name in _names(ctx, kind_named(word))]


def _kinds(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """Names of kinds, several with commas; `KIND/` goes on with the names of its objects."""
    from netproxy.objects.kinds import RESOURCES

    if "/" in incomplete:
        return _of_kind(ctx, incomplete)
    before, comma, _ = incomplete.rpartition(",")
    words = sorted({word for kind in RESOURCES for word in (kind.plural, *kind.short)} | {"all"})
    return [f"{before}{comma}{word}" for word in words]


def _objects(ctx: click.Context, _: str) -> Iterable[str]:
    """Names of the kind that stands before."""
    from netproxy.cli.get import kind_named

    word = str(ctx.params.get("kinds") or ctx.params.get("kind"))
    given = ctx.params.get("names") or ()
    return [name for name in _names(ctx, kind_named(word.partition(",")[0])) if name not in given]


lab_names = _completer(_lab_names)
cluster_names = _completer(_cluster_names)
services = _completer(_services)
pods = _completer(_pods)
nodes = _completer(_nodes)
namespaces = _completer(_namespaces)
machines = _completer(_machines)
kinds = _completer(_kinds)
objects = _completer(_objects)
