"""`netproxy render`: what a proxy would write for a spec, as text, in any mode."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from netproxy.cli import complete
from netproxy.cli.files import read_manifests
from netproxy.cli.options import OneOf
from netproxy.core.errors import ManifestError, Problem
from netproxy.core.names import host_name
from netproxy.core.net import Family, is_address
from netproxy.objects.choices import KUBE_PROXY_VERSIONS, NFTABLES_LAYOUTS, PROXY_MODES
from netproxy.objects.meta import Object, name

if TYPE_CHECKING:
    from netproxy.proxy.model import NodeView, Snapshot

FAMILIES = {"ipv4": Family.IPV4, "ipv6": Family.IPV6}


@click.command()
@click.option("--mode", type=OneOf(PROXY_MODES), default="iptables", show_default=True,
              help="Proxy mode.")  # fmt: skip
@click.option("--layout", type=OneOf(NFTABLES_LAYOUTS), default=NFTABLES_LAYOUTS[0], show_default=True,
              help="Of mode nftables: chains as kube-proxy makes them, or flat maps.")  # fmt: skip
@click.option("--kube-proxy-version", "version", type=OneOf(KUBE_PROXY_VERSIONS),
              help="Whose rules (docs/versions.md; default: what the Node or the Cluster says, else the newest).")  # fmt: skip
@click.option(
    "--nfacct", is_flag=True, help="With rules that count packets, for a kernel that has nfacct (1.36, iptables)."
)
@click.option(
    "--node", "node_name", help="The node whose rules are wanted (default: the only Node, or hostnameOverride)."
)
@click.option("--family", type=OneOf(sorted(FAMILIES)), default="ipv4", show_default=True)
@click.option("--node-address", "addresses", multiple=True, metavar="CIDR",
              help="An address of the node's interfaces; may be given again (default: the Node's InternalIPs).")  # fmt: skip
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="SPEC",
    help="File, folder or - ; may be given again.",
    shell_complete=complete.files,
)
@click.argument("more_files", nargs=-1, metavar="[SPEC]...", shell_complete=complete.files)
def render(
    mode: str, layout: str, version: str | None, nfacct: bool, node_name: str | None, family: str,
    addresses: tuple[str, ...], files: tuple[str, ...], more_files: tuple[str, ...],
) -> None:  # fmt: skip
    """Print what a proxy would write, for the mode's own tools to load into an empty namespace.

    iptables: for iptables-restore. nftables: for nft -f. ipvs: four sections, each begun by a line "# section: NAME":
    ipvsadm (for ipvsadm -R), ipset (for ipset restore), iptables, and addresses (what kube-ipvs0 carries).
    userspace: for iptables-restore, after comments that say what the proxy's process would do on which port.

    SPEC holds Services, EndpointSlices, Nodes and a KubeProxyConfiguration, as YAML or JSON. A Service without a
    clusterIP gets the one that a new cluster would give it, which standard error names.
    """
    if layout != "kube-proxy" and mode != "nftables":
        raise click.UsageError("--layout is for --mode nftables")
    if nfacct and mode != "iptables":
        raise click.UsageError("--nfacct is for --mode iptables")
    gc.disable()  # a short life and a million small values: collecting would only find them alive
    _check_addresses(addresses)
    if not (files or more_files):
        raise click.UsageError("nothing to render: give -f SPEC (a file, a folder, or - for standard input)")
    objects = addressed([item.obj for item in read_manifests((*files, *more_files))])
    spec = Spec.of(
        objects,
        FAMILIES[family],
        node_name=node_name,
        addresses=addresses,
        mode=mode,
        version=version or "",
        nfacct=nfacct,
    )
    sys.stdout.write(_TEXTS[mode](spec, layout))
    sys.stdout.flush()


@dataclass(frozen=True)
class Spec:
    """One node's view of the objects of a spec, in one address family."""

    view: NodeView
    snapshot: Snapshot

    @classmethod
    def of(
        cls, objects: Iterable[Object], family: Family, *, node_name: str | None = None, addresses: Iterable[str] = (),
        mode: str = "iptables", version: str = "", nfacct: bool = False,
    ) -> Spec:  # fmt: skip
        """Read objects; without a VERSION it is that of the Node, else of the Cluster. Raises ManifestError."""
        from netproxy.nodeproxy.choice import choice_of
        from netproxy.proxy.build import build
        from netproxy.proxy.config import node_view
        from netproxy.proxy.versions import VERSIONS

        by_kind: dict[str, list[Object]] = {}
        for obj in objects:
            by_kind.setdefault(obj["kind"], []).append(obj)
        clusters, cidrs = by_kind.get("Cluster", ()), by_kind.get("ServiceCIDR", ())
        config = next(iter(by_kind.get("KubeProxyConfiguration", ())), None) or _from_cluster(clusters)
        node = pick_node(by_kind.get("Node", ()), host_name(node_name or config.get("hostnameOverride") or "") or None)
        asked = choice_of(
            node, {"kubeProxyVersion": next(iter((c.get("spec") or {}).get("kubeProxyVersion") for c in clusters), "")}
        )
        view = node_view(
            node, config, family, addresses=addresses, mode=mode, nfacct=nfacct,
            version=VERSIONS[version] if version else asked.version,
        )  # fmt: skip
        ranges = cidrs or [{"spec": {"cidrs": (c.get("spec") or {}).get("serviceCIDRs")}} for c in clusters]
        return cls(view, build(by_kind.get("Service", ()), by_kind.get("EndpointSlice", ()), view, cidrs=ranges))


