"""`netproxy mode`: which way a node's proxy works, another way, and what is different between two of them."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from netproxy.agent.paths import Paths
from netproxy.cli import complete
from netproxy.cli.client import Agent
from netproxy.cli.files import read_manifests
from netproxy.cli.options import OneOf, cluster_option, meant, node_option
from netproxy.cli.render import FAMILIES, Spec, addressed
from netproxy.cli.show import output_option, print_table, print_value
from netproxy.client.port import EVERYTHING
from netproxy.client.wire import objects_of, target_of
from netproxy.objects.choices import KUBE_PROXY_VERSIONS, NFTABLES_LAYOUTS, PROXY_MODES
from netproxy.objects.kinds import (
    CLUSTERS,
    ENDPOINT_SLICES,
    KUBE_PROXY_CONFIGURATIONS,
    NODES,
    SERVICE_CIDRS,
    SERVICES,
)
from netproxy.objects.messages import ModeAnswer, ModeRequest, Nothing
from netproxy.objects.meta import Object


class _Side(click.ParamType[tuple[str, str]]):
    """A mode, or MODE@VERSION."""

    name = "MODE[@VERSION]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        mode, at, version = str(value).partition("@")
        for word, known in ((mode, PROXY_MODES), (version if at else KUBE_PROXY_VERSIONS[0], KUBE_PROXY_VERSIONS)):
            if word not in known:
                said = f"{word!r} is not one of {', '.join(known)}; a mode, or a mode of a version: nftables@1.30."
                self.fail(said + meant(word, known), param, ctx)
        return mode, version

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Modes; behind an @ the versions of one."""
        mode, at, _ = incomplete.partition("@")
        words = [f"{mode}@{version}" for version in KUBE_PROXY_VERSIONS] if at else PROXY_MODES
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


@click.command()
@click.argument("mode", required=False, type=OneOf(PROXY_MODES))
@node_option("Only this node (default: every node).")
@click.option("--layout", type=OneOf(NFTABLES_LAYOUTS), help="Of mode nftables.")
@click.option("--kube-proxy-version", "version", type=OneOf(KUBE_PROXY_VERSIONS),
              help="Give the nodes the rules of this kube-proxy (docs/versions.md).")  # fmt: skip
@click.option("--diff", "pair", nargs=2, type=_Side(), metavar="MODE[@VERSION] MODE[@VERSION]",
              help="Say where two modes, or versions of one, treat the Services that exist differently; changes nothing, "
                   "needs no root.")  # fmt: skip
@click.option("-f", "--filename", "files", multiple=True, metavar="SPEC",
              help="With --diff: the Services of these files, not those of the cluster.", shell_complete=complete.files)  # fmt: skip
@click.option("--family", type=OneOf(sorted(FAMILIES)), default="ipv4", show_default=True, help="With --diff.")
@output_option
@cluster_option
def mode(
    mode: str | None, node: str | None, layout: str | None, version: str | None,
    pair: tuple[tuple[str, str], tuple[str, str]] | None, files: tuple[str, ...], family: str, output: str | None, where: Paths,
) -> None:  # fmt: skip
    """Show the nodes' proxy modes, or put them into another one while traffic flows.

    Modes: iptables, ipvs, nftables, userspace. The new mode's rules are there before the old ones go.
    """
    if layout and mode != "nftables":
        raise click.UsageError("--layout is for mode nftables")
    if pair:
        if mode or version:
            raise click.UsageError(
                "--diff takes two modes (iptables, or iptables@1.30), and nothing is switched: leave the rest out"
            )
        _show_differences(pair, _objects(files, where), node, family, output)
        return
    if files:
        raise click.UsageError("-f is for --diff")
    agent = Agent(where)
    if mode or version:
        answer = agent.order("mode", ModeRequest(mode or "", node or "", layout or "", version or ""), ModeAnswer)
    else:
        answer = agent.look("mode", Nothing(), ModeAnswer)
    if output in ("json", "yaml"):
        print_value(answer.to_json(), output)
        return
    rows = [
        [item.name, item.mode, item.kube_proxy_version, item.layout if item.mode == "nftables" else ""]
        for item in answer.nodes
    ]
    print_table(["NODE", "MODE", "KUBE-PROXY", "LAYOUT"], rows)


_RESOURCES = (SERVICES, ENDPOINT_SLICES, NODES, SERVICE_CIDRS, CLUSTERS, KUBE_PROXY_CONFIGURATIONS)


def _objects(files: tuple[str, ...], where: Paths) -> list[Object]:
    if files:
        return addressed([item.obj for item in read_manifests(files)])
    agent = Agent(where)
    found: list[Object] = []
    for resource in _RESOURCES:
        found += objects_of(resource, agent.ask("GET", target_of(resource, EVERYTHING))["items"])
    return found


def _show_differences(
    pair: tuple[tuple[str, str], tuple[str, str]], objects: list[Object], node: str | None, family: str,
    output: str | None,
) -> None:  # fmt: skip
    from netproxy.proxy.behaviour import differences

    name = node or next((obj["metadata"]["name"] for obj in objects if obj["kind"] == "Node"), None)
    sides = []
    for mode, version in pair:
        spec = Spec.of(objects, FAMILIES[family], node_name=name, mode=mode, version=version)
        sides.append((mode, spec.snapshot, spec.view))
    found = list(differences(sides[0], sides[1]))
    words = ["@".join(filter(None, side)) for side in pair]
    if output in ("json", "yaml"):
        print_value({"modes": words, "differences": [_as_value(item, words) for item in found]}, output)
        return
    about = ""
    for item in found:
        if item.about != about:
            about = item.about
            click.echo(about)
        click.echo(f"  {item.probe}")
        for one, end in zip(words, (item.first, item.second), strict=True):
            click.echo(f"    {one:<10} {end}")
    if not found:
        click.echo(f"{words[0]} and {words[1]} treat these Services alike")


def _as_value(item: Any, words: list[str]) -> dict[str, Any]:
    probe = item.probe
    ends = {
        one: {"result": end.result, "endpoints": list(end.endpoints), "masq": end.masquerade}
        for one, end in zip(words, (item.first, item.second), strict=True)
    }
    return {
        "about": item.about, "from_kind": probe.kind, "from": probe.source, "to": probe.destination, "port": probe.port,
        "proto": probe.protocol.upper(), "by_mode": ends,
    }  # fmt: skip
