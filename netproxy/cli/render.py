"""`netproxy render`: what kube-proxy would write for a spec, as text."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable

import click

from netproxy.cli.files import read_manifests
from netproxy.core.errors import ManifestError, Problem
from netproxy.core.net import Family, is_address
from netproxy.objects.meta import Object, name

FAMILIES = {"ipv4": Family.IPV4, "ipv6": Family.IPV6}


@click.command()
@click.option("--mode", type=click.Choice(["iptables"]), default="iptables", show_default=True, help="Proxy mode.")
@click.option(
    "--node", "node_name", help="The node whose rules are wanted (default: the only Node, or hostnameOverride)."
)
@click.option("--family", type=click.Choice(sorted(FAMILIES)), default="ipv4", show_default=True)
@click.option("--node-address", "addresses", multiple=True, metavar="CIDR",
              help="An address of the node's interfaces; may be given again (default: the Node's InternalIPs).")  # fmt: skip
@click.option(
    "-f", "--filename", "files", multiple=True, metavar="SPEC", help="File, folder or - ; may be given again."
)
@click.argument("more_files", nargs=-1, metavar="[SPEC]...")
def render(
    mode: str, node_name: str | None, family: str, addresses: tuple[str, ...], files: tuple[str, ...],
    more_files: tuple[str, ...],
) -> None:  # fmt: skip
    """Print the rules that kube-proxy would write, for iptables-restore into an empty namespace.

    SPEC holds Services, EndpointSlices, Nodes and a KubeProxyConfiguration, as YAML or JSON.
    """
    del mode
    gc.disable()  # a short life and a million small values: collecting would only find them alive
    _check_addresses(addresses)
    if not (files or more_files):
        raise click.UsageError("nothing to render: give -f SPEC (a file, a folder, or - for standard input)")
    objects = [item.obj for item in read_manifests((*files, *more_files))]
    sys.stdout.write(rendered(objects, FAMILIES[family], node_name=node_name, addresses=addresses))
    sys.stdout.flush()


def rendered(
    objects: Iterable[Object], family: Family, *, node_name: str | None = None, addresses: Iterable[str] = ()
) -> str:
    """The rules of one node and family for these objects, as text that `iptables-restore` loads."""
    from netproxy.proxy.build import build
    from netproxy.proxy.config import node_view
    from netproxy.proxy.iptables import compile_iptables
    from netproxy.ruleset.iptables import render as render_text

    by_kind: dict[str, list[Object]] = {}
    for obj in objects:
        by_kind.setdefault(obj["kind"], []).append(obj)
    config = next(iter(by_kind.get("KubeProxyConfiguration", ())), None) or _from_cluster(by_kind.get("Cluster", ()))
    node = pick_node(by_kind.get("Node", ()), node_name or config.get("hostnameOverride"))
    view = node_view(node, config, family, addresses=addresses)
    snapshot = build(by_kind.get("Service", ()), by_kind.get("EndpointSlice", ()), view)
    return render_text(compile_iptables(snapshot, view))


def pick_node(nodes: Iterable[Object], wanted: str | None) -> Object:
    """The Node of this name; one that only has a name when the spec holds none."""
    known = {name(node): node for node in nodes}
    if wanted is None and len(known) == 1:
        return next(iter(known.values()))
    if wanted is None and known:
        raise ManifestError([Problem("--node", f"Required value: the spec has the nodes {', '.join(sorted(known))}")])
    if wanted and known and wanted not in known:
        raise ManifestError([Problem("--node", f"Not found: {wanted!r}: the spec has {', '.join(sorted(known))}")])
    return known.get(wanted or "") or {"kind": "Node", "metadata": {"name": wanted or ""}}


def _from_cluster(clusters: Iterable[Object]) -> Object:
    for cluster in clusters:
        return {"clusterCIDR": ",".join((cluster.get("spec") or {}).get("podCIDRs") or ("10.244.0.0/16",))}
    return {}


def _check_addresses(addresses: Iterable[str]) -> None:
    for text in addresses:
        if not is_address(text.partition("/")[0]):
            raise click.BadParameter(f"{text!r} is no address or address/length", param_hint="--node-address")