def addressed(objects: list[Object]) -> list[Object]:
    """The objects, each Service with an address: what is handed out here is said."""
    given = [obj.get("spec") or {} for obj in objects if obj["kind"] == "Service"]
    if all(spec.get("clusterIP") or spec.get("clusterIPs") for spec in given):
        return objects
    from netproxy.registry.unaddressed import with_addresses  # here: of an exported spec nobody needs it

    objects, notes = with_addresses(objects)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    return objects


def _iptables(spec: Spec, _: str) -> str:
    from netproxy.proxy.iptables import compile_iptables
    from netproxy.ruleset.iptables import render as render_text

    return render_text(compile_iptables(spec.snapshot, spec.view))


def _nftables(spec: Spec, layout: str) -> str:
    from netproxy.proxy.nftables import compile_nftables
    from netproxy.ruleset.nftables import render as render_text

    return render_text(compile_nftables(spec.snapshot, spec.view, layout=layout))


def _ipvs(spec: Spec, _: str) -> str:
    from netproxy.proxy.ipvs import compile_ipvs
    from netproxy.ruleset.iptables import render as render_text
    from netproxy.ruleset.ipvs import render_addresses, render_servers, render_sets

    state = compile_ipvs(spec.snapshot, spec.view)
    assert state.rules is not None
    sections = {
        "ipvsadm": render_servers(state.servers.values()),
        "ipset": render_sets(state.sets.values(), state.family),
        "iptables": render_text(state.rules),
        "addresses": render_addresses(state.addresses),
    }
    return "".join(f"# section: {title}\n{text}" for title, text in sections.items())


def _userspace(spec: Spec, _: str) -> str:
    from netproxy.core.net import join_host_port
    from netproxy.proxy.userspace import compile_userspace, forwards
    from netproxy.ruleset.iptables import render as render_text

    known = forwards(spec.snapshot)
    ports = dict(zip((forward.name for forward in known), range(_FIRST_PORT, 1 << 16), strict=False))
    lines = [
        f"# port {ports[name]}: {name} -> {', '.join(join_host_port(*to) for to in endpoints) or 'nobody'}\n"
        for name, _, endpoints, _ in known
        if name in ports
    ]
    return "".join(lines) + render_text(compile_userspace(spec.snapshot, spec.view, ports))


_FIRST_PORT = 32768
"""Where the process of userspace mode would listen is up to the kernel; here it is one port after the other."""
_TEXTS: dict[str, Callable[[Spec, str], str]] = {
    "iptables": _iptables, "ipvs": _ipvs, "nftables": _nftables, "userspace": _userspace,
}  # fmt: skip


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
